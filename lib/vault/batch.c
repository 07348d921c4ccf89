/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/batch.c - messages that await their commit.
 */
#include "base/clock.h"
#include "vault/internal.h"

enum {
    ZONE_MINUTES_MAX = 24 * 60
};

/* Names and numbers of a batch: LIMIT_BATCH_MESSAGES × LIMIT_KEYWORDS_PER_MAILBOX × 2 at worst. */
#define ARENA_BYTES ((size_t)8 << 20)

/* Years 1 to 9999: what a timestamptz holds and INTERNALDATE can say. */
bool vault_is_date(int64_t usec, int16_t zone)
{
    static const struct civil first = { .year = 1, .month = 1, .day = 1 };
    static const struct civil last = {
        .year = 9999, .month = 12, .day = 31, .hour = 23, .minute = 59, .second = 59
    };

    /* A day each way, so that the date as written exists too. */
    return usec > civil_to_usec(&first) + INT64_C(86400000000) &&
           usec < civil_to_usec(&last) - INT64_C(86400000000) && zone <= ZONE_MINUTES_MAX &&
           zone >= -ZONE_MINUTES_MAX;
}

void vault_open_batch(struct vault_batch *batch)
{
    batch->octets = buf_create(LIMIT_BATCH_BYTES);
    batch->arena = arena_create(ARENA_BYTES);
    batch->prepared.arena = arena_create(SIZE_MAX);
}

void vault_close_batch(struct vault_batch *batch)
{
    buf_free(&batch->octets);
    arena_free(&batch->arena);
    arena_free(&batch->prepared.arena);
}

void vault_clear_batch(struct vault_batch *batch)
{
    batch->state = VAULT_BATCH_FILLING;
    buf_reset(&batch->octets, LIMIT_BATCH_TARGET_BYTES);
    batch->count = 0;
    batch->keywords_dropped = 0;
    arena_reset(batch->arena);
    vault_clear_keywords(&batch->keywords);
    vault_clear_prepared(&batch->prepared);
}

static void add_keywords(struct vault_batch *batch, const struct vault_arrival *arrival,
                         struct vault_entry *entry)
{
    uint16_t *numbers = arena_new_array(batch->arena, uint16_t, arrival->keyword_count);

    entry->keywords = numbers;
    for (size_t i = 0; i < arrival->keyword_count; i++) {
        if (vault_number_keyword(&batch->keywords, batch->arena, arrival->keywords[i],
                                 &numbers[entry->keyword_count]))
            entry->keyword_count++;
        else
            batch->keywords_dropped++;
    }
}

/* Ids are trusted only as they stand; thread and labels only say something more. */
static bool keep_identity(struct vault_batch *batch, const struct vault_identity *from,
                          struct vault_identity *to, struct err *err)
{
    if (!vault_is_identity(from->id))
        return true;
    return arena_try_copy(batch->arena, from->id, VAULT_IDENTITY_BYTES, &to->id, err) &&
           (!vault_is_identity(from->thread) ||
            arena_try_copy(batch->arena, from->thread, VAULT_IDENTITY_BYTES, &to->thread, err)) &&
           (from->labels.len == 0 || from->labels.len > VAULT_LABELS_BYTES ||
            arena_try_copy(batch->arena, from->labels, VAULT_LABELS_BYTES, &to->labels, err));
}

bool vault_add_entry(struct vault_batch *batch, const struct vault_arrival *arrival,
                     const struct crypto_sha256 *sha256, size_t start, uint64_t size_bytes,
                     struct err *err)
{
    struct vault_entry *entry;

    if (arrival->source_uid == 0)
        return err_fail(err, ERR_SYNTAX, "message without a UID");
    if (!vault_is_date(arrival->internal_usec, arrival->internal_zone))
        return err_fail(err, ERR_SYNTAX, "UID %u: INTERNALDATE out of range", arrival->source_uid);
    if (arrival->keyword_count > LIMIT_KEYWORDS_PER_MAILBOX)
        return err_fail(err, ERR_LIMIT, "UID %u: %zu keywords, at most %u are kept",
                        arrival->source_uid, arrival->keyword_count, LIMIT_KEYWORDS_PER_MAILBOX);

    assert(batch->count < LIMIT_BATCH_MESSAGES);
    entry = &batch->entries[batch->count++];
    *entry = (struct vault_entry){ .size_bytes = size_bytes,
                                   .start = start,
                                   .sha256 = *sha256,
                                   .source_uid = arrival->source_uid,
                                   .internal_usec = arrival->internal_usec,
                                   .internal_zone = arrival->internal_zone,
                                   .flags = arrival->flags & VAULT_FLAGS_ALL,
                                   .doubt = arrival->doubt };
    add_keywords(batch, arrival, entry);
    if (keep_identity(batch, &arrival->identity, &entry->identity, err))
        return true;
    batch->count--;
    return false;
}
