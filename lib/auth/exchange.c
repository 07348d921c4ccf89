/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/exchange.h"

#include "base/clock.h"

#include <inttypes.h>

static struct bytes key_of(const struct auth_exchange *exchange)
{
    return crypto_sha256_bytes(&exchange->token_key);
}

struct crypto_sha256 auth_token_key(const struct crypto_key *master, const char *refresh_token)
{
    return crypto_hmac(crypto_get_key_octets(master), bytes_of_text(refresh_token));
}

static const char *command_for(enum oauth_kind kind, bool is_shared)
{
    if (oauth_asks_human(kind))
        return is_shared ? "holdfast credential consent NAME" : "holdfast account consent NAME";
    return is_shared ? "holdfast credential edit NAME --oauth refresh-token --oauth-config FILE"
                     : "holdfast account edit NAME --oauth refresh-token --oauth-config FILE";
}

static void tell_loss(const struct auth_exchange *exchange, const struct oauth_grant *grant,
                      bool is_shared, struct err *err)
{
    char begun[CLOCK_TEXT_BYTES];

    clock_format_rfc3339(exchange->begun_usec, begun);
    err_set_context(
        err,
        "exchange %" PRId64 " with the token endpoint, begun %s, was broken off before its "
        "answer was kept; the refresh token that it may have given is lost, and the one "
        "before it is refused. `%s` mends it",
        exchange->number, begun, command_for(oauth_grant_kind(grant), is_shared));
}

bool auth_begin_exchange(struct db *db, const struct crypto_key *master,
                         const struct oauth_grant *grant, bool is_shared, struct auth_exchange *out,
                         struct err *err)
{
    CLEANUP(db_result_free) struct db_result *row = NULL;
    struct auth_exchange exchange = {
        .token_key = auth_token_key(master, oauth_get_field(grant, OAUTH_REFRESH_TOKEN_TEXT)),
    };

    if (!db_run_one(db, DB_GATE_EXCHANGE_BEGIN, DB_ARGS(DB_BYTEA(key_of(&exchange))), &row, err))
        return false;
    exchange.number = db_i64(row, 0, 0);
    exchange.begun_usec = db_time_usec(row, 0, 1);
    exchange.was_broken_off = db_i32(row, 0, 2) > 1;
    if (!db_is_null(row, 0, 3) && clock_now_usec() - db_time_usec(row, 0, 3) <
                                      AUTH_REFUSED_AGAIN_SECONDS * INT64_C(1000000)) {
        err_set(err, ERR_DENIED, "it is sent again a day after it was refused");
        tell_loss(&exchange, grant, is_shared, err);
        return false;
    }
    *out = exchange;
    return true;
}

bool auth_end_exchange(struct db *db, const struct auth_exchange *exchange, struct err *err)
{
    return db_run_ok(db, DB_GATE_EXCHANGE_END, DB_ARGS(DB_BYTEA(key_of(exchange))), err);
}

void auth_fail_exchange(struct db *db, const struct auth_exchange *exchange,
                        const struct oauth_grant *grant, bool is_shared,
                        const struct oauth_failure *failure, struct err *err)
{
    struct err ignored = { 0 };

    if (exchange->was_broken_off && failure->is_invalid) {
        tell_loss(exchange, grant, is_shared, err);
        (void)!db_run_ok(db, DB_GATE_EXCHANGE_REFUSE, DB_ARGS(DB_BYTEA(key_of(exchange))),
                         &ignored);
        return;
    }
    if (failure->is_invalid)
        err_set_context(err, "`%s` mends it", command_for(oauth_grant_kind(grant), is_shared));
    if (!exchange->was_broken_off && !failure->may_have_rotated)
        (void)!auth_end_exchange(db, exchange, &ignored);
}
