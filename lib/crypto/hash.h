/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crypto/hash.h - SHA-256 and HMAC-SHA-256; MD5 for one old format.
 *
 * Nothing here fails (OpenSSL can fail at these only without memory; that ends the process).
 * Any thread; a struct crypto_hasher belongs to one at a time.
 */
#pragma once

#include "base/buf.h"
#include "base/bytes.h"

enum {
    CRYPTO_SHA256_BYTES = 32
};

struct crypto_sha256 {
    uint8_t octets[CRYPTO_SHA256_BYTES];
};

static inline struct bytes crypto_sha256_bytes(const struct crypto_sha256 *hash)
{
    return bytes_of(hash->octets, sizeof hash->octets);
}

struct crypto_sha256 crypto_hash(struct bytes octets);
struct crypto_sha256 crypto_hmac(struct bytes key, struct bytes octets);

/* Only where a published format asks for it (the EDRM hash of a Message-ID): MD5 proves nothing. */
struct crypto_md5 {
    uint8_t octets[16];
};
struct crypto_md5 crypto_hash_md5(struct bytes octets);

/* Streaming: update in pieces, finish gives the hash and makes the hasher ready for the next one. */
struct crypto_hasher;
struct crypto_hasher *crypto_create_hasher(void); /* never NULL */
void crypto_free_hasher(struct crypto_hasher **hasher);
void crypto_update_hasher(struct crypto_hasher *hasher, struct bytes octets);
struct crypto_sha256 crypto_finish_hasher(struct crypto_hasher *hasher);
