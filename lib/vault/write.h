/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/write.h - the one way in: mailboxes, messages and their changes, as ingest finds them.
 *
 * A writer borrows one connection and works for one account under one job's fence: every
 * transaction first renews the job, and when somebody else holds it meanwhile nothing is written and
 * the call fails with ERR_DENIED "lease lost". One thread at a time; threads of its own derive from,
 * compress and commit batches while the caller fills the next one (vault/line.h).
 *
 *     vault_open_writer(db, &lease, &deriver, &writer, err)
 *     vault_open_mailbox(writer, &found, &mailbox_id, err)
 *     vault_begin_batch(writer, mailbox_id, epoch, err)
 *       for each FETCH answer:
 *         vault_begin_message(writer, literal.size_bytes, err)
 *         vault_write_message(writer, octets, err) …
 *         vault_end_message(writer, &arrival, err)          or vault_abort_message(writer)
 *     vault_commit_batch(writer, &counts, err)
 *
 * A batch that is full is sent by vault_begin_message: handed to the writer's threads, without waiting
 * for them as long as there is room. The connection and the deriver are theirs until vault_commit_batch,
 * vault_settle_batch or vault_close_writer, which wait for all that was sent.
 *
 *     CLOSED --vault_begin_batch--> FILLING --vault_begin_message--> IN_MESSAGE
 *     IN_MESSAGE --vault_end_message, vault_abort_message--> FILLING
 *     FILLING --vault_commit_batch--> FILLING (empty)
 *     any --vault_begin_batch--> FILLING: what was not committed is forgotten
 *
 * Exactly once: what became of a source UID is decided in the transaction that stores it. A UID that
 * is already stored never gets a second placement, so after a crash, or an ERR_RETRY whose outcome
 * is unknown, the caller simply fetches and commits again (vault/README.md 2).
 *
 * Memory: 24 MiB, at worst 36 (vault/line.h), what three derivers hold, and about 12 MiB, whatever the size of
 * a message.
 */
#pragma once

#include "base/bytes.h"
#include "base/err.h"
#include "store/frame.h"
#include "vault/flag.h"
#include "vault/recognition.h"

struct db;
struct vault_writer;

/* While a large message comes the server is asked so often, between octets, whether the job is still ours. */
enum {
    VAULT_LARGE_ASK_MS = 5000
};

struct vault_lease {
    int64_t account_id;
    int64_t job_id;
    int64_t fence;
    int64_t lease_ms; /* every transaction prolongs the job by this much */
};

/*
 * What is derived from the octets of a message: its row of message_index. Texts are UTF-8 without
 * NUL. ptr NULL: none.
 */
struct vault_index {
    int32_t parser_version;
    uint64_t header_bytes;
    /* of the header's octets; NULL: without a Message-ID, or too many to be kept */
    struct bytes header_sha256;
    bool has_date;
    int64_t date_usec; /* outside the years 1 to 9999 it is not stored */
    int64_t
        date_day; /* the date as it was written, days since 1970; not stored without date_usec */
    bool has_attachment;
    struct bytes message_id;
    const struct bytes *references;
    size_t reference_count;
    struct bytes subject, from, to, cc, bcc;
    struct bytes structure, envelope, bodystructure;
    struct bytes notes; /* a JSON array; not NULL */
    /* search text (text/record.h); NULL: longer than TEXT_RECORD_MAX, or not made */
    struct bytes text;
    uint32_t text_notes; /* TEXT_NOTE_*: what of the message that text does not hold */
};

/*
 * Derives: begin, octets …, end for each message whose octets are new, in any order; a begin without
 * an end is a message that was given up or turned out to be known. None can fail, whatever the
 * octets are. *out and all in it are borrowed until the next begin.
 */
