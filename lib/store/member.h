/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store/member.h - the ustar header in front of a message in the raw stream.
 *
 * POSIX.1-1988 ustar; every field that tells nothing is constant, so that the same octets give the
 * same header everywhere (store/README.md). Pure; any thread.
 */
#pragma once

#include "base/bytes.h"
#include "base/err.h"
#include "crypto/hash.h"

enum {
    STORE_BLOCK_BYTES = 512, /* a header; and data are filled up to a multiple of it */
};

/* Writes the header of "<sha256>.eml". ERR_LIMIT: over LIMIT_MESSAGE_BYTES. */
MUST_USE bool store_write_member_header(const struct crypto_sha256 *sha256, uint64_t size_bytes,
                                        uint8_t out[STORE_BLOCK_BYTES], struct err *err);

/* Zero octets behind data of this size: 0 … 511. */
uint32_t store_padding_bytes(uint64_t size_bytes);

/* Header, data and padding. size_bytes: at most LIMIT_MESSAGE_BYTES. */
uint64_t store_member_bytes(uint64_t size_bytes);
