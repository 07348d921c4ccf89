/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/hash.h"

#include "crypto/internal.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

/* OpenSSL's own context, under our name. */
static EVP_MD_CTX *context_of(struct crypto_hasher *hasher)
{
    return (EVP_MD_CTX *)(void *)hasher;
}

void crypto_must(int result)
{
    assert(result == 1 && "OpenSSL is out of memory or broken");
}

struct crypto_sha256 crypto_hash(struct bytes octets)
{
    struct crypto_sha256 hash;

    crypto_must(
        SHA256(octets.len > 0 ? octets.ptr : (const uint8_t *)"", octets.len, hash.octets) != NULL);
    return hash;
}

struct crypto_md5 crypto_hash_md5(struct bytes octets)
{
    struct crypto_md5 hash;
    size_t len = 0;

    /* "-fips": not security, so where only FIPS algorithms are the default it is still there. */
    crypto_must(EVP_Q_digest(NULL, "MD5", "-fips",
                             octets.len > 0 ? octets.ptr : (const uint8_t *)"", octets.len,
                             hash.octets, &len));
    assert(len == sizeof hash.octets);
    return hash;
}

struct crypto_sha256 crypto_hmac(struct bytes key, struct bytes octets)
{
    struct crypto_sha256 hash;
    unsigned len = sizeof hash.octets;

    assert(key.len <= INT32_MAX);
    crypto_must(HMAC(EVP_sha256(), key.len > 0 ? key.ptr : (const uint8_t *)"", (int)key.len,
                     octets.len > 0 ? octets.ptr : (const uint8_t *)"", octets.len, hash.octets,
                     &len) != NULL);
    return hash;
}

struct crypto_hasher *crypto_create_hasher(void)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();

    crypto_must(context != NULL);
    crypto_must(EVP_DigestInit_ex(context, EVP_sha256(), NULL));
    return (struct crypto_hasher *)(void *)context;
}

void crypto_free_hasher(struct crypto_hasher **hasher)
{
    EVP_MD_CTX_free(context_of(*hasher));
    *hasher = NULL;
}

void crypto_update_hasher(struct crypto_hasher *hasher, struct bytes octets)
{
    if (octets.len > 0)
        crypto_must(EVP_DigestUpdate(context_of(hasher), octets.ptr, octets.len));
}

struct crypto_sha256 crypto_finish_hasher(struct crypto_hasher *hasher)
{
    struct crypto_sha256 hash;

    crypto_must(EVP_DigestFinal_ex(context_of(hasher), hash.octets, NULL));
    crypto_must(EVP_DigestInit_ex(context_of(hasher), NULL, NULL));
    return hash;
}
