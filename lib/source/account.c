/* SPDX-License-Identifier: Apache-2.0 */
#include "source/account.h"

#include "base/limits.h"
#include "db/db.h"
#include "source/internal.h"

#include <stdlib.h>

enum {
    PATTERN_BYTES = LIMIT_MAILBOX_NAME_BYTES,
    PATTERNS_MAX = 200,
    LOGIN_BYTES = 1024,
    HOST_BYTES = 255,
    CA_BYTES = 256 << 10,
};

static struct bytes tls_name(enum source_tls tls)
{
    switch (tls) {
    case SOURCE_TLS_IMPLICIT:
        return BYTES("implicit");
    case SOURCE_TLS_STARTTLS:
        return BYTES("starttls");
    case SOURCE_TLS_NONE:
        return BYTES("none");
    }
    UNREACHABLE();
}

struct bytes source_namespace_name(size_t index)
{
    static const struct bytes names[SOURCE_NAMESPACES] = { BYTES_INIT("others"),
                                                           BYTES_INIT("shared") };

    return names[index];
}

/* As a parameter; names: room for all. */
static struct db_value namespaces_value(uint32_t namespaces, struct bytes names[SOURCE_NAMESPACES])
{
    size_t count = 0;

    for (size_t i = 0; i < SOURCE_NAMESPACES; i++)
        if ((namespaces >> i & 1) != 0)
            names[count++] = source_namespace_name(i);
    return DB_TEXTS(names, count);
}

struct bytes source_kind_name(enum source_kind kind)
{
    switch (kind) {
    case SOURCE_KIND_IMAP:
        return BYTES("imap");
    case SOURCE_KIND_JOURNAL:
        return BYTES("journal");
    case SOURCE_KIND_IMPORT:
        return BYTES("import");
    }
    UNREACHABLE();
}

static bool has_control(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] < 0x20 || text.ptr[i] == 0x7f)
            return true;
    return false;
}

bool source_check_name(struct bytes name, struct err *err)
{
    if (name.len == 0 || name.len > LIMIT_ACCOUNT_NAME_BYTES)
        return err_fail(err, ERR_SYNTAX, "name: 1 to %u octets expected", LIMIT_ACCOUNT_NAME_BYTES);
    if (has_control(name) || bytes_find_byte(name, '/') >= 0 || name.ptr[0] == '-')
        return err_fail(err, ERR_SYNTAX,
                        "name: no \"/\", no control character and no \"-\" at the start");
    return true;
}

static bool check_patterns(const struct bytes *patterns, size_t count, struct err *err)
{
    if (count > PATTERNS_MAX)
        return err_fail(err, ERR_SYNTAX, "%zu patterns, at most %d accepted", count, PATTERNS_MAX);
    for (size_t i = 0; i < count; i++)
        if (patterns[i].len == 0 || patterns[i].len > PATTERN_BYTES || has_control(patterns[i]))
            return err_fail(err, ERR_SYNTAX, "pattern %zu is empty, over-long or holds a control",
                            i + 1);
    return true;
}

static bool check_host(const struct source_account_settings *account, struct err *err)
{
    if (account->host.len == 0 || account->host.len > HOST_BYTES || has_control(account->host) ||
        account->port == 0)
        return err_fail(err, ERR_SYNTAX, "host name of 1 to %d octets and a port expected",
                        HOST_BYTES);
    return true;
}

static bool check_pins(const struct source_account_settings *account, struct err *err)
{
    if (account->tls_pin_count > SOURCE_PINS_MAX)
        return err_fail(err, ERR_SYNTAX, "%zu pinned keys, at most %d accepted",
                        account->tls_pin_count, SOURCE_PINS_MAX);
    return !account->is_pin_only || account->tls_pin_count > 0 ||
           err_fail(err, ERR_SYNTAX, "pins alone are to be trusted, and none is given");
}

