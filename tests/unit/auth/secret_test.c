/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/office.h"
#include "auth/secret.h"
#include "source/lease.h"

TEST(a_sealed_secret_opens_for_its_account_under_its_key_only)
{
    CLEANUP(crypto_free_key) struct crypto_key *key = NULL;
    CLEANUP(crypto_free_key) struct crypto_key *other = NULL;
    CLEANUP(secret_free) struct secret *secret = secret_of("source password");
    CLEANUP(secret_free) struct secret *opened = NULL;
    CLEANUP(buf_free) struct buf blob = buf_create(AUTH_SEALED_SECRET_MAX_BYTES);
    struct secret *wrong = NULL;
    struct err err = { 0 };

    CHECK(crypto_generate_key(&key, &err));
    CHECK(crypto_generate_key(&other, &err));
    CHECK(auth_seal_source_secret(key, 7, secret, &blob, &err));
    CHECK(auth_open_source_secret(key, 7, buf_bytes(&blob), &opened, &err));
    CHECK_BYTES(secret_bytes(opened), BYTES("source password"));
    CHECK(!auth_open_source_secret(key, 8, buf_bytes(&blob), &wrong, &err));
    CHECK_EQ_U64(err.code, ERR_CORRUPT);
    CHECK(!auth_open_source_secret(other, 7, buf_bytes(&blob), &wrong, &err));
    CHECK_EQ_U64(err.code, ERR_DENIED);
    CHECK(wrong == NULL);
    CHECK(!auth_seal_source_secret(key, 0, secret, &blob, &err));
}

TEST(the_aad_is_that_of_the_readme)
{
    char text[SOURCE_AAD_BYTES];

    CHECK_BYTES(source_secret_aad(7, text), BYTES("account 7 secret"));
}
