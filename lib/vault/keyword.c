/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/keyword.c - keyword names, their numbers, and bitmaps of these.
 */
#include "vault/internal.h"

void vault_clear_keywords(struct vault_keywords *keywords)
{
    keywords->count = 0;
    memset(keywords->slots, 0, sizeof keywords->slots);
}

/* FNV-1a over the lower-case octets. */
static size_t hash_name(struct bytes name)
{
    uint32_t hash = 2166136261u;

    for (size_t i = 0; i < name.len; i++)
        hash = (hash ^ ascii_lower(name.ptr[i])) * 16777619u;
    return hash % VAULT_KEYWORD_SLOTS;
}

/* The slot of the name, or the free one where it belongs. There is always a free one. */
static uint16_t *find_slot(struct vault_keywords *keywords, struct bytes name)
{
    size_t at = hash_name(name);

    while (keywords->slots[at] != 0 &&
           !bytes_equal_nocase(keywords->names[keywords->slots[at] - 1], name))
        at = (at + 1) % VAULT_KEYWORD_SLOTS;
    return &keywords->slots[at];
}

static struct bytes keep_octets(struct arena *arena, struct bytes octets)
{
    return bytes_of(arena_copy(arena, octets.ptr, octets.len), octets.len);
}

bool vault_put_keyword(struct vault_keywords *keywords, struct arena *arena, size_t number,
                       struct bytes name)
{
    uint16_t *slot;

    if (number >= LIMIT_KEYWORDS_PER_MAILBOX)
        return false;
    while (keywords->count <= number)
        keywords->names[keywords->count++] = bytes_of("", 0);
    slot = find_slot(keywords, name);
    keywords->names[number] = keep_octets(arena, name);
    if (*slot == 0)
        *slot = (uint16_t)(number + 1);
    return true;
}

/* Length of the sequence in front, 0: not UTF-8 (RFC 3629: no overlong forms, no surrogates). */
static size_t utf8_length(struct bytes text)
{
    uint8_t first = text.ptr[0];
    size_t len = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;

    if (len == 0 || first > 0xf4 || len > text.len)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((text.ptr[i] & 0xc0) != 0x80)
            return 0;
    if ((first == 0xe0 && text.ptr[1] < 0xa0) || (first == 0xed && text.ptr[1] > 0x9f) ||
        (first == 0xf0 && text.ptr[1] < 0x90) || (first == 0xf4 && text.ptr[1] > 0x8f))
        return 0;
    return len;
}

/* What a text column takes. */
static bool is_storable(struct bytes name)
{
    if (name.len == 0 || name.len > LIMIT_KEYWORD_BYTES || bytes_find_byte(name, 0) >= 0)
        return false;
    while (name.len > 0) {
        size_t len = utf8_length(name);

        if (len == 0)
            return false;
        name = bytes_slice(name, len, SIZE_MAX);
    }
    return true;
}

bool vault_number_keyword(struct vault_keywords *keywords, struct arena *arena, struct bytes name,
                          uint16_t *number)
{
    uint16_t *slot;

    if (!is_storable(name))
        return false;
    slot = find_slot(keywords, name);
    if (*slot == 0) {
        if (keywords->count == LIMIT_KEYWORDS_PER_MAILBOX)
            return false;
        keywords->names[keywords->count++] = keep_octets(arena, name);
        *slot = (uint16_t)keywords->count;
    }
    *number = (uint16_t)(*slot - 1);
    return true;
}

void vault_set_bit(struct vault_bitmap *bitmap, size_t number)
{
    size_t at = number / 8;

    assert(at < sizeof bitmap->octets);
    while (bitmap->len <= at)
        bitmap->octets[bitmap->len++] = 0;
    bitmap->octets[at] = (uint8_t)(bitmap->octets[at] | 1u << number % 8);
}

struct bytes vault_keep_bitmap(const struct vault_bitmap *bitmap, struct arena *arena)
{
    return keep_octets(arena, bytes_of(bitmap->octets, bitmap->len));
}
