/* SPDX-License-Identifier: Apache-2.0 */
#include "ingest/crew.h"

#include "ingest/compress.h"
#include "ingest/lane.h"
#include "ingest/login.h"
#include "ingest/pace.h"

#include <signal.h>
#include <stdlib.h>

enum {
    HELPERS_MAX = INGEST_CONNECTIONS_MAX - 1,
    LOSSES_MAX = 3,         /* helpers whose connection failed: then the run goes on without */
    LOOK_MS = 300,          /* how long a new helper looks whether the writer has time */
    LOOK_AGAIN_MS = 30000,  /* the same, when the account or its host had no connection left */
    LOGIN_STALL_MS = 10000, /* the run waits for its helpers when it ends */
};

enum helper_state {
    HELPER_NEW,    /* no connection yet */
    HELPER_COMING, /* allowed one, and logs in */
    HELPER_IDLE,   /* connected */
    HELPER_GONE,   /* its thread ends, or has ended */
};

struct helper {
    struct ingest_crew *crew;
    pthread_t thread;
    uint8_t number; /* in the share */

    /* the thread's own */
    struct ingest_lane lane;
    struct source_identity identity;
    struct ingest_client *client;
    int64_t mailbox_id; /* that it has open; 0: none */
    uint32_t uidvalidity;
    uint64_t size_notes;

    /* under the crew's lock */
    enum helper_state state;
    uint64_t last_round;
};

struct ingest_crew {
    /* settings, lease, account and rules do not change; all else only in turn */
    struct ingest_run *run;
    struct ingest_turn turn;
    struct ingest_lane lane; /* of the first connection */
    bool was_needed;         /* since the last mailbox was done; the first connection's own */

    pthread_mutex_t lock; /* LOCK_INGEST_CREW: all below */
    pthread_cond_t has_moved;
    struct helper *helpers[HELPERS_MAX];
    bool is_closed;  /* no more of them: the source does not want it */
    int64_t look_ms; /* of the next one */
    bool is_leaving; /* dismissed */
    size_t losses;
    uint64_t round; /* counts pages */
    bool is_open;   /* there is a page to be fetched */
    size_t at_work; /* helpers that use the share or the turn */
    struct bytes wire_name;
    int64_t mailbox_id;
    uint32_t uidvalidity;
    struct ingest_share *share;
    struct err failure; /* of the archive, seen by a helper */
    uint64_t size_notes, odd_responses;
};

static void lock(struct ingest_crew *crew)
{
    int status = pthread_mutex_lock(&crew->lock);

    assert(status == 0);
    (void)status;
}

static void unlock(struct ingest_crew *crew)
{
    (void)pthread_mutex_unlock(&crew->lock);
}

static void tell(struct ingest_crew *crew)
{
    (void)pthread_cond_broadcast(&crew->has_moved);
}

static void await(struct ingest_crew *crew)
{
    (void)pthread_cond_wait(&crew->has_moved, &crew->lock);
}

/* ---- a helper: all with the crew's lock held, but what says otherwise ---- */

static void leave_work(struct ingest_crew *crew)
{
    crew->at_work--;
    tell(crew);
}

/* The archive failed, not the source: that is the run's end. */
static void note_failure(struct ingest_crew *crew, const struct err *err)
{
    if (crew->failure.code == ERR_NONE)
        crew->failure = *err;
    atomic_store(&crew->turn.is_over, true);
}

/* Was it the archive that failed it? */
static bool is_archives(struct helper *helper)
{
    struct ingest_crew *crew = helper->crew;
    bool has_failed;

    if (!helper->lane.has_failed)
        return false;
    unlock(crew);
    ingest_take_turn(&crew->turn);
    has_failed = crew->run->has_archive_failed;
    ingest_end_turn(&crew->turn);
    lock(crew);
    return has_failed;
}

/* Its connection is of no more use. */
static void lose(struct helper *helper, const struct err *err)
{
    struct ingest_crew *crew = helper->crew;
    bool was_refused = helper->client != NULL && ingest_was_refused(helper->client);

    if (is_archives(helper))
        note_failure(crew, err);
    if (helper->state != HELPER_IDLE || was_refused || ++crew->losses == LOSSES_MAX)
        crew->is_closed = true;
    log_info(crew->run->settings->log, "a further connection to the source was lost",
             F_I64("account", crew->run->lease->account_id), F_U64("helper", helper->number),
             F_TEXT("code", err_code_name(err->code)));
    helper->state = HELPER_GONE;
}

