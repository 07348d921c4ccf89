/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/make.h - what is made of the octets of new messages: frames, rows of message_index, blocks of
 * search text. Private to vault.
 *
 * A maker is one thread's tools for it. What it makes goes to an outlet as it fills: into statements of
 * the open transaction (vault_into_statements), or aside until the transaction comes (prepare.c). Messages
 * are named by their index in the batch: which ids they get is known only in the transaction.
 */
#pragma once

#include "base/arena.h"
#include "store/run.h"
#include "store/text.h"
#include "vault/write.h"

enum {
    VAULT_ROWS_MAX = 250,         /* of one statement */
    VAULT_ROWS_BYTES = 256 << 10, /* and of their values; a larger row goes alone */
    VAULT_REFERENCES_MAX = 20000, /* of one statement, in all */
    VAULT_BLOCKS_MAX = 16,        /* of one statement */
    VAULT_BLOCKS_BYTES = 1 << 20, /* and of their stored octets; the last goes beyond */
};

/* ---- outlets ----------------------------------------------------------------------------------- */

/* Rows of message_index, for one statement. */
struct vault_rows {
    size_t count;
    size_t octets;                    /* of all values */
    size_t reference_count;           /* of all rows */
    const size_t *entries;            /* whose they are */
    const struct vault_index *values; /* but for their text */
};

struct vault_block {
    size_t record_count;
    struct store_frame_facts facts;
    struct bytes stored;
    struct bytes signature; /* text/signature.h */
};

/* Blocks of search text, for one statement. */
struct vault_blocks {
    int32_t parser_version;
    size_t count;
    size_t octets;       /* stored, of all, and of their signatures */
    size_t record_count; /* of all */
    const struct vault_block *values;
    const size_t *entries; /* of the records, block by block */
};

/* Takes what is made, in this order within each kind; all borrowed for the call. */
struct vault_outlet {
    void *context;
    store_frame_sink *frame;
    bool (*rows)(void *context, const struct vault_rows *rows, struct err *err);
    bool (*blocks)(void *context, const struct vault_blocks *blocks, struct err *err);
};

struct vault_writer;

/* Statements of the open pipeline, under writer->run_id, for the messages writer->message_ids. */
struct vault_outlet vault_into_statements(struct vault_writer *writer);

/* large.c, derived.c, text_write.c: its three. context: the writer. */
bool vault_put_frame(void *context, const struct store_frame *frame, struct err *err);
bool vault_put_rows(void *context, const struct vault_rows *rows, struct err *err);
bool vault_put_blocks(void *context, const struct vault_blocks *blocks, struct err *err);

/* ---- make.c: one thread's tools ----------------------------------------------------------------- */

/* Rows that gather. */
struct vault_gathered_rows {
    size_t count, octets, reference_count; /* as in vault_rows */
    size_t entries[VAULT_ROWS_MAX];
    struct vault_index values[VAULT_ROWS_MAX];
    struct arena *arena; /* what they point to */
};

/* Blocks that gather, and the one in the making. */
struct vault_gathered_blocks {
    struct store_text_writer *block; /* its entries stand behind those of the others */
    struct text_signer *signer;      /* of its records */
    int32_t parser_version;
    size_t count, octets, record_count;
    struct vault_block values[VAULT_BLOCKS_MAX];
    size_t entries[VAULT_BLOCKS_MAX * STORE_TEXT_RECORDS_MAX];
    struct arena *arena; /* stored octets, signatures */
};

struct vault_maker {
    struct vault_deriver deriver; /* begin NULL: frames only */
    struct vault_outlet outlet;
    struct store_run_writer *run;
    struct vault_gathered_rows rows;
    struct vault_gathered_blocks blocks;
};

/* deriver: NULL, or copied. Never NULL. */
struct vault_maker *vault_create_maker(const struct vault_deriver *deriver);
void vault_free_maker(struct vault_maker **maker);

/* Forgets what gathered, for another run. */
void vault_begin_making(struct vault_maker *maker, struct vault_outlet outlet);

/* Frames a message and derives from it. raw_offset: of its first octet in the run's raw stream. */
MUST_USE bool vault_make(struct vault_maker *maker, size_t entry,
                         const struct crypto_sha256 *sha256, struct bytes octets,
                         uint64_t *raw_offset, struct err *err);

/* The last frame, rows and block go out. */
MUST_USE bool vault_end_making(struct vault_maker *maker, struct err *err);

/* ---- derived.c ---------------------------------------------------------------------------------- */

/* The row of a message and its search text, whose octets the deriver was fed since its begin. Nothing
 * without a deriver. */
MUST_USE bool vault_derive(struct vault_maker *maker, size_t entry,
                           const struct crypto_sha256 *sha256, struct err *err);

/* Those that gathered go out. */
MUST_USE bool vault_send_rows(struct vault_maker *maker, struct err *err);
void vault_clear_rows(struct vault_gathered_rows *rows);

/* A copy with all it points to but its text, in the arena. */
struct vault_index vault_copy_index(const struct vault_index *index, struct arena *arena);

/* ---- text_write.c ------------------------------------------------------------------------------- */

/* Adds the record of a message; one without, or with one too large for a block, is passed over. */
MUST_USE bool vault_add_text(struct vault_maker *maker, size_t entry,
                             const struct crypto_sha256 *sha256, const struct vault_index *row,
                             struct err *err);

/* Ends the last block; those that gathered go out. */
MUST_USE bool vault_send_blocks(struct vault_maker *maker, struct err *err);
void vault_clear_blocks(struct vault_gathered_blocks *blocks);
