/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/text_write.c - search text into blocks, in the order of the batch, some blocks to a statement.
 */
#include "text/signature.h"
#include "vault/internal.h"

/* ---- gathering ---------------------------------------------------------------------------------- */

static void clear_ended(struct vault_gathered_blocks *blocks)
{
    blocks->count = 0;
    blocks->octets = 0;
    blocks->record_count = 0;
    arena_reset(blocks->arena);
}

void vault_clear_blocks(struct vault_gathered_blocks *blocks)
{
    store_clear_text(blocks->block);
    text_clear_signer(blocks->signer);
    clear_ended(blocks);
}

static bool send_ended(struct vault_maker *maker, struct err *err)
{
    struct vault_gathered_blocks *blocks = &maker->blocks;
    struct vault_blocks all = { blocks->parser_version, blocks->count,  blocks->octets,
                                blocks->record_count,   blocks->values, blocks->entries };

    if (blocks->count > 0 && !maker->outlet.blocks(maker->outlet.context, &all, err))
        return false;
    clear_ended(blocks);
    return true;
}

/* The entries of the block in the making stand at the end of blocks->entries already. */
static bool end_block(struct vault_maker *maker, struct err *err)
{
    struct vault_gathered_blocks *blocks = &maker->blocks;
    struct vault_block *ended = &blocks->values[blocks->count];
    struct bytes stored;

    ended->record_count = store_count_text(blocks->block);
    if (ended->record_count == 0)
        return true;
    if (!store_end_text(blocks->block, blocks->parser_version, &stored, &ended->facts, err) ||
        !arena_try_copy(blocks->arena, stored, stored.len, &ended->stored, err) ||
        !arena_try_copy(blocks->arena, text_end_signature(blocks->signer), TEXT_SIGNATURE_MAX,
                        &ended->signature, err))
        return false;
    blocks->octets += stored.len + ended->signature.len;
    blocks->count++;
    return (blocks->count < VAULT_BLOCKS_MAX && blocks->octets < VAULT_BLOCKS_BYTES) ||
           send_ended(maker, err);
}

bool vault_add_text(struct vault_maker *maker, size_t entry, const struct crypto_sha256 *sha256,
                    const struct vault_index *row, struct err *err)
{
    struct vault_gathered_blocks *blocks = &maker->blocks;
    struct store_text_record record = { *sha256, row->text_notes, row->text };

    if (row->text.ptr == NULL || row->text.len > STORE_TEXT_RECORD_MAX)
        return true;
    if ((!store_has_text_room(blocks->block, record.octets.len) ||
         row->parser_version != blocks->parser_version) &&
        !end_block(maker, err))
        return false;
    if (row->parser_version != blocks->parser_version && !send_ended(maker, err))
        return false;
    blocks->parser_version = row->parser_version;
    store_add_text(blocks->block, &record);
    text_sign(blocks->signer, record.octets);
    blocks->entries[blocks->record_count++] = entry;
    return true;
}

bool vault_send_blocks(struct vault_maker *maker, struct err *err)
{
    return end_block(maker, err) && send_ended(maker, err);
}

/* ---- the statement ------------------------------------------------------------------------------ */

/* The columns of all blocks. */
struct columns {
    int64_t *ids; /* of all records */
    int64_t *firsts, *lasts;
    int32_t *starts, *counts; /* in ids, from 1 */
    int32_t *raw_bytes, *stored_bytes;
    struct bytes *hashes, *signatures, *stored;
};

static struct columns make_columns(struct arena *arena, const struct vault_blocks *blocks)
{
    size_t n = blocks->count;

    return (struct columns){
        .ids = arena_new_array(arena, int64_t, blocks->record_count),
        .firsts = arena_new_array(arena, int64_t, n),
        .lasts = arena_new_array(arena, int64_t, n),
        .starts = arena_new_array(arena, int32_t, n),
        .counts = arena_new_array(arena, int32_t, n),
        .raw_bytes = arena_new_array(arena, int32_t, n),
        .stored_bytes = arena_new_array(arena, int32_t, n),
        .hashes = arena_new_array(arena, struct bytes, n),
        .signatures = arena_new_array(arena, struct bytes, n),
        .stored = arena_new_array(arena, struct bytes, n),
    };
}

/* Its records begin at ids[start]. */
static void fill_column(const struct vault_block *block, size_t at, size_t start,
                        struct columns *columns)
{
    const int64_t *ids = columns->ids + start;

    columns->starts[at] = (int32_t)start + 1; /* PostgreSQL counts from 1 */
    columns->counts[at] = (int32_t)block->record_count;
    columns->firsts[at] = columns->lasts[at] = ids[0];
    for (size_t i = 1; i < block->record_count; i++) {
        if (ids[i] < columns->firsts[at])
            columns->firsts[at] = ids[i];
        if (ids[i] > columns->lasts[at])
            columns->lasts[at] = ids[i];
    }
    columns->raw_bytes[at] = (int32_t)block->facts.raw_bytes;
    columns->stored_bytes[at] = (int32_t)block->facts.stored_bytes;
    columns->hashes[at] = crypto_sha256_bytes(&block->facts.stored_sha256);
    columns->signatures[at] = block->signature;
    columns->stored[at] = block->stored;
}

bool vault_put_blocks(void *context, const struct vault_blocks *blocks, struct err *err)
{
    struct vault_writer *writer = context;
    struct columns c = make_columns(writer->arena, blocks);
    size_t n = blocks->count, start = 0;

    for (size_t i = 0; i < blocks->record_count; i++)
        c.ids[i] = writer->message_ids[blocks->entries[i]];
    for (size_t i = 0; i < n; i++) {
        fill_column(&blocks->values[i], i, start, &c);
        start += blocks->values[i].record_count;
    }
    if (!db_queue(writer->db, DB_VAULT_TEXT_ADD,
                  DB_ARGS(DB_I64(writer->lease.account_id), DB_I64(writer->run_id),
                          DB_I32(writer->next_block), DB_I32(blocks->parser_version),
                          DB_I64S(c.firsts, n), DB_I64S(c.lasts, n), DB_I32S(c.starts, n),
                          DB_I32S(c.counts, n), DB_I64S(c.ids, blocks->record_count),
                          DB_I32S(c.raw_bytes, n), DB_I32S(c.stored_bytes, n),
                          DB_BYTEAS(c.hashes, n), DB_BYTEAS(c.signatures, n),
                          DB_BYTEAS(c.stored, n)),
                  err))
        return false;
    writer->next_block += (int32_t)n;
    return true;
}
