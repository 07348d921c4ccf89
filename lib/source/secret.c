/* SPDX-License-Identifier: Apache-2.0 */
#include "source/secret.h"

#include "base/buf.h"
#include "crypto/seal.h"
#include "db/db.h"
#include "source/internal.h"

#include <stdio.h>

static const struct bytes kind_names[] = {
    [SOURCE_SECRET_PASSWORD] = BYTES_INIT("password"),
    [SOURCE_SECRET_OAUTH] = BYTES_INIT("oauth"),
    [SOURCE_SECRET_CERTIFICATE] = BYTES_INIT("certificate"),
    [SOURCE_SECRET_CREDENTIAL] = BYTES_INIT("credential"),
};

struct bytes source_secret_aad(int64_t account_id, char text[SOURCE_AAD_BYTES])
{
    int len = snprintf(text, SOURCE_AAD_BYTES, "account %jd secret", (intmax_t)account_id);

    return bytes_of(text, (size_t)len);
}

struct bytes source_credential_aad(int64_t credential_id, char text[SOURCE_AAD_BYTES])
{
    int len = snprintf(text, SOURCE_AAD_BYTES, "credential %jd secret", (intmax_t)credential_id);

    return bytes_of(text, (size_t)len);
}

void source_free_secret_facts(struct source_secret_facts *facts)
{
    secret_free(&facts->octets);
}

/* ---- of an account ------------------------------------------------------------------------------ */

/* Of a credential its id, so that the row cannot be pointed to another one without the key. */
static bool seal_secret(const struct crypto_key *master, int64_t account_id,
                        const struct source_secret *secret, struct buf *out, struct err *err)
{
    CLEANUP(buf_free) struct buf id = buf_create(32);
    char aad[SOURCE_AAD_BYTES];
    struct bytes plain;

    buf_i64(&id, secret->credential_id);
    plain = secret->octets != NULL ? secret_bytes(secret->octets) : buf_bytes(&id);
    return crypto_seal(master, source_secret_aad(account_id, aad), plain, out, err);
}

bool source_save_secret(struct db *db, int64_t account_id, const struct crypto_key *master,
                        const struct source_secret *secret, struct err *err)
{
    CLEANUP(buf_free) struct buf sealed = buf_create(SECRET_MAX_BYTES + CRYPTO_SEAL_OVERHEAD_BYTES);
    bool is_shared = secret->kind == SOURCE_SECRET_CREDENTIAL;
    struct bytes octets;

    return seal_secret(master, account_id, secret, &sealed, err) &&
           buf_done(&sealed, &octets, err) &&
           db_run_ok(db, DB_SOURCE_SECRET_SAVE,
                     DB_ARGS(DB_I64(account_id), DB_TEXT(kind_names[secret->kind]),
                             DB_BYTEA(octets), DB_I64(crypto_get_key_id(master)),
                             db_null_unless(is_shared, DB_I64(secret->credential_id))),
                     err);
}

bool source_find_secret_kind(struct bytes name, enum source_secret_kind *out, struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(kind_names); i++)
        if (bytes_equal(name, kind_names[i])) {
            *out = (enum source_secret_kind)i;
            return true;
        }
    return err_fail(err, ERR_CORRUPT, "a secret of a kind that we do not know");
}

bool source_open_secret(struct db *db, int64_t account_id, const struct crypto_key *master,
                        struct arena *arena, struct source_secret_facts *out, struct err *err)
{
    CLEANUP(source_free_secret_facts) struct source_secret_facts facts = { 0 };
    CLEANUP(db_result_free) struct db_result *row = NULL;
    char aad[SOURCE_AAD_BYTES];

    if (!db_run(db, DB_SOURCE_SECRET_FIND, DB_ARGS(DB_I64(account_id)), &row, err))
        return false;
    if (db_rows(row) == 0)
        return err_fail(err, ERR_ABSENT, "the account has no secret");
    if (!source_find_secret_kind(db_bytes(row, 0, 0), &facts.kind, err))
        return false;
    if (facts.kind != SOURCE_SECRET_CREDENTIAL) {
        if (!crypto_open_secret(master, source_secret_aad(account_id, aad), db_bytes(row, 0, 1),
                                &facts.octets, err))
            return false;
    } else {
        facts.credential_id = db_i64(row, 0, 2);
        if (!source_copy_column(row, 0, 3, arena, &facts.credential_name, err) ||
            !source_open_credential(db, facts.credential_id, master, &facts.octets, err))
            return false;
    }
    *out = facts;
    facts.octets = NULL; /* the caller's now */
    return true;
}

/* ---- credentials --------------------------------------------------------------------------------- */

static bool seal_grant(const struct crypto_key *master, int64_t credential_id,
                       const struct secret *grant, struct buf *out, struct bytes *octets,
                       struct err *err)
{
    char aad[SOURCE_AAD_BYTES];

    return crypto_seal(master, source_credential_aad(credential_id, aad), secret_bytes(grant), out,
                       err) &&
           buf_done(out, octets, err);
}

