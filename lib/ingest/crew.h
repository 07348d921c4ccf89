/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest/crew.h - further connections to the source, which help the first one of a run to fetch a large mailbox.
 *
 * A helper is a thread with a connection of its own. It EXAMINEs the mailbox, takes UIDs of the page from the
 * share (share.h), and gives messages over through its lane (lane.h). All else stays with the first connection:
 * what is there, what cannot be had, when the page is done. So a helper can only bring octets; whatever
 * happens to it, the run goes on without it.
 *
 *   NEW --come--> IDLE --work--> IDLE          any --the connection fails, or the crew is dismissed--> GONE
 *
 *   NEW: waits until it is worth while, asks the database for one more connection of the account and its
 *        host, and logs in. One helper at a time is new: the crew grows as long as the writer has time.
 *   IDLE: connected, waits for a page.
 *
 * The first connection's thread calls these; nothing of the crew is at work between two calls of
 * ingest_fetch_together, but a new helper may be connecting.
 */
#pragma once

#include "ingest/internal.h"
#include "ingest/set.h"

enum {
    INGEST_CREW_UIDS = 2 * INGEST_SET_UIDS, /* of a page: fewer are not worth a login */
    INGEST_CONNECTIONS_MAX = 8,             /* of a run, whatever the account may have */
};

/* Is this page one to be shared? uidvalidity 0: UIDs mean something within one connection only. */
bool ingest_is_for_crew(const struct ingest_run *run, size_t uids, uint32_t uidvalidity);

/*
 * As ingest_fetch by peeking, of the mailbox that the first connection has selected, with all the help that
 * may be had.
 */
MUST_USE bool ingest_fetch_together(struct ingest_run *run, const struct ingest_target *target,
                                    uint32_t uidvalidity, struct ingest_share *share,
                                    struct ingest_fetch_result *result, struct err *err);

/* A mailbox is done. When it needed no help, the connections are given back. */
MUST_USE bool ingest_rest_crew(struct ingest_run *run, struct err *err);

/* Every helper's connection is closed. Nothing if there is none. */
void ingest_dismiss_crew(struct ingest_run *run);

/* The beat of the first connection; context: the struct ingest_run. */
MUST_USE bool ingest_beat(void *run, struct err *err);
