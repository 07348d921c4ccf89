/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest/pace.h - how long a run may go on: the account's day and the others that wait.
 *
 * A run that is told to stop asks for nothing more; what was asked for comes and is archived, and the run
 * ends at that border with its connection in order. The rules (README, "Pace"):
 *   - when the octets of the day (UTC) are spent, it rests until the next one;
 *   - after a slice of time it gives way to jobs that have found no worker, and goes on behind them.
 */
#pragma once

#include "ingest/internal.h"

/* After the account is known; with nothing left of the day the run rests at once. */
void ingest_start_pace(struct ingest_run *run);

/* A message of so many octets has come, and no transaction is open. */
MUST_USE bool ingest_keep_pace(struct ingest_run *run, uint64_t octets, struct err *err);

/*
 * The beat of a connection (client.h): the job is prolonged. False, besides failures of the archive: the source
 * has been silent since the last beat, the slice is over and others wait: the connection is given up. The run has
 * yielded if anything came in this slice, and otherwise fails as by a time-out. Not within a message over
 * LIMIT_BATCH_BYTES, when the database may not be asked.
 */
MUST_USE bool ingest_bear_with(struct ingest_run *run, const struct ingest_client *client,
                               struct err *err);

/* May more be asked for? False: run->rest says why not, and *why is for the way out. */
MUST_USE bool ingest_may_go_on(void *run, struct err *why);

/* When a run that rests for its budget goes on: the next day, or at once if that has begun meanwhile. */
MUST_USE bool ingest_end_of_rest(struct ingest_run *run, int64_t *in_seconds, struct err *err);

/* Books what has come on the account's day. */
MUST_USE bool ingest_count_intake(struct ingest_run *run, struct err *err);
