/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crypto/sign.h - Ed25519 signatures (RFC 8032).
 *
 * Key files are PEM as OpenSSL writes it (PKCS #8; SubjectPublicKeyInfo), so that a signature can be
 * checked without Holdfast: openssl pkeyutl -verify -pubin -inkey K -rawin -in FILE -sigfile S.
 * Any thread.
 */
#pragma once

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "crypto/hash.h"

enum {
    CRYPTO_PUBLIC_KEY_BYTES = 32,
    CRYPTO_SIGNATURE_BYTES = 64
};

struct crypto_public_key {
    uint8_t octets[CRYPTO_PUBLIC_KEY_BYTES];
};

struct crypto_signature {
    uint8_t octets[CRYPTO_SIGNATURE_BYTES];
};

struct crypto_signer; /* holds the private key */

/* As crypto_create_key_file and crypto_load_key_file (crypto/seal.h). */
MUST_USE bool crypto_create_signing_key_file(const char *path, struct err *err);
MUST_USE bool crypto_load_signing_key_file(const char *path, struct crypto_signer **out,
                                           struct err *err);
void crypto_free_signer(struct crypto_signer **signer);

struct crypto_public_key crypto_get_public_key(const struct crypto_signer *signer);

MUST_USE bool crypto_sign(const struct crypto_signer *signer, struct bytes octets,
                          struct crypto_signature *out, struct err *err);

/* ERR_CORRUPT: the signature is not of these octets by this key. */
MUST_USE bool crypto_verify(const struct crypto_public_key *key, struct bytes octets,
                            const struct crypto_signature *signature, struct err *err);

/* The public key as PEM text, both ways. ERR_SYNTAX: not an Ed25519 public key. */
void crypto_write_public_key(struct buf *out, const struct crypto_public_key *key);
MUST_USE bool crypto_read_public_key(struct bytes pem, struct crypto_public_key *out,
                                     struct err *err);

/* SHA-256 of the key's SubjectPublicKeyInfo in DER: what people compare. */
struct crypto_sha256 crypto_fingerprint(const struct crypto_public_key *key);
