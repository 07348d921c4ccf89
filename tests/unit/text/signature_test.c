/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"
#include "text/signature.h"

enum {
    ROUNDS = 300,
    RECORDS_MAX = 8,
    RECORD_MAX = 40000,
};

/* xorshift: the same in each run. */
static uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

static struct bytes sign(struct text_signer *signer, const char *record)
{
    text_sign(signer, bytes_of_text(record));
    return text_end_signature(signer);
}

TEST(what_stands_in_a_record_is_never_ruled_out)
{
    static uint8_t octets[RECORDS_MAX][RECORD_MAX];
    struct text_signer *signer = text_create_signer();
    uint32_t random = 4711;

    for (int round = 0; round < ROUNDS; round++) {
        struct bytes records[RECORDS_MAX];
        size_t count = 1 + next_random(&random) % RECORDS_MAX;
        uint32_t letters = 2 + next_random(&random) % 254;
        struct bytes signature;

        for (size_t r = 0; r < count; r++) {
            records[r] = bytes_of(octets[r], next_random(&random) % (RECORD_MAX >> round % 12));
            for (size_t i = 0; i < records[r].len; i++)
                octets[r][i] = (uint8_t)(next_random(&random) % letters);
            text_sign(signer, records[r]);
        }
        signature = text_end_signature(signer);
        for (int needle = 0; needle < 200; needle++) {
            struct bytes record = records[next_random(&random) % count];
            size_t from = record.len == 0 ? 0 : next_random(&random) % record.len;
            size_t len = next_random(&random) % (needle % 50 == 0 ? RECORD_MAX : 30);

            CHECK(text_may_hold(signature, bytes_slice(record, from, len)));
        }
    }
    text_free_signer(&signer);
}

TEST(what_stands_nowhere_is_mostly_ruled_out_by_a_gram_that_is_missing)
{
    struct text_signer *signer = text_create_signer();
    struct bytes signature = sign(signer, "the quarterly forecast of alice and bob");

    CHECK(!text_may_hold(signature, BYTES("zyxarchivum")));
    CHECK(!text_may_hold(signature, BYTES("forecasts")));
    CHECK(!text_may_hold(signature, BYTES("alice or bob")));
    CHECK(text_may_hold(signature, BYTES("forecast")));
    text_free_signer(&signer);
}

TEST(grams_do_not_span_two_records_nor_two_signatures)
{
    struct text_signer *signer = text_create_signer();
    struct bytes signature;

    text_sign(signer, BYTES("zyxar"));
    text_sign(signer, BYTES("chivum"));
    signature = text_end_signature(signer);
    CHECK(!text_may_hold(signature, BYTES("archi")));
    CHECK(!text_may_hold(sign(signer, "nothing"), BYTES("zyxar")));
    text_sign(signer, BYTES("forgotten"));
    text_clear_signer(signer);
    CHECK(!text_may_hold(sign(signer, "nothing"), BYTES("forgotten")));
    text_free_signer(&signer);
}

TEST(a_needle_shorter_than_a_gram_and_a_signature_that_is_none_rule_nothing_out)
{
    struct text_signer *signer = text_create_signer();
    struct bytes signature = sign(signer, "a record");
    static const uint8_t zeros[TEXT_SIGNATURE_MAX * 2];

    CHECK(text_may_hold(signature, BYTES("")));
    CHECK(text_may_hold(signature, BYTES("xyz")));
    CHECK(!text_may_hold(signature, BYTES("wxyz")));
    CHECK(text_may_hold(bytes_of(NULL, 0), BYTES("wxyz")));
    CHECK(text_may_hold(bytes_of(zeros, TEXT_SIGNATURE_MIN / 2), BYTES("wxyz")));
    CHECK(text_may_hold(bytes_of(zeros, TEXT_SIGNATURE_MIN + 1), BYTES("wxyz")));
    CHECK(text_may_hold(bytes_of(zeros, TEXT_SIGNATURE_MAX * 2), BYTES("wxyz")));
    CHECK(!text_may_hold(bytes_of(zeros, TEXT_SIGNATURE_MAX), BYTES("wxyz")));
    text_free_signer(&signer);
}

TEST(a_signature_is_as_long_as_the_grams_of_its_records_ask_for)
{
    static uint8_t text[1 << 20];
    struct text_signer *signer = text_create_signer();
    const struct {
        size_t octets, signature;
    } cases[] = { { 0, 64 },      { 3, 64 },       { 60, 64 },       { 200, 128 },
                  { 3000, 2048 }, { 20000, 8192 }, { 100000, 8192 }, { sizeof text, 8192 } };
    uint32_t random = 1;

    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (uint8_t)next_random(&random);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        text_sign(signer, bytes_of(text, cases[i].octets));
        CHECK_EQ_U64(text_end_signature(signer).len, cases[i].signature);
    }
    memset(text, 'a', sizeof text);
    text_sign(signer, bytes_of(text, sizeof text));
    CHECK_EQ_U64(text_end_signature(signer).len, 64);
    text_free_signer(&signer);
}

/* It is stored: another hash or order of bits would silently deny what is there. */
TEST(the_bits_of_a_signature_are_those_that_are_stored)
{
    struct text_signer *signer = text_create_signer();
    struct bytes signature = sign(signer, "abcd");
    uint32_t bit = ((UINT32_C(0x64636261) * UINT32_C(0x9E3779B1)) >> 16) % 512;
    uint8_t expected[TEXT_SIGNATURE_MIN] = { 0 };

    expected[bit / 8] = (uint8_t)(1 << bit % 8);
    CHECK_BYTES(signature, bytes_of(expected, sizeof expected));
    text_free_signer(&signer);
}
