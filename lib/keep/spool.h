/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keep/spool.h - the weekly partitions of the spool.
 *
 *   (absent) --made two weeks ahead--> READY --its Monday comes--> FILLING --week over--> FINISHED
 *   FINISHED --every frame lies in a pack, dropped--> (absent)
 */
#pragma once

#include "base/err.h"
#include "db/db.h"

struct keep_spool_work {
    uint32_t added;   /* partitions made */
    uint32_t dropped; /* finished and empty ones removed */
    uint32_t waiting; /* finished ones that hold frames, or were in use */
};

/*
 * Keeps this week and the next two ready and drops what is finished and empty. Each partition is a
 * transaction of its own; a drop that would have to wait for readers for longer than two seconds is
 * left for the next time (its lock would stop everybody else). Safe to repeat and to run twice at
 * once. The connection is the keeper's.
 */
MUST_USE bool keep_spool_weeks(struct db *db, struct keep_spool_work *out, struct err *err);