/* edit: which members count. */
bool source_check_settings(const struct source_account_settings *account, uint32_t edit,
                           struct err *err)
{
    if ((edit & SOURCE_EDIT_NAME) != 0 && !source_check_name(account->name, err))
        return false;
    if ((edit & SOURCE_EDIT_HOST) != 0 && !check_host(account, err))
        return false;
    if ((edit & SOURCE_EDIT_LOGIN) != 0 &&
        (account->login.len == 0 || account->login.len > LOGIN_BYTES ||
         has_control(account->login)))
        return err_fail(err, ERR_SYNTAX, "login: 1 to %d octets without controls expected",
                        LOGIN_BYTES);
    if ((edit & SOURCE_EDIT_LOGIN_AS) != 0 &&
        (account->login_as.len > LOGIN_BYTES || has_control(account->login_as)))
        return err_fail(err, ERR_SYNTAX, "login in whose name: at most %d octets without controls",
                        LOGIN_BYTES);
    if ((edit & SOURCE_EDIT_TLS_PINS) != 0 && !check_pins(account, err))
        return false;
    if ((edit & SOURCE_EDIT_TLS_CA) != 0 && account->tls_ca.len > CA_BYTES)
        return err_fail(err, ERR_SYNTAX, "CA file over %d octets", CA_BYTES);
    if ((edit & SOURCE_EDIT_INCLUDE) != 0 &&
        !check_patterns(account->include, account->include_count, err))
        return err_wrap(err, "include");
    if ((edit & SOURCE_EDIT_EXCLUDE) != 0 &&
        !check_patterns(account->exclude, account->exclude_count, err))
        return err_wrap(err, "exclude");
    if ((edit & SOURCE_EDIT_EVERY) != 0 && account->every_seconds <= 0)
        return err_fail(err, ERR_SYNTAX, "the interval must be over 0 seconds");
    return true;
}

/* A name that is taken is the one failure that the operator can understand and mend. */
static bool name_failed(struct db *db, struct bytes name, struct err *err)
{
    if (strcmp(db_sqlstate(db), "23505") == 0)
        return err_fail(err, ERR_DENIED, "account name \"%.*s\" is taken", (int)name.len,
                        (const char *)name.ptr);
    return false;
}

static bool insert_account(struct db *db, const struct source_account_settings *account,
                           int64_t *account_id, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *row = NULL;
    struct bytes names[SOURCE_NAMESPACES];

    if (!db_run_one(
            db, DB_SOURCE_ACCOUNT_INSERT,
            DB_ARGS(DB_TEXT(account->host), DB_I32(account->port), DB_TEXT(account->login),
                    DB_TEXT(tls_name(account->tls)),
                    db_null_unless(account->tls_ca.len > 0, DB_TEXT(account->tls_ca)),
                    DB_TEXTS(account->include, account->include_count),
                    DB_TEXTS(account->exclude, account->exclude_count),
                    DB_I32(account->every_seconds), namespaces_value(account->namespaces, names),
                    DB_BOOL(account->is_added_paused), DB_TEXT(source_kind_name(account->kind)),
                    DB_TEXTS(account->tls_pins, account->tls_pin_count),
                    DB_BOOL(account->is_pin_only), DB_TEXT(account->login_as)),
            &row, err))
        return false;
    *account_id = db_i64(row, 0, 0);
    return true;
}

bool source_add_account(struct db *db, const struct source_account_settings *account,
                        const struct crypto_key *master, const struct source_secret *secret,
                        int64_t *account_id, struct err *err)
{
    int64_t id;

    if (!source_check_settings(account, UINT32_MAX, err) || !insert_account(db, account, &id, err))
        return false;
    if (!db_run_ok(db, DB_SOURCE_NAME_INSERT, DB_ARGS(DB_I64(id), DB_TEXT(account->name)), err))
        return name_failed(db, account->name, err);
    if (!source_save_secret(db, id, master, secret, err) ||
        !db_run_ok(db, DB_SOURCE_JOB_INSERT, DB_ARGS(DB_I64(id)), err))
        return false;
    *account_id = id;
    return true;
}

