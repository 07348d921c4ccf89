/* SPDX-License-Identifier: Apache-2.0 */
#include "ingest/watch.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/fd.h"
#include "ingest/idle.h"
#include "ingest/outcome.h"
#include "ingest/watch_login.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

enum {
    CLAIM_MS = 2000,
    RENEW_MS = 60000, /* of the leases; they last for three times as long */
    ROUND_MS = 1000,  /* the longest wait */
    SCAN_MS = 1000,   /* between two looks at all deadlines */
    WAKE_MS = 2000,   /* between two wakes of one account */
    FIRST_RETRY_MS = 5000,
    LAST_RETRY_MS = 10 * 60 * 1000,
    LAST_ABSENT_MS = 60 * 60 * 1000, /* of a mailbox that cannot be opened */
    RETRY_DOUBLINGS = 10,
    STEADY_MS = 5 * 60 * 1000,     /* a connection that lasted so long was no failure */
    UNABLE_SECONDS = 24 * 60 * 60, /* a source without IDLE is asked again */
    EVENTS_AT_ONCE = 64,
    WORK_ARENA_BYTES = 1 << 20,
};

/*
 *   OFFLINE --begin_login--> LOGGING_IN --end_login--> HELD
 *   any --lose_watch, a failure that time may mend--> OFFLINE until `retry_at`
 *
 *   LOGGING_IN: a thread has the lease and the name, so the watch stays until it has ended.
 *   HELD: what the connection waits for is the state of `idle`.
 */
enum watch_state {
    WATCH_OFFLINE,
    WATCH_LOGGING_IN,
    WATCH_HELD,
};

struct watch {
    struct source_lease lease;
    uint8_t *name; /* of the mailbox, as on the wire */
    size_t name_len;
    enum watch_state state;
    struct ingest_idle idle;
    struct deadline retry_at;  /* OFFLINE */
    struct deadline wake_at;   /* not before */
    struct deadline steady_at; /* HELD */
    unsigned failures;         /* in a row */
    bool is_over;              /* the lease is lost, or given back */
};

struct ingest_watcher {
    struct ingest_settings settings;
    struct bytes owner;
    struct watch **watches;
    size_t count, room;
    struct ingest_logins *logins;
    int epoll_fd; /* of each connection its watch; NULL: asked to stop; `logins`: one has ended */
    struct arena *arena; /* of one round's step */
    struct deadline next_claim, next_renew, next_scan;
};

/* ---- one watch ------------------------------------------------------------------------------------ */

static void disconnect(struct watch *watch)
{
    ingest_end_idle(&watch->idle); /* epoll forgets a closed descriptor */
    watch->state = WATCH_OFFLINE;
}

static void free_watch(struct watch **watch)
{
    if (*watch == NULL)
        return;
    disconnect(*watch);
    free((*watch)->name);
    free(*watch);
    *watch = NULL;
}

static void lose_watch(struct ingest_watcher *w, struct watch *watch, const struct err *err)
{
    int64_t last_ms = err->code == ERR_ABSENT ? LAST_ABSENT_MS : LAST_RETRY_MS;
    int64_t wait_ms;

    if (watch->state == WATCH_HELD && deadline_has_passed(watch->steady_at))
        watch->failures = 0;
    wait_ms = (int64_t)FIRST_RETRY_MS << watch->failures;
    if (wait_ms > last_ms)
        wait_ms = last_ms;
    if (watch->failures < RETRY_DOUBLINGS)
        watch->failures++;
    disconnect(watch);
    wait_ms = wait_ms / 2 + clock_now_usec() % (wait_ms / 2);
    watch->retry_at = deadline_after_ms(wait_ms);
    log_info(w->settings.log, "watch lost, connecting again later",
             F_I64("account", watch->lease.account_id), F_TEXT("code", err_code_name(err->code)),
             F_I64("in_ms", wait_ms));
}

/* ---- connecting -------------------------------------------------------------------------------------- */

static bool enter_idle(struct ingest_watcher *w, struct watch *watch, struct net_stream **stream,
                       struct err *err)
{
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = watch };

    watch->state = WATCH_HELD;
    watch->steady_at = deadline_after_ms(STEADY_MS);
    if (!ingest_begin_idle(&watch->idle, stream, &ingest_idle_usual_pace, err))
        return false;
    if (epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, net_fd(watch->idle.stream), &event) != 0)
        return err_errno(err, "watch a connection");
    watch->idle.has_news = true; /* what came while it was not watched */
    return ingest_hear_idle(&watch->idle, w->arena, err);
}

/* Time does not mend it: the watch goes back, with those of all mailboxes of the account, with the reason for the operator. */
static bool give_back(struct ingest_watcher *w, struct db *db, struct watch *watch,
                      const struct err *failure, struct err *err)
{
    char text[INGEST_OUTCOME_BYTES];
    struct source_outcome outcome = {
        .code = failure->code,
        .text = text,
        .next_in_seconds = failure->code == ERR_ABSENT ? UNABLE_SECONDS : INGEST_RETRY_MAX_SECONDS,
    };

    ingest_write_reason(text, failure);
    log_warn(w->settings.log, "watch given back", F_I64("account", watch->lease.account_id),
             F_TEXT("code", err_code_name(failure->code)));
    watch->is_over = true;
    if (source_finish(db, &watch->lease, &outcome, NULL, err))
        return true;
    if (err->code != ERR_DENIED)
        return false;
    err_clear(err); /* it was not ours any more */
    return true;
}

