/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serve/threads.c - which session has a thread, and which one waits or is parked (README 1).
 */
#include "net/stream.h"
#include "serve/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

#ifndef __has_feature
#define __has_feature(x) 0
#endif

enum {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) ||                               \
    __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    STACK_BYTES = 2 << 20, /* sanitizers make frames several times as large */
#else
    STACK_BYTES = 256 << 10,
#endif
    IDLE_THREAD_MS = 10000, /* a thread without work ends after this */
    AUDITOR_THREADS_MIN = 4,
};

void serve_lock(struct serve_server *server)
{
    pthread_mutex_lock(&server->lock);
}

void serve_unlock(struct serve_server *server)
{
    pthread_mutex_unlock(&server->lock);
}

/* ---- loads ----------------------------------------------------------------------------------- */

static void leave_load(struct serve_server *server, struct serve_load *load)
{
    load->sessions--;
    if (load == &server->strangers || load->sessions > 0)
        return;
    for (struct serve_load **at = &server->loads; *at != NULL; at = &(*at)->next) {
        if (*at == load) {
            *at = load->next;
            free(load);
            return;
        }
    }
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/*
 * What all auditors together may have before only those go on who have none: each thread may have a
 * database connection for as long as a statement takes (a SEARCH: a minute), and a quarter of both is for
 * whoever comes next.
 */
static size_t common_threads(const struct serve_server *server)
{
    size_t connections = server->settings.read_connections;
    size_t all = server->settings.active_threads;

    all = connections > 0 ? smaller(all, connections) : all;
    return all - all / 4;
}

static bool has_room(const struct serve_server *server, const struct serve_load *load)
{
    if (load->active >= load->max_active)
        return false;
    return load == &server->strangers || load->active == 0 ||
           server->auditors_active < common_threads(server);
}

static void gain_thread(struct serve_server *server, struct serve_load *load)
{
    load->active++;
    server->auditors_active += load != &server->strangers;
}

static void lose_thread(struct serve_server *server, struct serve_load *load)
{
    load->active--;
    server->auditors_active -= load != &server->strangers;
}

/*
 * A quarter of the threads for one auditor: mail clients open five connections and use two. Of
 * connections, three quarters at most.
 */
static size_t auditor_threads(const struct serve_server *server)
{
    size_t all = server->settings.active_threads;
    size_t connections = server->settings.read_connections;
    size_t share = smaller(all, all / 4 > AUDITOR_THREADS_MIN ? all / 4 : AUDITOR_THREADS_MIN);

    if (connections == 0)
        return share;
    return smaller(share, connections * 3 / 4 > 0 ? connections * 3 / 4 : 1);
}

bool serve_join_auditor(struct serve_session *session, int64_t auditor_id)
{
    struct serve_server *server = session->server;
    struct serve_load *load;
    bool is_within;

    serve_lock(server);
    for (load = server->loads; load != NULL && load->auditor_id != auditor_id;)
        load = load->next;
    if (load == NULL) {
        load = malloc(sizeof *load);
        assert(load != NULL);
        *load = (struct serve_load){ .next = server->loads,
                                     .auditor_id = auditor_id,
                                     .max_active = auditor_threads(server) };
        server->loads = load;
    }
    load->sessions++;
    gain_thread(server, load);
    lose_thread(server, session->load);
    leave_load(server, session->load);
    session->load = load;
    serve_leave_neighbours_locked(session);
    is_within = load->active <= load->max_active;
    if (server->idle_threads > 0 && server->queued > 0)
        pthread_cond_signal(&server->has_work); /* strangers have room for one more */
    serve_unlock(server);
    return is_within;
}

/* ---- sessions -------------------------------------------------------------------------------- */

bool serve_add_session_locked(struct serve_server *server, struct serve_session *session,
                              struct err *err)
{
    if (atomic_load(&server->is_stopping))
        return err_fail(err, ERR_RETRY, "stopping");
    if (server->session_count >= SERVE_SESSIONS_MAX ||
        server->strangers.sessions >= SERVE_STRANGERS_MAX)
        return err_fail(err, ERR_LIMIT, "%zu sessions, %zu of them not logged in",
                        server->session_count, server->strangers.sessions);
    if (!serve_join_neighbours_locked(session, err))
        return false;
    session->id = ++server->last_id;
    session->link = &server->sessions;
    session->next = server->sessions;
    if (session->next != NULL)
        session->next->link = &session->next;
    server->sessions = session;
    server->session_count++;
    session->load = &server->strangers;
    session->load->sessions++;
    session->place = SERVE_PARKED;
    serve_queue_locked(server, session); /* a first turn: to greet, or to begin the handshake */
    return true;
}

void serve_remove_session_locked(struct serve_server *server, struct serve_session *session)
{
    *session->link = session->next;
    if (session->next != NULL)
        session->next->link = session->link;
    server->session_count--;
    leave_load(server, session->load);
    session->load = NULL;
    serve_leave_neighbours_locked(session);
}

static void park(struct serve_server *server, struct serve_session *session, uint32_t events)
{
    struct epoll_event event = { .events = events | EPOLLONESHOT, .data.ptr = session };
    int how = session->is_watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

    session->is_watched = true;
    session->place = SERVE_PARKED;
    if (atomic_load(&server->is_stopping)) {
        serve_queue_locked(server, session);
        return;
    }
    /*
     * Events come only while it is parked, and one at most: epoll never names a session that its
     * thread has freed. From here on the loop may queue it as soon as the lock is free.
     */
    if (epoll_ctl(server->epoll_fd, how, net_fd(session->stream), &event) != 0) {
        session->ending = SERVE_ENDS_IDLE;
        serve_queue_locked(server, session);
    }
}

/* Takes the first session whose load has room. */
static struct serve_session *take_session(struct serve_server *server)
{
    struct serve_session **at = &server->queue;
    struct serve_session *session;

    while (*at != NULL && !has_room(server, (*at)->load))
        at = &(*at)->queue_next;
    session = *at;
    if (session == NULL)
        return NULL;
    *at = session->queue_next;
    if (server->queue_end == &session->queue_next)
        server->queue_end = at;
    session->queue_next = NULL;
    server->queued--;
    atomic_store(&server->is_crowded, server->queued > 0);
    session->place = SERVE_ACTIVE;
    session->looks = session->has_news;
    session->has_news = false;
    gain_thread(server, session->load);
    if (atomic_load(&server->is_stopping))
        session->ending = SERVE_ENDS_STOPPING;
    return session;
}

static void end_session(struct serve_server *server, struct serve_session *session)
{
    /* Out of the list first: nobody may cut a stream that is being closed. */
    lose_thread(server, session->load);
    serve_remove_session_locked(server, session);
    server->ending++;
    serve_unlock(server);
    serve_free_session(&session);
    serve_lock(server);
    server->ending--;
    pthread_cond_broadcast(&server->has_ended);
}

static void finish_turn(struct serve_server *server, struct serve_session *session,
                        enum serve_turn turn)
{
    switch (turn) {
    case SERVE_TURN_READ:
        lose_thread(server, session->load);
        park(server, session, EPOLLIN);
        break;
    case SERVE_TURN_WRITE:
        lose_thread(server, session->load);
        park(server, session, EPOLLOUT);
        break;
    case SERVE_TURN_AGAIN:
        lose_thread(server, session->load);
        session->place = SERVE_PARKED;
        serve_queue_locked(server, session);
        break;
    case SERVE_TURN_END:
        end_session(server, session);
        break;
    }
}

/* ---- threads --------------------------------------------------------------------------------- */

/* False: nothing came for so long that the thread may end. The lock is held. */
static bool wait_for_work(struct serve_server *server)
{
    struct deadline deadline = deadline_after_ms(IDLE_THREAD_MS);
    struct timespec at = { .tv_sec = (time_t)(deadline.at_usec / 1000000),
                           .tv_nsec = (long)(deadline.at_usec % 1000000 * 1000) };
    int status;

    server->idle_threads++;
    status = pthread_cond_timedwait(&server->has_work, &server->lock, &at);
    server->idle_threads--;
    return status != ETIMEDOUT;
}

static void wake_thread(struct serve_server *server);

static void *work(void *context)
{
    struct serve_thread *thread = context;
    struct serve_server *server = thread->server;
    bool is_needed = true;

    serve_lock(server);
    for (;;) {
        struct serve_session *session = take_session(server);
        enum serve_turn turn;

        if (session == NULL) {
            /* End what is begun: a session may be waiting for its auditor's other ones. */
            if (server->is_ended || !is_needed)
                break;
            is_needed = wait_for_work(server);
            continue;
        }
        serve_unlock(server);
        turn = serve_take_turn(session);
        serve_lock(server);
        finish_turn(server, session, turn);
        if (server->queued > 0)
            wake_thread(server); /* it may have made room for more than the one taken next */
        is_needed = true;
    }
    server->threads--;
    thread->next = server->finished;
    server->finished = thread;
    pthread_cond_broadcast(&server->has_ended);
    serve_unlock(server);
    return NULL;
}

/*
 * Threads are joined, not detached: libraries (OpenSSL) clean up in them after our last line, which
 * must be over before the process takes those libraries down.
 */
void serve_join_finished_locked(struct serve_server *server)
{
    while (server->finished != NULL) {
        struct serve_thread *thread = server->finished;

        server->finished = thread->next;
        serve_unlock(server);
        (void)pthread_join(thread->handle, NULL);
        free(thread);
        serve_lock(server);
    }
}

static void add_thread(struct serve_server *server)
{
    struct serve_thread *thread = calloc(1, sizeof *thread);
    pthread_attr_t attributes;
    int status = ENOMEM;

    if (thread != NULL) {
        thread->server = server;
        pthread_attr_init(&attributes);
        pthread_attr_setstacksize(&attributes, STACK_BYTES);
        status = pthread_create(&thread->handle, &attributes, work, thread);
        pthread_attr_destroy(&attributes);
    }
    if (status == 0) {
        server->threads++;
        return;
    }
    free(thread);
    log_error(server->settings.log, "no thread for a session", F_I64("errno", status));
}

static void wake_thread(struct serve_server *server)
{
    if (server->idle_threads > 0)
        pthread_cond_signal(&server->has_work);
    if (server->idle_threads < server->queued && server->threads < server->settings.active_threads)
        add_thread(server);
}

void serve_queue_locked(struct serve_server *server, struct serve_session *session)
{
    if (session->place != SERVE_PARKED)
        return;
    session->place = SERVE_QUEUED;
    session->notice = deadline_after_ms(server->settings.limits.wait_notice_ms);
    session->queue_next = NULL;
    *server->queue_end = session;
    server->queue_end = &session->queue_next;
    server->queued++;
    atomic_store(&server->is_crowded, true);
    wake_thread(server);
}

void serve_stop_threads_locked(struct serve_server *server)
{
    server->is_ended = true;
    pthread_cond_broadcast(&server->has_work);
}

/* Sessions that wait for a thread are told so, once for each wait: the client sees that we live. */
void serve_tell_waiting_locked(struct serve_server *server)
{
    static const struct bytes notice =
        BYTES_INIT("* OK Waiting for a free slot: too many commands are running\r\n");
    struct err err = { 0 };

    for (struct serve_session *s = server->queue; s != NULL; s = s->queue_next) {
        if (s->load == &server->strangers || s->ending != SERVE_GOES_ON ||
            s->awaits == SERVE_AWAITS_DONE || !deadline_has_passed(s->notice) ||
            net_has_output(s->stream))
            continue;
        s->notice = deadline_never();
        if (net_write(s->stream, notice, &err)) /* into an empty buffer: does not wait */
            (void)!net_try_flush(s->stream, &err);
    }
}
