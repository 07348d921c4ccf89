/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/internal.h - what the files of vault share.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/limits.h"
#include "db/db.h"
#include "store/run.h"
#include "store/text.h"
#include "vault/make.h"
#include "vault/read.h"
#include "vault/write.h"

/* ---- keyword.c: names and their numbers ------------------------------------------------------ */

enum {
    VAULT_KEYWORD_SLOTS = 8192, /* twice LIMIT_KEYWORDS_PER_MAILBOX */
    VAULT_KEYWORD_BITMAP_BYTES = LIMIT_KEYWORDS_PER_MAILBOX / 8,
};

/* Distinct without regard to ASCII case; the first spelling stays. Names are the arena's. */
struct vault_keywords {
    size_t count; /* numbers 0 … count-1 are in use, or holes with an empty name */
    struct bytes names[LIMIT_KEYWORDS_PER_MAILBOX];
    uint16_t slots[VAULT_KEYWORD_SLOTS]; /* number + 1; 0: free */
};

void vault_clear_keywords(struct vault_keywords *keywords);

/* A name that the database already has under this number. False: the number is out of range. */
MUST_USE bool vault_put_keyword(struct vault_keywords *keywords, struct arena *arena, size_t number,
                                struct bytes name);

/*
 * The number of a name, the next free one if it is new. False: it cannot be recorded (over
 * LIMIT_KEYWORD_BYTES, not UTF-8, a NUL, or LIMIT_KEYWORDS_PER_MAILBOX are in use).
 */
MUST_USE bool vault_number_keyword(struct vault_keywords *keywords, struct arena *arena,
                                   struct bytes name, uint16_t *number);

/* Bitmaps end with an octet that is not zero, so that equal sets are equal octets. */
struct vault_bitmap {
    size_t len;
    uint8_t octets[VAULT_KEYWORD_BITMAP_BYTES];
};
void vault_set_bit(struct vault_bitmap *bitmap, size_t number);
struct bytes vault_keep_bitmap(const struct vault_bitmap *bitmap, struct arena *arena);

/* ---- batch.c: messages that await their commit ------------------------------------------------ */

struct vault_entry {
    uint64_t size_bytes;
    size_t start; /* in batch->octets */
    struct crypto_sha256 sha256;
    uint32_t source_uid;
    int16_t internal_zone;
    uint8_t flags;
    int64_t internal_usec;
    const uint16_t *keywords; /* numbers in batch->keywords */
    size_t keyword_count;
    enum vault_doubt doubt;
    bool is_known; /* its octets are not here */
    enum vault_recognition by;
    bool is_taken_for_new;          /* vault_guess_new: nobody has its octets yet */
    uint64_t raw_offset;            /* of its octets in the run, once they were made into frames */
    struct vault_identity identity; /* in batch->arena */
};

/* prepare.c: what was made of a batch before its transaction. */
struct vault_kept;
struct vault_prepared {
    /* of so many, as far as they are taken for new; the others are made later */
    size_t entries;
    uint32_t frames;    /* of them */
    uint64_t raw_bytes; /* of these frames */
    size_t octets;      /* held in all */
    struct vault_kept *first, *last;
    struct arena *arena;
};

/* Where a batch is (line.h). */
enum vault_batch_state {
    VAULT_BATCH_FILLING,
    VAULT_BATCH_SENT,
    VAULT_BATCH_GUESSED,
    VAULT_BATCH_PREPARING,
    VAULT_BATCH_READY,
};

struct vault_batch {
    enum vault_batch_state state;
    int64_t mailbox_id;
    int32_t epoch;
    struct buf octets; /* of all entries, one behind the other, then of the message in progress */
    size_t count;
    struct vault_entry entries[LIMIT_BATCH_MESSAGES];
    struct vault_entry *by_hash[LIMIT_BATCH_MESSAGES]; /* vault_sort_hashes */
    struct arena *arena;                               /* keyword names and numbers */
    struct vault_keywords keywords;
    uint64_t keywords_dropped;
    struct vault_prepared prepared;
};

static inline struct bytes vault_entry_octets(const struct vault_batch *batch,
                                              const struct vault_entry *entry)
{
    return bytes_slice(buf_bytes(&batch->octets), entry->start, (size_t)entry->size_bytes);
}

void vault_open_batch(struct vault_batch *batch);
void vault_close_batch(struct vault_batch *batch);
void vault_clear_batch(struct vault_batch *batch);

/* ERR_SYNTAX, ERR_LIMIT: nothing was added. */
MUST_USE bool vault_add_entry(struct vault_batch *batch, const struct vault_arrival *arrival,
                              const struct crypto_sha256 *sha256, size_t start, uint64_t size_bytes,
                              struct err *err);