static bool begin_login(struct ingest_watcher *w, struct db *db, struct watch *watch,
                        struct err *err)
{
    CLEANUP(arena_free) struct arena *arena = arena_create(WORK_ARENA_BYTES);
    struct source_work *work = arena_new(arena, struct source_work);
    struct ingest_login_order order = {
        .who = watch,
        .lease = watch->lease,
        .mailbox = bytes_of(watch->name, watch->name_len),
        .work = work,
    };

    if (!source_load_work(db, &watch->lease, arena, work, err)) {
        if (err->code != ERR_DENIED)
            return false;
        err_clear(err);
        watch->is_over = true;
        return true;
    }
    if (!ingest_start_login(w->logins, &order, &arena, err)) {
        lose_watch(w, watch, err);
        err_clear(err);
        return true;
    }
    watch->state = WATCH_LOGGING_IN;
    return true;
}

static bool end_login(struct ingest_watcher *w, struct db *db, struct ingest_login_end *end,
                      struct err *err)
{
    struct watch *watch = end->who;

    watch->state = WATCH_OFFLINE;
    if (watch->is_over) { /* lost meanwhile */
        net_close(&end->stream);
        return true;
    }
    if (end->stream != NULL && enter_idle(w, watch, &end->stream, &end->failure))
        return true;
    if (!end->is_of_mailbox && (end->failure.code == ERR_DENIED || end->failure.code == ERR_ABSENT))
        return give_back(w, db, watch, &end->failure, err);
    lose_watch(w, watch, &end->failure);
    return true;
}

static bool end_logins(struct ingest_watcher *w, struct db *db, struct err *err)
{
    struct ingest_login_end end;

    while (ingest_take_login(w->logins, &end))
        if (!end_login(w, db, &end, err))
            return false;
    return true;
}

/* ---- all of them ------------------------------------------------------------------------------------- */

static bool add_watch(struct ingest_watcher *w, const struct source_watch *source, struct err *err)
{
    CLEANUP(free_watch) struct watch *watch = calloc(1, sizeof *watch);

    if (watch == NULL || (watch->name = malloc(source->source_name.len + 1)) == NULL)
        return err_errno(err, "memory for a watch");
    if (source->source_name.len > 0)
        memcpy(watch->name, source->source_name.ptr, source->source_name.len);
    watch->name_len = source->source_name.len;
    watch->lease = source->lease;
    watch->retry_at = deadline_after_ms(0);
    watch->wake_at = deadline_after_ms(0);
    if (w->count == w->room) {
        size_t room = w->room == 0 ? 64 : w->room * 2;
        struct watch **grown = reallocarray(w->watches, room, sizeof *grown);

        if (grown == NULL)
            return err_errno(err, "memory for %zu watches", room);
        w->watches = grown;
        w->room = room;
    }
    w->watches[w->count++] = watch;
    watch = NULL;
    return true;
}

static bool claim(struct ingest_watcher *w, struct db *db, struct err *err)
{
    struct source_watch_list claimed;

    if (!deadline_has_passed(w->next_claim))
        return true;
    arena_reset(w->arena);
    if (!source_claim_watches(db, w->owner, w->settings.host_connections, w->arena, &claimed, err))
        return false;
    for (size_t i = 0; i < claimed.count; i++)
        if (!add_watch(w, &claimed.rows[i], err))
            return false;
    w->next_claim = deadline_after_ms(claimed.count > 0 ? 0 : CLAIM_MS);
    return true;
}