/* Waits for a while. Has the writer had more time than work meanwhile, and is there still something to do? */
static bool is_worth_while(struct ingest_crew *crew)
{
    int64_t look_ms = crew->look_ms;
    struct deadline until = deadline_after_ms(look_ms);
    struct timespec at = { until.at_usec / 1000000, until.at_usec % 1000000 * 1000 };
    uint64_t before = atomic_load(&crew->turn.used_usec);

    while (crew->is_open && !crew->is_leaving && !deadline_has_passed(until))
        (void)pthread_cond_timedwait(&crew->has_moved, &crew->lock, &at);
    return crew->is_open && !crew->is_leaving &&
           (atomic_load(&crew->turn.used_usec) - before) * 2 < (uint64_t)look_ms * 1000;
}

/* In the turn, or when no helper is at work. run->connections tells how many it has then. */
static bool ask_connections(struct ingest_run *run, int32_t wanted, struct err *err)
{
    int32_t granted = 0;
    bool has_asked;

    if (!ingest_take_connection(run, err))
        return false;
    has_asked =
        ingest_archive(run, source_ask_connections(run->db, run->lease, wanted,
                                                   run->settings->host_connections, &granted, err));
    ingest_give_connection(run);
    if (has_asked)
        run->connections = granted;
    return has_asked;
}

static bool is_in(const struct ingest_crew *crew, size_t at, enum helper_state state)
{
    return crew->helpers[at] != NULL && crew->helpers[at]->state == state;
}

/* As the database counts them. */
static int32_t count_connections(const struct ingest_crew *crew)
{
    int32_t count = 1;

    for (size_t i = 0; i < HELPERS_MAX; i++)
        count += is_in(crew, i, HELPER_IDLE) || is_in(crew, i, HELPER_COMING);
    return count;
}

/* May it connect? While it asks, it counts as at work: the first connection waits for it. */
static bool is_allowed(struct helper *helper)
{
    struct ingest_crew *crew = helper->crew;
    int32_t wanted = count_connections(crew) + 1;
    struct err err = { 0 };
    bool has_asked;
    bool is_granted;

    crew->at_work++;
    unlock(crew);
    ingest_take_turn(&crew->turn);
    has_asked = ask_connections(crew->run, wanted, &err);
    is_granted = has_asked && crew->run->connections == wanted;
    ingest_end_turn(&crew->turn);
    lock(crew);
    if (!has_asked)
        note_failure(crew, &err);
    leave_work(crew);
    return is_granted;
}

/* Of the connection, without the lock. One that is logging in or opens a mailbox while the crew is dismissed, and
 * gets an octet now and then, would be waited for without end. */
static bool beat_connection(void *context, struct err *err)
{
    struct helper *helper = context;
    struct ingest_crew *crew = helper->crew;
    bool is_leaving;

    if (!helper->lane.is_idle)
        return ingest_beat_lane(&helper->lane, err);
    lock(crew);
    is_leaving = crew->is_leaving;
    unlock(crew);
    return !is_leaving || err_fail(err, ERR_RETRY, "the run needs no further connection");
}

/* Without the lock, and without a round: a login takes as long as it takes. */
static bool connect_helper(struct helper *helper, struct err *err)
{
    const struct ingest_run *run = helper->crew->run;
    const struct ingest_settings *settings = run->settings;
    struct ingest_client_options options = {
        .stop_fd = settings->stop_fd,
        .stall_ms = settings->stall_ms < LOGIN_STALL_MS ? settings->stall_ms : LOGIN_STALL_MS,
        .beat = beat_connection,
        .context = helper,
        .beat_ms = settings->slice_ms < INGEST_BEAT_MS ? settings->slice_ms : 0,
    };
    struct ingest_login login = { .account = &run->work.account, .identity = &helper->identity };

    if (!source_get_identity(settings->gate_socket, run->lease, NULL, &helper->identity, err) ||
        !ingest_log_in(&login, &options, &helper->client, err) ||
        !ingest_compress(helper->client, settings->compress, err))
        return false;
    ingest_set_rules(helper->client, &run->rules);
    ingest_set_stall(helper->client, settings->stall_ms);
    return true;
}

static void come(struct helper *helper)
{
    struct ingest_crew *crew = helper->crew;
    struct err err = { 0 };
    bool is_connected;

    if (!is_worth_while(crew))
        return;
    if (!is_allowed(helper)) {
        crew->look_ms = LOOK_AGAIN_MS;
        return;
    }
    crew->look_ms = LOOK_MS;
    helper->state = HELPER_COMING;
    unlock(crew);
    is_connected = connect_helper(helper, &err);
    lock(crew);
    if (is_connected)
        helper->state = HELPER_IDLE;
    else
        lose(helper, &err);
}

/* Without the lock. */
static bool open_mailbox(struct helper *helper, struct bytes wire_name, uint32_t uidvalidity,
                         struct err *err)
{
    struct ingest_selected selected;

    return ingest_examine(helper->client, wire_name, &selected, err) &&
           (selected.uidvalidity == uidvalidity ||
            err_fail(err, ERR_RETRY, "another UIDVALIDITY than on the first connection"));
}

