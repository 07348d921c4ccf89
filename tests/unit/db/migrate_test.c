/* SPDX-License-Identifier: Apache-2.0 */
#include "db/migrate.h"
#include "db/test_server.h"

#include <pthread.h>

static const char *const make_table[] = { "CREATE TABLE holdfast.one (n int);\n",
                                          "INSERT INTO holdfast.one VALUES (1);\n", NULL };
static const char *const add_column[] = { "ALTER TABLE holdfast.one ADD COLUMN m int;\n", NULL };
static const char *const half_wrong[] = { "DROP TABLE holdfast.one;\n", "SELECT 1 / 0;\n", NULL };

static const struct db_migration good[] = { { 1, "make", make_table }, { 2, "add", add_column } };
static const struct db_migration bad[] = { { 1, "make", make_table }, { 2, "wrong", half_wrong } };

static const struct db_migration_list first = { good, 1 };
static const struct db_migration_list both = { good, 2 };
static const struct db_migration_list broken = { bad, 2 };

/* The owner in an empty database of its own. */
static struct db *empty_database(void)
{
    CLEANUP(db_close) struct db *main = test_db(DB_ROLE_OWNER);
    struct db_target target;
    struct db *db = NULL;
    struct err err = { 0 };

    if (main == NULL || !test_target(DB_ROLE_OWNER, &target))
        return NULL;
    test_sql(main, "DROP DATABASE IF EXISTS migrate_test WITH (FORCE)");
    test_sql(main, "CREATE DATABASE migrate_test");
    target.database = "migrate_test";
    if (!db_connect(&target, &db, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
    return db;
}

TEST(migrations_run_in_order_once_and_are_recorded)
{
    CLEANUP(db_close) struct db *db = empty_database();
    CLEANUP(db_result_free) struct db_result *rows = NULL;
    struct err err = { 0 };
    int32_t from, to;

    if (db == NULL)
        return;
    CHECK(db_migrate_list(db, first, &from, &to, &err));
    CHECK_EQ_I64(from, 0);
    CHECK_EQ_I64(to, 1);
    CHECK(db_migrate_list(db, both, &from, &to, &err));
    CHECK_EQ_I64(from, 1);
    CHECK_EQ_I64(to, 2);
    CHECK(db_migrate_list(db, both, &from, &to, &err));
    CHECK_EQ_I64(from, 2);
    CHECK(db_run_assembled(db,
                           "SELECT version, name, applied_at <= now() FROM schema_version "
                           "ORDER BY version",
                           DB_NO_ARGS, &rows, &err));
    CHECK_EQ_U64(db_rows(rows), 2);
    CHECK_EQ_I64(db_i32(rows, 1, 0), 2);
    CHECK_BYTES(db_bytes(rows, 1, 1), BYTES("add"));
    CHECK(db_bool(rows, 1, 2));
}

TEST(a_migration_that_fails_leaves_the_version_before_it_whole)
{
    CLEANUP(db_close) struct db *db = empty_database();
    struct err err = { 0 };
    int32_t to;

    if (db == NULL)
        return;
    CHECK(!db_migrate_list(db, broken, NULL, NULL, &err));
    CHECK(strstr(err.text, "0002_wrong") != NULL);
    test_sql(db, "SELECT n FROM one");
    CHECK(db_migrate_list(db, both, NULL, &to, &err));
    CHECK_EQ_I64(to, 2);
}

TEST(a_database_of_a_newer_program_is_refused_and_unchanged)
{
    CLEANUP(db_close) struct db *db = empty_database();
    struct err err = { 0 };

    if (db == NULL)
        return;
    CHECK(db_migrate_list(db, both, NULL, NULL, &err));
    CHECK(!db_migrate_list(db, first, NULL, NULL, &err));
    CHECK_EQ_U64(err.code, ERR_DENIED);
    test_sql(db, "INSERT INTO schema_version (version, name) VALUES (9000, 'future')");
    CHECK(!db_migrate(db, NULL, NULL, &err));
    CHECK_EQ_U64(err.code, ERR_DENIED);
    CHECK(!db_check_schema(db, &err));
    CHECK_EQ_U64(err.code, ERR_DENIED);
}

TEST(an_empty_database_is_too_old_for_a_service)
{
    CLEANUP(db_close) struct db *db = empty_database();
    struct err err = { 0 };

    if (db == NULL)
        return;
    CHECK(!db_check_schema(db, &err));
    CHECK_EQ_U64(err.code, ERR_RETRY);
    CHECK(db_migrate_list(db, first, NULL, NULL, &err));
    if (db_migrations().count > 1) {
        CHECK(!db_check_schema(db, &err));
        CHECK_EQ_U64(err.code, ERR_RETRY);
    }
}

TEST(every_process_role_sees_that_the_schema_fits)
{
    struct err err = { 0 };

    for (size_t i = 0; i < DB_ROLE_COUNT; i++) {
        CLEANUP(db_close) struct db *db = test_db((enum db_role)i);

        if (db == NULL)
            return;
        if (!db_check_schema(db, &err))
            test_fail(__FILE__, __LINE__, "%s: %s", db_role_name((enum db_role)i), err.text);
    }
}

static void *migrate(void *argument)
{
    struct db *db = argument;
    struct err err = { 0 };

    return db_migrate(db, NULL, NULL, &err) ? db : NULL;
}

TEST(programs_that_migrate_at_the_same_time_all_succeed)
{
    struct db *dbs[6] = { NULL };
    pthread_t threads[6];
    void *result;
    struct db_target target;
    struct err err = { 0 };

    dbs[0] = empty_database();
    if (dbs[0] == NULL || !test_target(DB_ROLE_OWNER, &target))
        return;
    target.database = "migrate_test";
    for (size_t i = 1; i < ARRAY_LEN(dbs); i++)
        CHECK(db_connect(&target, &dbs[i], &err));
    for (size_t i = 0; i < ARRAY_LEN(dbs); i++)
        CHECK(pthread_create(&threads[i], NULL, migrate, dbs[i]) == 0);
    for (size_t i = 0; i < ARRAY_LEN(dbs); i++) {
        CHECK(pthread_join(threads[i], &result) == 0);
        CHECK(result == dbs[i]);
        db_close(&dbs[i]);
    }
}

TEST(a_new_password_works_and_the_old_one_does_not)
{
    CLEANUP(db_close) struct db *owner = test_db(DB_ROLE_OWNER);
    CLEANUP(db_close) struct db *db = NULL;
    CLEANUP(secret_free) struct secret *password = NULL;
    struct db_target target;
    struct err err = { 0 };

    if (owner == NULL || !test_target(DB_ROLE_READER, &target))
        return;
    CHECK(secret_create(BYTES("it's \"new\\"), &password, &err));
    CHECK(db_set_password(owner, DB_ROLE_READER, password, &err));
    CHECK(!db_connect(&target, &db, &err));
    CHECK_STR(err_code_name(err.code), "DENIED");
    target.password = password;
    CHECK(db_connect(&target, &db, &err));
    CHECK(db_set_password(owner, DB_ROLE_READER, test_server.passwords[DB_ROLE_READER], &err));
}