struct vault_deriver {
    void *context;
    void (*begin)(void *context);
    void (*octets)(void *context, struct bytes octets);
    void (*end)(void *context, struct vault_index *out);
    /* By who derives for several accounts, before the messages of each; may be NULL. */
    void (*use_account)(void *context, bool is_journal);
    /* Another that derives the same, to be used on the calling thread, and its end. NULL: there is only this
     * one, and all is derived within transactions. */
    struct vault_deriver (*make_another)(const void *context);
    void (*free_another)(void *context);
};

/* deriver: copied, called by one thread at a time but for make_another; NULL: no index is written, and messages count as not
 * yet parsed. */
MUST_USE bool vault_open_writer(struct db *db, const struct vault_lease *lease,
                                const struct vault_deriver *deriver, struct vault_writer **out,
                                struct err *err);

/* Rolls back what is open. What was sent ends first. */
void vault_close_writer(struct vault_writer **writer);

/* ---- mailboxes ----------------------------------------------------------------------------- */

/* A mailbox as the source lists it. */
struct vault_listed {
    struct bytes source_name; /* as on the wire; empty: not of a source, but of files (an import) */
    struct bytes delimiter;   /* empty: NIL */
    struct bytes path;        /* UTF-8, "/" between levels (imap_path_from_source); identifies it */
    struct bytes special_use; /* "\Sent"; empty: none */
    struct bytes object_id;   /* MAILBOXID (RFC 8474); empty, or no vault_is_identity: not told */
    bool is_noselect;
};

/*
 * Finds or creates each by its path, in one transaction; one that was gone is there again. mailbox_ids
 * gets `count` numbers, in the order given: 0 for a path that is a source's and is asked for by an import, or
 * the other way round. Does not wait for other transactions once all exist
 * and nothing about them changed.
 */
MUST_USE bool vault_open_mailboxes(struct vault_writer *writer, const struct vault_listed *listed,
                                   size_t count, int64_t *mailbox_ids, struct err *err);

MUST_USE bool vault_open_mailbox(struct vault_writer *writer, const struct vault_listed *listed,
                                 int64_t *mailbox_id, struct err *err);

/*
 * Mailboxes that the source renamed: ids[i] is called listed[i] now. It keeps UIDVALIDITY, UIDs and messages, and its
 * former path is noted. No other mailbox may have one of the paths, unless it is renamed too. One transaction.
 */
MUST_USE bool vault_rename_mailboxes(struct vault_writer *writer, const int64_t *ids,
                                     const struct vault_listed *listed, size_t count,
                                     struct err *err);

/* After a complete LIST: every other mailbox of the account that is a source's is marked gone. Nothing is deleted.
 * newly_gone: NULL, or set to how many there were. */
MUST_USE bool vault_mark_unlisted(struct vault_writer *writer, const int64_t *listed_ids,
                                  size_t count, uint64_t *newly_gone, struct err *err);

/* ---- messages ------------------------------------------------------------------------------ */

/* May the octets be others than the original ones? */
enum vault_doubt {
    VAULT_ORIGINAL,
    VAULT_REASSEMBLED, /* put together from the pieces that the source gave */
    VAULT_PLACEHOLDER, /* a text that the server made in place of the message */
    VAULT_EMPTY,       /* no octets, where the source counts some */
};

enum {
    VAULT_IDENTITY_BYTES = 255, /* RFC 8474 §7: objectid */
    VAULT_LABELS_BYTES = 1000,  /* of one message; a row stays under 2 KB */
};

/* What the source calls a message. */
struct vault_identity {
    struct bytes id;     /* empty, or no vault_is_identity: none */
    struct bytes thread; /* likewise */
    /* UTF-8 without NUL, one a line; empty, or over VAULT_LABELS_BYTES: none */
    struct bytes labels;
};

/* 1 to VAULT_IDENTITY_BYTES visible ASCII characters. Pure. */
bool vault_is_identity(struct bytes id);

