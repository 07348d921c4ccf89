/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serve/watch.c - one thread that asks for all sessions in IDLE whether there is news for them.
 *
 * Every SERVE_WATCH_MS it looks after all of them, VAULT_WAITING_MAX in a statement. Hints make it look
 * sooner, at those that have that mailbox selected: after HINT_GAP_MS, so that a burst of commits is
 * one look, and once more after SECOND_LOOK_MS, for sessions that were just on their way into IDLE.
 * It only marks sessions: the loop takes them out of epoll (unpark_locked).
 */
#include "vault/watch.h"

#include "base/fd.h"
#include "serve/internal.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    HINT_GAP_MS = 100,
    SECOND_LOOK_MS = 1000,
    LOOKS = 2,
    HINTS_MAX = 256, /* mailboxes; with more, everything is looked at */
    TOKEN_BYTES = 64,
    STACK_BYTES = 512 << 10,
};

struct hint {
    struct vault_hint mailbox;
    struct deadline due;
    unsigned looks_left;
};

struct serve_watcher {
    struct serve_server *server;
    struct vault_watch *watch;
    pthread_t thread;
    int stop_fd;
    bool is_failing; /* logged once */
    bool has_ended;  /* under the server's lock */

    struct deadline all_due;
    struct hint hints[HINTS_MAX];
    size_t hint_count;

    /* of one statement; ids descend, as in the server's list */
    uint64_t ids[VAULT_WAITING_MAX];
    struct vault_waiting items[VAULT_WAITING_MAX];
    uint8_t tokens[VAULT_WAITING_MAX][TOKEN_BYTES];
    struct vault_news news[VAULT_WAITING_MAX];
};

/* ---- hints ------------------------------------------------------------------------------------- */

static void add_hint(struct serve_watcher *watcher, struct vault_hint mailbox)
{
    struct deadline soon = deadline_after_ms(HINT_GAP_MS);

    for (size_t i = 0; i < watcher->hint_count; i++) {
        struct hint *hint = &watcher->hints[i];

        if (hint->mailbox.account_id != mailbox.account_id ||
            hint->mailbox.mailbox_id != mailbox.mailbox_id)
            continue;
        hint->due = deadline_earlier(hint->due, soon);
        hint->looks_left = LOOKS;
        return;
    }
    if (watcher->hint_count == HINTS_MAX) {
        watcher->all_due = deadline_earlier(watcher->all_due, soon);
        return;
    }
    watcher->hints[watcher->hint_count++] =
        (struct hint){ .mailbox = mailbox, .due = soon, .looks_left = LOOKS };
}

/* False, and logged once: the database cannot be asked now. */
static bool note(struct serve_watcher *watcher, bool is_ok, const struct err *err)
{
    const struct log *log = watcher->server->settings.log;

    if (!is_ok && !watcher->is_failing)
        log_warn(log, "idle sessions hear nothing", F_ERR(err));
    if (is_ok && watcher->is_failing)
        log_info(log, "idle sessions hear again");
    watcher->is_failing = !is_ok;
    return is_ok;
}

static void take_hints(struct serve_watcher *watcher)
{
    struct vault_hint mailbox;
    struct err err = { 0 };
    bool has_one = true;

    while (has_one) {
        if (!vault_take_hint(watcher->watch, &mailbox, &has_one, &err)) {
            (void)note(watcher, false, &err);
            return;
        }
        if (has_one)
            add_hint(watcher, mailbox);
    }
}

static struct deadline next_look(const struct serve_watcher *watcher)
{
    struct deadline next = watcher->all_due;

    for (size_t i = 0; i < watcher->hint_count; i++)
        next = deadline_earlier(next, watcher->hints[i].due);
    return next;
}

