/* SPDX-License-Identifier: Apache-2.0 */
/*
 * source/queue.h - how many jobs wait, and for what, for `holdfast status`.
 *
 * For the CLI, on a connection of the owner's role. One connection, one thread.
 */
#pragma once

#include "base/err.h"

#include <stdint.h>

struct db;

struct source_queue {
    uint64_t running;        /* held by a worker */
    uint64_t due;            /* wait for a worker */
    uint64_t host;           /* due, but their host is full or asked to be left alone */
    uint64_t budget;         /* the account's day is spent, or its source said for how long */
    uint64_t back_off;       /* the last run failed */
    uint64_t later;          /* wait for their schedule */
    uint64_t watched;        /* connections that wait for news */
    int64_t oldest_due_usec; /* since when the first in line is due; 0: nothing is */
};

/* host_connections: [ingest] host_connections. */
MUST_USE bool source_load_queue(struct db *db, int32_t host_connections, struct source_queue *out,
                                struct err *err);
