/* SPDX-License-Identifier: Apache-2.0 */
/*
 * text/signature.c - grams of records into a bitmap; see signature.h.
 *
 * While records come, a gram costs one store into a table with an octet for each bit: a bitmap would
 * have to be read first. The table becomes a bitmap once for all records.
 */
#include "text/signature.h"

#include "base/err.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    BUCKETS = TEXT_SIGNATURE_MAX * 8,
    GRAMS_ASKED_MAX = 256, /* of a needle: those behind them would hardly change the answer */
};
static_assert(BUCKETS == 1 << 16, "bucket_of gives 16 bits");

struct text_signer {
    bool is_empty;
    uint8_t table[BUCKETS]; /* 1: a gram of this bucket was there */
    uint8_t bitmap[TEXT_SIGNATURE_MAX];
};

struct text_signer *text_create_signer(void)
{
    struct text_signer *signer = calloc(1, sizeof *signer);

    assert(signer != NULL);
    signer->is_empty = true;
    return signer;
}

void text_free_signer(struct text_signer **signer)
{
    free(*signer);
    *signer = NULL;
}

void text_clear_signer(struct text_signer *signer)
{
    if (!signer->is_empty)
        memset(signer->table, 0, sizeof signer->table);
    signer->is_empty = true;
}

/* Of the gram at this place: multiplicative hashing (Knuth, 6.4), the upper 16 of 32 bits. */
static uint32_t bucket_of(const uint8_t *at)
{
    uint32_t gram = at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;

    return gram * UINT32_C(0x9E3779B1) >> 16;
}

void text_sign(struct text_signer *signer, struct bytes record)
{
    signer->is_empty = false;
#pragma GCC unroll 8
    for (size_t i = TEXT_GRAM_BYTES; i <= record.len; i++)
        signer->table[bucket_of(record.ptr + i - TEXT_GRAM_BYTES)] = 1;
}

static void make_bitmap(struct text_signer *signer)
{
    for (size_t i = 0; i < sizeof signer->bitmap; i++) {
        const uint8_t *at = signer->table + 8 * i;

        signer->bitmap[i] = (uint8_t)(at[0] | at[1] << 1 | at[2] << 2 | at[3] << 3 | at[4] << 4 |
                                      at[5] << 5 | at[6] << 6 | at[7] << 7);
    }
}

static size_t count_bits(const uint8_t *bitmap, size_t size)
{
    size_t count = 0;

    for (size_t i = 0; i < size; i += sizeof(uint64_t)) {
        uint64_t word;

        memcpy(&word, bitmap + i, sizeof word);
        count += (size_t)__builtin_popcountll(word);
    }
    return count;
}

struct bytes text_end_signature(struct text_signer *signer)
{
    size_t size = TEXT_SIGNATURE_MAX;

    make_bitmap(signer);
    while (size > TEXT_SIGNATURE_MIN &&
           count_bits(signer->bitmap, size) < 8 * size / TEXT_SIGNATURE_SPARSE) {
        size /= 2;
        for (size_t i = 0; i < size; i++)
            signer->bitmap[i] |= signer->bitmap[size + i];
    }
    text_clear_signer(signer);
    return bytes_of(signer->bitmap, size);
}

static bool is_signature(struct bytes octets)
{
    return octets.len >= TEXT_SIGNATURE_MIN && octets.len <= TEXT_SIGNATURE_MAX &&
           (octets.len & (octets.len - 1)) == 0;
}

bool text_may_hold(struct bytes signature, struct bytes needle)
{
    if (!is_signature(signature))
        return true;
    needle = bytes_slice(needle, 0, GRAMS_ASKED_MAX + TEXT_GRAM_BYTES - 1);
    for (size_t i = TEXT_GRAM_BYTES; i <= needle.len; i++) {
        size_t bit = bucket_of(needle.ptr + i - TEXT_GRAM_BYTES) % (signature.len * 8);

        if ((signature.ptr[bit / 8] >> bit % 8 & 1) == 0)
            return false;
    }
    return true;
}