/* After a look at those that were due. */
static void settle_hints(struct serve_watcher *watcher)
{
    size_t kept = 0;

    for (size_t i = 0; i < watcher->hint_count; i++) {
        struct hint hint = watcher->hints[i];

        if (deadline_has_passed(hint.due)) {
            hint.looks_left--;
            hint.due = deadline_after_ms(SECOND_LOOK_MS);
        }
        if (hint.looks_left > 0)
            watcher->hints[kept++] = hint;
    }
    watcher->hint_count = kept;
}

/* ---- looking ----------------------------------------------------------------------------------- */

static bool is_due(const struct serve_watcher *watcher, const struct serve_view *view)
{
    for (size_t i = 0; view != NULL && i < watcher->hint_count; i++) {
        const struct hint *hint = &watcher->hints[i];

        if (hint->mailbox.account_id == view->mailbox.row.account_id &&
            hint->mailbox.mailbox_id == view->mailbox.row.mailbox_id &&
            deadline_has_passed(hint->due))
            return true;
    }
    return false;
}

/* A parked session is the lock's: nobody else touches its view and its token. */
static bool is_waiting(const struct serve_session *session)
{
    return session->place == SERVE_PARKED && session->awaits == SERVE_AWAITS_DONE &&
           session->ending == SERVE_GOES_ON && !session->has_news && session->login.token != NULL;
}

static void describe(struct serve_watcher *watcher, size_t at, const struct serve_session *session)
{
    struct bytes token = secret_bytes(session->login.token);
    struct vault_waiting *item = &watcher->items[at];

    assert(token.len <= TOKEN_BYTES);
    memcpy(watcher->tokens[at], token.ptr, token.len);
    watcher->ids[at] = session->id;
    *item = (struct vault_waiting){ .token = bytes_of(watcher->tokens[at], token.len) };
    if (session->view == NULL)
        return;
    item->account_id = session->view->mailbox.row.account_id;
    item->mailbox_id = session->view->mailbox.row.mailbox_id;
    item->uidnext = session->view->mailbox.row.uidnext;
    item->messages = session->view->mailbox.row.messages;
    item->highestmodseq = session->view->modseq;
}

/* The next sessions below this id, newest first. */
static size_t collect(struct serve_watcher *watcher, bool looks_at_all, uint64_t below_id)
{
    struct serve_server *server = watcher->server;
    size_t count = 0;

    serve_lock(server);
    for (struct serve_session *s = server->sessions; s != NULL && count < VAULT_WAITING_MAX;
         s = s->next)
        if (s->id < below_id && is_waiting(s) && (looks_at_all || is_due(watcher, s->view)))
            describe(watcher, count++, s);
    serve_unlock(server);
    return count;
}

/* Who is no longer parked hears of it by himself, or is gone. */
static void mark(struct serve_watcher *watcher, size_t news_count)
{
    struct serve_server *server = watcher->server;
    uint64_t one = 1;
    size_t at = 0;

    if (news_count == 0)
        return;
    serve_lock(server);
    for (struct serve_session *s = server->sessions; s != NULL && at < news_count; s = s->next) {
        while (at < news_count && watcher->ids[watcher->news[at].index] > s->id)
            at++;
        if (at == news_count || watcher->ids[watcher->news[at].index] != s->id || !is_waiting(s))
            continue;
        s->has_news = true;
        if (watcher->news[at].is_over)
            s->ending = SERVE_ENDS_OVER;
        server->has_woken = true;
    }
    serve_unlock(server);
    (void)!write(server->wake_fd, &one, sizeof one);
}

static bool look(struct serve_watcher *watcher, bool looks_at_all)
{
    uint64_t below_id = UINT64_MAX;
    size_t count;

    do {
        size_t news_count = 0;
        struct err err = { 0 };
        bool is_ok;

        count = collect(watcher, looks_at_all, below_id);
        if (count == 0)
            return true;
        below_id = watcher->ids[count - 1];
        is_ok = vault_poll_waiting(watcher->watch, watcher->items, count, watcher->news,
                                   &news_count, &err);
        secret_wipe(watcher->tokens, count * TOKEN_BYTES);
        if (!note(watcher, is_ok, &err))
            return false;
        mark(watcher, news_count);
    } while (count == VAULT_WAITING_MAX);
    return true;
}

