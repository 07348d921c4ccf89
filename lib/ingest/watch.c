/* SPDX-License-Identifier: Apache-2.0 */
#include "ingest/watch.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/fd.h"
#include "imap/response.h"
#include "imap/response_framer.h"
#include "ingest/enumerate.h"
#include "ingest/login.h"
#include "ingest/outcome.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

enum {
    CLAIM_MS = 2000,
    RENEW_MS = 60000,        /* of the leases; they last for three times as long */
    ROUND_MS = 1000,         /* the longest wait */
    SCAN_MS = 1000,          /* between two looks at all deadlines */
    LOGIN_STALL_MS = 10000,  /* one silent server must not keep the others waiting for long */
    IDLE_MS = 9 * 60 * 1000, /* RFC 2177 §3: again within 29 minutes; many a NAT forgets sooner */
    ANSWER_MS = 60000,       /* to IDLE and DONE: the proof that the connection lives */
    WAKE_MS = 2000,          /* between two wakes of one account */
    FIRST_RETRY_MS = 5000,
    LAST_RETRY_MS = 10 * 60 * 1000,
    UNABLE_SECONDS = 24 * 60 * 60, /* a source without IDLE is asked again */
    LINE_BYTES = 8 << 10,
    FILL_BYTES = 16 << 10,
    EVENTS_AT_ONCE = 64,
    WORK_ARENA_BYTES = 1 << 20,
};

/*
 *   OFFLINE --connect_watch--> ASKED --"+"--> IDLE --renew_idle, DONE--> ENDING --tagged OK--> ASKED
 *   any --lose_watch, the connection ended or an answer is late--> OFFLINE until `deadline`
 */
enum watch_state {
    WATCH_OFFLINE,
    WATCH_ASKED,
    WATCH_IDLE,
    WATCH_ENDING,
};

struct watch {
    struct source_lease lease;
    uint8_t *name; /* of the mailbox, as on the wire */
    size_t name_len;
    enum watch_state state;
    struct net_stream *stream; /* NULL: OFFLINE */
    uint64_t tag;
    struct deadline deadline; /* OFFLINE: when to connect; IDLE: when to renew; otherwise: too late */
    struct deadline wake_at;  /* not before */
    unsigned failures;        /* since it was last in IDLE */
    bool has_news;
    bool is_over; /* the lease is lost, or given back */
};

struct ingest_watcher {
    struct ingest_settings settings;
    struct bytes owner;
    struct watch **watches;
    size_t count, room;
    int epoll_fd;
    struct arena *arena; /* of one round's step */
    struct deadline next_claim, next_renew, next_scan;
};

/* ---- one watch ------------------------------------------------------------------------------------ */

static void disconnect(struct watch *watch)
{
    net_close(&watch->stream); /* epoll forgets a closed descriptor */
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
    int64_t wait_ms = LAST_RETRY_MS;

    if (watch->failures < 7)
        wait_ms = (int64_t)FIRST_RETRY_MS << watch->failures;
    watch->failures++;
    disconnect(watch);
    watch->deadline = deadline_after_ms(wait_ms / 2 + clock_now_usec() % (wait_ms / 2));
    log_info(w->settings.log, "watch lost, connecting again later",
             F_I64("account", watch->lease.account_id), F_TEXT("code", err_code_name(err->code)),
             F_I64("in_ms", wait_ms));
}

/* Lines are short, and the socket's buffer is empty: what does not go out at once never will. */
static bool say(struct watch *watch, struct bytes line, struct err *err)
{
    enum net_progress progress;

    if (!net_write(watch->stream, line, err))
        return false;
    progress = net_try_flush(watch->stream, err);
    if (progress == NET_FAILED)
        return false;
    return progress == NET_DONE || err_fail(err, ERR_RETRY, "the source takes no octets");
}

static bool ask_idle(struct watch *watch, struct err *err)
{
    CLEANUP(buf_free) struct buf line = buf_create(64);

    watch->tag++;
    buf_text(&line, "w");
    buf_u64(&line, watch->tag);
    buf_text(&line, " IDLE\r\n");
    watch->state = WATCH_ASKED;
    watch->deadline = deadline_after_ms(ANSWER_MS);
    return say(watch, buf_bytes(&line), err);
}

static bool renew_idle(struct watch *watch, struct err *err)
{
    watch->state = WATCH_ENDING;
    watch->deadline = deadline_after_ms(ANSWER_MS);
    return say(watch, BYTES("DONE\r\n"), err);
}

/* ---- what a source says ------------------------------------------------------------------------------ */

