/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/scram.h"

#include "crypto/base64.h"
#include "crypto/internal.h"
#include "crypto/random.h"

#include <gsasl.h>
#include <openssl/evp.h>

enum {
    PASSWORD_MAX_BYTES = 1024
};

#define PREFIX BYTES("SCRAM-SHA-256$")

/* ---- passwords ---- */

/* Length of the UTF-8 sequence at the front (RFC 3629 §4), 0 when it is none. */
static size_t utf8_length(struct bytes in)
{
    static const struct {
        uint8_t first, last; /* range of the first octet */
        uint8_t low, high;   /* range of the second; further ones are 80 … BF */
        size_t len;
    } forms[] = {
        { 0x01, 0x7f, 0x00, 0xff, 1 }, { 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 },
        { 0xe1, 0xec, 0x80, 0xbf, 3 }, { 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
        { 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 },
    };

    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        if (in.ptr[0] < forms[i].first || in.ptr[0] > forms[i].last)
            continue;
        if (in.len < forms[i].len ||
            (forms[i].len > 1 && (in.ptr[1] < forms[i].low || in.ptr[1] > forms[i].high)))
            return 0;
        for (size_t k = 2; k < forms[i].len; k++)
            if ((in.ptr[k] & 0xc0) != 0x80)
                return 0;
        return forms[i].len;
    }
    return 0;
}

static bool is_utf8_without_nul(struct bytes in)
{
    while (in.len > 0) {
        size_t len = utf8_length(in);

        if (len == 0)
            return false;
        in = bytes_slice(in, len, SIZE_MAX);
    }
    return true;
}

bool crypto_prepare_password(struct bytes password, struct secret **out, struct err *err)
{
    char text[PASSWORD_MAX_BYTES + 1];
    char *prepared = NULL;
    bool is_made;

    if (password.len == 0)
        return err_fail(err, ERR_SYNTAX, "the password is empty");
    if (password.len > PASSWORD_MAX_BYTES)
        return err_fail(err, ERR_LIMIT, "password over %d octets", PASSWORD_MAX_BYTES);
    if (!is_utf8_without_nul(password))
        return err_fail(err, ERR_SYNTAX, "the password is not UTF-8 text");
    memcpy(text, password.ptr, password.len);
    text[password.len] = '\0';
    if (gsasl_saslprep(text, GSASL_ALLOW_UNASSIGNED, &prepared, NULL) == GSASL_OK &&
        prepared[0] != '\0')
        is_made = secret_create(bytes_of_text(prepared), out, err);
    else
        is_made = secret_create(password, out, err);
    if (prepared != NULL)
        secret_wipe(prepared, strlen(prepared));
    gsasl_free(prepared);
    secret_wipe(text, sizeof text);
    return is_made;
}

/* ---- verifiers ---- */

/* RFC 5802 §3, from SaltedPassword on. */
static void derive_keys(struct bytes prepared, struct crypto_scram *scram)
{
    struct crypto_sha256 salted;
    struct crypto_sha256 client_key;

    crypto_must(PKCS5_PBKDF2_HMAC((const char *)prepared.ptr, (int)prepared.len, scram->salt,
                                  (int)scram->salt_len, (int)scram->iterations, EVP_sha256(),
                                  sizeof salted.octets, salted.octets));
    client_key = crypto_hmac(crypto_sha256_bytes(&salted), BYTES("Client Key"));
    scram->stored_key = crypto_hash(crypto_sha256_bytes(&client_key));
    scram->server_key = crypto_hmac(crypto_sha256_bytes(&salted), BYTES("Server Key"));
    secret_wipe(&salted, sizeof salted);
    secret_wipe(&client_key, sizeof client_key);
}

bool crypto_make_scram(struct bytes password, struct crypto_scram *out, struct err *err)
{
    CLEANUP(secret_free) struct secret *prepared = NULL;
    struct crypto_scram scram = {
        .iterations = CRYPTO_SCRAM_ITERATIONS,
        .salt_len = CRYPTO_SCRAM_SALT_BYTES,
    };

    if (!crypto_prepare_password(password, &prepared, err))
        return false;
    crypto_fill_random(scram.salt, scram.salt_len);
    derive_keys(secret_bytes(prepared), &scram);
    *out = scram;
    return true;
}

