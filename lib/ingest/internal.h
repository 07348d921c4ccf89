/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest/internal.h - a run and its mailboxes, for the files of ingest that carry it out.
 */
#pragma once

#include "base/arena.h"
#include "base/clock.h"
#include "base/secret.h"
#include "ingest/client.h"
#include "ingest/derive.h"
#include "ingest/enumerate.h"
#include "ingest/fetch.h"
#include "ingest/list.h"
#include "ingest/outcome.h"
#include "ingest/placeholder.h"
#include "ingest/run.h"
#include "source/identity.h"
#include "source/mailbox.h"
#include "vault/write.h"

enum {
    INGEST_RUN_ARENA_BYTES = 24 << 20,        /* names of mailboxes: 100,000 short ones */
    INGEST_MAILBOX_ARENA_BYTES = 4 << 20,     /* keyword names */
    INGEST_PAGE_ARENA_BYTES = 12 << 20,       /* known UIDs of one page, and what is new of them */
    INGEST_WINDOW_ARENA_BYTES = 20 << 20,     /* UIDs of one window as seen */
    INGEST_KNOWN_ROWS = 20000,                /* of one page of known UIDs */
    INGEST_VANISHED_RANGES = 1000,            /* in one statement */
    INGEST_LIST_AGAIN_SECONDS = 24 * 60 * 60, /* no longer by changes alone */
    INGEST_ANNOUNCE_UIDS = 10000,             /* in one statement */
    INGEST_BREAKS_PER_MAILBOX = 2, /* lost connections without progress: then the next mailbox */
    INGEST_BREAKS_PER_RUN = 50,
    INGEST_OTHERWISE_UIDS = 50,    /* of a page, asked for in other forms */
    INGEST_UID_RETRY_SECONDS = 60, /* doubled by each attempt (source_mark_failed) */
    INGEST_PLACEHOLDER_RETRY_SECONDS = 6 * 3600,
    INGEST_ARCHIVE_RETRY_SECONDS = 60,
    INGEST_REPORT_MS = 500,  /* progress to the job row, at most so often */
    INGEST_COMMIT_MS = 2000, /* a batch that fills slowly is committed all the same */
};

/* A mailbox of the run. */
struct ingest_target {
    const struct ingest_listed *listed;
    struct source_mailbox known; /* with its epoch, renewed as the run goes on */
    int breaks;                  /* connections lost within it, without progress */
    uint32_t suspect_uid;        /* whose octets the last of them broke off in; 0: none */
    bool is_epoch_new;           /* opened by this run */
    bool was_renamed;            /* found under another name by this run */
    bool is_sampled;             /* the epoch's messages are those we know */
    bool lists_all;              /* asking for changes came to nothing: every UID is listed */
    /* what was recognised had to come after all: nothing more is, in this run */
    bool was_denied;
    bool is_refuted;  /* some of what was recognised is pending again: begin anew */
    uint64_t fetched; /* in this run */
    uint64_t failed;  /* UIDs that this run had to leave pending */
};

/* Octets that come after all find their placements again in a later epoch only (vault/README 6): in the first
 * they would be placed a second time. */
static inline bool ingest_needs_second_epoch(const struct ingest_target *target)
{
    return target->known.epoch.number == 1 && target->known.denied > 0;
}

/* What was due was tried just now; what was not, this run knows nothing of. */
static inline bool ingest_is_whole(const struct ingest_target *target)
{
    return target->failed == 0 && target->known.pending == target->known.pending_due;
}

/* What earlier epochs had may not be marked as gone yet. */
static inline bool ingest_is_unsettled(const struct ingest_target *target)
{
    return target->known.epoch.number > 1 && !target->known.epoch.is_settled;
}

/* How far the source's ids of messages are used (identity.c). */
struct ingest_identities {
    enum ingest_identity kind;
    bool is_in_use;
    bool has_failed;  /* the trust in them ended during this run */
    bool has_sampled; /* the one that proves the scope */
    struct source_id_scope state;
};

struct ingest_crew;

enum ingest_state {
    INGEST_OFFLINE,
    INGEST_ONLINE,
    INGEST_READY,
    INGEST_DRAINING,
    INGEST_DONE
};