static bool take_tagged(struct watch *watch, const struct imap_response *response, struct err *err)
{
    struct bytes in = response->tag;
    uint64_t number;

    if (!scan_byte(&in, 'w') || !scan_u64(&in, &number) || in.len > 0 || number != watch->tag)
        return true; /* nobody asked */
    if (watch->state == WATCH_ENDING && response->status.condition == IMAP_OK)
        return ask_idle(watch, err);
    return err_fail(err, ERR_RETRY, "IDLE is refused or was ended by the source");
}

static bool take_response(struct watch *watch, const struct imap_response *response,
                          struct err *err)
{
    switch ((int)response->kind) {
    case IMAP_RESPONSE_EXISTS:
    case IMAP_RESPONSE_EXPUNGE:
    case IMAP_RESPONSE_VANISHED:
    case IMAP_RESPONSE_FETCH:
        watch->has_news = true;
        return true;
    case IMAP_RESPONSE_CONTINUATION:
        if (watch->state == WATCH_ASKED) {
            watch->state = WATCH_IDLE;
            watch->failures = 0;
            watch->deadline =
                deadline_after_ms(IDLE_MS - clock_now_usec() % (IDLE_MS / 10)); /* not all at once */
        }
        return true;
    case IMAP_RESPONSE_STATUS:
        if (response->tag.len > 0)
            return take_tagged(watch, response, err);
        return response->status.condition != IMAP_BYE ||
               err_fail(err, ERR_RETRY, "the source ended the connection");
    default:
        return true;
    }
}

/* True: a line was taken, or there is none (*has_line). A response with a literal is no line; none that
 * comes in IDLE has one, and without its end the connection is of no use. */
static bool take_line(struct ingest_watcher *w, struct watch *watch, bool *has_line,
                      struct err *err)
{
    struct bytes in = net_peek(watch->stream);
    ssize_t end = bytes_find(bytes_slice(in, 0, LINE_BYTES), BYTES("\r\n"));
    struct imap_received line = { .text = bytes_slice(in, 0, end < 0 ? 0 : (size_t)end) };
    struct imap_response response;
    struct err unread = { 0 };
    bool is_taken = true;

    *has_line = end >= 0;
    if (end < 0)
        return in.len < LINE_BYTES || err_fail(err, ERR_LIMIT, "line over %d octets", LINE_BYTES);
    if (line.text.len > 0 && line.text.ptr[line.text.len - 1] == '}')
        return err_fail(err, ERR_SYNTAX, "a literal where none is expected");
    arena_reset(w->arena);
    if (imap_parse_response(&line, w->arena, &response, &unread))
        is_taken = take_response(watch, &response, err);
    net_consume(watch->stream, (size_t)end + 2);
    return is_taken;
}

static bool hear(struct ingest_watcher *w, struct watch *watch, struct err *err)
{
    for (;;) {
        bool has_line = true;

        while (has_line)
            if (!take_line(w, watch, &has_line, err))
                return false;
        switch (net_try_fill(watch->stream, FILL_BYTES, err)) {
        case NET_DONE:
            break;
        case NET_WANT_READ:
        case NET_WANT_WRITE:
            return true;
        case NET_ENDED:
            return err_fail(err, ERR_RETRY, "the source closed the connection");
        case NET_FAILED:
            return false;
        }
    }
}

/* ---- connecting -------------------------------------------------------------------------------------- */

/* identity: what was refused before, or nothing; becomes what was tried. */
static bool log_in(struct ingest_watcher *w, const struct watch *watch,
                   const struct source_work *work, struct source_identity *identity,
                   struct ingest_client **out, bool *is_token_refused, struct err *err)
{
    struct ingest_client_options options = {
        .stop_fd = w->settings.stop_fd,
        .stall_ms = LOGIN_STALL_MS,
    };
    struct ingest_login login = { .account = &work->account, .identity = identity };
    struct source_identity next = { 0 };

    if (!source_get_identity(w->settings.gate_socket, &watch->lease, identity->secret, &next, err))
        return false;
    source_free_identity(identity);
    *identity = next;
    if (ingest_log_in(&login, &options, out, err))
        return true;
    *is_token_refused = login.was_refused && identity->proof == SOURCE_BY_TOKEN;
    return false;
}

/* As the workers do: a token that is refused is replaced once. */
static bool open_mailbox(struct ingest_watcher *w, struct watch *watch,
                         const struct source_work *work, struct ingest_client **out,
                         struct err *err)
{
    CLEANUP(source_free_identity) struct source_identity identity = { 0 };
    struct ingest_selected selected;
    bool is_token_refused = false;

    if (!log_in(w, watch, work, &identity, out, &is_token_refused, err)) {
        if (!is_token_refused)
            return false;
        err_clear(err);
        if (!log_in(w, watch, work, &identity, out, &is_token_refused, err))
            return false;
    }
    if ((ingest_capabilities(*out) & INGEST_IDLE) == 0)
        return err_fail(err, ERR_ABSENT, "the source does not offer IDLE: it is polled only");
    return ingest_examine(*out, bytes_of(watch->name, watch->name_len), &selected, err);
}

