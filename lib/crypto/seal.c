/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/seal.h"

#include "crypto/base64.h"
#include "crypto/hash.h"
#include "crypto/internal.h"
#include "crypto/random.h"

#include <openssl/evp.h>
#include <stdlib.h>

enum {
    FORMAT = 0x01,
    KEY_ID_BYTES = 8,
    NONCE_BYTES = 12,
    TAG_BYTES = 16
};
enum {
    HEADER_BYTES = 1 + KEY_ID_BYTES + NONCE_BYTES
};

struct crypto_key {
    int64_t id;
    struct secret *octets;
};

/* ---- keys ---- */

/* The id tells nothing about the key that is of use to anyone. */
static int64_t derive_id(struct bytes octets)
{
    struct crypto_sha256 hash = crypto_hmac(octets, BYTES("holdfast key id"));
    uint64_t id = 0;

    for (size_t i = 0; i < KEY_ID_BYTES; i++)
        id = id << 8 | hash.octets[i];
    id &= INT64_MAX;
    return id == 0 ? 1 : (int64_t)id;
}

bool crypto_create_key(struct bytes octets, struct crypto_key **out, struct err *err)
{
    CLEANUP(crypto_free_key) struct crypto_key *key = NULL;

    if (octets.len != CRYPTO_KEY_BYTES)
        return err_fail(err, ERR_SYNTAX, "a key has %d octets, not %zu", CRYPTO_KEY_BYTES,
                        octets.len);
    key = calloc(1, sizeof *key);
    if (key == NULL)
        return err_errno(err, "key");
    if (!secret_create(octets, &key->octets, err))
        return false;
    key->id = derive_id(octets);
    *out = key;
    key = NULL;
    return true;
}

bool crypto_generate_key(struct crypto_key **out, struct err *err)
{
    uint8_t octets[CRYPTO_KEY_BYTES];
    bool is_made;

    crypto_fill_random(octets, sizeof octets);
    is_made = crypto_create_key(bytes_of(octets, sizeof octets), out, err);
    secret_wipe(octets, sizeof octets);
    return is_made;
}

void crypto_free_key(struct crypto_key **key)
{
    if (*key != NULL)
        secret_free(&(*key)->octets);
    free(*key);
    *key = NULL;
}

int64_t crypto_get_key_id(const struct crypto_key *key)
{
    return key->id;
}

struct bytes crypto_get_key_octets(const struct crypto_key *key)
{
    return secret_bytes(key->octets);
}

/* ---- sealing ---- */

static void free_cipher(EVP_CIPHER_CTX **cipher)
{
    EVP_CIPHER_CTX_free(*cipher);
    *cipher = NULL;
}

static EVP_CIPHER_CTX *start_cipher(const struct crypto_key *key,
                                    const uint8_t header[HEADER_BYTES], struct bytes aad,
                                    int is_sealing)
{
    EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    int ignored;

    crypto_must(cipher != NULL);
    crypto_must(EVP_CipherInit_ex(cipher, EVP_aes_256_gcm(), NULL, secret_bytes(key->octets).ptr,
                                  header + 1 + KEY_ID_BYTES, is_sealing));
    crypto_must(EVP_CipherUpdate(cipher, NULL, &ignored, header, HEADER_BYTES));
    if (aad.len > 0)
        crypto_must(EVP_CipherUpdate(cipher, NULL, &ignored, aad.ptr, (int)aad.len));
    return cipher;
}

bool crypto_seal(const struct crypto_key *key, struct bytes aad, struct bytes plain,
                 struct buf *out, struct err *err)
{
    uint8_t header[HEADER_BYTES] = { FORMAT };
    CLEANUP(free_cipher) EVP_CIPHER_CTX *cipher = NULL;
    uint8_t *room;
    int len = 0;

    if (plain.len > INT32_MAX - CRYPTO_SEAL_OVERHEAD_BYTES || aad.len > INT32_MAX)
        return err_fail(err, ERR_LIMIT, "cannot seal %zu bytes at once", plain.len);
    room = buf_reserve(out, plain.len + CRYPTO_SEAL_OVERHEAD_BYTES);
    if (room == NULL)
        return true; /* buf_done tells */
    for (size_t i = 0; i < KEY_ID_BYTES; i++)
        header[1 + i] = (uint8_t)((uint64_t)key->id >> (8 * (KEY_ID_BYTES - 1 - i)));
    crypto_fill_random(header + 1 + KEY_ID_BYTES, NONCE_BYTES);
    memcpy(room, header, HEADER_BYTES);

    cipher = start_cipher(key, header, aad, 1);
    if (plain.len > 0)
        crypto_must(EVP_CipherUpdate(cipher, room + HEADER_BYTES, &len, plain.ptr, (int)plain.len));
    crypto_must(EVP_CipherFinal_ex(cipher, room + HEADER_BYTES + plain.len, &len));
    crypto_must(EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_GET_TAG, TAG_BYTES,
                                    room + HEADER_BYTES + plain.len));
    buf_commit(out, plain.len + CRYPTO_SEAL_OVERHEAD_BYTES);
    return true;
}

