/* SPDX-License-Identifier: Apache-2.0 */
/*
 * auth/auditor.c - adding auditors, passwords and grants. Every change is one transaction with its
 * audit event, READ COMMITTED, under a lock on the auditor's row; not retried here.
 */
#include "auth/auditor.h"

#include "audit/append.h"
#include "auth/internal.h"
#include "base/buf.h"
#include "crypto/scram.h"
#include "source/account.h"

static bool make_verifier(const struct secret *password, struct buf *out, struct bytes *text,
                          struct err *err)
{
    struct crypto_scram scram;

    if (!crypto_make_scram(secret_bytes(password), &scram, err))
        return false;
    crypto_write_scram(out, &scram);
    return buf_done(out, text, err);
}

static bool append(struct db *db, enum audit_kind kind, int64_t account_id,
                   const struct audit_field *fields, struct err *err)
{
    struct audit_event event = { .kind = kind, .account_id = account_id, .fields = fields };

    return audit_append_one(db, &event, err);
}

bool auth_lock_auditor(struct db *db, struct bytes name, int64_t *auditor_id, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *rows = NULL;

    if (!auth_is_name(name))
        return err_fail(err, ERR_ABSENT, "there is no such auditor");
    if (!db_run(db, DB_AUTH_AUDITOR_LOCK, DB_ARGS(DB_TEXT(name)), &rows, err))
        return false;
    if (db_rows(rows) == 0)
        return err_fail(err, ERR_ABSENT,
                        "there is no such auditor; 'holdfast auditor list' shows them");
    *auditor_id = db_i64(rows, 0, 0);
    return true;
}

bool auth_end_sessions_of(struct db *db, int64_t auditor_id, struct err *err)
{
    return db_run_ok(db, DB_AUTH_SESSIONS_END, DB_ARGS(DB_I64(auditor_id)), err);
}

static bool insert_auditor(struct db *db, const struct auth_new_auditor *auditor, int64_t *id,
                           struct err *err)
{
    CLEANUP(db_result_free) struct db_result *rows = NULL;
    int64_t expires = auditor->expires_at_usec;

    if (db_run_one(db, DB_AUTH_AUDITOR_INSERT,
                   DB_ARGS(DB_TEXT(auditor->name), db_null_unless(expires != 0, DB_TIME(expires)),
                           DB_TEXTS(auditor->networks, auditor->network_count)),
                   &rows, err)) {
        *id = db_i64(rows, 0, 0);
        return true;
    }
    if (strcmp(db_sqlstate(db), "23505") == 0)
        return err_fail(err, ERR_DENIED, "there is an auditor of this name already");
    if (err->code == ERR_SYNTAX)
        return err_fail(err, ERR_SYNTAX,
                        "a network is written like 192.0.2.0/24 or 2001:db8::/32, with no bit set "
                        "behind the prefix");
    return false;
}

bool auth_add_auditor(struct db *db, const struct auth_new_auditor *auditor, int64_t *auditor_id,
                      struct err *err)
{
    CLEANUP(buf_free) struct buf store = buf_create(CRYPTO_SCRAM_TEXT_BYTES);
    CLEANUP(db_rollback) struct db_tx tx = { 0 };
    struct bytes verifier;
    int64_t id = 0;

    if (!auth_check_name(auditor->name, err))
        return false;
    if (auditor->network_count > AUTH_NETWORKS_MAX)
        return err_fail(err, ERR_LIMIT, "%zu networks, at most %d", auditor->network_count,
                        AUTH_NETWORKS_MAX);
    if (!make_verifier(auditor->password, &store, &verifier, err) ||
        !db_begin(db, DB_READ_COMMITTED, &tx, err) || !insert_auditor(db, auditor, &id, err) ||
        !db_run_ok(db, DB_AUTH_VERIFIER_SAVE, DB_ARGS(DB_I64(id), DB_TEXT(verifier)), err) ||
        !append(db, AUDIT_AUDITOR_ADD, 0,
                AUDIT_FIELDS(AUDIT_I64("auditor", id),
                             AUDIT_BOOL("expires", auditor->expires_at_usec != 0),
                             AUDIT_I64("networks", (int64_t)auditor->network_count)),
                err) ||
        !db_commit(&tx, err))
        return err_wrap(err, "add an auditor");
    *auditor_id = id;
    return true;
}

bool auth_set_password(struct db *db, struct bytes name, const struct secret *password,
                       struct err *err)
{
    CLEANUP(buf_free) struct buf store = buf_create(CRYPTO_SCRAM_TEXT_BYTES);
    CLEANUP(db_rollback) struct db_tx tx = { 0 };
    struct bytes verifier;
    int64_t id;

