/* SPDX-License-Identifier: Apache-2.0 */
/*
 * db/migrate.c - applying migrations, and the passwords of the roles.
 */
#include "db/migrate.h"

#include "db/internal.h"

#include <stdio.h>

#define MIGRATION_MAX_BYTES ((size_t)4 << 20)

/* ---- roles --------------------------------------------------------------------------------- */

static const struct {
    const char *name, *nickname;
} roles[] = {
    [DB_ROLE_OWNER] = { "holdfast_owner", "owner" },
    [DB_ROLE_INGEST] = { "holdfast_ingest", "ingest" },
    [DB_ROLE_KEEPER] = { "holdfast_keeper", "keeper" },
    [DB_ROLE_GATE] = { "holdfast_gate", "gate" },
    [DB_ROLE_READER] = { "holdfast_reader", "reader" },
    [DB_ROLE_REBUILD] = { "holdfast_rebuild", "rebuild" },
    [DB_ROLE_REINDEX] = { "holdfast_reindex", "reindex" },
};

const char *db_role_name(enum db_role role)
{
    return roles[role].name;
}

const char *db_role_nickname(enum db_role role)
{
    return roles[role].nickname;
}

/* ALTER ROLE takes no parameters; the verifier is quoted by libpq. A role may always change its own
 * settings (PostgreSQL has no right that forbids it), so those are taken back here. */
bool db_set_password(struct db *owner, enum db_role role, const struct secret *password,
                     struct err *err)
{
    struct bytes octets = secret_bytes(password);
    char plain[SECRET_MAX_BYTES + 1], sql[1024];
    char *verifier, *quoted;
    bool is_ok = false;

    memcpy(plain, octets.ptr, octets.len);
    plain[octets.len] = '\0';
    verifier = PQencryptPasswordConn(owner->pg, plain, roles[role].name, "scram-sha-256");
    secret_wipe(plain, sizeof plain);
    quoted = verifier == NULL ? NULL : PQescapeLiteral(owner->pg, verifier, strlen(verifier));
    if (quoted == NULL) {
        err_fail(err, ERR_SYSTEM, "password of %s: no verifier", roles[role].name);
    } else {
        (void)snprintf(sql, sizeof sql, "ALTER ROLE %s LOGIN PASSWORD %s; ALTER ROLE %s RESET ALL",
                       roles[role].name, quoted, roles[role].name);
        is_ok = db_run_script(owner, "set password", sql, err) ||
                err_wrap(err, "role %s", roles[role].name);
        secret_wipe(sql, sizeof sql);
    }
    PQfreemem(quoted);
    PQfreemem(verifier);
    return is_ok;
}

/* ---- versions ------------------------------------------------------------------------------ */

static const char bootstrap[] = "CREATE SCHEMA IF NOT EXISTS holdfast;"
                                "CREATE TABLE IF NOT EXISTS holdfast.schema_version ("
                                " version integer PRIMARY KEY,"
                                " name text NOT NULL,"
                                " applied_at timestamptz NOT NULL DEFAULT now())";

static bool ask_number(struct db *db, const char *sql, int32_t *out, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *result = NULL;

    if (!db_run_assembled(db, sql, DB_NO_ARGS, &result, err))
        return false;
    *out = db_i32(result, 0, 0);
    return true;
}

/* Two programs may make it at the same moment: one of them then gets a unique violation. */
static bool make_version_table(struct db *owner, struct err *err)
{
    int32_t is_there;

    for (int tries = 0; tries < 5; tries++) {
        if (!ask_number(owner,
                        "SELECT CASE WHEN to_regclass('holdfast.schema_version') IS NULL "
                        "THEN 0 ELSE 1 END",
                        &is_there, err))
            return false;
        if (is_there != 0 || db_run_script(owner, "make schema_version", bootstrap, err))
            return true;
        if (strcmp(db_sqlstate(owner), "23505") != 0 && strncmp(db_sqlstate(owner), "42P", 3) != 0)
            return false;
    }
    return false;
}

