/* SPDX-License-Identifier: Apache-2.0 */
/*
 * source/watch.h - watches as their watcher holds them: mailboxes whose news make an account's sync due.
 *
 *   DUE --source_claim_watches--> HELD --source_renew_watches, all together--> HELD
 *   HELD --source_finish (lease.h)--> DUE later        HELD --time-out, pause, edit--> lost
 *
 * A hint only: schedules go on, and nothing depends on a watch. For holdfast-watch, on a connection of
 * holdfast-ingest's role. One connection, one thread.
 */
#pragma once

#include "source/lease.h"

enum {
    SOURCE_WATCH_LEASE_SECONDS = 180,
    SOURCE_WATCHES_AT_ONCE = 64, /* jobs of one claim */
};

/* A mailbox, for which a connection is granted. Several of an account share its job, hence its lease. */
struct source_watch {
    struct source_lease lease; /* source_load_work and source_get_secret take it */
    struct bytes source_name;  /* of the mailbox, as on the wire; in the arena */
};

struct source_watch_list {
    const struct source_watch *rows;
    size_t count;
};

/* host_connections: see source_claim_job. */
MUST_USE bool source_claim_watches(struct db *db, struct bytes owner, int32_t host_connections,
                                   struct arena *arena, struct source_watch_list *out,
                                   struct err *err);

/* Jobs that are still held, in ascending order, in the arena. */
MUST_USE bool source_renew_watches(struct db *db, const int64_t *job_ids, const int64_t *fences,
                                   size_t count, struct arena *arena, const int64_t **held,
                                   size_t *held_count, struct err *err);

/* There is news: the account's sync is due now, unless it rests or backs off. *is_told false: not yet, since its
 * worker is in the middle of a transaction; ask again. ERR_DENIED: lease lost. */
MUST_USE bool source_wake_account(struct db *db, const struct source_lease *lease, bool *is_told,
                                  struct err *err);
