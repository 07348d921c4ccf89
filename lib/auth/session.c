/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/session.h"

#include "audit/append.h"
#include "auth/internal.h"

/* One transaction with its audit event, READ COMMITTED. */
bool auth_mint_operator_session(struct db *db, const int64_t *accounts, size_t count,
                                int64_t ttl_seconds, struct secret **token, struct err *err)
{
    CLEANUP(secret_free) struct secret *fresh = NULL;
    CLEANUP(db_rollback) struct db_tx tx = { 0 };
    struct crypto_sha256 hash;

    if (ttl_seconds <= 0 || ttl_seconds > AUTH_OPERATOR_TTL_MAX_SECONDS)
        return err_fail(err, ERR_LIMIT, "a session of %jd s, at most %d", (intmax_t)ttl_seconds,
                        AUTH_OPERATOR_TTL_MAX_SECONDS);
    if (!auth_make_token(&fresh, &hash, err))
        return false;

    struct audit_event event = {
        .kind = AUDIT_OPERATOR_SESSION,
        .token = secret_bytes(fresh),
        .account_id = count == 1 ? accounts[0] : 0,
        .fields = AUDIT_FIELDS(AUDIT_I64("accounts", (int64_t)count), AUDIT_BOOL("all", count == 0),
                               AUDIT_I64("seconds", ttl_seconds)),
    };
    if (!db_begin(db, DB_READ_COMMITTED, &tx, err) ||
        !db_run_ok(db, DB_AUTH_OPERATOR_SESSION_INSERT,
                   DB_ARGS(DB_BYTEA(crypto_sha256_bytes(&hash)),
                           db_null_unless(count > 0, DB_I64S(accounts, count)),
                           DB_I64(ttl_seconds)),
                   err) ||
        !audit_append_one(db, &event, err) || !db_commit(&tx, err))
        return err_wrap(err, "operator session");
    *token = fresh;
    fresh = NULL; /* the caller's now */
    return true;
}

/* One transaction with its audit event, READ COMMITTED; nothing is said of one that was over. */
bool auth_end_session(struct db *db, const struct secret *token, struct err *err)
{
    CLEANUP(db_rollback) struct db_tx tx = { 0 };
    struct crypto_sha256 hash = crypto_hash(secret_bytes(token));
    struct audit_event event = { .kind = AUDIT_LOGOUT, .token = secret_bytes(token) };
    uint64_t ended = 0;

    return (db_begin(db, DB_READ_COMMITTED, &tx, err) &&
            db_run_count(db, DB_AUTH_SESSION_END, DB_ARGS(DB_BYTEA(crypto_sha256_bytes(&hash))),
                         &ended, err) &&
            (ended == 0 || audit_append_one(db, &event, err)) && db_commit(&tx, err)) ||
           err_wrap(err, "end of a session");
}

bool auth_forget_old_sessions(struct db_pool *pool, struct deadline deadline, struct err *err)
{
    CLEANUP(db_pool_return) struct db_loan loan = { 0 };

    return (db_pool_borrow(pool, deadline, &loan, err) &&
            db_run_ok(
                loan.db, DB_GATE_SESSIONS_FORGET_OLD,
                DB_ARGS(DB_I32(AUTH_SESSIONS_KEPT_DAYS), DB_I64(AUTH_SESSIONS_FORGOTTEN_AT_ONCE)),
                err)) ||
           err_wrap(err, "old sessions");
}

/* One pipeline without BEGIN is one transaction, so that the token's setting lasts as long. */
bool auth_session_state(struct db_pool *pool, const struct secret *token, struct deadline deadline,
                        struct auth_session_state *out, struct err *err)
{
    CLEANUP(db_pool_return) struct db_loan loan = { 0 };
    struct db_result *results[2] = { NULL, NULL };
    bool is_live;

    if (!db_pool_borrow(pool, deadline, &loan, err) || !db_pipeline_begin(loan.db, err) ||
        !db_queue(loan.db, DB_SESSION_SET_TOKEN, DB_ARGS(DB_TEXT(secret_bytes(token))), err) ||
        !db_queue(loan.db, DB_AUTH_SESSION_STATE, DB_NO_ARGS, err) ||
        !db_pipeline_end(loan.db, results, 2, err))
        return err_wrap(err, "session state");

    is_live = db_rows(results[1]) == 1;
    if (is_live)
        *out = (struct auth_session_state){
            .session_id = db_i64(results[1], 0, 0),
            .auditor_id = db_is_null(results[1], 0, 1) ? 0 : db_i64(results[1], 0, 1),
            .expires_at_usec = db_time_usec(results[1], 0, 2),
        };
    db_result_free(&results[0]);
    db_result_free(&results[1]);
    return is_live || err_fail(err, ERR_DENIED, "the session is over");
}
