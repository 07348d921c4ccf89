/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/server.h"

#include "base/fd.h"
#include "net/connect.h"
#include "serve/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    EVENTS_MAX = 256,
    ACCEPTS_MAX = 64, /* of one listener in a row, before the others have their turn */
    TICK_MS = 1000,   /* how exactly deadlines of parked sessions are kept */
    DEAF_MS = 1000,
    REFUSALS_MS = 1000, /* so often at most they are logged: whoever floods us fills no disk */
    LAST_MS = 1000,     /* for threads to notice that their connections were cut */
};

/* epoll's data: a session, or one of these addresses. */
static char stop_source, wake_source;

/* ---- making --------------------------------------------------------------------------------- */

static struct serve_limits choose_limits(const struct serve_limits *asked)
{
    return (struct serve_limits){
        .login_ms = asked->login_ms > 0 ? asked->login_ms : SERVE_LOGIN_MS,
        .idle_ms = asked->idle_ms > 0 ? asked->idle_ms : SERVE_IDLE_MS,
        .command_ms = asked->command_ms > 0 ? asked->command_ms : SERVE_COMMAND_MS,
        .stall_ms = asked->stall_ms > 0 ? asked->stall_ms : SERVE_STALL_MS,
        .wait_notice_ms = asked->wait_notice_ms > 0 ? asked->wait_notice_ms : SERVE_WAIT_NOTICE_MS,
        .alive_ms = asked->alive_ms > 0 ? asked->alive_ms : SERVE_ALIVE_MS,
        .watch_ms = asked->watch_ms > 0 ? asked->watch_ms : SERVE_WATCH_MS,
        .slow_ms = asked->slow_ms > 0 ? asked->slow_ms : SERVE_SLOW_MS,
        .refresh_ms = asked->refresh_ms > 0 ? asked->refresh_ms : SERVE_REFRESH_MS,
    };
}

static bool watch(struct serve_server *server, int fd, void *source, struct err *err)
{
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = source };

    if (epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
        return err_errno(err, "epoll");
    return true;
}

static bool listen_on(struct serve_server *server, const struct conf_addresses *addresses,
                      bool is_tls, struct err *err)
{
    for (size_t i = 0; addresses != NULL && i < addresses->count; i++) {
        int fds[NET_LISTEN_MAX];
        size_t count = 0;

        if (!net_listen(addresses->at[i].host, addresses->at[i].port, fds, &count, err))
            return false;
        for (size_t k = 0; k < count; k++) {
            assert(server->listener_count < SERVE_LISTENERS_MAX);
            server->listeners[server->listener_count++] =
                (struct serve_listener){ .fd = fds[k], .is_tls = is_tls };
        }
    }
    return true;
}

static bool open_sources(struct serve_server *server, struct err *err)
{
    server->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (server->epoll_fd < 0)
        return err_errno(err, "epoll");
    server->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (server->wake_fd < 0)
        return err_errno(err, "eventfd");
    if (!watch(server, server->wake_fd, &wake_source, err))
        return false;
    if (server->settings.stop_fd >= 0 &&
        !watch(server, server->settings.stop_fd, &stop_source, err))
        return false;
    if (!listen_on(server, server->settings.listen, false, err) ||
        !listen_on(server, server->settings.listen_tls, true, err))
        return false;
    for (size_t i = 0; i < server->listener_count; i++)
        if (!watch(server, server->listeners[i].fd, &server->listeners[i], err))
            return false;
    return true;
}

