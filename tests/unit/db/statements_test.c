/* SPDX-License-Identifier: Apache-2.0 */
#include "db/internal.h"
#include "db/test_server.h"

/* Types that result.h has a getter for, and void. */
static bool is_readable(Oid type)
{
    static const Oid others[] = {
        18, 19, 114, 142, 1042, 1043, 2278, 3802, 1002, 1003, 1014, 1015
    };

    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        if (others[i] == type)
            return true;
    for (int t = DB_TYPE_BOOL; t <= DB_TYPE_DATE; t++)
        if (db_oid((enum db_type)t, false) == type)
            return true;
    return type == db_oid(DB_TYPE_I16, true) || type == db_oid(DB_TYPE_I32, true) ||
           type == db_oid(DB_TYPE_I64, true) || type == db_oid(DB_TYPE_TEXT, true) ||
           type == db_oid(DB_TYPE_BYTEA, true);
}

static void check_columns(struct db *db, const char *name)
{
    PGresult *about;

    CHECK(PQsendDescribePrepared(db->pg, name) != 0);
    for (int i = 0; i < 2; i++) { /* the description, then the end */
        struct err err = { 0 };

        CHECK(db_flush(db, &err) && db_await(db, &err));
        about = PQgetResult(db->pg);
        for (int col = 0; about != NULL && col < PQnfields(about); col++)
            if (!is_readable(PQftype(about, col)))
                test_fail(__FILE__, __LINE__, "%s: column %s has a type without a getter: cast it",
                          name, PQfname(about, col));
        PQclear(about);
    }
}

TEST(every_statement_is_prepared_against_the_migrated_schema_and_its_columns_have_getters)
{
    CLEANUP(db_close) struct db *db = test_db(DB_ROLE_OWNER);
    struct err err = { 0 };

    if (db == NULL)
        return;
    for (size_t i = 0; i < DB_STATEMENT_COUNT; i++) {
        enum db_statement statement = (enum db_statement)i;

        if (!db_prepare(db, statement, &err))
            test_fail(__FILE__, __LINE__, "%s", err.text);
        check_columns(db, db_statement_texts[statement].name);
    }
}
