/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest/lane.h - the way of one of several connections to the run's writer, as a sink of ingest_fetch.
 *
 *     connection --> lane (one message) --+
 *     connection --> lane (one message) --+--in turn--> the run's sink: one message at a time
 *
 * A message waits in its lane until all of it is there; then it is given over in the lane's turn. One over
 * INGEST_LANE_BYTES has the turn from its beginning to its end, and the others wait when their own lanes are full.
 *
 * Who has the turn is the only one to touch the run, its writer and its database connection (LOCK_INGEST_TURN).
 * A lane belongs to one thread.
 */
#pragma once

#include "ingest/fetch.h"

enum {
    INGEST_LANE_BYTES = 1 << 20,
};

struct ingest_turn {
    pthread_mutex_t lock;           /* LOCK_INGEST_TURN */
    atomic_bool is_over;            /* nothing more is asked for, by any connection */
    atomic_uint_fast64_t used_usec; /* how long the writer was at work for the lanes, all in all */
};

void ingest_take_turn(struct ingest_turn *turn);
void ingest_end_turn(struct ingest_turn *turn);

struct ingest_lane {
    struct ingest_turn *turn;
    struct ingest_sink sink; /* behind all lanes */
    /* Of the run, in the lane's turn; NULL: none. While is_idle it is not called. */
    bool (*beat)(void *context, struct err *err);
    void *beat_context;
    bool is_idle;
    bool has_turn;
    bool has_failed; /* the sink or the beat did, not the connection */
    uint8_t *octets; /* owned */
    size_t len, cap;
    uint64_t announced_bytes;
};

/* The lane as a sink, and as the beat of its client (context: the lane). */
struct ingest_sink ingest_lane_sink(struct ingest_lane *lane);
MUST_USE bool ingest_beat_lane(void *lane, struct err *err);

void ingest_free_lane(struct ingest_lane *lane);