static bool enter_idle(struct ingest_watcher *w, struct watch *watch, struct err *err)
{
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = watch };

    if (epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, net_fd(watch->stream), &event) != 0)
        return err_errno(err, "watch a connection");
    watch->has_news = true; /* what came while it was not watched */
    return ask_idle(watch, err) && hear(w, watch, err);
}

/* Time does not mend it: the watch goes back, with the reason for the operator. */
static bool give_back(struct ingest_watcher *w, struct db *db, struct watch *watch,
                      const struct err *failure, struct err *err)
{
    struct source_outcome outcome = {
        .code = failure->code,
        .text = failure->text,
        .next_in_seconds =
            failure->code == ERR_ABSENT ? UNABLE_SECONDS : INGEST_RETRY_MAX_SECONDS,
    };

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

static bool connect_watch(struct ingest_watcher *w, struct db *db, struct watch *watch,
                          struct err *err)
{
    CLEANUP(ingest_close_client) struct ingest_client *client = NULL;
    struct arena *arena = arena_create(WORK_ARENA_BYTES);
    struct source_work work;
    struct err failure = { 0 };
    bool is_in;

    if (!source_load_work(db, &watch->lease, arena, &work, err)) {
        arena_free(&arena);
        if (err->code != ERR_DENIED)
            return false;
        err_clear(err);
        watch->is_over = true;
        return true;
    }
    is_in = open_mailbox(w, watch, &work, &client, &failure);
    arena_free(&arena);
    if (is_in) {
        watch->stream = ingest_take_stream(&client);
        is_in = enter_idle(w, watch, &failure);
    }
    if (is_in)
        return true;
    if (failure.code == ERR_DENIED || failure.code == ERR_ABSENT)
        return give_back(w, db, watch, &failure, err);
    lose_watch(w, watch, &failure);
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
    watch->deadline = deadline_after_ms(0);
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

/* Those whose time has come, but one connection at most: logging in waits. */
static bool scan(struct ingest_watcher *w, struct db *db, bool *has_more, struct err *err)
{
    struct watch *next = NULL;

    *has_more = false;
    if (!deadline_has_passed(w->next_scan))
        return true;
    for (size_t i = 0; i < w->count; i++) {
        struct watch *watch = w->watches[i];
        struct err failure = { 0 };

        if (watch->is_over || !deadline_has_passed(watch->deadline))
            continue;
        if (watch->state == WATCH_OFFLINE) {
            *has_more |= next != NULL;
            next = watch;
        } else if (watch->state == WATCH_IDLE ? !renew_idle(watch, &failure)
                                              : !err_fail(&failure, ERR_RETRY, "no answer")) {
            lose_watch(w, watch, &failure);
        }
    }
    if (!*has_more)
        w->next_scan = deadline_after_ms(SCAN_MS);
    return next == NULL || connect_watch(w, db, next, err);
}

static bool tell(struct ingest_watcher *w, struct db *db, struct err *err)
{
    for (size_t i = 0; i < w->count; i++) {
        struct watch *watch = w->watches[i];

        if (!watch->has_news || watch->is_over || !deadline_has_passed(watch->wake_at))
            continue;
        if (!source_wake_account(db, &watch->lease, err)) {
            if (err->code != ERR_DENIED)
                return false;
            err_clear(err);
            watch->is_over = true;
        }
        watch->has_news = false;
        watch->wake_at = deadline_after_ms(WAKE_MS);
    }
    return true;
}

static void drop_over(struct ingest_watcher *w)
{
    size_t kept = 0;

    for (size_t i = 0; i < w->count; i++) {
        if (w->watches[i]->is_over)
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

        if (watch != NULL && !hear(w, watch, &failure)) /* NULL: asked to stop */
            lose_watch(w, watch, &failure);
    }
    return true;
}

bool ingest_watch(struct ingest_watcher *w, struct db *db, struct err *err)
{
    bool has_more;

    if (!claim(w, db, err) || !renew(w, db, err) || !scan(w, db, &has_more, err))
        return false;
    drop_over(w);
    return listen_to_all(w, has_more ? 0 : ROUND_MS, err) && tell(w, db, err);
}

bool ingest_create_watcher(const struct ingest_settings *settings, struct bytes owner,
                           struct ingest_watcher **out, struct err *err)
{
    CLEANUP(ingest_free_watcher) struct ingest_watcher *w = calloc(1, sizeof *w);
    struct epoll_event stop = { .events = EPOLLIN, .data.ptr = NULL };

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
    if (w->epoll_fd < 0 ||
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
        count += watcher->watches[i]->state == WATCH_IDLE;
    return count;
}
