/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crypto/scram.h - how an auditor's password is kept: a SCRAM-SHA-256 verifier (RFC 5802, RFC 7677).
 *
 *     SCRAM-SHA-256$<iterations>:<salt base64>$<StoredKey base64>:<ServerKey base64>
 *
 * the form PostgreSQL uses. From it one can check a password, but not log in. Any thread.
 */
#pragma once

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/secret.h"
#include "crypto/hash.h"

enum {
    CRYPTO_SCRAM_ITERATIONS = 100000,       /* of new verifiers: about 30 ms */
    CRYPTO_SCRAM_MIN_ITERATIONS = 4096,     /* RFC 7677 §4; older verifiers are still read */
    CRYPTO_SCRAM_MAX_ITERATIONS = 10000000, /* more would be a denial of service */
    CRYPTO_SCRAM_SALT_BYTES = 16,
    CRYPTO_SCRAM_SALT_MAX_BYTES = 64,
    CRYPTO_SCRAM_TEXT_BYTES = 256, /* room for any verifier as text */
};

struct crypto_scram {
    uint32_t iterations;
    size_t salt_len;
    uint8_t salt[CRYPTO_SCRAM_SALT_MAX_BYTES];
    struct crypto_sha256 stored_key;
    struct crypto_sha256 server_key;
};

/*
 * Prepares a password: SASLprep (RFC 4013); UTF-8 that SASLprep forbids is taken as it is, as
 * PostgreSQL does. ERR_SYNTAX: empty, holds NUL, or is not UTF-8. ERR_LIMIT: over 1,024 octets.
 */
MUST_USE bool crypto_prepare_password(struct bytes password, struct secret **out, struct err *err);

/* A new verifier with a fresh salt. Errors as crypto_prepare_password. */
MUST_USE bool crypto_make_scram(struct bytes password, struct crypto_scram *out, struct err *err);

/* The text form. Reading takes the whole text; ERR_SYNTAX otherwise. */
void crypto_write_scram(struct buf *out, const struct crypto_scram *scram);
MUST_USE bool crypto_read_scram(struct bytes text, struct crypto_scram *out, struct err *err);

/*
 * Whether the password is the right one: runs the whole KDF (about 30 ms of CPU) whatever the
 * password, then compares in constant time. A password that cannot be prepared is wrong.
 */
bool crypto_password_matches(const struct crypto_scram *scram, struct bytes password);

/* A verifier that no password matches, with the usual cost: for unknown names, so that the time of
 * an answer does not tell whether a name exists. Same seed and name, same salt. */
struct crypto_scram crypto_make_decoy_scram(struct bytes seed, struct bytes name);