bool crypto_password_matches(const struct crypto_scram *scram, struct bytes password)
{
    CLEANUP(secret_free) struct secret *prepared = NULL;
    struct crypto_scram tried = *scram;
    struct err err = { 0 };
    bool is_possible = crypto_prepare_password(password, &prepared, &err);

    derive_keys(is_possible ? secret_bytes(prepared) : BYTES("x"), &tried);
    return secret_equal(crypto_sha256_bytes(&tried.stored_key),
                        crypto_sha256_bytes(&scram->stored_key)) &&
           is_possible;
}

struct crypto_scram crypto_make_decoy_scram(struct bytes seed, struct bytes name)
{
    struct crypto_scram scram = {
        .iterations = CRYPTO_SCRAM_ITERATIONS,
        .salt_len = CRYPTO_SCRAM_SALT_BYTES,
    };
    struct crypto_sha256 salt = crypto_hmac(seed, name);

    memcpy(scram.salt, salt.octets, scram.salt_len);
    crypto_fill_random(scram.stored_key.octets, CRYPTO_SHA256_BYTES);
    crypto_fill_random(scram.server_key.octets, CRYPTO_SHA256_BYTES);
    return scram;
}

/* ---- the text ---- */

void crypto_write_scram(struct buf *out, const struct crypto_scram *scram)
{
    buf_append(out, PREFIX);
    buf_u64(out, scram->iterations);
    buf_byte(out, ':');
    crypto_write_base64(out, bytes_of(scram->salt, scram->salt_len));
    buf_byte(out, '$');
    crypto_write_base64(out, crypto_sha256_bytes(&scram->stored_key));
    buf_byte(out, ':');
    crypto_write_base64(out, crypto_sha256_bytes(&scram->server_key));
}

static bool read_field(struct bytes text, uint8_t *out, size_t min, size_t max, size_t *len)
{
    CLEANUP(buf_free) struct buf octets = buf_create(CRYPTO_SCRAM_TEXT_BYTES);
    struct err ignored = { 0 };

    if (!crypto_read_base64(text, &octets, &ignored) || octets.has_failed || octets.len < min ||
        octets.len > max)
        return false;
    memcpy(out, octets.ptr, octets.len);
    *len = octets.len;
    return true;
}

bool crypto_read_scram(struct bytes text, struct crypto_scram *out, struct err *err)
{
    struct crypto_scram scram = { 0 };
    struct bytes salt;
    struct bytes stored_key;
    size_t len;

    if (!scan_text(&text, PREFIX) || !scan_u32(&text, &scram.iterations) ||
        !scan_byte(&text, ':') || !scan_until_byte(&text, '$', &salt) || !scan_byte(&text, '$') ||
        !scan_until_byte(&text, ':', &stored_key) || !scan_byte(&text, ':'))
        return err_fail(err, ERR_SYNTAX, "not a SCRAM-SHA-256 verifier");
    if (scram.iterations < CRYPTO_SCRAM_MIN_ITERATIONS ||
        scram.iterations > CRYPTO_SCRAM_MAX_ITERATIONS)
        return err_fail(err, ERR_SYNTAX, "SCRAM-SHA-256 verifier with %u iterations",
                        (unsigned)scram.iterations);
    if (!read_field(salt, scram.salt, 1, sizeof scram.salt, &scram.salt_len) ||
        !read_field(stored_key, scram.stored_key.octets, CRYPTO_SHA256_BYTES, CRYPTO_SHA256_BYTES,
                    &len) ||
        !read_field(text, scram.server_key.octets, CRYPTO_SHA256_BYTES, CRYPTO_SHA256_BYTES, &len))
        return err_fail(err, ERR_SYNTAX, "SCRAM-SHA-256 verifier with a wrong salt or key");
    *out = scram;
    return true;
}
