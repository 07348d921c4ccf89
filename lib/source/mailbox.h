/* SPDX-License-Identifier: Apache-2.0 */
/*
 * source/mailbox.h - mailboxes of an account, their source epochs, and what became of each UID.
 *
 * What changes something is one transaction under the lease (its first statement is renew_job) and
 * fails with ERR_DENIED when the lease is lost. That octets arrived is not told here: the vault
 * makes a UID 'stored' in the transaction that makes its octets durable.
 *
 *   (a UID nobody enumerated) --source_announce--> pending, in a range
 *                                                  pending --vault commit--> stored
 *                                                  pending --source_mark_gone--> gone
 *                                                  pending --source_mark_failed--> pending, later
 *   stored --source_mark_gone--> stored, with gone_at set
 *
 * For holdfast-ingest. One connection, one thread.
 */
#pragma once

#include "base/arena.h"
#include "base/bytes.h"
#include "base/err.h"
#include "source/lease.h"

struct db;

/* ---- mailboxes ---- */

struct source_epoch {
    int32_t number;       /* our own counter, from 1; 0: the mailbox was never selected */
    uint32_t uidvalidity; /* 0: the source gives none */
    uint64_t uidnext;     /* every UID below it was enumerated */
    uint64_t highestmodseq;
    uint64_t exists;         /* at the last enumeration */
    int64_t enumerated_usec; /* 0: never to the end */
    /* source_work.started_usec of the run that did; 0: none that may rest on it */
    int64_t enumerated_in_usec;
    int64_t listed_usec; /* when that showed every UID, not only what had changed; 0: never */
    bool is_doubtful;    /* filled by ids of the source that are not trusted any more */
    bool recognises;     /* may show what is archived already, and is not whole yet */
    /* was whole once, and what earlier epochs had and it has not is marked as gone */
    bool is_settled;
    bool is_refuted; /* source_refute_epoch began; it may not have come to its end */
};

struct source_mailbox {
    int64_t mailbox_id;
    struct bytes wire_name, path;
    struct bytes object_id; /* MAILBOXID; empty: not known */
    bool is_noselect;
    bool is_gone;
    struct source_epoch epoch; /* the open one */
    uint64_t pending;          /* UIDs of it that are not archived */
    uint64_t pending_due;      /* of those: whose next try is due */
    uint64_t denied;           /* of those: that were recognised, and are to come after all */
};

struct source_mailbox_list {
    const struct source_mailbox *rows; /* INBOX first, then by path */
    size_t count;
};

/* All mailboxes of the account, also those that are gone; the vault makes and marks them. */
MUST_USE bool source_load_mailboxes(struct db *db, const struct source_lease *lease,
                                    struct arena *arena, struct source_mailbox_list *out,
                                    struct err *err);

/* What the list of mailboxes leaves out now, all of it; what was left out before and is not here has
 * ended. since_usec is not read. */
MUST_USE bool source_record_left_out(struct db *db, const struct source_lease *lease,
                                     const struct source_left_out_mailbox *mailboxes, size_t count,
                                     struct arena *arena, struct err *err);

/* Names of the mailbox's keywords by number; empty where a number is not in use. */
struct source_keywords {
    const struct bytes *names;
    size_t count;
};
MUST_USE bool source_load_keywords(struct db *db, const struct source_lease *lease,
                                   int64_t mailbox_id, struct arena *arena,
                                   struct source_keywords *out, struct err *err);

/* What a test of the account saw, all of it: source_load_listing gives it. */
MUST_USE bool source_save_listing(struct db *db, const struct source_lease *lease,
                                  const struct source_listed *rows, size_t count,
                                  struct arena *arena, struct err *err);

/* ---- epochs ---- */

/* Closes the open epoch of the mailbox, if there is one, and opens the next. UIDs that were pending in
 * the closed one can be asked for no more: they become 'gone', with that as their error. Many statements, if
 * there were many; a failure may leave some of them 'gone' and the epoch open, and the call is made again. */