struct ingest_run {
    struct db *db;
    const struct ingest_settings *settings;
    const struct source_lease *lease;
    struct source_work work;
    struct source_identity identity; /* of the last login; secret NULL: none was asked for yet */
    struct arena *arena;             /* the run */
    struct arena *mailbox_arena;     /* the mailbox being drained */
    struct arena *window_arena;      /* a window of it, or a page of UIDs to fetch */
    struct arena *page_arena;        /* a page of what is known of the window */
    struct ingest_client *client;
    struct ingest_crew *crew; /* connections that help it (crew.h); NULL: none was needed yet */
    int32_t connections;      /* as the database counts them for the job */
    bool is_alone;            /* the source does not want more connections */
    struct vault_writer *writer;
    struct ingest_deriver *deriver; /* the writer's */
    enum ingest_state state;
    struct ingest_listing listing;
    bool has_listing;
    const int64_t *renamed_ids; /* mailboxes that this run found under other names */
    size_t renamed_count;
    struct ingest_target *targets;
    size_t target_count, target_at;
    int breaks;
    struct source_progress progress;
    struct deadline next_report, next_commit;
    uint8_t beginning[INGEST_PLACEHOLDER_BYTES]; /* of the message that arrives */
    size_t beginning_bytes;
    enum vault_doubt doubt; /* of what the sink gets now */
    uint32_t *placeholders; /* UIDs of the page that only came as such */
    size_t placeholder_count, placeholder_cap;
    struct ingest_rules rules; /* of the source, once its mailboxes are listed */
    struct ingest_identities identities;
    bool is_in_large;        /* the vault holds a transaction open: no other statement may run */
    bool has_archive_failed; /* the failure that is under way is the archive's, not the source's */
    bool was_stopped;        /* by stop_fd */
    bool was_refused;        /* the source asks us to come back later */
    enum source_rest rest;   /* other than NONE: nothing more is asked for (pace.h) */
    bool is_given_up;        /* the source was silent while others waited, or drips */
    bool has_come;           /* a message, in this slice */
    struct deadline slice_end;
    uint64_t daily_bytes;     /* 0: no budget */
    uint64_t today_bytes;     /* spent of it, as far as counted */
    uint64_t uncounted_bytes; /* came since */
    char first_failure[ERR_TEXT_BYTES];
};

/* Marks a failure as the archive's: ingest_archive(run, source_…(…)). */
static inline bool ingest_archive(struct ingest_run *run, bool is_done)
{
    if (!is_done)
        run->has_archive_failed = true;
    return is_done;
}

/* run.c: for CLEANUP; of an import, too. What was never opened is passed over. */
void ingest_clean_up(struct ingest_run *run);

/* archive.c: the vault as the sink of a fetch; commits; progress. */
MUST_USE bool ingest_open_writer(struct ingest_run *run, struct err *err);
struct ingest_sink ingest_make_sink(struct ingest_run *run);

/* Names of keywords as the database can hold them, in the arena, and behind them, when there is doubt about
 * the octets, our own. ERR_LIMIT. */
MUST_USE bool ingest_copy_keywords(const struct imap_flags *flags, bool is_doubtful,
                                   struct arena *arena, const struct bytes **out, struct err *err);
MUST_USE bool ingest_commit(struct ingest_run *run, struct err *err);

/* All that was sent is committed, and the connection is ours. What fails is tried once more. */
MUST_USE bool ingest_settle(struct ingest_run *run, struct err *err);

/* The connection is ours between two commits, although batches wait: nothing of the vault meanwhile. A
 * commit that fails is tried once more. Not within a large message. */
MUST_USE bool ingest_take_connection(struct ingest_run *run, struct err *err);
void ingest_give_connection(struct ingest_run *run);
MUST_USE bool ingest_report(struct ingest_run *run, bool is_urgent, struct err *err);

/* fact.c: what the source says of a message beside its octets. */
struct ingest_fact {
    bool is_told; /* false: it said nothing, or not all of this, or more than is kept */
    uint8_t flags;
    int16_t internal_zone;
    int64_t internal_usec;
    uint64_t size_bytes; /* RFC822.SIZE */
    struct bytes id;     /* empty: none */
    const struct bytes *keywords;
    size_t keyword_count;
};

/* UIDs ascending; *facts, in the window arena, has one for each. NULL: the server does not want to tell. */
MUST_USE bool ingest_ask_facts(struct ingest_run *run, const uint32_t *uids, size_t count,
                               enum ingest_identity identity, const struct ingest_fact **facts,
                               struct err *err);

/* Places a message whose octets are those of `known`. *is_placed false: it cannot be, its octets are wanted. */
MUST_USE bool ingest_place_fact(struct ingest_run *run, uint32_t uid,
                                const struct ingest_fact *fact, const struct vault_known *known,
                                bool *is_placed, struct err *err);

