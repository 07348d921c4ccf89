/* SPDX-License-Identifier: Apache-2.0 */
/* crypto/internal.h - for the files of lib/crypto alone. */
#pragma once

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

/* keyfile.c: files that hold a key. Create: 0600, never replaces, durable. Load: private or refused,
 * at most 4 KiB, into out (the caller wipes it). */
MUST_USE bool crypto_create_private_file(const char *path, struct bytes octets, struct err *err);
MUST_USE bool crypto_load_private_file(const char *path, struct buf *out, struct err *err);

/* Wipes what the buffer holds and frees it. For CLEANUP. */
void crypto_wipe_buf(struct buf *buf);

/* For results that OpenSSL fails to give only without memory: ends the process, as arena_alloc does. */
void crypto_must(int result);
