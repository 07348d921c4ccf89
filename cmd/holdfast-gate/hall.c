/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fd.h"
#include "gate/server.h"
#include "holdfast-gate/gate.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    TIDY_MS = 60 * 1000,
    NO_DESCRIPTORS_PAUSE_MS = 50
};

static void lock(struct hall *hall)
{
    (void)pthread_mutex_lock(&hall->lock);
}

static void unlock(struct hall *hall)
{
    (void)pthread_mutex_unlock(&hall->lock);
}

void hall_open(struct hall *hall, const struct log *log)
{
    static const char *const names[DOOR_COUNT] = { "imapd", "ingest" };

    *hall = (struct hall){ .log = log, .freed_fd = -1 };
    (void)pthread_mutex_init(&hall->lock, NULL);
    for (int i = 0; i < DOOR_COUNT; i++)
        hall->doors[i] = (struct door){
            .hall = hall, .name = names[i], .listener = -1, .visitors_max = DOOR_VISITORS_MIN
        };
}

bool hall_make_doors(struct hall *hall, const char *const paths[DOOR_COUNT], struct err *err)
{
    hall->freed_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (hall->freed_fd < 0)
        return err_errno(err, "event descriptor");
    for (int i = 0; i < DOOR_COUNT; i++)
        if (!gate_listen(paths[i], DOOR_BACKLOG, &hall->doors[i].listener, err))
            return false;
    return true;
}

void hall_close(struct hall *hall)
{
    for (int i = 0; i < DOOR_COUNT; i++) {
        fd_close(&hall->doors[i].listener);
        auth_free_desk(&hall->doors[i].desk);
    }
    fd_close(&hall->freed_fd);
    (void)pthread_mutex_destroy(&hall->lock);
}

/* ---- one visitor --------------------------------------------------------------------------------- */

struct visit {
    struct door *door;
    int fd; /* -1: nobody, the desk is tidied */
};

static void refuse(struct door *door, const struct err *why)
{
    struct err err = { 0 };

    /* Whoever floods us shall not fill the log: the audit row says how many. */
    log_debug(door->hall->log, "not a request", F_TEXT("door", door->name), F_ERR(why));
    if (!auth_note_refusal(door->desk, "not a request", deadline_after_ms(VISIT_ANSWER_MS), &err))
        log_error(door->hall->log, "refusal not audited", F_ERR(&err));
}

static void serve(struct door *door, int fd)
{
    CLEANUP(gate_wipe) struct gate_datagram store = { 0 };
    CLEANUP(auth_free_answer) struct auth_answer answer = { .fd = -1 };
    const struct log *log = door->hall->log;
    struct gate_request request;
    struct err err = { 0 };

    if (!gate_receive(fd, &store, &request, deadline_after_ms(VISIT_SPEAK_MS), &err)) {
        if (err.code == ERR_SYNTAX || err.code == ERR_LIMIT)
            refuse(door, &err);
        else
            log_debug(log, "visitor left", F_TEXT("door", door->name), F_ERR(&err));
        return;
    }
    if (!auth_answer(door->desk, &request, deadline_after_ms(VISIT_ANSWER_MS), &answer, &err))
        log_warn(log, "request failed", F_TEXT("door", door->name), F_U64("kind", request.kind),
                 F_U64("outcome", answer.reply.outcome), F_ERR(&err));
    err_clear(&err);
    if (!gate_send(fd, &answer.reply, answer.fd, deadline_after_ms(VISIT_SEND_MS), &err))
        log_info(log, "reply not taken", F_TEXT("door", door->name), F_ERR(&err));
}

static void tidy(struct door *door)
{
    struct err err = { 0 };

    if (!auth_tidy_desk(door->desk, deadline_after_ms(VISIT_ANSWER_MS), &err))
        log_warn(door->hall->log, "not tidied", F_TEXT("door", door->name), F_ERR(&err));
}

static void leave(struct door *door)
{
    static const uint64_t one = 1;
    struct hall *hall = door->hall;

    lock(hall);
    door->visitors--;
    /* Under the lock: whoever sees the hall empty may take it down. Cannot block or fail: the count
     * stays far below its limit. */
    if (write(hall->freed_fd, &one, sizeof one) < 0)
        assert(errno == EAGAIN);
    unlock(hall);
}

static void *run_visit(void *context)
{
    struct visit *visit = context;
    struct door *door = visit->door;

    if (visit->fd >= 0)
        serve(door, visit->fd);
    else
        tidy(door);
    fd_close(&visit->fd);
    free(visit);
    leave(door);
    return NULL;
}

