/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest/enumerate.h - what the selected mailbox says of itself: EXAMINE, its UIDs and flags.
 *
 * Only a tagged OK makes what came before it true; all else teaches nothing. One thread.
 */
#pragma once

#include "base/arena.h"
#include "ingest/client.h"
#include "ingest/diff.h"

/* The selected mailbox. exists changes with every untagged EXISTS and EXPUNGE. */
struct ingest_selected {
    uint32_t uidvalidity; /* 0: the source gives none, or says that UIDs do not stick */
    uint32_t uidnext;     /* 0: not given */
    uint64_t exists;
    uint64_t highestmodseq; /* 0: none */
};

/* EXAMINE, never SELECT; before the first one ENABLE QRESYNC, where it is offered. ERR_ABSENT: this mailbox cannot be opened, the connection stays good. */
MUST_USE bool ingest_examine(struct ingest_client *client, struct bytes wire_name,
                             struct ingest_selected *out, struct err *err);

struct ingest_enumeration {
    struct ingest_seen *seen; /* ascending, distinct; keyword numbers are those of names */
    size_t count;
};

/*
 * UID FETCH first:last (UID FLAGS); last 0: "*". with_date: INTERNALDATE too. UIDs outside of the
 * range and responses without UID are passed over. ERR_ABSENT: the server said NO or BAD;
 * ERR_RETRY also when it speaks of load (ingest_was_refused). ERR_LIMIT: over the arena's ceiling.
 */
MUST_USE bool ingest_enumerate(struct ingest_client *client, uint32_t first, uint32_t last,
                               bool with_date, struct ingest_selected *selected,
                               struct ingest_names *names, struct arena *arena,
                               struct ingest_enumeration *out, struct err *err);

/* What changed since a MODSEQ (RFC 7162). */
struct ingest_changes {
    struct ingest_enumeration seen; /* new messages, and those whose flags changed */
    struct imap_set vanished;       /* only with QRESYNC; may name UIDs that nobody ever saw */
    bool is_doubtful;               /* some responses could not be read: list all */
};

/*
 * UID FETCH 1:4294967295 (UID FLAGS) (CHANGEDSINCE since_modseq [VANISHED]). Errors as of
 * ingest_enumerate; ERR_LIMIT (more changes than the arena holds) leaves the connection unusable.
 */
MUST_USE bool ingest_ask_changes(struct ingest_client *client, uint64_t since_modseq,
                                 struct ingest_selected *selected, struct ingest_names *names,
                                 struct arena *arena, struct ingest_changes *out, struct err *err);

/* Is there an INTERNALDATE that the archive can hold? The others are as good as none: a date before
 * all time (year 1 is what some servers say for "unknown") must not lose the message. */
bool ingest_has_date(const struct imap_fetch_response *message);

/* How many messages of a sample the source shows as they were, and how many with another INTERNALDATE and another
 * size: UID FETCH set (UID INTERNALDATE RFC822.SIZE). One of the two alone is a server's inaccuracy. */
MUST_USE bool ingest_compare_sample(struct ingest_client *client,
                                    const struct source_sample *sample,
                                    struct ingest_selected *selected, size_t *same, size_t *other,
                                    struct err *err);

/* The largest UID, 0 when there is none: UID FETCH * (UID). */
MUST_USE bool ingest_find_top(struct ingest_client *client, struct ingest_selected *selected,
                              uint32_t *top, struct err *err);

/*
 * Which of these UIDs (ascending) the source still has: UID SEARCH UID set. present: room for `count`,
 * ascending.
 */
MUST_USE bool ingest_confirm(struct ingest_client *client, const uint32_t *uids, size_t count,
                             struct ingest_selected *selected, uint32_t *present,
                             size_t *present_count, struct err *err);
