/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "db/db.h"
#include "db/test_server.h"

#include <stdlib.h>

static struct db *owner_with_table(void)
{
    struct db *db = test_db(DB_ROLE_OWNER);

    if (db != NULL) {
        test_sql(db, "DROP TABLE IF EXISTS run_test");
        test_sql(db, "CREATE TABLE run_test (n bigint PRIMARY KEY DEFERRABLE)");
    }
    return db;
}

static int64_t count_rows(struct db *db)
{
    CLEANUP(db_result_free) struct db_result *result = NULL;
    struct err err = { 0 };

    if (!db_run_assembled(db, "SELECT count(*) FROM run_test", DB_NO_ARGS, &result, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
    return db_i64(result, 0, 0);
}

static bool try_sql(struct db *db, const char *sql, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *result = NULL;

    return db_run_assembled(db, sql, DB_NO_ARGS, &result, err);
}

/* Ends the connection from outside, as a server does that is restarted. */
static void terminate(struct db *victim)
{
    CLEANUP(db_close) struct db *other = test_db(DB_ROLE_OWNER);
    CLEANUP(db_result_free) struct db_result *pid = NULL;
    CLEANUP(db_result_free) struct db_result *done = NULL;
    struct err err = { 0 };

    if (!db_run_assembled(victim, "SELECT pg_backend_pid()", DB_NO_ARGS, &pid, &err) ||
        !db_run_assembled(other, "SELECT pg_terminate_backend($1, 5000)",
                          DB_ARGS(DB_I32(db_i32(pid, 0, 0))), &done, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
}

/* Runs "SELECT $1 + $2 + … " over so many parameters. */
static bool run_many(struct db *db, size_t count, int64_t *sum, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *result = NULL;
    struct db_value *values = calloc(count, sizeof *values);
    struct buf sql = buf_create(1 << 20);
    bool is_ok;

    buf_text(&sql, "SELECT (0");
    for (size_t i = 0; i < count; i++) {
        values[i] = i % 2 == 0 ? DB_I64(i) : DB_TEXT(BYTES("a text"));
        if (i % 2 == 0 && i < 2000) {
            buf_text(&sql, " + $");
            buf_u64(&sql, i + 1);
        }
    }
    buf_text(&sql, ")::bigint");
    buf_byte(&sql, 0);
    is_ok = db_run_assembled(db, (const char *)sql.ptr, (struct db_args){ values, count }, &result,
                             err);
    if (is_ok)
        *sum = db_i64(result, 0, 0);
    buf_free(&sql);
    free(values);
    return is_ok;
}

TEST(an_assembled_statement_has_as_many_parameters_as_the_protocol_counts)
{
    CLEANUP(db_close) struct db *db = test_db(DB_ROLE_READER);
    struct err err = { 0 };
    int64_t sum = 0;

    if (db == NULL)
        return;
    CHECK(run_many(db, 64, &sum, &err) && sum == 31 * 32);
    CHECK(run_many(db, 65, &sum, &err) && sum == 32 * 33);
    CHECK(run_many(db, 2000, &sum, &err) && sum == 999 * 1000);
    CHECK(run_many(db, 65535, &sum, &err) && sum == 999 * 1000);
    CHECK(!run_many(db, 65536, &sum, &err));
    CHECK_EQ_U64(err.code, ERR_LIMIT);
}

TEST(a_connection_has_our_search_path_time_zone_and_isolation)
{
    CLEANUP(db_close) struct db *db = test_db(DB_ROLE_READER);
    CLEANUP(db_result_free) struct db_result *result = NULL;
    struct err err = { 0 };

    if (db == NULL)
        return;
    CHECK(db_run_assembled(db,
                           "SELECT current_setting('search_path'), current_setting('timezone'), "
                           "current_setting('default_transaction_isolation'), "
                           "current_setting('application_name')",
                           DB_NO_ARGS, &result, &err));
    CHECK_BYTES(db_bytes(result, 0, 0), BYTES("holdfast"));
    CHECK_BYTES(db_bytes(result, 0, 1), BYTES("UTC"));
    CHECK_BYTES(db_bytes(result, 0, 2), BYTES("read committed"));
    CHECK_BYTES(db_bytes(result, 0, 3), BYTES("holdfast-test"));
}

TEST(a_statement_is_prepared_once_and_costs_one_round_trip_then)
{
    CLEANUP(db_close) struct db *db = test_db(DB_ROLE_OWNER);
    CLEANUP(db_result_free) struct db_result *result = NULL;
    struct err err = { 0 };
    uint64_t before;

    if (db == NULL)
        return;
    CHECK(db_run_ok(db, DB_SESSION_NOW, DB_NO_ARGS, &err));
    before = db_round_trips(db);
    CHECK(db_run_one(db, DB_SESSION_NOW, DB_NO_ARGS, &result, &err));
    CHECK_EQ_U64(db_round_trips(db) - before, 1);
    CHECK(db_time_usec(result, 0, 0) > INT64_C(1700000000000000));
}

TEST(affected_rows_are_counted)
{
    CLEANUP(db_close) struct db *db = owner_with_table();
    CLEANUP(db_result_free) struct db_result *result = NULL;
    struct err err = { 0 };

    if (db == NULL)
        return;
    CHECK(db_run_assembled(db, "INSERT INTO run_test SELECT generate_series(1, $1)",
                           DB_ARGS(DB_I64(7)), &result, &err));
    CHECK_EQ_U64(db_affected(result), 7);
    CHECK_EQ_U64(db_rows(result), 0);
}

TEST(a_broken_constraint_is_named_and_its_sqlstate_kept)
{
    CLEANUP(db_close) struct db *db = owner_with_table();
    struct err err = { 0 };

    if (db == NULL)
        return;
    test_sql(db, "INSERT INTO run_test VALUES (777123)");
    CHECK(!try_sql(db, "INSERT INTO run_test VALUES (777123)", &err));
    CHECK_EQ_U64(err.code, ERR_SYSTEM);
    CHECK_STR(db_sqlstate(db), "23505");
    CHECK(strstr(err.text, "run_test_pkey") != NULL);
    CHECK(strstr(err.text, "777123") == NULL);
    test_sql(db, "SELECT 1");
    CHECK_STR(db_sqlstate(db), "");
}

TEST(a_role_without_the_right_is_denied)
{
    CLEANUP(db_close) struct db *db = test_db(DB_ROLE_READER);
    struct err err = { 0 };

    if (db == NULL)
        return;
    CHECK(!try_sql(db, "SELECT * FROM auditor_verifier", &err));
    CHECK_EQ_U64(err.code, ERR_DENIED);
    CHECK(!db_is_broken(db));
}

TEST(a_wrong_password_is_denied_a_wrong_database_absent_and_no_server_retried)
{
    CLEANUP(secret_free) struct secret *wrong = NULL;
    CLEANUP(db_close) struct db *db = NULL;
    struct db_target target;
    struct err err = { 0 };

    if (!test_target(DB_ROLE_GATE, &target))
        return;
    CHECK(secret_create(BYTES("wrong"), &wrong, &err));
    target.password = wrong;
    CHECK(!db_connect(&target, &db, &err));
    CHECK_STR(err_code_name(err.code), "DENIED");
    CHECK(test_target(DB_ROLE_OWNER, &target));
    target.database = "nowhere";
    CHECK(!db_connect(&target, &db, &err));
    CHECK_STR(err_code_name(err.code), "ABSENT");
    target.socket_dir = "/nonexistent";
    CHECK(!db_connect(&target, &db, &err));
    CHECK_STR(err_code_name(err.code), "RETRY");
}

TEST(a_url_that_cannot_be_read_is_refused_without_being_quoted)
{
    const struct db_target target = { .url = "postgresql://user:hunter2@host:5432/db?what" };
    CLEANUP(db_close) struct db *db = NULL;
    struct err err = { 0 };

    CHECK(!db_connect(&target, &db, &err));
    CHECK_STR(err_code_name(err.code), "DENIED");
    CHECK(strstr(err.text, "hunter2") == NULL);
}

TEST(a_url_may_say_everything_and_role_and_password_override_it)
{
    CLEANUP(db_close) struct db *db = NULL;
    CLEANUP(db_result_free) struct db_result *result = NULL;
    struct db_target target;
    struct err err = { 0 };
    char url[256];

    if (!test_target(DB_ROLE_KEEPER, &target))
        return;
    (void)snprintf(url, sizeof url, "host=%s dbname=holdfast user=somebody connect_timeout=5",
                   target.socket_dir);
    target.url = url;
    target.socket_dir = NULL;
    target.database = NULL;
    CHECK(db_connect(&target, &db, &err));
    CHECK(db_run_assembled(db, "SELECT current_user::text", DB_NO_ARGS, &result, &err));
    CHECK_BYTES(db_bytes(result, 0, 0), BYTES("holdfast_keeper"));
}

TEST(a_statement_that_takes_too_long_is_retried_by_the_caller)
{
    CLEANUP(db_close) struct db *db = NULL;
    struct db_target target;
    struct err err = { 0 };

    if (!test_target(DB_ROLE_OWNER, &target))
        return;
    target.statement_timeout_ms = 50;
    CHECK(db_connect(&target, &db, &err));
    CHECK(!try_sql(db, "SELECT pg_sleep(20)", &err));
    CHECK_EQ_U64(err.code, ERR_RETRY);
    CHECK_STR(db_sqlstate(db), "57014");
    CHECK(try_sql(db, "SELECT 1", &err));
}

TEST(a_transaction_that_falls_silent_is_ended_by_the_server_and_keeps_no_lock)
{
    CLEANUP(db_close) struct db *other = test_db(DB_ROLE_OWNER);
    CLEANUP(db_close) struct db *db = NULL;
    struct db_target target;
    struct db_tx tx;
    struct err err = { 0 };

    if (other == NULL)
        return;
    CHECK(test_target(DB_ROLE_OWNER, &target));
    target.transaction_idle_ms = 100;
    CHECK(db_connect(&target, &db, &err));
    CHECK(db_begin(db, DB_READ_COMMITTED, &tx, &err));
    CHECK(try_sql(db, "LOCK TABLE credential", &err));
    test_sql(other, "SELECT count(*) FROM credential"); /* waits as long as that is locked */
    CHECK(!db_commit(&tx, &err));
    CHECK_EQ_U64(err.code, ERR_RETRY);
    CHECK(db_is_broken(db));
    CHECK(db_reset_if_broken(db, &err));
    CHECK(try_sql(db, "SELECT 1", &err)); /* out of a transaction it may be silent */
}

TEST(a_connection_that_was_cut_is_retried_reset_and_works_again)
{
    CLEANUP(db_close) struct db *db = test_db(DB_ROLE_OWNER);
    struct err err = { 0 };

    if (db == NULL)
        return;
    CHECK(db_run_ok(db, DB_SESSION_NOW, DB_NO_ARGS, &err));
    terminate(db);
    CHECK(!db_run_ok(db, DB_SESSION_NOW, DB_NO_ARGS, &err));
    CHECK_EQ_U64(err.code, ERR_RETRY);
    CHECK(db_is_broken(db));
    CHECK_EQ_I64(db_fd(db), -1);
    CHECK(!db_run_ok(db, DB_SESSION_NOW, DB_NO_ARGS, &err));
    CHECK_EQ_U64(err.code, ERR_RETRY);
    CHECK(db_reset_if_broken(db, &err));
    CHECK(db_run_ok(db, DB_SESSION_NOW, DB_NO_ARGS, &err));
}

TEST(a_prepared_statement_whose_result_changed_shape_is_prepared_anew_after_a_reset)
{
    CLEANUP(db_close) struct db *db = test_db(DB_ROLE_OWNER);
    struct err err = { 0 };

    if (db == NULL)
        return;
    CHECK(db_run_ok(db, DB_SESSION_NOW, DB_NO_ARGS, &err));
    test_sql(db, "DEALLOCATE ALL");
    CHECK(!db_run_ok(db, DB_SESSION_NOW, DB_NO_ARGS, &err));
    CHECK_EQ_U64(err.code, ERR_RETRY);
    CHECK(db_reset_if_broken(db, &err));
    CHECK(db_run_ok(db, DB_SESSION_NOW, DB_NO_ARGS, &err));
}

/* ---- transactions -------------------------------------------------------------------------- */

static void insert_and_leave(struct db *db)
{
    CLEANUP(db_rollback) struct db_tx tx = { 0 };
    struct err err = { 0 };

    CHECK(db_begin(db, DB_READ_COMMITTED, &tx, &err));
    test_sql(db, "INSERT INTO run_test VALUES (1)");
}

TEST(a_transaction_that_leaves_its_scope_is_rolled_back)
{
    CLEANUP(db_close) struct db *db = owner_with_table();

    if (db == NULL)
        return;
    insert_and_leave(db);
    CHECK_EQ_I64(count_rows(db), 0);
    insert_and_leave(db);
    CHECK_EQ_I64(count_rows(db), 0);
}

TEST(a_committed_transaction_stays)
{
    CLEANUP(db_close) struct db *db = owner_with_table();
    CLEANUP(db_rollback) struct db_tx tx = { 0 };
    struct err err = { 0 };

    if (db == NULL)
        return;
    CHECK(db_begin(db, DB_SERIALIZABLE, &tx, &err));
    test_sql(db, "INSERT INTO run_test VALUES (1)");
    CHECK(db_commit(&tx, &err));
    CHECK(tx.db == NULL);
    CHECK_EQ_I64(count_rows(db), 1);
}

TEST(commit_of_a_failed_transaction_is_an_error_and_nothing_stays)
{
    CLEANUP(db_close) struct db *db = owner_with_table();
    struct db_tx tx = { 0 };
    struct err err = { 0 };

    if (db == NULL)
        return;
    CHECK(db_begin(db, DB_READ_COMMITTED, &tx, &err));
    test_sql(db, "INSERT INTO run_test VALUES (1)");
    CHECK(!try_sql(db, "SELECT 1 / 0", &err));
    CHECK(!db_commit(&tx, &err));
    CHECK_EQ_U64(err.code, ERR_SYSTEM);
    CHECK_EQ_I64(count_rows(db), 0);
}

TEST(a_constraint_checked_at_commit_fails_the_commit)
{
    CLEANUP(db_close) struct db *db = owner_with_table();
    struct db_tx tx = { 0 };
    struct err err = { 0 };

    if (db == NULL)
        return;
    CHECK(db_begin(db, DB_READ_COMMITTED, &tx, &err));
    test_sql(db, "SET CONSTRAINTS ALL DEFERRED");
    test_sql(db, "INSERT INTO run_test VALUES (1), (1)");
    CHECK(!db_commit(&tx, &err));
    CHECK_STR(db_sqlstate(db), "23505");
    CHECK_EQ_I64(count_rows(db), 0);
}

TEST(a_read_only_transaction_refuses_a_write)
{
    CLEANUP(db_close) struct db *db = owner_with_table();
    CLEANUP(db_rollback) struct db_tx tx = { 0 };
    struct err err = { 0 };

    if (db == NULL)
        return;
    CHECK(db_begin(db, DB_REPEATABLE_READ_ONLY, &tx, &err));
    CHECK(!try_sql(db, "INSERT INTO run_test VALUES (1)", &err));
    CHECK_STR(db_sqlstate(db), "25006");
}

TEST(two_serializable_writers_that_collide_are_told_to_retry)
{
    CLEANUP(db_close) struct db *a = owner_with_table();
    CLEANUP(db_close) struct db *b = test_db(DB_ROLE_OWNER);
    CLEANUP(db_rollback) struct db_tx one = { 0 };
    CLEANUP(db_rollback) struct db_tx two = { 0 };
    struct err err = { 0 };

    if (a == NULL)
        return;
    CHECK(db_begin(a, DB_SERIALIZABLE, &one, &err));
    CHECK(db_begin(b, DB_SERIALIZABLE, &two, &err));
    test_sql(a, "INSERT INTO run_test SELECT count(*) + 10 FROM run_test");
    test_sql(b, "INSERT INTO run_test SELECT count(*) + 20 FROM run_test");
    CHECK(db_commit(&one, &err));
    CHECK(!db_commit(&two, &err));
    CHECK_EQ_U64(err.code, ERR_RETRY);
}

TEST(savepoints_nest_and_undo_only_what_is_theirs)
{
    CLEANUP(db_close) struct db *db = owner_with_table();
    CLEANUP(db_rollback) struct db_tx tx = { 0 };
    struct err err = { 0 };

    if (db == NULL)
        return;
    CHECK(db_begin(db, DB_READ_COMMITTED, &tx, &err));
    CHECK(db_savepoint_begin(&tx, &err));
    test_sql(db, "INSERT INTO run_test VALUES (1)");
    CHECK(db_savepoint_begin(&tx, &err));
    test_sql(db, "INSERT INTO run_test VALUES (2)");
    CHECK(!try_sql(db, "SELECT 1 / 0", &err));
    CHECK(db_savepoint_undo(&tx, &err));
    CHECK(db_savepoint_keep(&tx, &err));
    CHECK(db_commit(&tx, &err));
    CHECK_EQ_I64(count_rows(db), 1);
}

TEST(a_connection_cut_within_a_transaction_fails_its_commit_and_can_be_reset)
{
    CLEANUP(db_close) struct db *db = owner_with_table();
    struct db_tx tx = { 0 };
    struct err err = { 0 };

    if (db == NULL)
        return;
    CHECK(db_begin(db, DB_READ_COMMITTED, &tx, &err));
    test_sql(db, "INSERT INTO run_test VALUES (1)");
    terminate(db);
    CHECK(!db_commit(&tx, &err));
    CHECK_EQ_U64(err.code, ERR_RETRY);
    CHECK(db_reset_if_broken(db, &err));
    CHECK_EQ_I64(count_rows(db), 0);
}

/* ---- streams ------------------------------------------------------------------------------- */

struct tally {
    int64_t rows, octets, stop_after;
};

static bool add_row(void *context, const struct db_result *row, struct err *err)
{
    struct tally *tally = context;

    CHECK_EQ_I64(db_i64(row, 0, 0), ++tally->rows);
    tally->octets += (int64_t)db_bytes(row, 0, 1).len;
    if (tally->rows == tally->stop_after)
        return err_fail(err, ERR_LIMIT, "enough");
    return true;
}

static const char rows_of_megabytes[] =
    "SELECT n, convert_to(repeat('x', 1048576), 'UTF8') FROM generate_series(1, $1) AS n";

TEST(a_stream_gives_every_row_in_order)
{
    CLEANUP(db_close) struct db *db = test_db(DB_ROLE_OWNER);
    struct tally tally = { 0 };
    struct err err = { 0 };

    if (db == NULL)
        return;
    CHECK(db_stream_assembled(db, rows_of_megabytes, DB_ARGS(DB_I64(20)), add_row, &tally, &err));
    CHECK_EQ_I64(tally.rows, 20);
    CHECK_EQ_I64(tally.octets, 20 << 20);
}

TEST(a_stream_without_rows_is_a_success)
{
    CLEANUP(db_close) struct db *db = test_db(DB_ROLE_OWNER);
    struct tally tally = { 0 };
    struct err err = { 0 };

    if (db == NULL)
        return;
    CHECK(db_stream_assembled(db, rows_of_megabytes, DB_ARGS(DB_I64(0)), add_row, &tally, &err));
    CHECK_EQ_I64(tally.rows, 0);
}

TEST(a_stream_that_its_reader_stops_is_cancelled_and_the_connection_goes_on)
{
    CLEANUP(db_close) struct db *db = test_db(DB_ROLE_OWNER);
    struct tally tally = { .stop_after = 3 };
    struct err err = { 0 };

    if (db == NULL)
        return;
    CHECK(!db_stream_assembled(db, rows_of_megabytes, DB_ARGS(DB_I64(1000000)), add_row, &tally,
                               &err));
    CHECK_EQ_U64(err.code, ERR_LIMIT);
    CHECK_EQ_I64(tally.rows, 3);
    CHECK(try_sql(db, "SELECT 1", &err));
}

TEST(a_stream_that_fails_half_way_is_an_error)
{
    CLEANUP(db_close) struct db *db = test_db(DB_ROLE_OWNER);
    struct tally tally = { 0 };
    struct err err = { 0 };

    if (db == NULL)
        return;
    CHECK(!db_stream_assembled(db,
                               "SELECT n, convert_to((1 / (4 - n))::text, 'UTF8') "
                               "FROM generate_series(1::bigint, 9) AS n",
                               DB_NO_ARGS, add_row, &tally, &err));
    CHECK_EQ_I64(tally.rows, 3);
    CHECK_STR(db_sqlstate(db), "22012");
    CHECK(try_sql(db, "SELECT 1", &err));
}

/* ---- answers that nobody wants any more ------------------------------------------------------ */

static bool is_wanted_a_little(void *context)
{
    int *asked = context;

    return ++*asked < 3;
}

TEST(a_statement_is_cancelled_once_nobody_wants_its_answer)
{
    CLEANUP(db_close) struct db *db = test_db(DB_ROLE_OWNER);
    CLEANUP(db_result_free) struct db_result *result = NULL;
    struct err err = { 0 };
    int asked = 0;
    struct db_interest interest = { is_wanted_a_little, &asked };

    if (db == NULL)
        return;
    CHECK(!db_run_while_wanted(db, "SELECT pg_sleep(600)", DB_NO_ARGS, interest, &result, &err));
    CHECK_EQ_I64(err.code, ERR_RETRY);
    CHECK_STR(db_sqlstate(db), "57014");
    CHECK_EQ_I64(asked, 3);
    CHECK(!db_is_broken(db));
    CHECK(try_sql(db, "SELECT pg_sleep(0.6)", &err)); /* and that is not asked about */
    CHECK_EQ_I64(asked, 3);
}

TEST(a_statement_whose_answer_is_wanted_ends_as_any_other)
{
    CLEANUP(db_close) struct db *db = test_db(DB_ROLE_OWNER);
    CLEANUP(db_result_free) struct db_result *result = NULL;
    struct err err = { 0 };
    int asked = -1000;

    if (db == NULL)
        return;
    CHECK(db_run_while_wanted(db, "SELECT 7::bigint FROM pg_sleep(0.6)", DB_NO_ARGS,
                              (struct db_interest){ is_wanted_a_little, &asked }, &result, &err));
    CHECK_EQ_I64(db_i64(result, 0, 0), 7);
    CHECK(asked > -1000);
}

/* ---- notices ------------------------------------------------------------------------------- */

TEST(a_notice_arrives_with_its_payload)
{
    CLEANUP(db_close) struct db *listener = test_db(DB_ROLE_OWNER);
    CLEANUP(db_close) struct db *speaker = test_db(DB_ROLE_OWNER);
    struct pollfd waiting = { .events = POLLIN };
    struct db_notice notice;
    struct err err = { 0 };
    bool has_one;

    if (listener == NULL)
        return;
    CHECK(db_listen(listener, "holdfast_new", &err));
    CHECK(db_take_notice(listener, &notice, &has_one, &err));
    CHECK(!has_one);
    test_sql(speaker, "NOTIFY holdfast_new, '42'");
    waiting.fd = db_fd(listener);
    CHECK(poll(&waiting, 1, 5000) == 1);
    CHECK(db_take_notice(listener, &notice, &has_one, &err));
    CHECK(has_one);
    CHECK_STR(notice.channel, "holdfast_new");
    CHECK_STR(notice.payload, "42");
    CHECK(db_take_notice(listener, &notice, &has_one, &err));
    CHECK(!has_one);
}
