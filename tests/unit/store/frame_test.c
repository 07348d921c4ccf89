/* SPDX-License-Identifier: Apache-2.0 */
#include "store/frame.h"
#include "test.h"

#include <stdlib.h>
#include <zstd.h>

/* Text-like octets: the same for the same seed. */
static uint8_t *make_text(size_t len, uint32_t seed)
{
    uint8_t *text = malloc(len + 1);

    CHECK(text != NULL);
    for (size_t i = 0; i < len; i++) {
        seed = seed * 1664525u + 1013904223u;
        text[i] = (uint8_t)('a' + (seed >> 24) % 16);
    }
    return text;
}

static bool decode(const struct store_frame_facts *facts, struct bytes stored, uint8_t *out,
                   struct err *err)
{
    CLEANUP(store_free_decoder) struct store_decoder *decoder = store_create_decoder();
    struct store_checked_frame checked;

    return store_check_frame(facts, stored, &checked, err) &&
           store_decode_frame(decoder, checked, out, err);
}

/* Facts that fit these octets whatever they are, as a forger of rows would write them. */
static struct store_frame_facts facts_of(struct bytes stored, uint32_t raw_bytes)
{
    return (struct store_frame_facts){ raw_bytes, (uint32_t)stored.len, crypto_hash(stored) };
}

TEST(frame_gives_back_what_went_in_at_every_size)
{
    static const size_t sizes[] = { 1, 2, 511, 512, 513, 65536, 262144, 262145, 1048576 };
    CLEANUP(store_free_encoder) struct store_encoder *encoder = store_create_encoder();

    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        uint8_t *raw = make_text(sizes[i], (uint32_t)i);
        uint8_t *back = malloc(sizes[i]);
        struct store_frame_facts facts;
        struct bytes stored;
        struct err err = { 0 };

        CHECK(back != NULL);
        CHECK(store_encode_frame(encoder, bytes_of(raw, sizes[i]), &stored, &facts, &err));
        CHECK_EQ_U64(facts.raw_bytes, sizes[i]);
        CHECK_EQ_U64(facts.stored_bytes, stored.len);
        CHECK(decode(&facts, stored, back, &err));
        CHECK(memcmp(raw, back, sizes[i]) == 0);
        free(raw);
        free(back);
    }
}

TEST(frame_declares_its_content_size_and_carries_a_checksum)
{
    CLEANUP(store_free_encoder) struct store_encoder *encoder = store_create_encoder();
    struct store_frame_facts facts;
    struct bytes stored;
    struct err err = { 0 };

    CHECK(store_encode_frame(encoder, BYTES("some octets"), &stored, &facts, &err));
    CHECK_EQ_U64(ZSTD_getFrameContentSize(stored.ptr, stored.len), 11);
    CHECK((stored.ptr[4] & 4) != 0); /* RFC 8878 §3.1.1.1.1: Content_Checksum_flag */
}

TEST(frame_with_any_flipped_byte_is_found_before_it_is_opened)
{
    CLEANUP(store_free_encoder) struct store_encoder *encoder = store_create_encoder();
    uint8_t *raw = make_text(3000, 5);
    struct store_frame_facts facts;
    struct store_checked_frame checked;
    struct bytes stored;
    struct err err = { 0 };
    uint8_t *copy;

    CHECK(store_encode_frame(encoder, bytes_of(raw, 3000), &stored, &facts, &err));
    copy = malloc(stored.len);
    CHECK(copy != NULL);
    for (size_t i = 0; i < stored.len; i++) {
        memcpy(copy, stored.ptr, stored.len);
        copy[i] ^= 1;
        err_clear(&err);
        CHECK(!store_check_frame(&facts, bytes_of(copy, stored.len), &checked, &err));
        CHECK_EQ_U64(err.code, ERR_CORRUPT);
    }
    free(copy);
    free(raw);
}

TEST(frame_of_another_length_than_recorded_is_corrupt)
{
    CLEANUP(store_free_encoder) struct store_encoder *encoder = store_create_encoder();
    struct store_frame_facts facts;
    struct store_checked_frame checked;
    struct bytes stored;
    struct err err = { 0 };

    CHECK(store_encode_frame(encoder, BYTES("some octets"), &stored, &facts, &err));
    CHECK(!store_check_frame(&facts, bytes_slice(stored, 0, stored.len - 1), &checked, &err));
    CHECK_EQ_U64(err.code, ERR_CORRUPT);
    facts.raw_bytes = LIMIT_FRAME_RAW_BYTES + 1;
    CHECK(!store_check_frame(&facts, stored, &checked, &err));
    CHECK_EQ_U64(err.code, ERR_CORRUPT);
    facts.raw_bytes = 0;
    CHECK(!store_check_frame(&facts, stored, &checked, &err));
    CHECK_EQ_U64(err.code, ERR_CORRUPT);
}

TEST(frame_whose_row_lies_about_the_raw_length_is_corrupt_and_never_overruns)
{
    CLEANUP(store_free_encoder) struct store_encoder *encoder = store_create_encoder();
    uint8_t *raw = make_text(5000, 9);
    uint8_t *out = malloc(4999);
    struct store_frame_facts facts;
    struct bytes stored;
    struct err err = { 0 };

    CHECK(out != NULL);
    CHECK(store_encode_frame(encoder, bytes_of(raw, 5000), &stored, &facts, &err));
    facts.raw_bytes = 4999;
    CHECK(!decode(&facts, stored, out, &err));
    CHECK_EQ_U64(err.code, ERR_CORRUPT);
    free(raw);
    free(out);
}

TEST(frame_must_be_exactly_one_zstd_frame)
{
    CLEANUP(store_free_encoder) struct store_encoder *encoder = store_create_encoder();
    uint8_t two[200];
    uint8_t out[200];
    struct store_frame_facts facts;
    struct bytes stored;
    struct err err = { 0 };

    CHECK(store_encode_frame(encoder, BYTES("one"), &stored, &facts, &err));
    memcpy(two, stored.ptr, stored.len);
    memcpy(two + stored.len, stored.ptr, stored.len);
    facts = facts_of(bytes_of(two, 2 * stored.len), 6);
    CHECK(!decode(&facts, bytes_of(two, 2 * stored.len), out, &err));
    CHECK_EQ_U64(err.code, ERR_CORRUPT);

    /* A skippable frame, alone and in front. */
    memcpy(two, "\x50\x2a\x4d\x18\x00\x00\x00\x00", 8);
    facts = facts_of(bytes_of(two, 8), 1);
    CHECK(!decode(&facts, bytes_of(two, 8), out, &err));
    memcpy(two + 8, stored.ptr, stored.len);
    facts = facts_of(bytes_of(two, 8 + stored.len), 3);
    CHECK(!decode(&facts, bytes_of(two, 8 + stored.len), out, &err));
    CHECK_EQ_U64(err.code, ERR_CORRUPT);

    facts = facts_of(BYTES("not zstd at all"), 3);
    CHECK(!decode(&facts, BYTES("not zstd at all"), out, &err));
    facts = facts_of(BYTES(""), 3);
    CHECK(!decode(&facts, BYTES(""), out, &err));
    CHECK_EQ_U64(err.code, ERR_CORRUPT);
}