    return (make_verifier(password, &store, &verifier, err) &&
            db_begin(db, DB_READ_COMMITTED, &tx, err) && auth_lock_auditor(db, name, &id, err) &&
            db_run_ok(db, DB_AUTH_VERIFIER_SAVE, DB_ARGS(DB_I64(id), DB_TEXT(verifier)), err) &&
            auth_end_sessions_of(db, id, err) &&
            append(db, AUDIT_AUDITOR_PASSWD, 0, AUDIT_FIELDS(AUDIT_I64("auditor", id)), err) &&
            db_commit(&tx, err)) ||
           err_wrap(err, "set an auditor's password");
}

/* ---- grants ------------------------------------------------------------------------------------ */

/* Whatever selects by date or query is a view with UIDs of its own (DESIGN 4), else what is hidden
 * would show through EXISTS, UID gaps and MODSEQ. */
static bool refuse_views(const struct auth_grant_request *request, struct err *err)
{
    if (request->matter.len > 0)
        return err_fail(err, ERR_DENIED,
                        "grants of a matter are not available yet: they are served "
                        "as views; grant whole accounts (--account or --all)");
    if (request->since.len > 0 || request->until.len > 0 || request->query.len > 0)
        return err_fail(err, ERR_DENIED,
                        "grants limited by date or query (--since, --until, --query) are not "
                        "available yet: they are served as views; grant whole accounts (--account "
                        "or --all)");
    return true;
}

/* *account_id is 0 for all accounts. */
static bool find_scope(struct db *db, const struct auth_grant_request *request, int64_t *account_id,
                       struct err *err)
{
    *account_id = 0;
    return request->account.len == 0 || source_find_account(db, request->account, account_id, err);
}

static bool insert_grant(struct db *db, int64_t auditor_id, int64_t account_id, int64_t *grant_id,
                         bool *is_new, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *rows = NULL;

    if (!db_run_one(
            db, DB_AUTH_GRANT_INSERT,
            DB_ARGS(DB_I64(auditor_id), db_null_unless(account_id != 0, DB_I64(account_id))), &rows,
            err))
        return false;
    *grant_id = db_i64(rows, 0, 0);
    *is_new = db_bool(rows, 0, 1);
    return true;
}

bool auth_grant(struct db *db, const struct auth_grant_request *request, int64_t *grant_id,
                struct err *err)
{
    CLEANUP(db_rollback) struct db_tx tx = { 0 };
    int64_t auditor_id, account_id, id;
    bool is_new;

    if (!refuse_views(request, err))
        return false;
    if (request->is_all == (request->account.len > 0))
        return err_fail(err, ERR_SYNTAX, "a grant is for one account or for all of them");
    if (!db_begin(db, DB_READ_COMMITTED, &tx, err) ||
        !auth_lock_auditor(db, request->auditor, &auditor_id, err) ||
        !find_scope(db, request, &account_id, err) ||
        !insert_grant(db, auditor_id, account_id, &id, &is_new, err) ||
        (is_new && !append(db, AUDIT_GRANT, account_id,
                           AUDIT_FIELDS(AUDIT_I64("auditor", auditor_id), AUDIT_I64("grant", id),
                                        AUDIT_BOOL("all", request->is_all)),
                           err)) ||
        !db_commit(&tx, err))
        return err_wrap(err, "grant");
    *grant_id = id;
    return true;
}

bool auth_revoke(struct db *db, const struct auth_grant_request *request, uint64_t *revoked,
                 struct err *err)
{
    CLEANUP(db_rollback) struct db_tx tx = { 0 };
    bool is_everything = !request->is_all && request->account.len == 0;
    int64_t auditor_id, account_id;
    uint64_t count;

    if (!refuse_views(request, err))
        return false;
    if (request->is_all && request->account.len > 0)
        return err_fail(err, ERR_SYNTAX, "a grant is for one account or for all of them");
    if (!db_begin(db, DB_READ_COMMITTED, &tx, err) ||
        !auth_lock_auditor(db, request->auditor, &auditor_id, err) ||
        !find_scope(db, request, &account_id, err) ||
        !db_run_count(db, DB_AUTH_GRANT_REVOKE,
                      DB_ARGS(DB_I64(auditor_id), DB_BOOL(is_everything),
                              db_null_unless(account_id != 0, DB_I64(account_id))),
                      &count, err))
        return err_wrap(err, "revoke");
    if (count == 0 && !is_everything)
        return err_fail(err, ERR_ABSENT,
                        "the auditor holds no such grant (one for all accounts is revoked as a "
                        "whole); 'holdfast auditor show' lists them");
    if ((is_everything && !auth_end_sessions_of(db, auditor_id, err)) ||
        !append(db, AUDIT_REVOKE, account_id,
                AUDIT_FIELDS(AUDIT_I64("auditor", auditor_id), AUDIT_I64("grants", (int64_t)count),
                             AUDIT_BOOL("everything", is_everything)),
                err) ||
        !db_commit(&tx, err))
        return err_wrap(err, "revoke");
    if (revoked != NULL)
        *revoked = count;
    return true;
}