/* What the source said about a message, beside its octets. All borrowed for the call. */
struct vault_arrival {
    uint32_t source_uid;
    int64_t internal_usec; /* INTERNALDATE */
    int16_t internal_zone; /* its zone, minutes east of UTC */
    uint8_t flags;         /* VAULT_FLAG_* */
    /*
     * Without regard to ASCII case; not \Recent. One over LIMIT_KEYWORD_BYTES, not UTF-8 or with a
     * NUL, or beyond LIMIT_KEYWORDS_PER_MAILBOX names, is dropped and counted: the message counts more.
     */
    const struct bytes *keywords;
    size_t keyword_count;
    enum vault_doubt doubt; /* REASSEMBLED, PLACEHOLDER: the source UID stays pending (README 6a) */
    struct vault_identity identity; /* kept when the writer uses identities */
};

/* Can it be stored? Years 1 to 9999 in any zone; a zone of at most a day. Pure. */
bool vault_is_date(int64_t internal_usec, int16_t internal_zone);

struct vault_counts {
    uint64_t messages;         /* messages that were given and committed */
    uint64_t octets;           /* of them */
    uint64_t placed;           /* new placements */
    uint64_t new_messages;     /* of them, octets that the account did not have */
    uint64_t matched;          /* found again in a new source epoch: no new placement */
    uint64_t repeated;         /* source UIDs that were stored before: nothing was done */
    uint64_t new_octets;       /* sum of sizes of new_messages */
    uint64_t stored_octets;    /* of their frames */
    uint64_t keywords_dropped; /* that cannot be recorded: see vault_arrival */
};

/* epoch: of source_epoch, whose row must exist. Rows of source_uid may exist ("pending") or not. */
MUST_USE bool vault_begin_batch(struct vault_writer *writer, int64_t mailbox_id, int32_t epoch,
                                struct err *err);

/*
 * announced_bytes: size of the literal. When it does not fit the batch, the messages before it are
 * sent first, and there may be a wait for room: a failure may be that of any batch sent before, and all are
 * kept as by vault_commit_batch (ERR_RETRY: the same call may be made again). Over LIMIT_BATCH_BYTES all before
 * it is committed, and it gets a transaction of its own, open until vault_end_message, which commits
 * it: the connection is the writer's alone meanwhile. ERR_LIMIT: over LIMIT_MESSAGE_BYTES; the batch
 * stays.
 */
MUST_USE bool vault_begin_message(struct vault_writer *writer, uint64_t announced_bytes,
                                  struct err *err);

/* ERR_LIMIT: more than announced. After a failure call vault_abort_message. */
MUST_USE bool vault_write_message(struct vault_writer *writer, struct bytes octets,
                                  struct err *err);

/*
 * ERR_SYNTAX: fewer octets than announced, or an arrival that cannot be stored (UID 0, no
 * vault_is_date): the message is forgotten, the batch stays.
 * ERR_LIMIT: more than LIMIT_KEYWORDS_PER_MAILBOX keywords: likewise.
 * A message that has a transaction of its own is committed by this call; any failure then (ERR_RETRY,
 * ERR_DENIED) means that it is forgotten, and may be fetched again.
 */
MUST_USE bool vault_end_message(struct vault_writer *writer, const struct vault_arrival *arrival,
                                struct err *err);

/* Forgets the message that was begun; earlier ones of the batch stay. Nothing when none was begun. */
void vault_abort_message(struct vault_writer *writer);

/*
 * Waits for all that was sent, so that the connection is free for statements of others; messages
 * in progress go on. Failure: as of vault_commit_batch. Not within a message over LIMIT_BATCH_BYTES.
 */
MUST_USE bool vault_settle_batch(struct vault_writer *writer, struct err *err);

/*
 * Between two transactions, so that the connection is free for a statement of others although batches
 * wait: at most one transaction is waited for, and all else goes on. No other call of this header but
 * vault_take_counts before vault_resume_commits. Failure: as of vault_commit_batch, and nothing is to be
 * resumed. Not within a message over LIMIT_BATCH_BYTES.
 */
MUST_USE bool vault_pause_commits(struct vault_writer *writer, struct err *err);
void vault_resume_commits(struct vault_writer *writer);