/* Moves *fd into a thread of its own. */
static bool start_visit(struct door *door, int *fd, struct err *err)
{
    struct visit *visit = malloc(sizeof *visit);
    pthread_attr_t attributes;
    pthread_t thread;
    int status;

    if (visit == NULL)
        return err_errno(err, "visit");
    *visit = (struct visit){ .door = door, .fd = *fd };
    lock(door->hall);
    door->visitors++;
    unlock(door->hall);
    (void)pthread_attr_init(&attributes);
    (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    (void)pthread_attr_setstacksize(&attributes, VISIT_STACK_BYTES);
    status = pthread_create(&thread, &attributes, run_visit, visit);
    (void)pthread_attr_destroy(&attributes);
    if (status != 0) {
        free(visit);
        leave(door);
        errno = status;
        return err_errno(err, "thread for a visit");
    }
    *fd = -1;
    return true;
}

/* ---- the doors ----------------------------------------------------------------------------------- */

static bool is_full(struct door *door)
{
    bool full;

    lock(door->hall);
    full = door->visitors >= door->visitors_max;
    unlock(door->hall);
    return full;
}

static void receive_one(struct door *door)
{
    CLEANUP(fd_close) int fd = -1;
    struct err err = { 0 };
    struct err unheard = { 0 };

    if (gate_accept(door->listener, geteuid(), &fd, &err) && start_visit(door, &fd, &err))
        return;
    if (err.code == ERR_ABSENT)
        return;
    log_warn(door->hall->log, "visitor not received", F_TEXT("door", door->name), F_ERR(&err));
    if (err.code == ERR_DENIED) {
        if (!auth_note_refusal(door->desk, "peer of another user",
                               deadline_after_ms(VISIT_SPEAK_MS), &unheard))
            log_error(door->hall->log, "refusal not audited", F_ERR(&unheard));
    } else {
        (void)poll(NULL, 0, NO_DESCRIPTORS_PAUSE_MS); /* no descriptors or threads: some will end */
    }
}

static void start_tidying(struct hall *hall, struct deadline *next)
{
    if (!deadline_has_passed(*next))
        return;
    *next = deadline_after_ms(TIDY_MS);
    for (int i = 0; i < DOOR_COUNT; i++) {
        struct err err = { 0 };
        int nobody = -1;

        if (!is_full(&hall->doors[i]) && !start_visit(&hall->doors[i], &nobody, &err))
            log_warn(hall->log, "not tidied", F_ERR(&err));
    }
}

bool hall_receive(struct hall *hall, int stop_fd, struct err *err)
{
    struct deadline tidy_at = deadline_after_ms(0);

    for (;;) {
        struct pollfd fds[2 + DOOR_COUNT] = { { .fd = stop_fd, .events = POLLIN },
                                              { .fd = hall->freed_fd, .events = POLLIN } };
        uint64_t freed;

        start_tidying(hall, &tidy_at);
        for (int i = 0; i < DOOR_COUNT; i++) /* a descriptor below 0 is not looked at */
            fds[2 + i] = (struct pollfd){
                .fd = is_full(&hall->doors[i]) ? -1 : hall->doors[i].listener,
                .events = POLLIN,
            };
        if (poll(fds, ARRAY_LEN(fds), deadline_poll_ms(tidy_at)) < 0 && errno != EINTR)
            return err_errno(err, "wait for visitors");
        if (fds[0].revents != 0)
            return true;
        if (fds[1].revents != 0 && read(hall->freed_fd, &freed, sizeof freed) < 0)
            assert(errno == EAGAIN || errno == EINTR);
        for (int i = 0; i < DOOR_COUNT; i++)
            if (fds[2 + i].revents != 0)
                receive_one(&hall->doors[i]);
    }
}

static bool is_empty(struct hall *hall)
{
    unsigned visitors = 0;

    lock(hall);
    for (int i = 0; i < DOOR_COUNT; i++)
        visitors += hall->doors[i].visitors;
    unlock(hall);
    return visitors == 0;
}

bool hall_wait_until_empty(struct hall *hall, struct deadline deadline)
{
    for (int i = 0; i < DOOR_COUNT; i++)
        fd_close(&hall->doors[i].listener);
    while (!is_empty(hall)) {
        uint64_t count;

        if (deadline_has_passed(deadline))
            return false;
        if (fd_wait(hall->freed_fd, deadline_poll_ms(deadline)) &&
            read(hall->freed_fd, &count, sizeof count) < 0)
            assert(errno == EAGAIN || errno == EINTR);
    }
    return true;
}
