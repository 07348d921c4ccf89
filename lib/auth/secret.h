/* SPDX-License-Identifier: Apache-2.0 */
/*
 * auth/secret.h - a source's password or OAuth grant at rest (account_secret.sealed).
 *
 * The blob is that of crypto/seal.h under the master key, with the text "account <id> secret" as aad
 * (decimal, no leading zeros), so that a blob moved to another account's row does not open. Any
 * thread.
 */
#pragma once

#include "base/buf.h"
#include "base/secret.h"
#include "crypto/seal.h"

/* <data_dir>/keys/master.key */
#define AUTH_MASTER_KEY_FILE "keys/master.key"

enum {
    AUTH_SEALED_SECRET_MAX_BYTES = SECRET_MAX_BYTES + CRYPTO_SEAL_OVERHEAD_BYTES
};

/* Appends the blob to out (a ceiling of AUTH_SEALED_SECRET_MAX_BYTES is always enough). key_id for
 * account_secret.key_id: crypto_get_key_id(master). ERR_SYNTAX: account_id is not positive. */
MUST_USE bool auth_seal_source_secret(const struct crypto_key *master, int64_t account_id,
                                      const struct secret *secret, struct buf *out,
                                      struct err *err);

/* Errors as crypto_open. */
MUST_USE bool auth_open_source_secret(const struct crypto_key *master, int64_t account_id,
                                      struct bytes sealed, struct secret **out, struct err *err);