static void look_as_due(struct serve_watcher *watcher)
{
    bool looks_at_all = deadline_has_passed(watcher->all_due);
    struct err err = { 0 };
    bool is_new = false;

    if (!note(watcher, vault_connect_watch(watcher->watch, &is_new, &err), &err)) {
        watcher->all_due = deadline_after_ms(watcher->server->settings.limits.watch_ms);
        watcher->hint_count = 0; /* all are looked at when it works again */
        return;
    }
    looks_at_all = looks_at_all || is_new;
    if (!looks_at_all && !deadline_has_passed(next_look(watcher)))
        return;
    (void)look(watcher, looks_at_all);
    settle_hints(watcher);
    if (looks_at_all)
        watcher->all_due = deadline_after_ms(watcher->server->settings.limits.watch_ms);
}

/* ---- the thread -------------------------------------------------------------------------------- */

static void *run(void *context)
{
    struct serve_watcher *watcher = context;

    for (;;) {
        struct pollfd fds[] = { { .fd = watcher->stop_fd, .events = POLLIN },
                                { .fd = vault_watch_fd(watcher->watch), .events = POLLIN } };

        if (poll(fds, ARRAY_LEN(fds), deadline_poll_ms(next_look(watcher))) < 0 && errno != EINTR)
            break;
        if (fds[0].revents != 0)
            break;
        if (fds[1].revents != 0)
            take_hints(watcher);
        look_as_due(watcher);
    }
    serve_lock(watcher->server);
    watcher->has_ended = true;
    pthread_cond_broadcast(&watcher->server->has_ended);
    serve_unlock(watcher->server);
    return NULL;
}

static void free_watcher(struct serve_watcher *watcher)
{
    fd_close(&watcher->stop_fd);
    free(watcher);
}

bool serve_start_watcher(struct serve_server *server, struct err *err)
{
    struct serve_watcher *watcher;
    pthread_attr_t attributes;
    int status;

    if (server->settings.watch == NULL)
        return true;
    watcher = calloc(1, sizeof *watcher);
    if (watcher == NULL)
        return err_errno(err, "watcher");
    watcher->server = server;
    watcher->watch = server->settings.watch;
    watcher->all_due = deadline_after_ms(0);
    watcher->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (watcher->stop_fd < 0) {
        free(watcher);
        return err_errno(err, "watcher");
    }
    (void)pthread_attr_init(&attributes);
    (void)pthread_attr_setstacksize(&attributes, STACK_BYTES);
    status = pthread_create(&watcher->thread, &attributes, run, watcher);
    (void)pthread_attr_destroy(&attributes);
    if (status != 0) {
        free_watcher(watcher);
        errno = status;
        return err_errno(err, "watcher: thread");
    }
    server->watcher = watcher;
    return true;
}

bool serve_stop_watcher(struct serve_server *server, struct deadline deadline)
{
    struct serve_watcher *watcher = server->watcher;
    struct timespec until = { .tv_sec = (time_t)(deadline.at_usec / 1000000),
                              .tv_nsec = (long)(deadline.at_usec % 1000000 * 1000) };
    uint64_t one = 1;
    bool has_ended;

    if (watcher == NULL)
        return true;
    (void)!write(watcher->stop_fd, &one, sizeof one);
    serve_lock(server);
    while (!watcher->has_ended &&
           pthread_cond_timedwait(&server->has_ended, &server->lock, &until) != ETIMEDOUT)
        ;
    has_ended = watcher->has_ended;
    serve_unlock(server);
    if (!has_ended)
        return false;
    (void)pthread_join(watcher->thread, NULL);
    free_watcher(watcher);
    server->watcher = NULL;
    return true;
}
