/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store/walk.c - takes the tar stream of a pack apart.
 *
 *   HEADER --512 octets, a message--> DATA --all of it--> PADDING --up to 512--> HEADER
 *   HEADER --the catalogue--> DATA, and then only the end may follow
 *   HEADER --a zero block--> LAST_BLOCK --a second--> END
 *
 * Only what our writer makes is taken: a header is compared with the one that its name and size give.
 */
#include "store/internal.h"

#include <stdlib.h>

enum walk_state {
    WALK_HEADER,
    WALK_DATA,
    WALK_PADDING,
    WALK_LAST_BLOCK,
    WALK_END,
};

struct store_walker {
    const struct store_pack_visitor *visitor; /* borrowed */
    enum walk_state state;
    uint64_t at;   /* position in the raw stream */
    uint64_t left; /* of the data or the padding */
    size_t filled;
    uint8_t block[STORE_BLOCK_BYTES];
    struct store_member member;
    struct crypto_hasher *hasher;
    bool has_catalogue;
    uint64_t broken; /* messages that do not have the hash of their name */
};

static const uint8_t zero_block[STORE_BLOCK_BYTES];

struct store_walker *store_create_walker(const struct store_pack_visitor *visitor)
{
    struct store_walker *walker = calloc(1, sizeof *walker);

    assert(walker != NULL);
    walker->visitor = visitor;
    walker->hasher = crypto_create_hasher();
    return walker;
}

void store_free_walker(struct store_walker **walker)
{
    if (*walker == NULL)
        return;
    crypto_free_hasher(&(*walker)->hasher);
    free(*walker);
    *walker = NULL;
}

static bool read_hex_digit(uint8_t c, uint8_t *out)
{
    if (ascii_is_digit(c))
        *out = (uint8_t)(c - '0');
    else if (c >= 'a' && c <= 'f')
        *out = (uint8_t)(c - 'a' + 10);
    else
        return false;
    return true;
}