static bool insert_credential(struct db *db, struct bytes name, const struct crypto_key *master,
                              const struct secret *grant, int64_t *credential_id, struct err *err)
{
    CLEANUP(buf_free) struct buf sealed = buf_create(SECRET_MAX_BYTES + CRYPTO_SEAL_OVERHEAD_BYTES);
    CLEANUP(db_result_free) struct db_result *row = NULL;
    struct bytes octets;
    int64_t id;

    if (!db_run_one(db, DB_SOURCE_CREDENTIAL_NEXT, DB_NO_ARGS, &row, err))
        return false;
    id = db_i64(row, 0, 0); /* known before the insert, since the seal names it */
    if (!seal_grant(master, id, grant, &sealed, &octets, err))
        return false;
    if (!db_run_ok(
            db, DB_SOURCE_CREDENTIAL_INSERT,
            DB_ARGS(DB_I64(id), DB_TEXT(name), DB_BYTEA(octets), DB_I64(crypto_get_key_id(master))),
            err))
        return strcmp(db_sqlstate(db), "23505") != 0
                   ? false
                   : err_fail(err, ERR_DENIED, "credential name \"%.*s\" is taken", (int)name.len,
                              (const char *)name.ptr);
    *credential_id = id;
    return true;
}

bool source_add_credential(struct db *db, struct bytes name, const struct crypto_key *master,
                           const struct secret *grant, int64_t *credential_id, struct err *err)
{
    return (source_check_name(name, err) || err_wrap(err, "credential")) &&
           insert_credential(db, name, master, grant, credential_id, err);
}

bool source_edit_credential(struct db *db, int64_t credential_id, const struct crypto_key *master,
                            const struct secret *grant, struct err *err)
{
    CLEANUP(buf_free) struct buf sealed = buf_create(SECRET_MAX_BYTES + CRYPTO_SEAL_OVERHEAD_BYTES);
    CLEANUP(db_rollback) struct db_tx tx = { 0 };
    struct bytes octets;

    return seal_grant(master, credential_id, grant, &sealed, &octets, err) &&
           db_begin(db, DB_READ_COMMITTED, &tx, err) &&
           db_run_ok(
               db, DB_SOURCE_CREDENTIAL_UPDATE,
               DB_ARGS(DB_I64(credential_id), DB_BYTEA(octets), DB_I64(crypto_get_key_id(master))),
               err) &&
           db_run_ok(db, DB_SOURCE_CREDENTIAL_WAKE, DB_ARGS(DB_I64(credential_id)), err) &&
           db_commit(&tx, err);
}

bool source_remove_credential(struct db *db, int64_t credential_id, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *row = NULL;

    if (!db_run_one(db, DB_SOURCE_CREDENTIAL_DELETE, DB_ARGS(DB_I64(credential_id)), &row, err))
        return false;
    return db_i64(row, 0, 0) == 0 ||
           err_fail(err, ERR_DENIED,
                    "accounts use this credential (%jd of them): edit or remove them first",
                    (intmax_t)db_i64(row, 0, 0));
}

bool source_find_credential(struct db *db, struct bytes name, int64_t *credential_id,
                            struct err *err)
{
    CLEANUP(db_result_free) struct db_result *row = NULL;

    if (!db_run(db, DB_SOURCE_CREDENTIAL_FIND, DB_ARGS(DB_TEXT(name)), &row, err))
        return false;
    if (db_rows(row) == 0)
        return err_fail(err, ERR_ABSENT, "no credential \"%.*s\": see holdfast credential list",
                        (int)name.len, (const char *)name.ptr);
    *credential_id = db_i64(row, 0, 0);
    return true;
}

bool source_open_credential(struct db *db, int64_t credential_id, const struct crypto_key *master,
                            struct secret **out, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *row = NULL;
    char aad[SOURCE_AAD_BYTES];

    if (!db_run(db, DB_SOURCE_CREDENTIAL_SEALED, DB_ARGS(DB_I64(credential_id)), &row, err))
        return false;
    if (db_rows(row) == 0)
        return err_fail(err, ERR_ABSENT, "no credential with id %jd", (intmax_t)credential_id);
    return crypto_open_secret(master, source_credential_aad(credential_id, aad),
                              db_bytes(row, 0, 0), out, err) ||
           err_wrap(err, "credential %jd", (intmax_t)credential_id);
}

bool source_list_credentials(struct db *db, struct arena *arena, struct source_credential_list *out,
                             struct err *err)
{
    CLEANUP(db_result_free) struct db_result *rows = NULL;
    struct source_credential *list;

    if (!db_run(db, DB_SOURCE_CREDENTIAL_LIST, DB_ARGS(DB_I64(SOURCE_CREDENTIALS_MAX)), &rows, err))
        return false;
    list = arena_new_array(arena, struct source_credential, db_rows(rows));
    for (size_t i = 0; i < db_rows(rows); i++) {
        list[i].credential_id = db_i64(rows, i, 0);
        list[i].accounts = (uint64_t)db_i64(rows, i, 2);
        list[i].created_usec = source_time(rows, i, 3);
        list[i].updated_usec = source_time(rows, i, 4);
        if (!source_copy_column(rows, i, 1, arena, &list[i].name, err))
            return false;
    }
    *out = (struct source_credential_list){ list, db_rows(rows) };
    return true;
}
