/* SPDX-License-Identifier: Apache-2.0 */
#include "ingest/watch_login.h"

#include "base/arena.h"
#include "base/fd.h"
#include "base/locks.h"
#include "ingest/enumerate.h"
#include "ingest/login.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    STACK_BYTES = 512 << 10,
    EXAMINE_MS = 60000, /* of it, whatever else the source says meanwhile */
};

/*
 *   FREE --ingest_start_login--> RUNNING --its thread--> ENDED --ingest_take_login--> FREE
 */
enum state {
    FREE,
    RUNNING,
    ENDED,
};

struct login {
    struct ingest_logins *logins;
    enum state state; /* under the lock */
    pthread_t thread;

    /* The thread's while RUNNING, else the owner's. */
    struct ingest_login_order order;
    struct arena *arena;
    struct net_stream *stream;
    struct err failure;
    bool is_of_mailbox;
};

struct ingest_logins {
    struct ingest_settings settings;
    int ended_fd;         /* eventfd */
    pthread_mutex_t lock; /* LOCK_INGEST_LOGINS: the states */
    struct login all[INGEST_LOGINS_AT_ONCE];
};

/* ---- in the thread ---------------------------------------------------------------------------------- */

/* identity: what was refused before, or nothing; becomes what was tried. */
static bool log_in(const struct login *login, struct source_identity *identity,
                   struct ingest_client **out, bool *is_token_refused, struct err *err)
{
    const struct ingest_settings *settings = &login->logins->settings;
    struct ingest_client_options options = {
        .stop_fd = settings->stop_fd,
        .stall_ms = INGEST_LOGIN_STALL_MS,
    };
    struct ingest_login attempt = { .account = &login->order.work->account, .identity = identity };
    struct source_identity next = { 0 };

    if (!source_get_identity(settings->gate_socket, &login->order.lease, identity->secret, &next,
                             err))
        return false;
    source_free_identity(identity);
    *identity = next;
    if (ingest_log_in(&attempt, &options, out, err))
        return true;
    *is_token_refused = attempt.was_refused && identity->proof == SOURCE_BY_TOKEN;
    return false;
}

/* As the workers do: a token that is refused is replaced once. */
static bool open_mailbox(struct login *login, struct ingest_client **out, struct err *err)
{
    CLEANUP(source_free_identity) struct source_identity identity = { 0 };
    struct ingest_selected selected;
    bool is_token_refused = false;

    if (!log_in(login, &identity, out, &is_token_refused, err)) {
        if (!is_token_refused)
            return false;
        err_clear(err);
        if (!log_in(login, &identity, out, &is_token_refused, err))
            return false;
    }
    if ((ingest_capabilities(*out) & INGEST_IDLE) == 0)
        return err_fail(err, ERR_ABSENT, "the source does not offer IDLE: it is polled only");
    ingest_set_end(*out, deadline_after_ms(EXAMINE_MS));
    if (ingest_examine(*out, login->order.mailbox, &selected, err))
        return true;
    login->is_of_mailbox = err->code == ERR_ABSENT;
    return false;
}

static void *run(void *context)
{
    static const uint64_t one = 1;
    CLEANUP(ingest_close_client) struct ingest_client *client = NULL;
    struct login *login = context;
    struct ingest_logins *logins = login->logins;

    if (open_mailbox(login, &client, &login->failure))
        login->stream = ingest_take_stream(&client);
    (void)pthread_mutex_lock(&logins->lock);
    login->state = ENDED;
    (void)pthread_mutex_unlock(&logins->lock);
    if (write(logins->ended_fd, &one, sizeof one) < 0) /* cannot block: the count stays small */
        assert(errno == EINTR);
    return NULL;
}

/* Signals are for the thread that owns us: they end its wait. */
static int start_thread(struct login *login)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    int status;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    (void)pthread_attr_init(&attributes);
    (void)pthread_attr_setstacksize(&attributes, STACK_BYTES);
    status = pthread_create(&login->thread, &attributes, run, login);
    (void)pthread_attr_destroy(&attributes);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return status;
}

/* ---- the owner's side ------------------------------------------------------------------------------- */

bool ingest_create_logins(const struct ingest_settings *settings, struct ingest_logins **out,
                          struct err *err)
{
    struct ingest_logins *logins = calloc(1, sizeof *logins);

    if (logins == NULL)
        return err_errno(err, "memory for logins");
    logins->settings = *settings;
    logins->ended_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (logins->ended_fd < 0) {
        free(logins);
        return err_errno(err, "event descriptor");
    }
    (void)pthread_mutex_init(&logins->lock, NULL);
    for (size_t i = 0; i < INGEST_LOGINS_AT_ONCE; i++)
        logins->all[i].logins = logins;
    *out = logins;
    return true;
}

static struct login *find(struct ingest_logins *logins, enum state state)
{
    struct login *found = NULL;

    (void)pthread_mutex_lock(&logins->lock);
    for (size_t i = 0; i < INGEST_LOGINS_AT_ONCE && found == NULL; i++)
        if (logins->all[i].state == state)
            found = &logins->all[i];
    (void)pthread_mutex_unlock(&logins->lock);
    return found;
}

bool ingest_can_start_login(struct ingest_logins *logins)
{
    return find(logins, FREE) != NULL;
}

int ingest_logins_fd(const struct ingest_logins *logins)
{
    return logins->ended_fd;
}

bool ingest_start_login(struct ingest_logins *logins, const struct ingest_login_order *order,
                        struct arena **arena, struct err *err)
{
    struct login *login = find(logins, FREE);
    int status;

    assert(login != NULL);
    login->order = *order;
    login->failure = (struct err){ 0 };
    login->is_of_mailbox = false;
    login->state = RUNNING; /* no thread of it is there yet */
    status = start_thread(login);
    if (status != 0) {
        login->state = FREE;
        errno = status;
        return err_errno(err, "thread for a login");
    }
    login->arena = *arena;
    *arena = NULL; /* ours now */
    return true;
}

bool ingest_take_login(struct ingest_logins *logins, struct ingest_login_end *out)
{
    struct login *login = find(logins, ENDED);
    uint64_t count;

    if (login == NULL) {
        (void)!read(logins->ended_fd, &count, sizeof count);
        login = find(logins, ENDED); /* one that ended before the count was taken back */
    }
    if (login == NULL)
        return false;
    (void)pthread_join(login->thread, NULL);
    *out = (struct ingest_login_end){ login->order.who, login->stream, login->failure,
                                      login->is_of_mailbox };
    login->stream = NULL; /* the caller's now */
    arena_free(&login->arena);
    login->state = FREE;
    return true;
}

void ingest_free_logins(struct ingest_logins **logins)
{
    struct ingest_logins *l = *logins;

    if (l == NULL)
        return;
    for (size_t i = 0; i < INGEST_LOGINS_AT_ONCE; i++) {
        bool has_thread;

        (void)pthread_mutex_lock(&l->lock);
        has_thread = l->all[i].state != FREE;
        (void)pthread_mutex_unlock(&l->lock);
        if (has_thread)
            (void)pthread_join(l->all[i].thread, NULL);
        net_close(&l->all[i].stream);
        arena_free(&l->all[i].arena);
    }
    fd_close(&l->ended_fd);
    (void)pthread_mutex_destroy(&l->lock);
    free(l);
    *logins = NULL;
}