bool source_forget_account(struct db *db, int64_t account_id, struct err *err)
{
    uint64_t affected;

    if (!db_run_count(db, DB_SOURCE_ACCOUNT_FORGET, DB_ARGS(DB_I64(account_id)), &affected, err))
        return false;
    return affected > 0 || err_fail(err, ERR_DENIED, "the account has archived mail: it stays");
}

bool source_add_import_account(struct db *db, struct bytes name, int64_t *account_id,
                               struct err *err)
{
    struct source_account_settings account = {
        .kind = SOURCE_KIND_IMPORT,
        .host = BYTES(""),
        .port = 1, /* the column wants one */
        .login = BYTES(""),
        .tls = SOURCE_TLS_NONE,
        .every_seconds = SOURCE_EVERY_SECONDS,
    };
    int64_t id;

    if (!source_check_name(name, err) || !insert_account(db, &account, &id, err))
        return false;
    if (!db_run_ok(db, DB_SOURCE_NAME_INSERT, DB_ARGS(DB_I64(id), DB_TEXT(name)), err))
        return name_failed(db, name, err);
    *account_id = id;
    return true;
}

bool source_is_import(struct db *db, int64_t account_id, bool *is_import, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *row = NULL;

    if (!db_run_one(db, DB_SOURCE_ACCOUNT_STATE, DB_ARGS(DB_I64(account_id)), &row, err))
        return false;
    *is_import = db_bool(row, 0, 2);
    return true;
}

static bool update_account(struct db *db, int64_t account_id, uint32_t edit,
                           const struct source_account_settings *account, struct err *err)
{
    struct bytes names[SOURCE_NAMESPACES];
    uint64_t affected;

    if (!db_run_count(
            db, DB_SOURCE_ACCOUNT_UPDATE,
            DB_ARGS(
                DB_I64(account_id),
                db_null_unless((edit & SOURCE_EDIT_HOST) != 0, DB_TEXT(account->host)),
                db_null_unless((edit & SOURCE_EDIT_HOST) != 0, DB_I32(account->port)),
                db_null_unless((edit & SOURCE_EDIT_LOGIN) != 0, DB_TEXT(account->login)),
                db_null_unless((edit & SOURCE_EDIT_TLS) != 0, DB_TEXT(tls_name(account->tls))),
                DB_BOOL((edit & SOURCE_EDIT_TLS_CA) != 0),
                db_null_unless(account->tls_ca.len > 0, DB_TEXT(account->tls_ca)),
                db_null_unless((edit & SOURCE_EDIT_INCLUDE) != 0,
                               DB_TEXTS(account->include, account->include_count)),
                db_null_unless((edit & SOURCE_EDIT_EXCLUDE) != 0,
                               DB_TEXTS(account->exclude, account->exclude_count)),
                db_null_unless((edit & SOURCE_EDIT_EVERY) != 0, DB_I32(account->every_seconds)),
                db_null_unless((edit & SOURCE_EDIT_NAMESPACES) != 0,
                               namespaces_value(account->namespaces, names)),
                db_null_unless((edit & SOURCE_EDIT_TLS_PINS) != 0,
                               DB_TEXTS(account->tls_pins, account->tls_pin_count)),
                db_null_unless((edit & SOURCE_EDIT_TLS_PINS) != 0, DB_BOOL(account->is_pin_only)),
                db_null_unless((edit & SOURCE_EDIT_LOGIN_AS) != 0, DB_TEXT(account->login_as))),
            &affected, err))
        return false;
    if (affected == 0)
        return err_fail(err, ERR_ABSENT, "no such account, or it was removed");
    return true;
}

/* One without a source has a name, and nothing else that could be changed. */
static bool check_editable(struct db *db, int64_t account_id, uint32_t edit,
                           const struct source_secret *secret, struct err *err)
{
    bool is_import;

    if ((edit & ~(uint32_t)SOURCE_EDIT_NAME) == 0 && secret == NULL)
        return true;
    return source_is_import(db, account_id, &is_import, err) &&
           (!is_import ||
            err_fail(err, ERR_DENIED, "the account has no source: its name alone can be changed"));
}

