/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holdfast-gate/gate.h - the program's two doors and their visitors.
 *
 * A visitor is one connection: one thread, one request, one reply. Each door has a cap of visitors
 * and database connections of its own; beyond the cap connections wait in the socket's backlog
 * and the other door does not notice. A visitor who says nothing is sent away after VISIT_SPEAK_MS.
 */
#pragma once

#include "auth/desk.h"
#include "base/log.h"

#include <pthread.h>

enum {
    DOOR_COUNT = 2,
    DOOR_VISITORS_MIN = 32,
    DOOR_VISITORS_MAX = 256, /* a thread of holdfast-imapd asks one question at a time: with as many
                              * visitors as threads nobody waits outside; their stacks bound it */
    DOOR_BACKLOG = 128,
    VISIT_SPEAK_MS = 2000,   /* both sides are on this machine */
    VISIT_ANSWER_MS = 12000, /* with those above under GATE_CALL_MS, which a client waits */
    VISIT_SEND_MS = 1000,
    VISIT_STACK_BYTES = 512 << 10,
};

struct hall;

struct door {
    struct hall *hall;
    const char *name; /* for the log */
    struct auth_desk *desk;
    int listener;
    unsigned visitors_max;
    unsigned visitors; /* under hall->lock */
};

/* Shared between the threads under its own lock (base/locks.h, LOCK_GATE_HALL). */
struct hall {
    const struct log *log;
    struct door doors[DOOR_COUNT];
    pthread_mutex_t lock;
    int freed_fd; /* eventfd: a visitor has left */
};

void hall_open(struct hall *hall, const struct log *log);
MUST_USE bool hall_make_doors(struct hall *hall, const char *const paths[DOOR_COUNT],
                              struct err *err);

/* Accepts who waits at the doors until stop_fd is readable. */
MUST_USE bool hall_receive(struct hall *hall, int stop_fd, struct err *err);

/* True when all visitors are gone before the deadline. */
bool hall_wait_until_empty(struct hall *hall, struct deadline deadline);
void hall_close(struct hall *hall); /* nobody may be in it */
