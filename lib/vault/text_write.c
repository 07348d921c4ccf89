/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/text_write.c - search text into blocks, in the order of the batch, some blocks to a statement.
 */
#include "vault/internal.h"

#include <stdlib.h>

struct vault_texts *vault_create_texts(void)
{
    struct vault_texts *texts = calloc(1, sizeof *texts);

    assert(texts != NULL);
    texts->block = store_create_text_writer();
    texts->waiting.arena = arena_create(SIZE_MAX);
    return texts;
}

void vault_free_texts(struct vault_texts **texts)
{
    if (*texts == NULL)
        return;
    store_free_text_writer(&(*texts)->block);
    arena_free(&(*texts)->waiting.arena);
    free(*texts);
    *texts = NULL;
}

static void clear_waiting(struct vault_text_waiting *waiting)
{
    waiting->count = 0;
    waiting->octets = 0;
    waiting->id_count = 0;
    arena_reset(waiting->arena);
}

void vault_clear_texts(struct vault_texts *texts)
{
    store_clear_text(texts->block);
    clear_waiting(&texts->waiting);
    texts->next_ordinal = 0;
}

static bool queue_waiting(struct vault_writer *writer, struct err *err)
{
    struct vault_texts *texts = writer->texts;
    struct vault_text_waiting *w = &texts->waiting;
    size_t n = w->count;
    bool is_ok;

    if (n == 0)
        return true;
    is_ok = db_queue(writer->db, DB_VAULT_TEXT_ADD,
                     DB_ARGS(DB_I64(writer->lease.account_id), DB_I64(writer->run_id),
                             DB_I32(texts->next_ordinal), DB_I32(texts->parser_version),
                             DB_I64S(w->firsts, n), DB_I64S(w->lasts, n), DB_I32S(w->starts, n),
                             DB_I32S(w->counts, n), DB_I64S(w->ids, w->id_count),
                             DB_I32S(w->raw_bytes, n), DB_I32S(w->stored_bytes, n),
                             DB_BYTEAS(w->hash_octets, n), DB_BYTEAS(w->stored, n)),
                     err);
    texts->next_ordinal += (int32_t)n;
    clear_waiting(w);
    return is_ok;
}

/* The ids of the block in the making stand at the end of waiting->ids already. */
static bool end_block(struct vault_writer *writer, struct err *err)
{
    struct vault_texts *texts = writer->texts;
    struct vault_text_waiting *w = &texts->waiting;
    size_t at = w->count, ids = store_count_text(texts->block);
    const int64_t *first = w->ids + w->id_count - ids;
    struct store_frame_facts facts;
    struct bytes stored;

    if (ids == 0)
        return true;
    if (!store_end_text(texts->block, texts->parser_version, &stored, &facts, err))
        return false;
    w->starts[at] = (int32_t)(w->id_count - ids) + 1; /* PostgreSQL counts from 1 */
    w->counts[at] = (int32_t)ids;
    w->firsts[at] = w->lasts[at] = first[0];
    for (size_t i = 1; i < ids; i++) {
        if (first[i] < w->firsts[at])
            w->firsts[at] = first[i];
        if (first[i] > w->lasts[at])
            w->lasts[at] = first[i];
    }
    w->raw_bytes[at] = (int32_t)facts.raw_bytes;
    w->stored_bytes[at] = (int32_t)facts.stored_bytes;
    w->hashes[at] = facts.stored_sha256;
    w->hash_octets[at] = crypto_sha256_bytes(&w->hashes[at]);
    if (!arena_try_copy(w->arena, stored, stored.len, &w->stored[at], err))
        return false;
    w->octets += stored.len;
    w->count++;
    return (w->count < VAULT_TEXT_BLOCKS && w->octets < VAULT_TEXT_BYTES) ||
           queue_waiting(writer, err);
}

bool vault_add_text(struct vault_writer *writer, int64_t message_id,
                    const struct crypto_sha256 *sha256, const struct vault_index *row,
                    struct err *err)
{
    struct vault_texts *texts = writer->texts;
    struct store_text_record record = { *sha256, row->text_notes, row->text };

    if (row->text.ptr == NULL || row->text.len > STORE_TEXT_RECORD_MAX)
        return true;
    if ((!store_has_text_room(texts->block, record.octets.len) ||
         row->parser_version != texts->parser_version) &&
        !end_block(writer, err))
        return false;
    if (row->parser_version != texts->parser_version && !queue_waiting(writer, err))
        return false;
    texts->parser_version = row->parser_version;
    store_add_text(texts->block, &record);
    texts->waiting.ids[texts->waiting.id_count++] = message_id;
    return true;
}

bool vault_queue_texts(struct vault_writer *writer, struct err *err)
{
    return end_block(writer, err) && queue_waiting(writer, err);
}
