/* SPDX-License-Identifier: Apache-2.0 */
#include "base/limits.h"
#include "store/member.h"
#include "test.h"

static const char digest_of_abc[] =
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

TEST(member_header_is_the_documented_ustar_header_octet_for_octet)
{
    struct crypto_sha256 hash = crypto_hash(BYTES("abc"));
    uint8_t header[STORE_BLOCK_BYTES];
    uint8_t want[STORE_BLOCK_BYTES] = { 0 };
    struct err err = { 0 };
    unsigned sum = 0;
    char text[8];

    memcpy(want, digest_of_abc, 64);
    memcpy(want + 64, ".eml", 4);
    memcpy(want + 100, "0000444", 7);
    memcpy(want + 108, "0000000", 7);
    memcpy(want + 116, "0000000", 7);
    memcpy(want + 124, "00000000003", 11);
    memcpy(want + 136, "00000000000", 11);
    memcpy(want + 148, "        ", 8);
    want[156] = '0';
    memcpy(want + 257, "ustar", 5);
    memcpy(want + 263, "00", 2);
    memcpy(want + 329, "0000000", 7);
    memcpy(want + 337, "0000000", 7);
    for (size_t i = 0; i < sizeof want; i++)
        sum += want[i];
    for (size_t i = 0; i < 6; i++)
        text[i] = (char)('0' + (sum >> (3 * (5 - i)) & 7));
    memcpy(want + 148, text, 6);
    want[154] = 0;

    CHECK(store_write_member_header(&hash, 3, header, &err));
    CHECK_BYTES(bytes_of(header, sizeof header), bytes_of(want, sizeof want));
}

TEST(member_over_the_message_limit_is_refused)
{
    struct crypto_sha256 hash = { { 0 } };
    uint8_t header[STORE_BLOCK_BYTES];
    struct err err = { 0 };

    CHECK(store_write_member_header(&hash, LIMIT_MESSAGE_BYTES, header, &err));
    CHECK_BYTES(bytes_of(header + 124, 12), bytes_of("20000000000", 12));
    CHECK(!store_write_member_header(&hash, LIMIT_MESSAGE_BYTES + 1, header, &err));
    CHECK_EQ_U64(err.code, ERR_LIMIT);
}

TEST(member_is_filled_up_to_whole_blocks)
{
    CHECK_EQ_U64(store_padding_bytes(0), 0);
    CHECK_EQ_U64(store_padding_bytes(1), 511);
    CHECK_EQ_U64(store_padding_bytes(511), 1);
    CHECK_EQ_U64(store_padding_bytes(512), 0);
    CHECK_EQ_U64(store_padding_bytes(513), 511);
    CHECK_EQ_U64(store_member_bytes(0), 512);
    CHECK_EQ_U64(store_member_bytes(1), 1024);
    CHECK_EQ_U64(store_member_bytes(LIMIT_MESSAGE_BYTES), LIMIT_MESSAGE_BYTES + 512);
}
