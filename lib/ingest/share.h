/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest/share.h - the UIDs of one page, divided among the connections that fetch them.
 *
 *     OPEN --ingest_take_set--> held by a connection --ingest_settle_uid--> DONE
 *     held --ingest_leave_share, the connection ended--> OPEN
 *     held by a helper --ingest_leave_uid, it could not be had--> LEFT --ingest_take_set--> held by the first
 *
 * A connection takes as many UIDs as fit into its next command, and while several take, never more than its part
 * of half of what is open: whoever is quick takes more, and all end at about the same time. What a message
 * that cannot be had is worth, only the first connection says (ingest/README 27): helpers leave it to that one.
 *
 * Any thread; its lock is LOCK_INGEST_SHARE.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
    INGEST_FIRST = 1,       /* the connection of the run itself; helpers have numbers above */
    INGEST_SHARE_PART = 25, /* UIDs: smaller sets are not made for the sake of equal parts */
};

enum ingest_fetched {
    INGEST_WAITING = 0, /* nothing is known of it */
    INGEST_FETCHED,     /* the sink has it */
    INGEST_FAILED,      /* refused, NIL, empty: see failures */
    INGEST_MISSING,     /* OK, and nothing came for it */
};

/* UIDs first … first+count-1 of the page. */
struct ingest_span {
    size_t first, count;
};

struct ingest_share {
    const uint32_t *uids; /* ascending, distinct */
    size_t count;
    enum ingest_fetched *states;
    /* Who has it is changed under the lock, or by who has it; to find one's own number there needs none. */
    _Atomic uint8_t *holders;

    pthread_mutex_t lock; /* LOCK_INGEST_SHARE: all below */
    size_t open_count;
    size_t left_count;
    size_t connections; /* that take from it */
};

/* All of it lives in the arena, and the first connection has joined. */
void ingest_open_share(const uint32_t *uids, size_t count, struct arena *arena,
                       struct ingest_share *out);
void ingest_close_share(struct ingest_share *share);

void ingest_join_share(struct ingest_share *share); /* a helper */

/* The helper has ended: what it holds and has not got is open again. */
void ingest_leave_share(struct ingest_share *share, uint8_t who);

/*
 * The next UIDs for a command, at most `most`, written to *set (set.h). span: where they lie, with
 * nothing between them but what is settled. The first connection takes what is open, then what was left to
 * it. False: there is nothing for this one now.
 */
bool ingest_take_set(struct ingest_share *share, uint8_t who, size_t most, struct buf *set,
                     struct ingest_span *span, size_t *taken);

/* Would ingest_take_set give it some? */
bool ingest_has_more(struct ingest_share *share, uint8_t who);

/* Does this connection hold it? Then it waits for it. */
bool ingest_awaits(const struct ingest_share *share, uint8_t who, size_t index);

/* What became of a UID that the caller holds: nobody will hold it again. */
void ingest_settle_uid(struct ingest_share *share, size_t index, enum ingest_fetched state);

/* A helper that holds it could not have it. */
void ingest_leave_uid(struct ingest_share *share, size_t index);
