/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/base64.h"
#include "test.h"

static const char *const vectors[][2] = {
    /* RFC 4648 §10 */
    { "", "" },
    { "f", "Zg==" },
    { "fo", "Zm8=" },
    { "foo", "Zm9v" },
    { "foob", "Zm9vYg==" },
    { "fooba", "Zm9vYmE=" },
    { "foobar", "Zm9vYmFy" },
    { "\xff\xef\xbe", "/+++" },
};

TEST(base64_gives_and_reads_the_vectors_of_rfc_4648)
{
    for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
        CLEANUP(buf_free) struct buf text = buf_create(100);
        CLEANUP(buf_free) struct buf octets = buf_create(100);
        struct err err = { 0 };

        crypto_write_base64(&text, bytes_of_text(vectors[i][0]));
        CHECK_BYTES(buf_bytes(&text), bytes_of_text(vectors[i][1]));
        CHECK(crypto_read_base64(bytes_of_text(vectors[i][1]), &octets, &err));
        CHECK_BYTES(buf_bytes(&octets), bytes_of_text(vectors[i][0]));
    }
}

TEST(base64_that_is_not_exact_is_refused_and_nothing_appended)
{
    static const char *const wrong[] = { "Z",     "Zg",   "Zg=",      "Zg==Zg==", "Zm9v\n",
                                         "Zm9v ", "Zh==", "Zm9=",     "====",     "=AAA",
                                         "A===",  "AA=A", "Zm9vZm9-", "Zm9vZ" };

    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        CLEANUP(buf_free) struct buf octets = buf_create(100);
        struct err err = { 0 };

        buf_text(&octets, "kept");
        if (crypto_read_base64(bytes_of_text(wrong[i]), &octets, &err))
            CHECK_STR(wrong[i], "refused");
        CHECK_EQ_U64(err.code, ERR_SYNTAX);
        CHECK_BYTES(buf_bytes(&octets), BYTES("kept"));
    }
}

TEST(all_octets_survive_base64)
{
    CLEANUP(buf_free) struct buf text = buf_create(1000);
    CLEANUP(buf_free) struct buf octets = buf_create(1000);
    uint8_t all[256];
    struct err err = { 0 };

    for (size_t i = 0; i < sizeof all; i++)
        all[i] = (uint8_t)i;
    crypto_write_base64(&text, bytes_of(all, sizeof all));
    CHECK(crypto_read_base64(buf_bytes(&text), &octets, &err));
    CHECK_BYTES(buf_bytes(&octets), bytes_of(all, sizeof all));
}