/* ---- identity.c: what the source calls its messages -------------------------------------------- */

/* As the statement takes them. */
struct vault_identity_rows {
    size_t count;
    struct bytes *identities, *threads, *labels;
    int64_t *message_ids;
    size_t known; /* entries that were placed by theirs */
};

struct vault_identity_rows vault_make_identity_rows(struct arena *arena, size_t room);
void vault_add_identity(struct vault_identity_rows *rows, const struct vault_entry *entry,
                        int64_t message_id);
struct vault_writer;
MUST_USE bool vault_queue_identities(struct vault_writer *writer, const struct vault_batch *batch,
                                     const struct vault_identity_rows *rows, struct err *err);

/* ---- prepare.c: frames, rows and blocks of a batch before its transaction ------------------------ */

struct vault_writer;

/* Of every batch that is in the line, before one behind it is guessed. */
void vault_sort_hashes(struct vault_batch *batch);

/*
 * Takes for new what neither the archive has, in one look-up, nor the batches ahead bring. Only a guess:
 * the transaction decides, and makes it anew where this was wrong.
 */
MUST_USE bool vault_guess_new(struct vault_writer *writer, struct vault_batch *batch,
                              struct vault_batch *const *ahead, size_t count, struct err *err);

/* Makes as much as may be held. */
void vault_prepare(struct vault_maker *maker, struct vault_batch *batch);

/* Gives what was made to the outlet, in the same order. */
MUST_USE bool vault_give_prepared(const struct vault_prepared *prepared,
                                  const struct vault_outlet *outlet, struct err *err);

void vault_clear_prepared(struct vault_prepared *prepared);

/* ---- writer.c, large.c ------------------------------------------------------------------------ */

/*
 *   CLOSED, FILLING, IN_MESSAGE: as in write.h.
 *   IN_LARGE: a message over the batch; writer->tx is open, a pipeline never while octets are waited for.
 */
enum vault_writer_state {
    VAULT_CLOSED,
    VAULT_FILLING,
    VAULT_IN_MESSAGE,
    VAULT_IN_LARGE,
};

struct vault_line;

struct vault_writer {
    struct vault_lease lease;
    enum vault_writer_state state;
    struct vault_line *line;
    struct vault_batch *batch; /* of the line, that is being filled */
    int32_t identity_scope;    /* 0: none; changes only while nothing is sent */
    uint64_t announced_bytes;  /* of the message in progress */
    uint64_t written_bytes;

    /* What a unit of work needs: the committer's while there is something in the line, otherwise the
     * caller's. */
    struct db *db; /* borrowed */
    struct vault_maker *maker;
    struct db_tx tx; /* of a large message, or of the unit of work that is running */
    int64_t run_id;
    bool is_large;          /* the run is a large message */
    uint64_t stored_octets; /* of frames of the open transaction */
    size_t large_queued;    /* frames of a large message in the open pipeline */
    struct deadline ask_by; /* of a large message: whether the job is still ours */
    struct arena *arena;    /* of one unit of work */
    struct vault_keywords numbers;
    const int64_t *message_ids; /* of the entries */
    int32_t next_block;         /* of search text, in the run */
};

/* Judges the answer of vault_renew. ERR_DENIED: lease lost. */
MUST_USE bool vault_check_lease(const struct vault_writer *writer, const struct db_result *answer,
                                struct err *err);

/* Opens writer->tx under the lease, in one round trip. */
MUST_USE bool vault_begin_tx(struct vault_writer *writer, struct err *err);
MUST_USE bool vault_queue_renew(struct vault_writer *writer, struct err *err);

/* large.c. Failure: rolled back. */
MUST_USE bool vault_begin_large(struct vault_writer *writer, struct err *err);
MUST_USE bool vault_drain_large(struct vault_writer *writer, struct err *err);
MUST_USE bool vault_write_large(struct vault_writer *writer, struct bytes octets, struct err *err);
MUST_USE bool vault_end_large(struct vault_writer *writer, const struct vault_arrival *arrival,
                              struct err *err);

/* ---- commit.c: one transaction for a batch, or the end of one for a large message ------------- */

/* The whole transaction, its COMMIT answered. Failure: nothing of it is in the archive, or, with
 * ERR_RETRY, perhaps all of it. */
MUST_USE bool vault_commit(struct vault_writer *writer, struct vault_batch *batch,
                           struct vault_counts *counts, struct err *err);

/* ---- change.c -------------------------------------------------------------------------------- */

struct vault_state {
    uint32_t uid;
    int16_t flags;
    struct bytes keywords; /* bitmap */
    bool is_gone;
};

