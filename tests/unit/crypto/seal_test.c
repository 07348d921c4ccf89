/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fd.h"
#include "crypto/seal.h"
#include "fixture.h"
#include "test.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct crypto_key *generate(void)
{
    struct crypto_key *key = NULL;
    struct err err = { 0 };

    CHECK(crypto_generate_key(&key, &err));
    return key;
}

TEST(what_was_sealed_opens_under_the_same_key_and_name)
{
    CLEANUP(crypto_free_key) struct crypto_key *key = generate();
    CLEANUP(buf_free) struct buf sealed = buf_create(1000);
    CLEANUP(buf_free) struct buf plain = buf_create(1000);
    int64_t id = 0;
    struct err err = { 0 };

    CHECK(crypto_seal(key, BYTES("account 7"), BYTES("a password"), &sealed, &err));
    CHECK_EQ_U64(sealed.len, 10 + CRYPTO_SEAL_OVERHEAD_BYTES);
    CHECK(bytes_find(buf_bytes(&sealed), BYTES("password")) < 0);
    CHECK(crypto_read_sealed_key_id(buf_bytes(&sealed), &id, &err));
    CHECK_EQ_I64(id, crypto_get_key_id(key));
    CHECK(crypto_open(key, BYTES("account 7"), buf_bytes(&sealed), &plain, &err));
    CHECK_BYTES(buf_bytes(&plain), BYTES("a password"));
}

TEST(nothing_and_a_megabyte_can_be_sealed)
{
    CLEANUP(crypto_free_key) struct crypto_key *key = generate();
    CLEANUP(buf_free) struct buf sealed = buf_create(4 << 20);
    CLEANUP(buf_free) struct buf plain = buf_create(4 << 20);
    uint8_t *much = calloc(1, 1 << 20);
    struct err err = { 0 };

    CHECK(crypto_seal(key, BYTES(""), BYTES(""), &sealed, &err));
    CHECK_EQ_U64(sealed.len, CRYPTO_SEAL_OVERHEAD_BYTES);
    CHECK(crypto_open(key, BYTES(""), buf_bytes(&sealed), &plain, &err));
    CHECK_EQ_U64(plain.len, 0);
    buf_reset(&sealed, 0);
    CHECK(crypto_seal(key, BYTES("x"), bytes_of(much, 1 << 20), &sealed, &err));
    CHECK(crypto_open(key, BYTES("x"), buf_bytes(&sealed), &plain, &err));
    CHECK_BYTES(buf_bytes(&plain), bytes_of(much, 1 << 20));
    free(much);
}

TEST(the_same_octets_sealed_twice_look_different)
{
    CLEANUP(crypto_free_key) struct crypto_key *key = generate();
    CLEANUP(buf_free) struct buf first = buf_create(100);
    CLEANUP(buf_free) struct buf second = buf_create(100);
    struct err err = { 0 };

    CHECK(crypto_seal(key, BYTES(""), BYTES("same"), &first, &err));
    CHECK(crypto_seal(key, BYTES(""), BYTES("same"), &second, &err));
    CHECK(!bytes_equal(buf_bytes(&first), buf_bytes(&second)));
}

TEST(every_changed_octet_of_a_sealed_blob_is_found)
{
    CLEANUP(crypto_free_key) struct crypto_key *key = generate();
    CLEANUP(buf_free) struct buf sealed = buf_create(100);
    CLEANUP(buf_free) struct buf plain = buf_create(100);
    struct err err = { 0 };

    CHECK(crypto_seal(key, BYTES("name"), BYTES("octets"), &sealed, &err));
    for (size_t i = 0; i < sealed.len; i++) {
        sealed.ptr[i] ^= 1;
        CHECK(!crypto_open(key, BYTES("name"), buf_bytes(&sealed), &plain, &err));
        CHECK_EQ_U64(err.code, i == 0 ? ERR_SYNTAX : i < 9 ? ERR_DENIED : ERR_CORRUPT);
        CHECK_EQ_U64(plain.len, 0);
        sealed.ptr[i] ^= 1;
    }
    CHECK(crypto_open(key, BYTES("name"), buf_bytes(&sealed), &plain, &err));
}

