/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/random.h"

#include "crypto/internal.h"

#include <openssl/rand.h>

void crypto_fill_random(void *ptr, size_t size)
{
    assert(size <= INT32_MAX);
    crypto_must(RAND_bytes(ptr, (int)size));
}

bool crypto_make_token(struct secret **token, struct crypto_sha256 *hash, struct err *err)
{
    uint8_t octets[CRYPTO_TOKEN_BYTES];
    bool is_made;

    crypto_fill_random(octets, sizeof octets);
    is_made = secret_create(bytes_of(octets, sizeof octets), token, err);
    if (is_made)
        *hash = crypto_hash(secret_bytes(*token));
    secret_wipe(octets, sizeof octets);
    return is_made;
}
