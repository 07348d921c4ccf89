/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/internal.h"
#include "crypto/random.h"

enum {
    TOKEN_DIGITS = 2 * CRYPTO_TOKEN_BYTES
};

bool auth_make_token(struct secret **token, struct crypto_sha256 *hash, struct err *err)
{
    static const uint8_t hex[] = "0123456789abcdef";
    uint8_t octets[CRYPTO_TOKEN_BYTES], digits[TOKEN_DIGITS];
    bool is_made;

    crypto_fill_random(octets, sizeof octets);
    for (size_t i = 0; i < sizeof octets; i++) {
        digits[2 * i] = hex[octets[i] >> 4];
        digits[2 * i + 1] = hex[octets[i] & 15];
    }
    is_made = secret_create(bytes_of(digits, sizeof digits), token, err);
    if (is_made)
        *hash = crypto_hash(secret_bytes(*token));
    secret_wipe(octets, sizeof octets);
    secret_wipe(digits, sizeof digits);
    return is_made;
}
