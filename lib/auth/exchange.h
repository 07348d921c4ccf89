/* SPDX-License-Identifier: Apache-2.0 */
/*
 * auth/exchange.h - exchanges of refresh tokens that are not known to have ended.
 *
 * A token endpoint may rotate the refresh token in its answer (RFC 6749 §6). Between that and our commit of
 * the new one lies a moment in which only our memory, or only the network, has it. That cannot be made
 * atomic; it is made known:
 *
 *     auth_begin_exchange, commits a row --> ask the endpoint
 *         --> tokens: auth_end_exchange in the transaction that keeps them
 *         --> failed: auth_fail_exchange; the row goes if certainly no tokens were given, else it stays
 *         --> killed, or no answer: the row stays
 *
 * Who finds the row tries the refresh token that we have once more: issuers may take it for a while (RFC
 * 9700 §4.14.2), and often enough it was never rotated. Refused, it is lost, and the outcome says so, with
 * the command that mends it; within a day it is not sent again. The row belongs to the refresh token, so a
 * new consent begins without one. The caller holds the lock of the grant. One connection, one thread.
 */
#pragma once

#include "crypto/hash.h"
#include "crypto/seal.h"
#include "db/db.h"
#include "oauth/token.h"

enum {
    AUTH_REFUSED_AGAIN_SECONDS = 24 * 60 * 60,
    AUTH_EXCHANGES_KEPT_DAYS = 90, /* rows of tokens that nobody sent again */
};

struct auth_exchange {
    struct crypto_sha256 token_key;
    int64_t number, begun_usec;
    bool was_broken_off; /* it was begun before, and how that ended is not known */
};

/* What the row of a refresh token is known by; the token itself cannot be found from it. */
struct crypto_sha256 auth_token_key(const struct crypto_key *master, const char *refresh_token);

/* is_shared: the grant is of a credential, for the command that mends it. ERR_DENIED: the token was lost and
 * refused already, less than a day ago. */
MUST_USE bool auth_begin_exchange(struct db *db, const struct crypto_key *master,
                                  const struct oauth_grant *grant, bool is_shared,
                                  struct auth_exchange *out, struct err *err);

MUST_USE bool auth_end_exchange(struct db *db, const struct auth_exchange *exchange,
                                struct err *err);

/* err: why it failed; of a refresh token that is refused, or was lost, its text then says first what mends it. What the
 * database says is not told: the row then stays, which is the safe side. */
void auth_fail_exchange(struct db *db, const struct auth_exchange *exchange,
                        const struct oauth_grant *grant, bool is_shared,
                        const struct oauth_failure *failure, struct err *err);