struct vault_change_set {
    size_t count;
    int64_t *uids; /* arrays of the arena, as the statements take them */
    int16_t *flags;
    struct bytes *keywords;
    bool *is_gone;
    int64_t unseen, deleted; /* differences for the counters */
};

struct vault_change_set vault_make_change_set(struct arena *arena, size_t room);

/* Adds the new state if it differs from the old. */
void vault_add_change(struct vault_change_set *set, const struct vault_state *was,
                      const struct vault_state *now);

/* Queues history and update of the placements. */
MUST_USE bool vault_queue_changes(struct vault_writer *writer, int64_t mailbox_id, int64_t modseq,
                                  const struct vault_change_set *set, struct err *err);

/* writer->numbers from the answer of vault_keyword_numbers; queueing of those from `known` on. */
void vault_load_numbers(struct vault_writer *writer, const struct db_result *rows);
MUST_USE bool vault_queue_new_keywords(struct vault_writer *writer, int64_t mailbox_id,
                                       size_t known, struct err *err);

/* An array parameter never has a NULL for empty octets. */
static inline struct bytes vault_not_null(struct bytes octets)
{
    return octets.ptr != NULL ? octets : bytes_of("", 0);
}

/* Releases `count` results: for a struct db_result *results[n]. */
static inline void vault_free_results(struct db_result **results, size_t count)
{
    for (size_t i = 0; i < count; i++)
        db_result_free(&results[i]);
}

/* ---- reader.c ---------------------------------------------------------------------------------- */

struct vault_window;
struct vault_text_cache;

struct vault_reader {
    struct db_pool *pool; /* borrowed, shared */
    struct secret *token; /* NULL: none */
    struct vault_pack_opener opener;
    const struct vault_octets *expected; /* borrowed */
    size_t expected_count, expected_at;
    struct vault_window *window;   /* window.c; NULL: trimmed */
    struct vault_text_cache *text; /* text_segment.c; likewise */
};

struct vault_query {
    enum db_statement statement;
    struct db_args args;
};

/*
 * Runs the queries in one REPEATABLE READ READ ONLY transaction under the token, in one round trip.
 * Tried a second time when the connection turns out to be lost. results: `count` NULLs before.
 */
MUST_USE bool vault_run_queries(struct vault_reader *reader, const struct vault_query *queries,
                                size_t count, struct db_result **results, struct err *err);

MUST_USE bool vault_copy_column(const struct db_result *rows, size_t row, size_t col,
                                struct arena *arena, struct bytes *out, struct err *err);

/* The columns of a placement, from column 0 on (vault_read.sql). */
MUST_USE bool vault_read_placement_row(const struct db_result *rows, size_t row, unsigned columns,
                                       int64_t account_id, struct arena *arena,
                                       struct vault_placement *out, struct err *err);

/* ---- window.c: frames that a reader holds ------------------------------------------------------ */

struct vault_frame {
    int64_t account_id, run_id;
    uint64_t raw_start;
    struct store_frame_facts facts;
    int64_t key_id;
    int64_t pack_id; /* 0: from the spool */
    uint64_t pack_offset;
    struct crypto_sha256 pack_sha256;
    struct bytes stored; /* of the result or of `owned`; ptr NULL: not read from its pack yet */
    uint8_t *owned;
    bool is_checked;
};

enum {
    VAULT_RANGES_MAX = 256
}; /* of one load */

struct vault_raw_range {
    int64_t run_id;
    uint64_t first, last; /* positions in the raw stream */
};

void vault_free_window(struct vault_window **window);

/* The frame that holds this position, NULL: not in the window. */
struct vault_frame *vault_find_frame(struct vault_reader *reader, int64_t account_id,
                                     int64_t run_id, uint64_t raw_at);

bool vault_window_is_empty(const struct vault_reader *reader);

/* Replaces the window by the frames of these ranges. */
MUST_USE bool vault_load_window(struct vault_reader *reader, int64_t account_id,
                                const struct vault_raw_range *ranges, size_t count,
                                struct err *err);

/* Reads it from its pack if need be, and checks its hash. */
MUST_USE bool vault_check_frame(struct vault_reader *reader, struct vault_frame *frame,
                                struct err *err);

/* The raw octets of the decoded frame that holds this position and where they begin; empty: the one
 * that was decoded last is another. */
struct bytes vault_decoded(struct vault_reader *reader, int64_t account_id, int64_t run_id,
                           uint64_t raw_at, uint64_t *raw_start);

/* Checks and decodes; *raw is borrowed until the next call. */
MUST_USE bool vault_decode_frame(struct vault_reader *reader, struct vault_frame *frame,
                                 struct bytes *raw, struct err *err);