/* False: the connection is of no more use. */
static bool enter(struct helper *helper, struct err *err)
{
    struct ingest_crew *crew = helper->crew;
    int64_t mailbox_id = crew->mailbox_id;
    struct bytes wire_name = crew->wire_name;
    uint32_t uidvalidity = crew->uidvalidity;
    bool is_open;

    if (helper->mailbox_id == mailbox_id && helper->uidvalidity == uidvalidity)
        return true;
    unlock(crew);
    is_open = open_mailbox(helper, wire_name, uidvalidity, err);
    lock(crew);
    helper->mailbox_id = is_open ? mailbox_id : 0;
    helper->uidvalidity = uidvalidity;
    return is_open;
}

static void recruit(struct ingest_crew *crew);

static void work(struct helper *helper)
{
    struct ingest_crew *crew = helper->crew;
    struct ingest_share *share = crew->share;
    struct ingest_sink sink = ingest_lane_sink(&helper->lane);
    uint64_t round = crew->round;
    struct err err = { 0 };
    bool is_done;

    if (!enter(helper, &err)) {
        lose(helper, &err);
        return;
    }
    if (crew->round != round || !crew->is_open)
        return; /* that page is done */
    crew->at_work++;
    recruit(crew);
    unlock(crew);
    helper->lane.is_idle = false;
    ingest_join_share(share);
    is_done =
        ingest_help_fetch(helper->client, share, helper->number, &sink, &helper->size_notes, &err);
    ingest_leave_share(share, helper->number);
    helper->lane.is_idle = true;
    lock(crew);
    helper->last_round = round;
    if (!is_done)
        lose(helper, &err);
    leave_work(crew);
}

/* Without the lock. */
static void end_helper(struct helper *helper)
{
    struct ingest_crew *crew = helper->crew;

    if (helper->state == HELPER_IDLE)
        ingest_log_out(helper->client);
    lock(crew);
    helper->state = HELPER_GONE;
    crew->size_notes += helper->size_notes;
    if (helper->client != NULL)
        crew->odd_responses += ingest_odd_responses(helper->client);
    unlock(crew);
    ingest_close_client(&helper->client);
    source_free_identity(&helper->identity);
    ingest_free_lane(&helper->lane);
}

static void *help(void *context)
{
    struct helper *helper = context;
    struct ingest_crew *crew = helper->crew;

    lock(crew);
    while (helper->state != HELPER_GONE && !crew->is_leaving) {
        if (!crew->is_open || helper->last_round == crew->round)
            await(crew);
        else if (helper->state == HELPER_NEW)
            come(helper);
        else
            work(helper);
    }
    unlock(crew);
    end_helper(helper);
    return NULL;
}

/* Signals are for the thread of the first connection. */
static bool start_thread(struct helper *helper)
{
    sigset_t all, before;
    int status;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    status = pthread_create(&helper->thread, NULL, help, helper);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return status == 0;
}

static bool has_new(const struct ingest_crew *crew)
{
    for (size_t i = 0; i < HELPERS_MAX; i++)
        if (is_in(crew, i, HELPER_NEW) || is_in(crew, i, HELPER_COMING))
            return true;
    return false;
}

static bool beat_helper(void *context, struct err *err)
{
    const struct helper *helper = context;

    return ingest_bear_with(helper->crew->run, helper->client, err);
}

static bool beat_first(void *context, struct err *err)
{
    struct ingest_run *run = context;

    return ingest_bear_with(run, run->client, err);
}

static struct ingest_lane make_lane(struct ingest_crew *crew)
{
    return (struct ingest_lane){
        .turn = &crew->turn,
        .sink = ingest_make_sink(crew->run),
        .is_idle = true,
    };
}

/* One more, unless one is new still. */
static void recruit(struct ingest_crew *crew)
{
    size_t at = 0;
    struct helper *helper;

    while (at < HELPERS_MAX && crew->helpers[at] != NULL)
        at++;
    if (crew->is_closed || at == HELPERS_MAX || has_new(crew))
        return;
    helper = calloc(1, sizeof *helper);
    if (helper == NULL)
        return;
    helper->crew = crew;
    helper->number = (uint8_t)(INGEST_FIRST + 1 + at);
    helper->lane = make_lane(crew);
    helper->lane.beat = beat_helper;
    helper->lane.beat_context = helper;
    if (start_thread(helper)) {
        crew->helpers[at] = helper;
        return;
    }
    free(helper);
    crew->is_closed = true;
}

/* ---- the first connection ------------------------------------------------------------------------ */

bool ingest_is_for_crew(const struct ingest_run *run, size_t uids, uint32_t uidvalidity)
{
    return !run->is_alone && uids >= INGEST_CREW_UIDS && uidvalidity != 0;
}