static bool is_held(const int64_t *held, size_t count, int64_t job_id)
{
    size_t low = 0;
    size_t high = count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (held[middle] == job_id)
            return true;
        if (held[middle] < job_id)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

static bool renew(struct ingest_watcher *w, struct db *db, struct err *err)
{
    CLEANUP(arena_free) struct arena *arena = NULL;
    int64_t *jobs, *fences;
    const int64_t *held;
    size_t held_count;

    if (w->count == 0 || !deadline_has_passed(w->next_renew))
        return true;
    arena = arena_create(w->count * 64 + 4096);
    jobs = arena_new_array(arena, int64_t, w->count);
    fences = arena_new_array(arena, int64_t, w->count);
    for (size_t i = 0; i < w->count; i++) {
        jobs[i] = w->watches[i]->lease.job_id;
        fences[i] = w->watches[i]->lease.fence;
    }
    if (!source_renew_watches(db, jobs, fences, w->count, arena, &held, &held_count, err))
        return false;
    for (size_t i = 0; i < w->count; i++)
        w->watches[i]->is_over |= !is_held(held, held_count, w->watches[i]->lease.job_id);
    w->next_renew = deadline_after_ms(RENEW_MS);
    return true;
}

/* Those whose time has come. */
static bool scan(struct ingest_watcher *w, struct db *db, struct err *err)
{
    if (!deadline_has_passed(w->next_scan))
        return true;
    for (size_t i = 0; i < w->count; i++) {
        struct watch *watch = w->watches[i];
        struct err failure = { 0 };

        if (watch->is_over)
            continue;
        if (watch->state == WATCH_OFFLINE && deadline_has_passed(watch->retry_at) &&
            ingest_can_start_login(w->logins) && !begin_login(w, db, watch, err))
            return false;
        if (watch->state == WATCH_HELD && deadline_has_passed(watch->idle.deadline) &&
            !ingest_keep_idle(&watch->idle, &failure))
            lose_watch(w, watch, &failure);
    }
    w->next_scan = deadline_after_ms(SCAN_MS);
    return true;
}

static bool tell(struct ingest_watcher *w, struct db *db, struct err *err)
{
    for (size_t i = 0; i < w->count; i++) {
        struct watch *watch = w->watches[i];
        bool is_told = true;

        if (!watch->idle.has_news || watch->is_over || !deadline_has_passed(watch->wake_at))
            continue;
        if (!source_wake_account(db, &watch->lease, &is_told, err)) {
            if (err->code != ERR_DENIED)
                return false;
            err_clear(err);
            watch->is_over = true;
        }
        watch->idle.has_news = !is_told;
        watch->wake_at = deadline_after_ms(WAKE_MS);
    }
    return true;
}

static void drop_over(struct ingest_watcher *w)
{
    size_t kept = 0;

    for (size_t i = 0; i < w->count; i++) {
        if (w->watches[i]->is_over && w->watches[i]->state != WATCH_LOGGING_IN)
            free_watch(&w->watches[i]);
        else
            w->watches[kept++] = w->watches[i];
    }
    w->count = kept;
}

static bool listen_to_all(struct ingest_watcher *w, int wait_ms, struct err *err)
{
    struct epoll_event events[EVENTS_AT_ONCE];
    int count = epoll_wait(w->epoll_fd, events, EVENTS_AT_ONCE, wait_ms);

    if (count < 0 && errno != EINTR)
        return err_errno(err, "wait for news");
    for (int i = 0; i < count; i++) {
        struct watch *watch = events[i].data.ptr;
        struct err failure = { 0 };

        if (events[i].data.ptr == w->logins)
            w->next_scan = deadline_after_ms(0); /* another one may begin */
        else if (watch != NULL &&
                 !ingest_hear_idle(&watch->idle, w->arena, &failure)) /* NULL: asked to stop */
            lose_watch(w, watch, &failure);
    }
    return true;
}

bool ingest_watch(struct ingest_watcher *w, struct db *db, struct err *err)
{
    if (!end_logins(w, db, err) || !claim(w, db, err) || !renew(w, db, err) || !scan(w, db, err))
        return false;
    drop_over(w);
    return listen_to_all(w, ROUND_MS, err) && tell(w, db, err);
}

bool ingest_create_watcher(const struct ingest_settings *settings, struct bytes owner,
                           struct ingest_watcher **out, struct err *err)
{
    CLEANUP(ingest_free_watcher) struct ingest_watcher *w = calloc(1, sizeof *w);
    struct epoll_event stop = { .events = EPOLLIN, .data.ptr = NULL };
    struct epoll_event ended = { .events = EPOLLIN };

    if (w == NULL)
        return err_errno(err, "memory for the watcher");
    *w = (struct ingest_watcher){
        .settings = *settings,
        .owner = owner,
        .epoll_fd = epoll_create1(EPOLL_CLOEXEC),
        .arena = arena_create(WORK_ARENA_BYTES),
        .next_claim = deadline_after_ms(0),
        .next_renew = deadline_after_ms(RENEW_MS),
        .next_scan = deadline_after_ms(0),
    };
    if (!ingest_create_logins(settings, &w->logins, err))
        return false;
    ended.data.ptr = w->logins;
    if (w->epoll_fd < 0 ||
        epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, ingest_logins_fd(w->logins), &ended) != 0 ||
        (settings->stop_fd >= 0 &&
         epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, settings->stop_fd, &stop) != 0))
        return err_errno(err, "epoll");
    *out = w;
    w = NULL;
    return true;
}

void ingest_free_watcher(struct ingest_watcher **watcher)
{
    struct ingest_watcher *w = *watcher;

    if (w == NULL)
        return;
    ingest_free_logins(&w->logins); /* they use names of the watches */
    for (size_t i = 0; i < w->count; i++)
        free_watch(&w->watches[i]);
    free(w->watches);
    fd_close(&w->epoll_fd);
    arena_free(&w->arena);
    free(w);
    *watcher = NULL;
}

size_t ingest_count_watched(const struct ingest_watcher *watcher)
{
    size_t count = 0;

    for (size_t i = 0; i < watcher->count; i++)
        count += watcher->watches[i]->idle.state == INGEST_IDLE_HELD;
    return count;
}