/*
 * recognise.c: messages of a new epoch that are archived already (ingest/README 25).
 *
 *   ingest_recognise, then a fetch of the sample into ingest_make_comparer, then ingest_place_recognised
 */
struct ingest_recognised {
    uint32_t uid;
    const struct ingest_fact *fact;
    struct vault_known known;
};

struct ingest_recognition {
    struct ingest_run *run;
    struct ingest_recognised *rows; /* ascending UIDs */
    size_t count;
    uint32_t *sample; /* UIDs of those that are to be compared before anything is placed */
    size_t sample_count;
    size_t equal, other; /* of the sample: what it was taken for, and not */
    struct crypto_hasher *hasher;
};

/* Which of these UIDs (ascending) of the epoch that is filled are archived, by all that can be known without
 * their octets. In the window arena; the page arena is used up. */
MUST_USE bool ingest_recognise(struct ingest_run *run, const struct source_epoch *epoch,
                               const uint32_t *uids, size_t count, struct ingest_recognition *out,
                               struct err *err);
void ingest_end_recognition(struct ingest_recognition *recognition); /* for CLEANUP */

/* Where the sample goes. */
struct ingest_sink ingest_make_comparer(struct ingest_recognition *recognition);

/* When all of the sample came, and was what it was taken for, all are placed, and *uids, *count become those that
 * are to be downloaded still. One that was other octets refutes the epoch (*is_refuted). */
MUST_USE bool ingest_place_recognised(struct ingest_run *run, struct ingest_target *target,
                                      const struct ingest_recognition *recognition,
                                      const uint32_t **uids, size_t *count, struct err *err);

/* identity.c. Begin: how far ids are used in this mailbox; nothing may be waiting for its commit. Check:
 * are they still trusted? */
MUST_USE bool ingest_begin_identities(struct ingest_run *run, struct err *err);
MUST_USE bool ingest_check_identities(struct ingest_run *run, struct err *err);

/* Places those of the UIDs that are known by their id; *uids and *count become the others (in the window
 * arena). All stay when the server does not tell, or nothing is known yet. */
MUST_USE bool ingest_place_known(struct ingest_run *run, const uint32_t **uids, size_t *count,
                                 struct err *err);

/* What the source calls the message; empty: nothing. */
MUST_USE bool ingest_copy_id(const struct imap_fetch_response *message, enum ingest_identity kind,
                             struct arena *arena, struct bytes *out, struct err *err);

/* What the source calls a message that arrives with its octets. */
MUST_USE bool ingest_describe_identity(const struct ingest_run *run,
                                       const struct imap_fetch_response *message,
                                       struct arena *arena, struct vault_identity *out,
                                       struct err *err);

/* Of a struct ingest_run *: the source is slow, the job is still ours. */
MUST_USE bool ingest_prolong_lease(void *context, struct err *err);

/* window.c: what the enumeration showed, made known. *is_replaced: the UIDs stand for other messages
 * now (a source without UIDVALIDITY): open a new epoch and begin again. */
MUST_USE bool ingest_apply_window(struct ingest_run *run, struct ingest_target *target,
                                  const struct ingest_enumeration *window, uint32_t first,
                                  uint32_t last, struct ingest_selected *selected,
                                  struct ingest_names *names, bool *is_replaced, struct err *err);

/* The same for what changed since the last enumeration. */
MUST_USE bool ingest_apply_changes(struct ingest_run *run, struct ingest_target *target,
                                   const struct ingest_changes *changes,
                                   struct ingest_selected *selected, struct ingest_names *names,
                                   struct err *err);

/* UIDs (ascending) that may have vanished: asks once more, and marks those that have. present: NULL,
 * or set to those that are still there (in the arena). */
MUST_USE bool ingest_mark_vanished(struct ingest_run *run, struct ingest_target *target,
                                   const uint32_t *uids, const uint32_t *placement_uids,
                                   size_t count, struct ingest_selected *selected,
                                   const uint32_t **present, size_t *present_count,
                                   struct arena *arena, struct err *err);

/* settle.c: behind the last message of a mailbox, marks what is archived of it and is not there any more. A run that
 * did not come so far leaves it to the next one (is_settled). */
MUST_USE bool ingest_settle_epoch(struct ingest_run *run, const struct ingest_target *target,
                                  struct err *err);

/* probe.c: the listing as the operator will see it. */
MUST_USE bool ingest_save_probe(struct ingest_run *run, struct err *err);

/* drain.c: one mailbox from EXAMINE to its last message. */
MUST_USE bool ingest_drain_mailbox(struct ingest_run *run, struct ingest_target *target,
                                   struct err *err);