static bool ask_version(struct db *db, int32_t *out, struct err *err)
{
    return ask_number(db, "SELECT coalesce(max(version), 0) FROM holdfast.schema_version", out,
                      err);
}

static bool refuse_newer(int32_t found, size_t known, struct err *err)
{
    return err_fail(err, ERR_DENIED,
                    "the database has schema version %d, this program knows %zu: use the newer "
                    "program",
                    (int)found, known);
}

static bool record_version(struct db *owner, const struct db_migration *migration, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *result = NULL;

    return db_run_assembled(
        owner, "INSERT INTO holdfast.schema_version (version, name) VALUES ($1, $2)",
        DB_ARGS(DB_I32(migration->version), DB_TEXT(bytes_of_text(migration->name))), &result, err);
}

static bool apply(struct db *owner, const struct db_migration *migration, struct err *err)
{
    CLEANUP(buf_free) struct buf sql = buf_create(MIGRATION_MAX_BYTES);
    struct bytes text;

    for (const char *const *line = migration->lines; *line != NULL; line++)
        buf_text(&sql, *line);
    buf_byte(&sql, '\0');
    return (buf_done(&sql, &text, err) &&
            db_run_script(owner, "apply", (const char *)text.ptr, err) &&
            record_version(owner, migration, err)) ||
           err_wrap(err, "migration %04d_%s", (int)migration->version, migration->name);
}

/* One transaction: the lock, then the version as it is now, then the next migration if any. */
static bool apply_next(struct db *owner, struct db_migration_list list, int32_t *version,
                       bool *is_done, struct err *err)
{
    CLEANUP(db_rollback) struct db_tx tx = { 0 };

    if (!db_begin(owner, DB_READ_COMMITTED, &tx, err) ||
        !db_run_script(owner, "lock schema_version",
                       "LOCK TABLE holdfast.schema_version IN SHARE ROW EXCLUSIVE MODE", err) ||
        !ask_version(owner, version, err))
        return false;
    if (*version < 0 || (size_t)*version > list.count)
        return refuse_newer(*version, list.count, err);
    *is_done = (size_t)*version == list.count;
    if (*is_done)
        return db_commit(&tx, err);
    if (!apply(owner, &list.items[*version], err) || !db_commit(&tx, err))
        return false;
    (*version)++;
    return true;
}

bool db_migrate_list(struct db *owner, struct db_migration_list list, int32_t *from, int32_t *to,
                     struct err *err)
{
    int32_t first = 0, version = 0;
    bool is_done = false;

    if (!make_version_table(owner, err) || !ask_version(owner, &first, err))
        return false;
    if (first > 0 && (size_t)first > list.count)
        return refuse_newer(first, list.count, err);
    while (!is_done)
        if (!apply_next(owner, list, &version, &is_done, err))
            return false;
    if (from != NULL)
        *from = first;
    if (to != NULL)
        *to = version;
    return true;
}

bool db_migrate(struct db *owner, int32_t *from, int32_t *to, struct err *err)
{
    return db_migrate_list(owner, db_migrations(), from, to, err);
}

bool db_check_schema(struct db *db, struct err *err)
{
    size_t known = db_migrations().count;
    int32_t version;

    if (!ask_version(db, &version, err)) {
        /* 42P01: no such table, 3F000: no such schema. */
        if (strcmp(db_sqlstate(db), "42P01") != 0 && strcmp(db_sqlstate(db), "3F000") != 0)
            return false;
        version = 0;
    }
    if (version > 0 && (size_t)version > known)
        return refuse_newer(version, known, err);
    if ((size_t)version < known)
        return err_fail(err, ERR_RETRY,
                        "the database has schema version %d, this program needs %zu: run "
                        "\"holdfast init\"",
                        (int)version, known);
    return true;
}
