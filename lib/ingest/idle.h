/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest/idle.h - one connection in IDLE (RFC 2177), which costs no thread and no buffer while it waits.
 *
 *   ASKED --"+"--> IDLE --ingest_keep_idle, DONE--> ENDING --tagged OK--> ASKED
 *
 * Nothing here waits: its owner calls ingest_hear_idle when the descriptor is readable and ingest_keep_idle when
 * the deadline has passed. A connection that died in silence (a NAT that forgot it, a machine that vanished) is
 * found by that: it answers no DONE. After a failure only ingest_end_idle makes sense. One thread.
 */
#pragma once

#include "base/arena.h"
#include "base/clock.h"
#include "net/stream.h"

enum ingest_idle_state {
    INGEST_IDLE_NONE, /* stream NULL */
    INGEST_IDLE_ASKED,
    INGEST_IDLE_HELD,
    INGEST_IDLE_ENDING,
};

struct ingest_idle_pace {
    int64_t renew_ms;  /* how long one IDLE lasts, less up to a tenth: not all at once */
    int64_t answer_ms; /* for the answer to IDLE and to DONE: the proof that the connection lives */
    /* more than this without a pause is a flood, which would keep all others waiting */
    size_t flood_bytes;
};

/* 9 minutes: RFC 2177 §3 says within 29, and many a NAT forgets sooner; a minute for an answer. */
extern const struct ingest_idle_pace ingest_idle_usual_pace;

struct ingest_idle {
    struct net_stream *stream; /* owned */
    const struct ingest_idle_pace *pace;
    enum ingest_idle_state state;
    uint64_t tag;
    struct deadline deadline; /* HELD: when to renew; ASKED, ENDING: when the answer is late */
    bool has_news;            /* EXISTS, EXPUNGE, VANISHED or FETCH came; its owner forgets it */
};

/* Takes the stream of a mailbox that is open, also on failure, and asks for IDLE. */
MUST_USE bool ingest_begin_idle(struct ingest_idle *idle, struct net_stream **stream,
                                const struct ingest_idle_pace *pace, struct err *err);

/* Takes all that has come. scratch: reset for each line. ERR_RETRY: the connection ended, IDLE is refused;
 * ERR_LIMIT, ERR_SYNTAX: what came can be no answer, or does not end. */
MUST_USE bool ingest_hear_idle(struct ingest_idle *idle, struct arena *scratch, struct err *err);

/* The deadline has passed: renews a held one; fails (ERR_RETRY) when an answer is late. */
MUST_USE bool ingest_keep_idle(struct ingest_idle *idle, struct err *err);

/* closes; also of one that is closed. For CLEANUP */
void ingest_end_idle(struct ingest_idle *idle);