MUST_USE bool source_open_epoch(struct db *db, const struct source_lease *lease, int64_t mailbox_id,
                                uint32_t uidvalidity, struct source_epoch *out, struct err *err);

/* The source does not list the mailbox any more: what is pending in it becomes 'gone', with that as its error, in
 * steps as above. Should the mailbox be there again, with the same UIDs, they are pending again. */
MUST_USE bool source_abandon_mailbox(struct db *db, const struct source_lease *lease,
                                     int64_t mailbox_id, struct err *err);

/* It recognises nothing, from now on. */
MUST_USE bool source_expect_octets(struct db *db, const struct source_lease *lease,
                                   int64_t mailbox_id, int32_t epoch, struct err *err);

/* Every UID of it is archived, and what earlier epochs had and it has not is marked as gone: from now on it is
 * settled and recognises nothing. Nothing happens if a UID became pending meanwhile. */
MUST_USE bool source_note_whole(struct db *db, const struct source_lease *lease, int64_t mailbox_id,
                                int32_t epoch, struct err *err);

/* Octets that came were not those that they had been taken for: what of the epoch was recognised by its
 * header is pending again, and nothing more is recognised in it. Many statements, if there was much; what a failure
 * leaves is made up for by calling again. */
MUST_USE bool source_refute_epoch(struct db *db, const struct source_lease *lease,
                                  int64_t mailbox_id, int32_t epoch, struct err *err);

struct source_enumeration {
    uint64_t uidnext; /* over every UID that was enumerated */
    uint64_t exists;
    uint64_t highestmodseq; /* 0: none */
    bool is_listed;         /* every UID was shown; false: what had changed, and the count agreed */
};

/* Records that the whole mailbox was enumerated; keeps enumerated_at and longest_gap. */
MUST_USE bool source_finish_enumeration(struct db *db, const struct source_lease *lease,
                                        int64_t mailbox_id, int32_t epoch,
                                        const struct source_enumeration *enumeration,
                                        struct err *err);

/* The same for mailboxes that the source proved to be unchanged since their last enumeration. */
MUST_USE bool source_finish_unchanged(struct db *db, const struct source_lease *lease,
                                      const int64_t *mailbox_ids, size_t count, struct err *err);

/* ---- UIDs ---- */

enum source_uid_state {
    SOURCE_UID_STORED,
    SOURCE_UID_PENDING,
    SOURCE_UID_GONE,
    SOURCE_UID_SKIPPED,
};

struct source_known {
    uint32_t uid;
    enum source_uid_state state;
    uint8_t flags;          /* IMAP_FLAG_*, of the placement */
    bool is_gone;           /* no longer at the source, as far as we know */
    bool is_due;            /* pending: may be tried now */
    int32_t attempts;       /* pending */
    uint32_t placement_uid; /* stored, or what stands in for the original; 0: none */
    struct bytes keywords;  /* bitmap of the placement: keyword n is bit n % 8 of octet n / 8 */
    int64_t internal_usec;  /* INTERNALDATE of the placement */
};

struct source_window {
    const struct source_known *rows; /* ascending UIDs */
    size_t count;
};

/* What is known of the UIDs first … last of an epoch: the first max of them that are known. */
MUST_USE bool source_load_window(struct db *db, const struct source_lease *lease,
                                 int64_t mailbox_id, int32_t epoch, uint32_t first, uint32_t last,
                                 size_t max, struct arena *arena, struct source_window *out,
                                 struct err *err);

/* The same for `count` UIDs (ascending): those of them that are known. */
MUST_USE bool source_load_known(struct db *db, const struct source_lease *lease, int64_t mailbox_id,
                                int32_t epoch, const uint32_t *uids, size_t count,
                                struct arena *arena, struct source_window *out, struct err *err);

/* UIDs of the epoch that the source has, as far as we know (archived or not). */
struct source_present {
    const uint32_t *uids;           /* ascending */
    const uint32_t *placement_uids; /* of each; 0: not archived */
    size_t count;
};

struct source_uid_range {
    uint32_t first, last; /* both included */
};