bool crypto_read_sealed_key_id(struct bytes sealed, int64_t *key_id, struct err *err)
{
    uint64_t id = 0;

    if (sealed.len < CRYPTO_SEAL_OVERHEAD_BYTES || sealed.ptr[0] != FORMAT)
        return err_fail(err, ERR_SYNTAX, "not a sealed blob");
    for (size_t i = 0; i < KEY_ID_BYTES; i++)
        id = id << 8 | sealed.ptr[1 + i];
    if (id == 0 || id > INT64_MAX)
        return err_fail(err, ERR_SYNTAX, "not a sealed blob: impossible key id");
    *key_id = (int64_t)id;
    return true;
}

bool crypto_open(const struct crypto_key *key, struct bytes aad, struct bytes sealed,
                 struct buf *out, struct err *err)
{
    CLEANUP(free_cipher) EVP_CIPHER_CTX *cipher = NULL;
    size_t plain_len;
    int64_t key_id;
    uint8_t *room;
    int len = 0;

    if (!crypto_read_sealed_key_id(sealed, &key_id, err))
        return false;
    if (key_id != key->id)
        return err_fail(err, ERR_DENIED, "sealed under key %jd, not under key %jd",
                        (intmax_t)key_id, (intmax_t)key->id);
    plain_len = sealed.len - CRYPTO_SEAL_OVERHEAD_BYTES;
    if (plain_len > INT32_MAX || aad.len > INT32_MAX || plain_len > out->max_bytes - out->len)
        return err_fail(err, ERR_LIMIT, "sealed blob of %zu bytes does not fit", sealed.len);
    room = buf_reserve(out, plain_len > 0 ? plain_len : 1);
    if (room == NULL)
        return err_fail(err, ERR_LIMIT, "sealed blob of %zu bytes does not fit", sealed.len);

    cipher = start_cipher(key, sealed.ptr, aad, 0);
    if (plain_len > 0)
        crypto_must(
            EVP_CipherUpdate(cipher, room, &len, sealed.ptr + HEADER_BYTES, (int)plain_len));
    crypto_must(EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_SET_TAG, TAG_BYTES,
                                    (void *)(uintptr_t)(sealed.ptr + HEADER_BYTES + plain_len)));
    if (EVP_CipherFinal_ex(cipher, room + plain_len, &len) != 1) {
        secret_wipe(room, plain_len); /* unauthenticated octets stay nowhere */
        return err_fail(err, ERR_CORRUPT, "sealed blob of %zu bytes fails its check", sealed.len);
    }
    buf_commit(out, plain_len);
    return true;
}

bool crypto_open_secret(const struct crypto_key *key, struct bytes aad, struct bytes sealed,
                        struct secret **out, struct err *err)
{
    CLEANUP(crypto_wipe_buf) struct buf plain = buf_create(SECRET_MAX_BYTES);

    /* One allocation, so that growing leaves no copy behind. */
    if (buf_reserve(&plain, SECRET_MAX_BYTES) == NULL)
        return err_fail(err, ERR_SYSTEM, "no memory for a secret");
    return crypto_open(key, aad, sealed, &plain, err) && secret_create(buf_bytes(&plain), out, err);
}

#define DATA_KEY_AAD BYTES("holdfast data key")

bool crypto_wrap_key(const struct crypto_key *master, const struct crypto_key *key, struct buf *out,
                     struct err *err)
{
    return crypto_seal(master, DATA_KEY_AAD, secret_bytes(key->octets), out, err);
}

bool crypto_unwrap_key(const struct crypto_key *master, struct bytes wrapped,
                       struct crypto_key **out, struct err *err)
{
    CLEANUP(secret_free) struct secret *octets = NULL;

    if (!crypto_open_secret(master, DATA_KEY_AAD, wrapped, &octets, err))
        return err_wrap(err, "wrapped data key");
    return crypto_create_key(secret_bytes(octets), out, err);
}

/* ---- the master key file ---- */

#define KEY_FILE_TITLE "holdfast master key 1\n"

bool crypto_create_key_file(const char *path, struct err *err)
{
    CLEANUP(crypto_wipe_buf) struct buf text = buf_create(256);
    CLEANUP(crypto_free_key) struct crypto_key *key = NULL;

    if (!crypto_generate_key(&key, err))
        return false;
    if (buf_reserve(&text, 256) == NULL)
        return err_fail(err, ERR_SYSTEM, "no memory for a key");
    buf_text(&text, KEY_FILE_TITLE);
    crypto_write_base64(&text, secret_bytes(key->octets));
    buf_byte(&text, '\n');
    return crypto_create_private_file(path, buf_bytes(&text), err);
}

bool crypto_load_key_file(const char *path, struct crypto_key **out, struct err *err)
{
    CLEANUP(crypto_wipe_buf) struct buf text = buf_create(8192);
    CLEANUP(crypto_wipe_buf) struct buf octets = buf_create(256);
    struct bytes in;
    struct bytes line;

    if (!crypto_load_private_file(path, &text, err))
        return err_wrap(err, "master key");
    in = buf_bytes(&text);
    if (!scan_text(&in, BYTES(KEY_FILE_TITLE)) || !scan_until_byte(&in, '\n', &line) ||
        in.len != 1 || buf_reserve(&octets, 256) == NULL ||
        !crypto_read_base64(line, &octets, err) || octets.len != CRYPTO_KEY_BYTES)
        return err_fail(err, ERR_CORRUPT, "master key: %s is not a master key file", path);
    return crypto_create_key(buf_bytes(&octets), out, err);
}
