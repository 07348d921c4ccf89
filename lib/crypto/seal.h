/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crypto/seal.h - authenticated encryption with keys that have names (AES-256-GCM).
 *
 * A sealed blob describes itself:
 *
 *     offset  size  what
 *     0       1     format, 0x01
 *     1       8     key id, big endian
 *     9       12    nonce, random
 *     21      n     ciphertext, as long as the plain octets
 *     21+n    16    GCM tag over header (21 octets), aad and ciphertext
 *
 * aad binds the blob to its place ("account 7 secret"): it is not stored, and opening with another
 * one fails. Random nonces permit 2^32 seals under one key; a data key belongs to one account, whose
 * frames stay far below.
 *
 * A key id is 63 bits derived from the key itself (it fits SQL bigint and is never 0; 0 there
 * means not encrypted), so a wrong key is told from damage. Any thread; a key is constant.
 */
#pragma once

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/secret.h"

struct crypto_key;

enum {
    CRYPTO_KEY_BYTES = 32,
    CRYPTO_SEAL_OVERHEAD_BYTES = 1 + 8 + 12 + 16,
    CRYPTO_WRAPPED_KEY_BYTES = CRYPTO_KEY_BYTES + CRYPTO_SEAL_OVERHEAD_BYTES,
};

MUST_USE bool crypto_generate_key(struct crypto_key **out, struct err *err);

/* From 32 octets, as another process sent them. ERR_SYNTAX for any other length. */
MUST_USE bool crypto_create_key(struct bytes octets, struct crypto_key **out, struct err *err);
void crypto_free_key(struct crypto_key **key); /* wipes */

int64_t crypto_get_key_id(const struct crypto_key *key); /* > 0 */

/* The 32 octets, borrowed: to send to another process, never to print. */
struct bytes crypto_get_key_octets(const struct crypto_key *key);

/* Appends the sealed blob to out. What did not fit is told by buf_done. */
MUST_USE bool crypto_seal(const struct crypto_key *key, struct bytes aad, struct bytes plain,
                          struct buf *out, struct err *err);

/*
 * Appends the plain octets to out.
 *
 * ERR_SYNTAX: not a sealed blob. ERR_DENIED: sealed under another key. ERR_CORRUPT: the tag does not
 * match (damage, or another aad). ERR_LIMIT: does not fit out. Nothing is appended on failure.
 */
MUST_USE bool crypto_open(const struct crypto_key *key, struct bytes aad, struct bytes sealed,
                          struct buf *out, struct err *err);

/* As crypto_open, for passwords: into wiped memory. At most SECRET_MAX_BYTES. */
MUST_USE bool crypto_open_secret(const struct crypto_key *key, struct bytes aad,
                                 struct bytes sealed, struct secret **out, struct err *err);

/* Under which key a blob was sealed. ERR_SYNTAX: not a sealed blob. */
MUST_USE bool crypto_read_sealed_key_id(struct bytes sealed, int64_t *key_id, struct err *err);

/* A data key sealed by the master key, with the text "holdfast data key" as aad; errors as
 * crypto_open. */
MUST_USE bool crypto_wrap_key(const struct crypto_key *master, const struct crypto_key *key,
                              struct buf *out, struct err *err);
MUST_USE bool crypto_unwrap_key(const struct crypto_key *master, struct bytes wrapped,
                                struct crypto_key **out, struct err *err);

/*
 * The master key file: two lines of text (so it can be printed and kept in a safe),
 * "holdfast master key 1" and the base64 of the 32 octets.
 *
 * create  0600, never replaces a file (ERR_DENIED when one exists), durable when it returns.
 * load    refuses a file that group or others can read or write, or that belongs to neither the
 *         caller nor root (ERR_DENIED); ERR_ABSENT; ERR_CORRUPT when it is not such a file.
 */
MUST_USE bool crypto_create_key_file(const char *path, struct err *err);
MUST_USE bool crypto_load_key_file(const char *path, struct crypto_key **out, struct err *err);