static struct ingest_crew *create_crew(struct ingest_run *run)
{
    struct ingest_crew *crew = calloc(1, sizeof *crew);
    pthread_condattr_t monotonic;

    if (crew == NULL)
        return NULL;
    crew->run = run;
    crew->look_ms = LOOK_MS;
    crew->lane = make_lane(crew);
    crew->lane.beat = beat_first;
    crew->lane.beat_context = run;
    (void)pthread_mutex_init(&crew->turn.lock, NULL);
    (void)pthread_mutex_init(&crew->lock, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC); /* as struct deadline */
    (void)pthread_cond_init(&crew->has_moved, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    return crew;
}

/* Those whose threads have ended, or end now. */
static void reap(struct ingest_crew *crew)
{
    for (size_t i = 0; i < HELPERS_MAX; i++) {
        struct helper *helper = crew->helpers[i];

        lock(crew);
        if (!is_in(crew, i, HELPER_GONE))
            helper = NULL;
        else
            crew->helpers[i] = NULL;
        unlock(crew);
        if (helper != NULL) {
            (void)pthread_join(helper->thread, NULL);
            free(helper);
        }
    }
}

static void open_round(struct ingest_crew *crew, const struct ingest_target *target,
                       uint32_t uidvalidity, struct ingest_share *share)
{
    lock(crew);
    crew->wire_name = target->listed->wire_name;
    crew->mailbox_id = target->known.mailbox_id;
    crew->uidvalidity = uidvalidity;
    crew->share = share;
    crew->failure = (struct err){ 0 };
    atomic_store(&crew->turn.is_over, false);
    crew->round++;
    crew->is_open = true;
    recruit(crew);
    tell(crew);
    unlock(crew);
}

/* When all are done. False: they left something, and the first connection goes on. */
static bool close_round(struct ingest_crew *crew, bool may_go_on)
{
    bool is_done;

    lock(crew);
    while (crew->at_work > 0)
        await(crew);
    is_done = !may_go_on || !ingest_has_more(crew->share, INGEST_FIRST);
    crew->is_open = !is_done;
    unlock(crew);
    return is_done;
}

bool ingest_fetch_together(struct ingest_run *run, const struct ingest_target *target,
                           uint32_t uidvalidity, struct ingest_share *share,
                           struct ingest_fetch_result *result, struct err *err)
{
    struct ingest_crew *crew = run->crew != NULL ? run->crew : create_crew(run);
    struct ingest_sink sink;
    int32_t connections;
    bool is_done;

    if (crew == NULL)
        return err_errno(err, "the connections of a run");
    run->crew = crew;
    crew->was_needed = true;
    sink = ingest_lane_sink(&crew->lane);
    reap(crew);
    lock(crew);
    connections = count_connections(crew);
    unlock(crew);
    if (run->connections != connections && !ask_connections(run, connections, err))
        return false;
    open_round(crew, target, uidvalidity, share);
    crew->lane.is_idle = false;
    do {
        is_done =
            ingest_fetch(run->client, share, INGEST_BY_PEEK, &sink, run->window_arena, result, err);
        if (!is_done)
            atomic_store(&crew->turn.is_over, true);
    } while (!close_round(crew, is_done));
    crew->lane.is_idle = true;
    if (crew->failure.code == ERR_NONE)
        return is_done;
    *err = crew->failure;
    return false;
}

bool ingest_rest_crew(struct ingest_run *run, struct err *err)
{
    if (run->crew != NULL && run->crew->was_needed) {
        run->crew->was_needed = false;
        return true;
    }
    ingest_dismiss_crew(run);
    return run->connections == 1 || ask_connections(run, 1, err);
}

void ingest_dismiss_crew(struct ingest_run *run)
{
    struct ingest_crew *crew = run->crew;

    if (crew == NULL)
        return;
    lock(crew);
    crew->is_leaving = true;
    tell(crew);
    for (size_t i = 0; i < HELPERS_MAX; i++) {
        struct helper *helper = crew->helpers[i];

        if (helper == NULL)
            continue;
        unlock(crew);
        (void)pthread_join(helper->thread, NULL);
        lock(crew);
        free(helper);
        crew->helpers[i] = NULL;
    }
    unlock(crew);
    run->is_alone = crew->is_closed;
    run->progress.size_notes += crew->size_notes;
    run->progress.odd_responses += crew->odd_responses;
    (void)pthread_cond_destroy(&crew->has_moved);
    (void)pthread_mutex_destroy(&crew->lock);
    (void)pthread_mutex_destroy(&crew->turn.lock);
    ingest_free_lane(&crew->lane);
    free(crew);
    run->crew = NULL;
}

bool ingest_beat(void *context, struct err *err)
{
    struct ingest_run *run = context;

    return run->crew == NULL || run->crew->lane.is_idle ? beat_first(run, err)
                                                        : ingest_beat_lane(&run->crew->lane, err);
}
