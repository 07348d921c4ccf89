/* SPDX-License-Identifier: Apache-2.0 */
/*
 * db/error.c - from SQLSTATE to what the caller can do.
 */
#include "db/internal.h"

#include <string.h>

/*
 * The longest matching prefix wins. To treat another condition: a row here and a line in
 * tests/unit/db/error_test.c. Codes: PostgreSQL manual, appendix A.
 */
static const struct {
    const char *prefix;
    enum err_code code;
} codes[] = {
    { "08", ERR_RETRY },    /* connection exceptions */
    { "0A000", ERR_RETRY }, /* "cached plan must not change result type": prepared anew next time */
    { "22", ERR_SYNTAX },   /* a value that the type cannot hold */
    { "25006", ERR_RETRY }, /* read-only: this server has become a standby */
    { "25P03", ERR_RETRY }, /* idle in a transaction for too long */
    { "26000", ERR_RETRY }, /* prepared statement gone (pooler, DISCARD) */
    { "28", ERR_DENIED },   /* password, role, pg_hba.conf */
    { "3D000", ERR_ABSENT },
    { "40", ERR_RETRY }, /* serialization failure, deadlock, recovery conflict */
    { "42501", ERR_DENIED },
    { "53", ERR_SYSTEM },     /* disk full, out of memory */
    { "53300", ERR_RETRY },   /* too many connections */
    { "54", ERR_LIMIT },      /* program limits */
    { "55P03", ERR_RETRY },   /* lock not available */
    { "57014", ERR_RETRY },   /* statement time-out */
    { "57P01", ERR_RETRY },   /* server or backend stops */
    { "57P02", ERR_RETRY },   /* another backend crashed */
    { "57P03", ERR_RETRY },   /* server starts or stops */
    { "57P05", ERR_RETRY },   /* idle session */
    { "58", ERR_SYSTEM },     /* I/O error */
    { "XX001", ERR_CORRUPT }, /* damaged data page */
    { "XX002", ERR_CORRUPT }, /* damaged index */
};

enum err_code db_code_of_sqlstate(const char *sqlstate)
{
    enum err_code code = ERR_SYSTEM;
    size_t best = 0;

    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        size_t len = strlen(codes[i].prefix);

        if (len > best && strncmp(sqlstate, codes[i].prefix, len) == 0) {
            best = len;
            code = codes[i].code;
        }
    }
    return code;
}

static void remember_sqlstate(struct db *db, const char *sqlstate)
{
    size_t len = strlen(sqlstate);

    if (len >= sizeof db->sqlstate)
        len = sizeof db->sqlstate - 1;
    memcpy(db->sqlstate, sqlstate, len);
    db->sqlstate[len] = '\0';
}

bool db_fail_lost(struct db *db, const char *what, struct err *err)
{
    db->is_lost = true;
    remember_sqlstate(db, "");
    return err_fail(err, ERR_RETRY, "%s: connection to the database lost", what);
}

/* The server's own words are shown only where they cannot quote a value. */
static const char *harmless_message(const PGresult *result, const char *sqlstate)
{
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

    if (message == NULL || strncmp(sqlstate, "22", 2) == 0)
        return "refused a value";
    return message;
}

bool db_fail_result(struct db *db, const char *what, const PGresult *result, struct err *err)
{
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *constraint = PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME);

    if (sqlstate == NULL) /* made by libpq itself: the connection */
        return db_fail_lost(db, what, err);
    remember_sqlstate(db, sqlstate);
    if (strcmp(sqlstate, "26000") == 0 || strcmp(sqlstate, "0A000") == 0 ||
        strncmp(sqlstate, "57P", 3) == 0 || strncmp(sqlstate, "08", 2) == 0)
        db->is_lost = true;
    return err_fail(err, db_code_of_sqlstate(sqlstate), "%s: %s%s%s (SQLSTATE %s)", what,
                    harmless_message(result, sqlstate), constraint == NULL ? "" : ", constraint ",
                    constraint == NULL ? "" : constraint, sqlstate);
}

const char *db_sqlstate(const struct db *db)
{
    return db->sqlstate;
}