static bool read_name(const uint8_t *name, struct crypto_sha256 *out)
{
    for (size_t i = 0; i < sizeof out->octets; i++) {
        uint8_t high, low;

        if (!read_hex_digit(name[2 * i], &high) || !read_hex_digit(name[2 * i + 1], &low))
            return false;
        out->octets[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static bool read_size(const uint8_t *digits, uint64_t *out)
{
    *out = 0;
    for (size_t i = 0; i < 11; i++) {
        if (digits[i] < '0' || digits[i] > '7')
            return false;
        *out = *out << 3 | (uint64_t)(digits[i] - '0');
    }
    return true;
}

bool store_read_header(const uint8_t block[STORE_BLOCK_BYTES], struct store_member *out)
{
    uint8_t again[STORE_BLOCK_BYTES];
    struct err ignored = { 0 };

    if (!read_size(block + 124, &out->size_bytes))
        return false;
    out->is_catalogue = block[0] == '.';
    if (out->is_catalogue)
        store_write_header(BYTES(STORE_CATALOGUE_NAME), out->size_bytes, again);
    else if (!read_name(block, &out->sha256) ||
             !store_write_member_header(&out->sha256, out->size_bytes, again, &ignored))
        return false;
    return memcmp(block, again, sizeof again) == 0;
}

static bool end_member(struct store_walker *walker, struct err *err)
{
    const struct store_pack_visitor *visitor = walker->visitor;
    struct crypto_sha256 hash = crypto_finish_hasher(walker->hasher);
    bool is_intact = walker->member.is_catalogue ||
                     memcmp(hash.octets, walker->member.sha256.octets, sizeof hash.octets) == 0;

    walker->broken += is_intact ? 0 : 1;
    walker->left = store_padding_bytes(walker->member.size_bytes);
    walker->state = walker->left > 0 ? WALK_PADDING : WALK_HEADER;
    return visitor->member == NULL ||
           visitor->member(visitor->context, &walker->member, is_intact, err);
}

static bool begin_member(struct store_walker *walker, struct err *err)
{
    struct store_member member = { .raw_offset = walker->at };

    if (memcmp(walker->block, zero_block, sizeof zero_block) == 0) {
        walker->state = WALK_LAST_BLOCK;
        return walker->has_catalogue ||
               err_fail(err, ERR_CORRUPT, "the tar stream ends at %ju without a catalogue",
                        (uintmax_t)walker->at);
    }
    if (walker->has_catalogue)
        return err_fail(err, ERR_CORRUPT, "a member at %ju behind the catalogue",
                        (uintmax_t)walker->at);
    if (!store_read_header(walker->block, &member))
        return err_fail(err, ERR_CORRUPT, "no member header of ours before %ju",
                        (uintmax_t)walker->at);
    walker->has_catalogue = member.is_catalogue;
    walker->member = member;
    walker->left = member.size_bytes;
    walker->state = WALK_DATA;
    return walker->left > 0 || end_member(walker, err);
}

/* Collects a block. True with *is_whole false: more is needed. */
static void take_block(struct store_walker *walker, struct bytes *raw, bool *is_whole)
{
    size_t need = sizeof walker->block - walker->filled;
    struct bytes part = bytes_slice(*raw, 0, need);

    memcpy(walker->block + walker->filled, part.ptr, part.len);
    walker->filled += part.len;
    walker->at += part.len;
    *raw = bytes_slice(*raw, part.len, SIZE_MAX);
    *is_whole = walker->filled == sizeof walker->block;
    if (*is_whole)
        walker->filled = 0;
}

static struct bytes take_part(struct store_walker *walker, struct bytes *raw)
{
    struct bytes part =
        bytes_slice(*raw, 0, walker->left < raw->len ? (size_t)walker->left : raw->len);

    walker->left -= part.len;
    walker->at += part.len;
    *raw = bytes_slice(*raw, part.len, SIZE_MAX);
    return part;
}

static bool take_data(struct store_walker *walker, struct bytes *raw, struct err *err)
{
    const struct store_pack_visitor *visitor = walker->visitor;
    struct bytes part = take_part(walker, raw);

    if (!walker->member.is_catalogue)
        crypto_update_hasher(walker->hasher, part);
    else if (visitor->catalogue != NULL && !visitor->catalogue(visitor->context, part, err))
        return false;
    return walker->left > 0 || end_member(walker, err);
}

static bool take_padding(struct store_walker *walker, struct bytes *raw, struct err *err)
{
    struct bytes part = take_part(walker, raw);

    if (memcmp(part.ptr, zero_block, part.len) != 0)
        return err_fail(err, ERR_CORRUPT, "padding before %ju is not zero", (uintmax_t)walker->at);
    if (walker->left == 0)
        walker->state = WALK_HEADER;
    return true;
}

static bool take_last_block(struct store_walker *walker, struct bytes *raw, struct err *err)
{
    bool is_whole;

    take_block(walker, raw, &is_whole);
    if (!is_whole)
        return true;
    walker->state = WALK_END;
    return memcmp(walker->block, zero_block, sizeof zero_block) == 0 ||
           err_fail(err, ERR_CORRUPT, "one zero block before %ju instead of two",
                    (uintmax_t)walker->at);
}

bool store_feed_walker(struct store_walker *walker, struct bytes raw, struct err *err)
{
    bool is_whole;

    while (raw.len > 0) {
        bool is_good = true;

        switch (walker->state) {
        case WALK_HEADER:
            take_block(walker, &raw, &is_whole);
            is_good = !is_whole || begin_member(walker, err);
            break;
        case WALK_DATA:
            is_good = take_data(walker, &raw, err);
            break;
        case WALK_PADDING:
            is_good = take_padding(walker, &raw, err);
            break;
        case WALK_LAST_BLOCK:
            is_good = take_last_block(walker, &raw, err);
            break;
        case WALK_END:
            return err_fail(err, ERR_CORRUPT, "octets behind the end of the tar stream");
        }
        if (!is_good)
            return false;
    }
    return true;
}

bool store_end_walker(struct store_walker *walker, struct err *err)
{
    if (walker->state != WALK_END)
        return err_fail(err, ERR_CORRUPT, "the tar stream breaks off at %ju",
                        (uintmax_t)walker->at);
    if (walker->broken > 0)
        return err_fail(err, ERR_CORRUPT, "%ju messages do not have the SHA-256 of their name",
                        (uintmax_t)walker->broken);
    return true;
}
