/* SPDX-License-Identifier: Apache-2.0 */
/*
 * db/migrate.h - brings a database to the schema of this program.
 *
 * The files schema/NNNN_<what>.sql are part of the program. Each is applied in a transaction of its
 * own, in order, and recorded in holdfast.schema_version (version, name, applied_at), which this
 * module makes itself, with the schema "holdfast", before the first. A migration holds no BEGIN or
 * COMMIT. Any number of programs may try at once: they queue at a lock on schema_version.
 * The connection must be the owner's (the role that may create schemas and roles).
 */
#pragma once

#include "db/db.h"

struct db_migration {
    int32_t version;          /* from the file name, 1, 2, … without gaps */
    const char *name;         /* "init" */
    const char *const *lines; /* the SQL, ended by NULL */
};

struct db_migration_list {
    const struct db_migration *items;
    size_t count;
};

/* Those in the program. */
struct db_migration_list db_migrations(void);

/*
 * from and to: NULL, or set to the version before and after.
 * ERR_DENIED: the database is of a newer program; nothing was changed.
 */
MUST_USE bool db_migrate(struct db *owner, int32_t *from, int32_t *to, struct err *err);

/* As db_migrate, of any list (tests of upgrades). */
MUST_USE bool db_migrate_list(struct db *owner, struct db_migration_list list, int32_t *from,
                              int32_t *to, struct err *err);

/* For services, at start: ERR_RETRY when the database is older than the program (init has yet to
 * run), ERR_DENIED when it is newer. Any role that may SELECT from schema_version. */
MUST_USE bool db_check_schema(struct db *db, struct err *err);

/* The roles of the processes, made by 0002 and 0006: holdfast_ingest, _keeper, _gate, … */
enum db_role {
    DB_ROLE_OWNER,
    DB_ROLE_INGEST,
    DB_ROLE_KEEPER,
    DB_ROLE_GATE,
    DB_ROLE_READER,
    DB_ROLE_REBUILD, /* the reading child of `holdfast rebuild` */
    DB_ROLE_REINDEX  /* of `holdfast reindex` */
};
enum {
    DB_ROLE_COUNT = DB_ROLE_REINDEX + 1
};

const char *db_role_name(enum db_role role);     /* "holdfast_ingest" */
const char *db_role_nickname(enum db_role role); /* "ingest" */

/* Gives the role LOGIN and this password (only its SCRAM verifier reaches the server), and takes back
 * settings that it may have given itself. */
MUST_USE bool db_set_password(struct db *owner, enum db_role role, const struct secret *password,
                              struct err *err);