TEST(a_blob_does_not_open_in_another_place_or_under_another_key)
{
    CLEANUP(crypto_free_key) struct crypto_key *key = generate();
    CLEANUP(crypto_free_key) struct crypto_key *other = generate();
    CLEANUP(buf_free) struct buf sealed = buf_create(100);
    CLEANUP(buf_free) struct buf plain = buf_create(100);
    struct err err = { 0 };

    CHECK(crypto_seal(key, BYTES("account 7"), BYTES("x"), &sealed, &err));
    CHECK(!crypto_open(key, BYTES("account 8"), buf_bytes(&sealed), &plain, &err));
    CHECK_EQ_U64(err.code, ERR_CORRUPT);
    CHECK(!crypto_open(other, BYTES("account 7"), buf_bytes(&sealed), &plain, &err));
    CHECK_EQ_U64(err.code, ERR_DENIED);
}

TEST(a_blob_cut_short_is_refused_at_every_length)
{
    CLEANUP(crypto_free_key) struct crypto_key *key = generate();
    CLEANUP(buf_free) struct buf sealed = buf_create(100);
    CLEANUP(buf_free) struct buf plain = buf_create(100);
    struct err err = { 0 };

    CHECK(crypto_seal(key, BYTES(""), BYTES("octets"), &sealed, &err));
    for (size_t len = 0; len < sealed.len; len++) {
        CHECK(!crypto_open(key, BYTES(""), bytes_of(sealed.ptr, len), &plain, &err));
        CHECK_EQ_U64(err.code, len < CRYPTO_SEAL_OVERHEAD_BYTES ? ERR_SYNTAX : ERR_CORRUPT);
    }
}

TEST(output_that_does_not_fit_is_a_limit_and_the_buffer_stays_usable)
{
    CLEANUP(crypto_free_key) struct crypto_key *key = generate();
    CLEANUP(buf_free) struct buf sealed = buf_create(100);
    CLEANUP(buf_free) struct buf plain = buf_create(3);
    struct err err = { 0 };

    CHECK(crypto_seal(key, BYTES(""), BYTES("four"), &sealed, &err));
    CHECK(!crypto_open(key, BYTES(""), buf_bytes(&sealed), &plain, &err));
    CHECK_EQ_U64(err.code, ERR_LIMIT);
    CHECK(!plain.has_failed);
}

TEST(a_key_has_the_same_id_wherever_it_is_made_from_its_octets)
{
    CLEANUP(crypto_free_key) struct crypto_key *key = generate();
    CLEANUP(crypto_free_key) struct crypto_key *copy = NULL;
    struct err err = { 0 };

    CHECK(crypto_get_key_id(key) > 0);
    CHECK(crypto_create_key(crypto_get_key_octets(key), &copy, &err));
    CHECK_EQ_I64(crypto_get_key_id(copy), crypto_get_key_id(key));
    CHECK(!crypto_create_key(BYTES("short"), &copy, &err));
    CHECK_EQ_U64(err.code, ERR_SYNTAX);
}

TEST(a_secret_opens_into_wiped_memory)
{
    CLEANUP(crypto_free_key) struct crypto_key *key = generate();
    CLEANUP(buf_free) struct buf sealed = buf_create(100);
    CLEANUP(secret_free) struct secret *secret = NULL;
    struct err err = { 0 };

    CHECK(crypto_seal(key, BYTES("a"), BYTES("password"), &sealed, &err));
    CHECK(!crypto_open_secret(key, BYTES("b"), buf_bytes(&sealed), &secret, &err));
    CHECK(secret == NULL);
    CHECK(crypto_open_secret(key, BYTES("a"), buf_bytes(&sealed), &secret, &err));
    CHECK_BYTES(secret_bytes(secret), BYTES("password"));
}

