/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crypto/random.h - unpredictable octets and login tokens. Any thread.
 */
#pragma once

#include "base/secret.h"
#include "crypto/hash.h"

/* Fills ptr. Does not fail: a machine without randomness stops the process. */
void crypto_fill_random(void *ptr, size_t size);

enum {
    CRYPTO_TOKEN_BYTES = 32
};

/* A new token and its SHA-256, which is all that may be stored. */
MUST_USE bool crypto_make_token(struct secret **token, struct crypto_sha256 *hash, struct err *err);