/* Those over `after` within the ranges (disjoint, ascending): the first max of them. */
MUST_USE bool source_load_present(struct db *db, const struct source_lease *lease,
                                  int64_t mailbox_id, int32_t epoch,
                                  const struct source_uid_range *ranges, size_t range_count,
                                  uint32_t after, size_t max, struct arena *arena,
                                  struct source_present *out, struct err *err);

/* How many there are in all. */
MUST_USE bool source_count_present(struct db *db, const struct source_lease *lease,
                                   int64_t mailbox_id, int32_t epoch, uint64_t *out,
                                   struct err *err);

enum {
    SOURCE_SAMPLE_MAX = 10
};

/* A message of the epoch that we have: what tells it from another under the same UID. */
struct source_sample {
    size_t count;
    uint32_t uids[SOURCE_SAMPLE_MAX]; /* ascending */
    int64_t internal_usec[SOURCE_SAMPLE_MAX];
    uint64_t size_bytes[SOURCE_SAMPLE_MAX];
};

/* The first and the last few. */
MUST_USE bool source_load_sample(struct db *db, const struct source_lease *lease,
                                 int64_t mailbox_id, int32_t epoch, struct source_sample *out,
                                 struct err *err);

/* Pending UIDs of the epoch that are due, ascending, over `after`, at most max. */
MUST_USE bool source_load_pending(struct db *db, const struct source_lease *lease,
                                  int64_t mailbox_id, int32_t epoch, uint32_t after, size_t max,
                                  struct arena *arena, const uint32_t **uids, size_t *count,
                                  struct err *err);

/* Some of the mailbox's placements, by their archive UIDs: those that are not known to be gone and that no UID of
 * the epoch stands for. After a complete epoch that is not the first, these vanished at the source. */
struct source_orphans {
    const uint32_t *uids; /* ascending */
    size_t count;
    uint32_t through; /* placements were looked at up to here; 0: there are no more */
};

/* Looks at the first max placements over `after`. None while a UID of the epoch is pending. */
MUST_USE bool source_load_orphans(struct db *db, const struct source_lease *lease,
                                  int64_t mailbox_id, int32_t epoch, uint32_t after, size_t max,
                                  struct arena *arena, struct source_orphans *out, struct err *err);

/* Archive UIDs of what stood in for originals that are stored by now, the first few. */
MUST_USE bool source_load_superseded(struct db *db, const struct source_lease *lease,
                                     int64_t mailbox_id, struct arena *arena, const uint32_t **uids,
                                     size_t *count, struct err *err);

/* Which of these UIDs are pending with this very error, of an attempt before. Ascending. */
MUST_USE bool source_load_failed_alike(struct db *db, const struct source_lease *lease,
                                       int64_t mailbox_id, int32_t epoch, const uint32_t *uids,
                                       size_t count, struct bytes error, struct arena *arena,
                                       const uint32_t **alike, size_t *alike_count,
                                       struct err *err);

/* Records newly enumerated UIDs as pending, before anything is fetched: as ranges, until more is known of one
 * than that (README 1). Known ones stay as they are. uids: ascending. */
MUST_USE bool source_announce(struct db *db, const struct source_lease *lease, int64_t mailbox_id,
                              int32_t epoch, const uint32_t *uids, size_t count,
                              const struct source_progress *progress, struct err *err);

/* These are proved to be at the source no more (or, again: is_gone false). Only source_uid rows; the
 * placements of stored ones are the vault's (vault_record_changes). */
MUST_USE bool source_mark_gone(struct db *db, const struct source_lease *lease, int64_t mailbox_id,
                               int32_t epoch, const uint32_t *uids, size_t count, bool is_gone,
                               struct err *err);

struct source_uid_failure {
    uint32_t uid;
    struct bytes error;       /* one line, no content of the message */
    int64_t retry_in_seconds; /* doubled for each attempt before, at most a day */
};

MUST_USE bool source_mark_failed(struct db *db, const struct source_lease *lease,
                                 int64_t mailbox_id, int32_t epoch,
                                 const struct source_uid_failure *failures, size_t count,
                                 struct err *err);