TEST(a_data_key_survives_wrapping_by_the_master_key)
{
    CLEANUP(crypto_free_key) struct crypto_key *master = generate();
    CLEANUP(crypto_free_key) struct crypto_key *key = generate();
    CLEANUP(crypto_free_key) struct crypto_key *back = NULL;
    CLEANUP(buf_free) struct buf wrapped = buf_create(100);
    struct err err = { 0 };

    CHECK(crypto_wrap_key(master, key, &wrapped, &err));
    CHECK_EQ_U64(wrapped.len, CRYPTO_WRAPPED_KEY_BYTES);
    CHECK(!crypto_unwrap_key(key, buf_bytes(&wrapped), &back, &err));
    CHECK_EQ_U64(err.code, ERR_DENIED);
    CHECK(crypto_unwrap_key(master, buf_bytes(&wrapped), &back, &err));
    CHECK_BYTES(crypto_get_key_octets(back), crypto_get_key_octets(key));
}

TEST(a_key_file_is_private_loads_back_and_is_never_replaced)
{
    const char *path = fixture_path("master.key");
    CLEANUP(crypto_free_key) struct crypto_key *first = NULL;
    CLEANUP(crypto_free_key) struct crypto_key *second = NULL;
    struct stat st;
    struct err err = { 0 };

    CHECK(!crypto_load_key_file(path, &first, &err));
    CHECK_EQ_U64(err.code, ERR_ABSENT);
    CHECK(crypto_create_key_file(path, &err));
    CHECK(stat(path, &st) == 0);
    CHECK_EQ_U64(st.st_mode & 07777, 0600);
    CHECK(crypto_load_key_file(path, &first, &err));
    CHECK(!crypto_create_key_file(path, &err));
    CHECK_EQ_U64(err.code, ERR_DENIED);
    CHECK(crypto_load_key_file(path, &second, &err));
    CHECK_EQ_I64(crypto_get_key_id(first), crypto_get_key_id(second));
}

TEST(a_key_file_that_others_may_use_is_refused)
{
    static const unsigned modes[] = { 0640, 0604, 0620, 0602, 0660, 0777 };
    const char *path = fixture_path("shared.key");
    struct crypto_key *key = NULL;
    struct err err = { 0 };

    CHECK(crypto_create_key_file(path, &err));
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        CHECK(chmod(path, modes[i]) == 0);
        CHECK(!crypto_load_key_file(path, &key, &err));
        CHECK_EQ_U64(err.code, ERR_DENIED);
        CHECK(strstr(err.text, "chmod 600") != NULL);
    }
    CHECK(chmod(path, 0400) == 0);
    CHECK(crypto_load_key_file(path, &key, &err));
    crypto_free_key(&key);
}

TEST(a_key_file_that_is_a_link_or_holds_something_else_is_refused)
{
    static const char *const wrong[] = {
        "",
        "holdfast master key 1\n",
        "holdfast master key 1\nAAAA\n",
        "holdfast master key 2\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        "holdfast master key 1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "holdfast master key 1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\nmore\n",
    };
    const char *path = fixture_path("wrong.key");
    const char *link_path = fixture_path("link.key");
    struct crypto_key *key = NULL;
    struct err err = { 0 };

    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        fixture_write(path, wrong[i], 0600);
        CHECK(!crypto_load_key_file(path, &key, &err));
        CHECK_EQ_U64(err.code, ERR_CORRUPT);
    }
    CHECK(symlink(path, link_path) == 0);
    CHECK(!crypto_load_key_file(link_path, &key, &err));
    CHECK(key == NULL);
}

TEST(a_printed_key_file_typed_in_again_is_the_same_key)
{
    const char *path = fixture_path("typed.key");
    CLEANUP(crypto_free_key) struct crypto_key *key = NULL;
    struct err err = { 0 };

    fixture_write(path, "holdfast master key 1\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n",
                  0600);
    CHECK(crypto_load_key_file(path, &key, &err));
    CHECK_EQ_U64(crypto_get_key_octets(key).ptr[31], 31);
    CHECK_EQ_I64(crypto_get_key_id(key), INT64_C(4643216581697988859));
}
