/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/prepare.c - what a batch will need in its transaction, made before it: only for octets that
 * will be new, as far as that can be told.
 */
#include "vault/internal.h"

#include <stdlib.h>

enum {
    /* Of one batch. No message is begun once so much is held: mail hardly ever makes more than it is. */
    HELD_BYTES = LIMIT_BATCH_TARGET_BYTES,
    HELD_BYTES_MAX = LIMIT_BATCH_BYTES, /* with the last one */
};

/* What an outlet was given, in the order of the giving. */
struct vault_kept {
    enum {
        KEPT_FRAME,
        KEPT_ROWS,
        KEPT_BLOCKS,
    } kind;
    union {
        struct store_frame frame;
        struct vault_rows rows;
        struct vault_blocks blocks;
    };
    struct vault_kept *next;
};

/* ---- which octets will be new -------------------------------------------------------------------- */

static int compare_entries(const void *a, const void *b)
{
    const struct vault_entry *const *x = a;
    const struct vault_entry *const *y = b;
    int order = memcmp((*x)->sha256.octets, (*y)->sha256.octets, CRYPTO_SHA256_BYTES);

    if (order != 0)
        return order;
    return *x < *y ? -1 : *x > *y;
}

/* The first of by_hash that is not less. */
static size_t find_hash(const struct vault_batch *batch, struct bytes hash)
{
    size_t low = 0, high = batch->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (memcmp(batch->by_hash[middle]->sha256.octets, hash.ptr, CRYPTO_SHA256_BYTES) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool has_hash(const struct vault_batch *batch, struct bytes hash)
{
    size_t at = find_hash(batch, hash);

    return at < batch->count &&
           memcmp(batch->by_hash[at]->sha256.octets, hash.ptr, CRYPTO_SHA256_BYTES) == 0;
}

static bool is_brought_by(struct vault_batch *const *ahead, size_t count, struct bytes hash)
{
    for (size_t i = 0; i < count; i++)
        if (has_hash(ahead[i], hash))
            return true;
    return false;
}

void vault_sort_hashes(struct vault_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        batch->by_hash[i] = &batch->entries[i];
    qsort(batch->by_hash, batch->count, sizeof batch->by_hash[0], compare_entries);
}

/* Distinct hashes that no batch ahead brings; their first entries are taken for new. */
static size_t guess_by_line(struct vault_batch *batch, struct vault_batch *const *ahead,
                            size_t count, struct bytes *hashes)
{
    size_t found = 0;

    for (size_t i = 0; i < batch->count; i++) {
        struct vault_entry *entry = batch->by_hash[i];
        struct bytes hash = crypto_sha256_bytes(&entry->sha256);

        entry->is_taken_for_new =
            !entry->is_known && find_hash(batch, hash) == i && !is_brought_by(ahead, count, hash);
        if (entry->is_taken_for_new)
            hashes[found++] = hash;
    }
    return found;
}

bool vault_guess_new(struct vault_writer *writer, struct vault_batch *batch,
                     struct vault_batch *const *ahead, size_t count, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *found = NULL;
    struct bytes hashes[LIMIT_BATCH_MESSAGES];
    size_t hash_count = guess_by_line(batch, ahead, count, hashes);

    if (hash_count > 0 &&
        !db_run(writer->db, DB_VAULT_MESSAGE_FIND,
                DB_ARGS(DB_I64(writer->lease.account_id), DB_BYTEAS(hashes, hash_count)), &found,
                err))
        return false;
    for (size_t row = 0; hash_count > 0 && row < db_rows(found); row++)
        batch->by_hash[find_hash(batch, db_bytes(found, row, 1))]->is_taken_for_new = false;
    return true;
}

/* ---- keeping ------------------------------------------------------------------------------------ */

void vault_clear_prepared(struct vault_prepared *prepared)
{
    prepared->entries = 0;
    prepared->frames = 0;
    prepared->raw_bytes = 0;
    prepared->octets = 0;
    prepared->first = prepared->last = NULL;
    arena_reset(prepared->arena);
}

static struct vault_kept *keep(struct vault_prepared *prepared, size_t octets, struct err *err)
{
    struct vault_kept *kept;

    prepared->octets += octets;
    if (prepared->octets > HELD_BYTES_MAX) {
        (void)err_fail(err, ERR_LIMIT, "over %d octets for one batch", (int)HELD_BYTES_MAX);
        return NULL;
    }
    kept = arena_new(prepared->arena, struct vault_kept);
    if (prepared->last == NULL)
        prepared->first = kept;
    else
        prepared->last->next = kept;
    prepared->last = kept;
    return kept;
}

static struct bytes copy_octets(struct arena *arena, struct bytes octets)
{
    return bytes_of(arena_copy(arena, octets.ptr, octets.len), octets.len);
}

static bool keep_frame(void *context, const struct store_frame *frame, struct err *err)
{
    struct vault_prepared *prepared = context;
    struct vault_kept *kept = keep(prepared, frame->stored.len, err);

    if (kept == NULL)
        return false;
    kept->kind = KEPT_FRAME;
    kept->frame = *frame;
    kept->frame.stored = copy_octets(prepared->arena, frame->stored);
    prepared->frames++;
    prepared->raw_bytes += frame->facts.raw_bytes;
    return true;
}

static bool keep_rows(void *context, const struct vault_rows *rows, struct err *err)
{
    struct vault_prepared *prepared = context;
    struct arena *arena = prepared->arena;
    struct vault_kept *kept =
        keep(prepared, rows->octets + rows->count * sizeof *rows->values, err);
    struct vault_index *values;

    if (kept == NULL)
        return false;
    values = arena_new_array(arena, struct vault_index, rows->count);
    for (size_t i = 0; i < rows->count; i++)
        values[i] = vault_copy_index(&rows->values[i], arena);
    kept->kind = KEPT_ROWS;
    kept->rows = *rows;
    kept->rows.values = values;
    kept->rows.entries = arena_copy(arena, rows->entries, rows->count * sizeof *rows->entries);
    return true;
}

static bool keep_blocks(void *context, const struct vault_blocks *blocks, struct err *err)
{
    struct vault_prepared *prepared = context;
    struct arena *arena = prepared->arena;
    struct vault_kept *kept = keep(prepared, blocks->octets, err);
    struct vault_block *values;

    if (kept == NULL)
        return false;
    values = arena_copy(arena, blocks->values, blocks->count * sizeof *values);
    for (size_t i = 0; i < blocks->count; i++) {
        values[i].stored = copy_octets(arena, values[i].stored);
        values[i].signature = copy_octets(arena, values[i].signature);
    }
    kept->kind = KEPT_BLOCKS;
    kept->blocks = *blocks;
    kept->blocks.values = values;
    kept->blocks.entries =
        arena_copy(arena, blocks->entries, blocks->record_count * sizeof *blocks->entries);
    return true;
}

bool vault_give_prepared(const struct vault_prepared *prepared, const struct vault_outlet *outlet,
                         struct err *err)
{
    for (const struct vault_kept *kept = prepared->first; kept != NULL; kept = kept->next) {
        bool is_taken = false;

        switch (kept->kind) {
        case KEPT_FRAME:
            is_taken = outlet->frame(outlet->context, &kept->frame, err);
            break;
        case KEPT_ROWS:
            is_taken = outlet->rows(outlet->context, &kept->rows, err);
            break;
        case KEPT_BLOCKS:
            is_taken = outlet->blocks(outlet->context, &kept->blocks, err);
            break;
        }
        if (!is_taken)
            return false;
    }
    return true;
}

/* ---- making ------------------------------------------------------------------------------------- */

static bool make_some(struct vault_maker *maker, struct vault_batch *batch, size_t *made,
                      struct err *err)
{
    for (*made = 0; *made < batch->count && batch->prepared.octets < HELD_BYTES; (*made)++) {
        struct vault_entry *entry = &batch->entries[*made];

        if (entry->is_taken_for_new &&
            !vault_make(maker, *made, &entry->sha256, vault_entry_octets(batch, entry),
                        &entry->raw_offset, err))
            return false;
    }
    return vault_end_making(maker, err);
}

void vault_prepare(struct vault_maker *maker, struct vault_batch *batch)
{
    struct vault_prepared *prepared = &batch->prepared;
    struct vault_outlet aside = { prepared, keep_frame, keep_rows, keep_blocks };
    struct err why = { 0 };
    size_t made;

    vault_clear_prepared(prepared);
    vault_begin_making(maker, aside);
    if (make_some(maker, batch, &made, &why))
        prepared->entries = made;
    else /* a message of which very much is made, say: the transaction will tell */
        vault_clear_prepared(prepared);
}
