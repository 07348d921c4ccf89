/* SPDX-License-Identifier: Apache-2.0 */
/*
 * auth/internal.h - what the files of auth share.
 */
#pragma once

#include "auth/auditor.h"
#include "base/secret.h"
#include "crypto/hash.h"
#include "db/db.h"

/* name.c: UTF-8 of 1 to AUTH_NAME_MAX_BYTES octets without control characters. */
bool auth_is_name(struct bytes name);
MUST_USE bool auth_check_name(struct bytes name, struct err *err);

/* token.c: 64 lower case hex digits of 32 random octets, and the SHA-256 of these digits, which is
 * what login_session keeps (live_session() in schema/0001 computes the same). */
MUST_USE bool auth_make_token(struct secret **token, struct crypto_sha256 *hash, struct err *err);

/* ERR_ABSENT: no such auditor. The row stays locked until the transaction ends. */
MUST_USE bool auth_lock_auditor(struct db *db, struct bytes name, int64_t *auditor_id,
                                struct err *err);

/* Under the caller's transaction. */
MUST_USE bool auth_end_sessions_of(struct db *db, int64_t auditor_id, struct err *err);