bool vault_batch_is_full(const struct vault_writer *writer);

/* Messages that are not known to be committed. */
size_t vault_batch_messages(const struct vault_writer *writer);

/* Sends the batch although it is not full, without waiting for it; nothing when it is empty. Failure: of a
 * batch before it, as of vault_commit_batch. */
MUST_USE bool vault_send_batch(struct vault_writer *writer, struct err *err);

/* Of everything that is known to be committed and was not yet told, here or by vault_commit_batch. */
struct vault_counts vault_take_counts(struct vault_writer *writer);

/*
 * Commits; nothing when the batch is empty. counts: of everything committed since the previous
 * successful call (or vault_begin_batch), also by vault_begin_message and vault_end_message.
 * Failure: nothing of it is in the archive (after ERR_RETRY perhaps all of it), and the batch is kept:
 * call again after db_reset_if_broken, or drop it with vault_begin_batch.
 */
MUST_USE bool vault_commit_batch(struct vault_writer *writer, struct vault_counts *counts,
                                 struct err *err);

/* ---- messages known by what their source calls them ------------------------------------------ */

/*
 * From here on identities of arrivals are kept, within this scope (source/identity.h); 0: none are. One
 * that arrives with other octets than before ends the trust in its scope, in the transaction that stores
 * them. Nothing may be waiting.
 */
void vault_use_identities(struct vault_writer *writer, int32_t scope);

struct vault_known {
    bool is_known;
    enum vault_recognition by; /* recorded with the source UID */
    struct crypto_sha256 sha256;
    uint64_t size_bytes;
};

/* What is archived under these ids: known has `count` rows, in their order. One look-up for all; what
 * waits is settled first. Failure: as of vault_commit_batch. */
MUST_USE bool vault_find_known(struct vault_writer *writer, const struct bytes *identities,
                               size_t count, struct vault_known *known, struct err *err);

/* An archived message that may be shown again in the batch's epoch. */
struct vault_alike {
    int64_t internal_usec;
    uint64_t size_bytes;
    struct crypto_sha256 header_sha256;
    struct crypto_sha256 sha256;
};

/* Those of the mailbox, and of all mailboxes that ever had this UIDVALIDITY, that were received at first_usec
 * to last_usec, as originals; in no order, a message for each of its placements. What waits is settled first. */
typedef bool vault_alike_fn(void *context, const struct vault_alike *alike, struct err *err);
MUST_USE bool vault_walk_alike(struct vault_writer *writer, uint32_t uidvalidity,
                               int64_t first_usec, int64_t last_usec, vault_alike_fn *fn,
                               void *context, struct err *err);

/* A message without its octets, which are those of `known`. May send the batch, as vault_begin_message
 * does. Failures: as of vault_end_message. */
MUST_USE bool vault_place_known(struct vault_writer *writer, const struct vault_known *known,
                                const struct vault_arrival *arrival, struct err *err);

/* ---- changes at the source ------------------------------------------------------------------ */

/* What the source says now about a message that is archived. */
struct vault_change {
    uint32_t uid;  /* of the archive: placement.uid, source_uid.placement_uid */
    bool is_gone;  /* vanished; flags and keywords are not read then, those last seen stay */
    uint8_t flags; /* VAULT_FLAG_* */
    const struct bytes *keywords;
    size_t keyword_count;
};

enum {
    VAULT_CHANGES_MAX = 10000
}; /* a call: one transaction that holds the mailbox row */

/*
 * One transaction. Those that change nothing leave no trace, so a caller may give all flags of a
 * mailbox; an unknown UID is passed over. changed: NULL, or set to how many did change.
 * ERR_LIMIT: more than VAULT_CHANGES_MAX. Not while a message is begun; a batch may be waiting.
 */
MUST_USE bool vault_record_changes(struct vault_writer *writer, int64_t mailbox_id,
                                   const struct vault_change *changes, size_t count,
                                   uint64_t *changed, struct err *err);