bool source_edit_account(struct db *db, int64_t account_id, uint32_t edit,
                         const struct source_account_settings *account,
                         const struct crypto_key *master, const struct source_secret *secret,
                         struct err *err)
{
    if (!source_check_settings(account, edit, err) ||
        !check_editable(db, account_id, edit, secret, err) ||
        !update_account(db, account_id, edit, account, err))
        return false;
    if ((edit & SOURCE_EDIT_NAME) != 0 &&
        !db_run_ok(db, DB_SOURCE_NAME_UPDATE, DB_ARGS(DB_I64(account_id), DB_TEXT(account->name)),
                   err))
        return name_failed(db, account->name, err);
    if (secret != NULL && !source_save_secret(db, account_id, master, secret, err))
        return false;
    if ((edit & SOURCE_EDIT_PEER) != 0 &&
        !db_run_ok(db, DB_SOURCE_JOB_TAKE_BACK, DB_ARGS(DB_I64(account_id)), err))
        return false;
    return db_run_ok(db, DB_SOURCE_JOB_START_UNLESS_PAUSED, DB_ARGS(DB_I64(account_id)), err);
}

bool source_lock_names(struct db *db, struct err *err)
{
    return db_run_ok(db, DB_SOURCE_NAME_LOCK, DB_NO_ARGS, err);
}

bool source_find_account(struct db *db, struct bytes name, int64_t *account_id, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *row = NULL;

    if (!db_run(db, DB_SOURCE_ACCOUNT_FIND, DB_ARGS(DB_TEXT(name)), &row, err))
        return false;
    if (db_rows(row) == 0)
        return err_fail(err, ERR_ABSENT, "no account \"%.*s\": see holdfast account list",
                        (int)name.len, (const char *)name.ptr);
    *account_id = db_i64(row, 0, 0);
    return true;
}

static bool set_paused(struct db *db, int64_t account_id, bool is_paused, struct err *err)
{
    uint64_t affected;

    return db_run_count(db, DB_SOURCE_ACCOUNT_SET_PAUSED,
                        DB_ARGS(DB_I64(account_id), DB_BOOL(is_paused)), &affected, err) &&
           (affected > 0 || err_fail(err, ERR_ABSENT, "no such account, or it was removed"));
}

bool source_pause_account(struct db *db, int64_t account_id, struct err *err)
{
    CLEANUP(db_rollback) struct db_tx tx = { 0 };
    const struct bytes why = BYTES("stopped: the account was paused");

    return db_begin(db, DB_READ_COMMITTED, &tx, err) && set_paused(db, account_id, true, err) &&
           db_run_ok(db, DB_SOURCE_JOB_STOP, DB_ARGS(DB_I64(account_id), DB_TEXT(why)), err) &&
           db_commit(&tx, err);
}

bool source_resume_account(struct db *db, int64_t account_id, struct err *err)
{
    CLEANUP(db_rollback) struct db_tx tx = { 0 };

    return db_begin(db, DB_READ_COMMITTED, &tx, err) && set_paused(db, account_id, false, err) &&
           db_run_ok(db, DB_SOURCE_JOB_START_UNLESS_PAUSED, DB_ARGS(DB_I64(account_id)), err) &&
           db_commit(&tx, err);
}

bool source_remove_account(struct db *db, int64_t account_id, struct err *err)
{
    CLEANUP(db_rollback) struct db_tx tx = { 0 };
    uint64_t affected;

    if (!db_begin(db, DB_READ_COMMITTED, &tx, err) ||
        !db_run_count(db, DB_SOURCE_ACCOUNT_SET_REMOVED, DB_ARGS(DB_I64(account_id)), &affected,
                      err))
        return false;
    if (affected == 0)
        return err_fail(err, ERR_ABSENT, "no such account");
    return db_run_ok(db, DB_SOURCE_SECRET_DELETE, DB_ARGS(DB_I64(account_id)), err) &&
           db_run_ok(
               db, DB_SOURCE_JOB_STOP,
               DB_ARGS(DB_I64(account_id), DB_TEXT(BYTES("stopped: the account was removed"))),
               err) &&
           db_commit(&tx, err);
}