bool serve_create(const struct serve_settings *settings, struct serve_server **out, struct err *err)
{
    CLEANUP(serve_free) struct serve_server *server = NULL;
    pthread_condattr_t monotonic;

    if (settings->listen_tls != NULL && settings->listen_tls->count > 0 && settings->tls == NULL)
        return err_fail(err, ERR_SYNTAX, "a TLS listener without a certificate");
    server = calloc(1, sizeof *server);
    if (server == NULL)
        return err_errno(err, "server");
    server->settings = *settings;
    server->settings.limits = choose_limits(&settings->limits);
    server->epoll_fd = server->wake_fd = -1;
    server->queue_end = &server->queue;
    server->listen_again = deadline_never();
    assert(settings->active_threads > 0);
    /* Whoever has not logged in may not take all threads away from those who have. */
    server->strangers.max_active = settings->active_threads - settings->active_threads / 4;
    atomic_init(&server->is_crowded, false);
    atomic_init(&server->is_stopping, false);
    pthread_mutex_init(&server->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&server->has_work, &monotonic);
    pthread_cond_init(&server->has_ended, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (!open_sources(server, err))
        return false;
    *out = server;
    server = NULL;
    return true;
}

uint16_t serve_get_port(const struct serve_server *server, bool is_tls)
{
    for (size_t i = 0; i < server->listener_count; i++)
        if (server->listeners[i].is_tls == is_tls)
            return net_get_port(server->listeners[i].fd);
    return 0;
}

struct serve_counts serve_counts(struct serve_server *server)
{
    struct serve_counts counts = { 0 };

    serve_lock(server);
    counts.sessions = server->session_count;
    counts.queued = server->queued;
    counts.threads = server->threads;
    for (const struct serve_session *s = server->sessions; s != NULL; s = s->next)
        counts.parked += s->place == SERVE_PARKED;
    serve_unlock(server);
    return counts;
}

/* ---- new connections ------------------------------------------------------------------------ */

static bool add_stream(struct serve_server *server, struct net_stream **stream, bool is_tls,
                       struct err *err)
{
    struct serve_session *session = NULL;
    bool is_added;

    if (!serve_create_session(server, stream, is_tls, &session, err))
        return false;
    serve_lock(server);
    is_added = serve_add_session_locked(server, session, err);
    serve_unlock(server);
    if (is_added)
        return true;
    if (!is_tls) { /* one line into an empty socket buffer: does not wait */
        serve_say_bye(session, "UNAVAILABLE", "Too many connections");
        (void)serve_flush(session);
    }
    serve_free_session(&session);
    return false;
}

bool serve_add_connection(struct serve_server *server, int *fd, bool is_tls, struct err *err)
{
    CLEANUP(net_close) struct net_stream *stream = NULL;
    uint64_t one = 1;

    if (!net_open_fd(fd, &serve_stream_options, &stream, err) ||
        !add_stream(server, &stream, is_tls, err))
        return false;
    (void)!write(server->wake_fd, &one, sizeof one); /* the loop's tick may be off */
    return true;
}

static void set_deaf(struct serve_server *server, bool is_deaf)
{
    for (size_t i = 0; i < server->listener_count; i++) {
        struct epoll_event event = { .events = is_deaf ? 0 : EPOLLIN,
                                     .data.ptr = &server->listeners[i] };

        (void)epoll_ctl(server->epoll_fd, EPOLL_CTL_MOD, server->listeners[i].fd, &event);
    }
    server->is_deaf = is_deaf;
    server->listen_again = is_deaf ? deadline_after_ms(DEAF_MS) : deadline_never();
}

static void log_refusal(struct serve_server *server, const struct err *err)
{
    server->refusals++;
    if (!deadline_has_passed(server->refusal_told))
        return;
    log_warn(server->settings.log, "connection refused", F_U64("count", server->refusals),
             F_ERR(err));
    server->refusals = 0;
    server->refusal_told = deadline_after_ms(REFUSALS_MS);
}

static void accept_from(struct serve_server *server, const struct serve_listener *listener)
{
    for (int i = 0; i < ACCEPTS_MAX; i++) {
        CLEANUP(net_close) struct net_stream *stream = NULL;
        struct err err = { 0 };

        switch (net_accept(listener->fd, &serve_stream_options, &stream, &err)) {
        case NET_DONE:
            break;
        case NET_WANT_READ:
        case NET_WANT_WRITE:
        case NET_ENDED:
            return;
        case NET_FAILED:
            log_warn(server->settings.log, "accept failed", F_ERR(&err));
            set_deaf(server, true);
            return;
        }
        if (!add_stream(server, &stream, listener->is_tls, &err))
            log_refusal(server, &err);
    }
}

/* ---- the loop ------------------------------------------------------------------------------- */

static void take_event(struct serve_server *server, const struct epoll_event *event, bool *stop)
{
    const char *at = event->data.ptr;
    const char *listeners = (const char *)server->listeners;
    uint64_t count;

    if (at == &stop_source) {
        *stop = true;
    } else if (at == &wake_source) {
        (void)!read(server->wake_fd, &count, sizeof count);
    } else if (at >= listeners && at < listeners + sizeof server->listeners) {
        accept_from(server, event->data.ptr);
    } else {
        serve_lock(server);
        serve_queue_locked(server, event->data.ptr);
        serve_unlock(server);
    }
}

/* No event took it out of epoll: otherwise the next one could name it when its thread has freed it.
 * The loop's thread only, between two looks at epoll: an event that it holds may name the session. */
static void unpark_locked(struct serve_server *server, struct serve_session *session)
{
    if (session->is_watched)
        (void)epoll_ctl(server->epoll_fd, EPOLL_CTL_DEL, net_fd(session->stream), NULL);
    session->is_watched = false;
    serve_queue_locked(server, session);
}

/* Those that the watcher has marked. */
static void wake_sessions(struct serve_server *server)
{
    serve_lock(server);
    if (server->has_woken)
        for (struct serve_session *s = server->sessions; s != NULL; s = s->next)
            if (s->place == SERVE_PARKED && (s->has_news || s->ending != SERVE_GOES_ON))
                unpark_locked(server, s);
    server->has_woken = false;
    serve_unlock(server);
}

static void tick(struct serve_server *server)
{
    serve_lock(server);
    for (struct serve_session *s = server->sessions; s != NULL; s = s->next) {
        if (s->place != SERVE_PARKED)
            continue;
        if (deadline_has_passed(s->deadline))
            s->ending = SERVE_ENDS_IDLE;
        if (s->ending != SERVE_GOES_ON ||
            (s->awaits == SERVE_AWAITS_DONE && deadline_has_passed(s->alive_at)))
            unpark_locked(server, s);
    }
    serve_tell_waiting_locked(server);
    serve_join_finished_locked(server);
    serve_unlock(server);
    if (server->is_deaf && deadline_has_passed(server->listen_again))
        set_deaf(server, false);
}

/* Without deadlines to keep, sessions to tell or threads to join the loop sleeps. */
static bool needs_ticks(struct serve_server *server)
{
    bool needs;

    serve_lock(server);
    needs = server->session_count > 0 || server->threads > 0 || server->finished != NULL;
    serve_unlock(server);
    return needs || server->is_deaf;
}

static bool run_loop(struct serve_server *server, struct err *err)
{
    struct deadline next_tick = deadline_after_ms(TICK_MS);
    bool stop = false;

    while (!stop) {
        struct epoll_event events[EVENTS_MAX];
        int wait_ms = needs_ticks(server) ? deadline_poll_ms(next_tick) : -1;
        int count = epoll_wait(server->epoll_fd, events, EVENTS_MAX, wait_ms);

        if (count < 0 && errno != EINTR)
            return err_errno(err, "epoll");
        for (int i = 0; i < count; i++)
            take_event(server, &events[i], &stop);
        wake_sessions(server);
        if (deadline_has_passed(next_tick)) {
            tick(server);
            next_tick = deadline_after_ms(TICK_MS);
        }
    }
    return true;
}

/* ---- the end -------------------------------------------------------------------------------- */

static void close_listeners(struct serve_server *server)
{
    for (size_t i = 0; i < server->listener_count; i++)
        fd_close(&server->listeners[i].fd);
    server->listener_count = 0;
}

/* The lock is held. True when no session, or with threads_too no thread either, is left. */
static bool wait_for_end(struct serve_server *server, int64_t ms, bool threads_too)
{
    struct deadline deadline = deadline_after_ms(ms);
    struct timespec at = { .tv_sec = (time_t)(deadline.at_usec / 1000000),
                           .tv_nsec = (long)(deadline.at_usec % 1000000 * 1000) };

    while (server->session_count > 0 || server->ending > 0 || (threads_too && server->threads > 0))
        if (pthread_cond_timedwait(&server->has_ended, &server->lock, &at) == ETIMEDOUT)
            return false;
    return true;
}

/* All are told at once, before their logouts are recorded one by one. Into an empty buffer: does not
 * wait. A session of which a part is on its way is told by its thread. */
static void say_stopping_locked(struct serve_session *session)
{
    static const struct bytes bye = BYTES_INIT("* BYE [UNAVAILABLE] Server is shutting down\r\n");
    struct err err = { 0 };

    if (session->login.token == NULL || session->state == SERVE_ENDED ||
        net_has_output(session->stream))
        return;
    if (net_write(session->stream, bye, &err))
        (void)!net_try_flush(session->stream, &err);
    if (!net_has_output(session->stream))
        session->state = SERVE_ENDED;
}

static bool end_sessions(struct serve_server *server, struct err *err)
{
    bool has_ended;
    bool has_watcher_ended;

    serve_lock(server);
    atomic_store(&server->is_stopping, true); /* whoever takes a session from now on ends it */
    for (struct serve_session *s = server->sessions; s != NULL; s = s->next)
        if (s->place == SERVE_PARKED)
            say_stopping_locked(s);
    for (struct serve_session *s = server->sessions; s != NULL; s = s->next)
        if (s->place == SERVE_PARKED)
            serve_queue_locked(server, s);
    if (!wait_for_end(server, SERVE_STOP_MS, false)) {
        log_warn(server->settings.log, "cutting active sessions",
                 F_U64("sessions", server->session_count));
        for (struct serve_session *s = server->sessions; s != NULL; s = s->next)
            net_shutdown(s->stream);
    }
    serve_stop_threads_locked(server);
    has_ended = wait_for_end(server, LAST_MS, true);
    serve_join_finished_locked(server);
    serve_unlock(server);
    has_watcher_ended = serve_stop_watcher(server, deadline_after_ms(LAST_MS));
    return (has_ended && has_watcher_ended) ||
           err_fail(err, ERR_RETRY, "some sessions did not end in time");
}

bool serve_run(struct serve_server *server, struct err *err)
{
    if (!serve_start_watcher(server, err) || !run_loop(server, err))
        return false;
    close_listeners(server);
    return end_sessions(server, err);
}

void serve_free(struct serve_server **server)
{
    struct serve_server *dead = *server;
    struct err err = { 0 };

    if (dead == NULL)
        return;
    close_listeners(dead);
    if ((dead->threads > 0 || dead->finished != NULL) && /* added, but serve_run never ran */
        !end_sessions(dead, &err))
        return;
    fd_close(&dead->epoll_fd);
    fd_close(&dead->wake_fd);
    pthread_cond_destroy(&dead->has_work);
    pthread_cond_destroy(&dead->has_ended);
    pthread_mutex_destroy(&dead->lock);
    free(dead);
    *server = NULL;
}
