/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An account as a list wants it: added, found equal, or found different.
 */
#include "crypto/seal.h"
#include "db/db.h"
#include "source/account.h"
#include "source/internal.h"

#include <string.h>

/* Columns of source_account_settings. */
enum {
    COL_ACCOUNT_ID,
    COL_IS_REMOVED,
    COL_SETTINGS, /* as source_read_settings takes them */
    COL_ACCOUNT_KIND = COL_SETTINGS + 12,
};

/* Columns of source_secret_find. */
enum {
    COL_KIND,
    COL_SEALED,
    COL_CREDENTIAL_ID,
};

static bool are_equal(const struct bytes *a, size_t a_count, const struct bytes *b, size_t b_count)
{
    for (size_t i = 0; i < a_count && i < b_count; i++)
        if (!bytes_equal(a[i], b[i]))
            return false;
    return a_count == b_count;
}

static uint32_t compare(const struct source_account_settings *a,
                        const struct source_account_settings *b)
{
    uint32_t differs = 0;

    if (!bytes_equal(a->host, b->host) || a->port != b->port)
        differs |= SOURCE_EDIT_HOST;
    if (!bytes_equal(a->login, b->login))
        differs |= SOURCE_EDIT_LOGIN;
    if (a->tls != b->tls)
        differs |= SOURCE_EDIT_TLS;
    if (!bytes_equal(a->tls_ca, b->tls_ca))
        differs |= SOURCE_EDIT_TLS_CA;
    if (!are_equal(a->include, a->include_count, b->include, b->include_count))
        differs |= SOURCE_EDIT_INCLUDE;
    if (!are_equal(a->exclude, a->exclude_count, b->exclude, b->exclude_count))
        differs |= SOURCE_EDIT_EXCLUDE;
    if (a->every_seconds != b->every_seconds)
        differs |= SOURCE_EDIT_EVERY;
    if (a->namespaces != b->namespaces)
        differs |= SOURCE_EDIT_NAMESPACES;
    if (!are_equal(a->tls_pins, a->tls_pin_count, b->tls_pins, b->tls_pin_count) ||
        a->is_pin_only != b->is_pin_only)
        differs |= SOURCE_EDIT_TLS_PINS;
    if (!bytes_equal(a->login_as, b->login_as))
        differs |= SOURCE_EDIT_LOGIN_AS;
    return differs;
}

/* Sealed under another master key, it differs: what is given can be opened again. */
static bool is_same_password(const struct db_result *row, int64_t account_id,
                             const struct crypto_key *master, const struct secret *password)
{
    CLEANUP(secret_free) struct secret *now = NULL;
    char aad[SOURCE_AAD_BYTES];
    struct err unopened = { 0 };

    return bytes_equal(db_bytes(row, 0, COL_KIND), BYTES("password")) &&
           crypto_open_secret(master, source_secret_aad(account_id, aad),
                              db_bytes(row, 0, COL_SEALED), &now, &unopened) &&
           secret_equal(secret_bytes(now), secret_bytes(password));
}

static bool compare_secret(struct db *db, int64_t account_id, const struct crypto_key *master,
                           const struct source_secret *secret, bool *differs, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *row = NULL;

    *differs = false;
    if (secret == NULL)
        return true;
    assert(secret->kind == SOURCE_SECRET_PASSWORD || secret->kind == SOURCE_SECRET_CREDENTIAL);
    if (!db_run(db, DB_SOURCE_SECRET_FIND, DB_ARGS(DB_I64(account_id)), &row, err))
        return false;
    if (db_rows(row) == 0)
        *differs = true;
    else if (secret->kind == SOURCE_SECRET_PASSWORD)
        *differs = !is_same_password(row, account_id, master, secret->octets);
    else
        *differs = db_is_null(row, 0, COL_CREDENTIAL_ID) ||
                   db_i64(row, 0, COL_CREDENTIAL_ID) != secret->credential_id;
    return true;
}

static bool compare_account(struct db *db, const struct db_result *row,
                            const struct source_account_settings *account, uint32_t given,
                            const struct crypto_key *master, const struct source_secret *secret,
                            struct arena *arena, struct source_put_result *out, struct err *err)
{
    struct source_account_settings now = { .every_seconds = 0 };

    if (db_bool(row, 0, COL_IS_REMOVED))
        return err_fail(err, ERR_DENIED,
                        "an account of this name was removed, and its mail is here");
    if (bytes_equal(db_bytes(row, 0, COL_ACCOUNT_KIND), source_kind_name(SOURCE_KIND_IMPORT)))
        return err_fail(err, ERR_DENIED,
                        "an account of this name has no source, `holdfast import` fills it");
    if ((given & SOURCE_EDIT_KIND) != 0 &&
        !bytes_equal(db_bytes(row, 0, COL_ACCOUNT_KIND), source_kind_name(account->kind)))
        return err_fail(err, ERR_DENIED, "the account is of another kind, which cannot be changed");
    *out = (struct source_put_result){ .account_id = db_i64(row, 0, COL_ACCOUNT_ID) };
    if (!source_read_settings(row, 0, COL_SETTINGS, arena, &now, err) ||
        !compare_secret(db, out->account_id, master, secret, &out->secret_differs, err))
        return false;
    out->differs = compare(account, &now) & given;
    out->what = out->differs != 0 || out->secret_differs ? SOURCE_PUT_DIFFERS : SOURCE_PUT_SAME;
    return true;
}

bool source_put_account(struct db *db, const struct source_account_settings *account,
                        uint32_t given, const struct crypto_key *master,
                        const struct source_secret *secret, bool may_change, struct arena *arena,
                        struct source_put_result *out, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *row = NULL;
    struct source_put_result result = { .what = SOURCE_PUT_ADDED };

    if (!source_check_settings(account, UINT32_MAX, err) ||
        !db_run(db, DB_SOURCE_ACCOUNT_SETTINGS, DB_ARGS(DB_TEXT(account->name)), &row, err))
        return false;
    if (db_rows(row) == 0) {
        if (secret == NULL)
            return err_fail(err, ERR_SYNTAX, "a new account needs a password or a credential");
        if (!source_add_account(db, account, master, secret, &result.account_id, err))
            return false;
    } else {
        if (!compare_account(db, row, account, given, master, secret, arena, &result, err))
            return false;
        if (result.what == SOURCE_PUT_DIFFERS && may_change) {
            result.what = SOURCE_PUT_CHANGED;
            if (!source_edit_account(db, result.account_id, result.differs, account, master,
                                     result.secret_differs ? secret : NULL, err))
                return false;
        }
    }
    *out = result;
    return true;
}
