/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/hash.h"
#include "crypto/random.h"
#include "test.h"

static void check_hash(struct crypto_sha256 hash, const char *hex)
{
    CLEANUP(buf_free) struct buf text = buf_create(64);

    buf_hex(&text, crypto_sha256_bytes(&hash));
    CHECK_BYTES(buf_bytes(&text), bytes_of_text(hex));
}

TEST(sha256_gives_the_values_of_fips_180)
{
    check_hash(crypto_hash(BYTES("")),
               "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    check_hash(crypto_hash((struct bytes){ NULL, 0 }),
               "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    check_hash(crypto_hash(BYTES("abc")),
               "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(hmac_gives_the_values_of_rfc_4231)
{
    check_hash(crypto_hmac(BYTES("Jefe"), BYTES("what do ya want for nothing?")),
               "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    check_hash(crypto_hmac(BYTES("\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b"
                                 "\x0b\x0b\x0b\x0b"),
                           BYTES("Hi There")),
               "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
}

TEST(a_hash_in_pieces_is_the_hash_of_the_whole_and_the_hasher_starts_anew)
{
    struct crypto_hasher *hasher = crypto_create_hasher();

    for (int round = 0; round < 2; round++) {
        crypto_update_hasher(hasher, BYTES("a"));
        crypto_update_hasher(hasher, BYTES(""));
        crypto_update_hasher(hasher, BYTES("bc"));
        check_hash(crypto_finish_hasher(hasher),
                   "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
    crypto_free_hasher(&hasher);
    CHECK(hasher == NULL);
    crypto_free_hasher(&hasher);
}

TEST(a_token_comes_with_its_hash_and_never_twice)
{
    CLEANUP(secret_free) struct secret *first = NULL;
    CLEANUP(secret_free) struct secret *second = NULL;
    struct crypto_sha256 hash;
    struct crypto_sha256 expected;
    struct err err = { 0 };

    CHECK(crypto_make_token(&first, &hash, &err));
    expected = crypto_hash(secret_bytes(first));
    CHECK_BYTES(crypto_sha256_bytes(&hash), crypto_sha256_bytes(&expected));
    CHECK_EQ_U64(secret_bytes(first).len, CRYPTO_TOKEN_BYTES);
    CHECK(crypto_make_token(&second, &hash, &err));
    CHECK(!bytes_equal(secret_bytes(first), secret_bytes(second)));
}
