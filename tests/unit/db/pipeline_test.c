/* SPDX-License-Identifier: Apache-2.0 */
#include "db/db.h"
#include "db/test_server.h"

/* The module has no statement that writes, and test_sql cannot run inside a pipeline: the token, a
 * transaction-local setting, shows what was committed together, LOCK and constraints the rest. */

static bool queue_token(struct db *db, const char *token, struct err *err)
{
    return db_queue(db, DB_SESSION_SET_TOKEN, DB_ARGS(DB_TEXT(bytes_of_text(token))), err);
}

static void free_results(struct db_result **results, size_t count)
{
    for (size_t i = 0; i < count; i++)
        db_result_free(&results[i]);
}

TEST(a_pipeline_costs_one_round_trip_and_gives_every_result_in_order)
{
    CLEANUP(db_close) struct db *db = test_db(DB_ROLE_OWNER);
    struct db_result *results[10] = { NULL };
    struct db_tx tx = { 0 };
    struct err err = { 0 };
    char token[2] = "0";
    uint64_t before;

    if (db == NULL)
        return;
    before = db_round_trips(db);
    CHECK(db_pipeline_begin(db, &err));
    CHECK(db_begin(db, DB_READ_COMMITTED, &tx, &err));
    for (size_t i = 0; i < 10; i++) {
        CHECK_EQ_U64(db_queued(db), i);
        token[0] = (char)('0' + i);
        CHECK(queue_token(db, token, &err));
    }
    CHECK(db_commit(&tx, &err));
    CHECK(db_pipeline_end(db, results, 10, &err));
    CHECK_EQ_U64(db_round_trips(db) - before, 1);
    for (size_t i = 0; i < 10; i++)
        CHECK_EQ_I64(db_bytes(results[i], 0, 0).ptr[0], '0' + (int64_t)i);
    free_results(results, 10);
    CHECK(db_run_ok(db, DB_SESSION_NOW, DB_NO_ARGS, &err));
}

TEST(a_pipeline_that_was_sent_is_done_while_nobody_waits_for_it)
{
    CLEANUP(db_close) struct db *db = test_db(DB_ROLE_OWNER);
    struct db_result *results[2] = { NULL };
    struct db_tx tx = { 0 };
    struct err err = { 0 };

    if (db == NULL)
        return;
    for (int is_cancelled = 0; is_cancelled < 2; is_cancelled++) {
        CHECK(db_pipeline_begin(db, &err));
        CHECK(db_begin(db, DB_READ_COMMITTED, &tx, &err));
        CHECK(queue_token(db, "a", &err) && queue_token(db, "b", &err));
        CHECK(db_commit(&tx, &err));
        CHECK(db_pipeline_send(db, &err));
        if (is_cancelled) {
            db_pipeline_cancel(db);
            CHECK(!db_is_broken(db));
        } else {
            CHECK(db_pipeline_end(db, results, 2, &err));
            CHECK_BYTES(db_bytes(results[1], 0, 0), BYTES("b"));
            free_results(results, 2);
        }
        CHECK(db_run_ok(db, DB_SESSION_NOW, DB_NO_ARGS, &err));
    }
}

TEST(a_pipeline_may_lie_within_a_transaction_that_goes_on)
{
    CLEANUP(db_close) struct db *db = test_db(DB_ROLE_OWNER);
    CLEANUP(db_result_free) struct db_result *result = NULL;
    CLEANUP(db_rollback) struct db_tx tx = { 0 };
    struct err err = { 0 };

    if (db == NULL)
        return;
    CHECK(db_begin(db, DB_REPEATABLE_READ, &tx, &err));
    CHECK(db_pipeline_begin(db, &err));
    CHECK(queue_token(db, "mine", &err));
    CHECK(db_pipeline_end(db, NULL, 0, &err));
    CHECK(db_run_assembled(db, "SELECT current_setting('holdfast.token')", DB_NO_ARGS, &result,
                           &err));
    CHECK_BYTES(db_bytes(result, 0, 0), BYTES("mine"));
    CHECK(db_commit(&tx, &err));
}

TEST(the_first_failure_is_the_error_and_the_commit_behind_it_does_not_happen)
{
    CLEANUP(db_close) struct db *db = test_db(DB_ROLE_OWNER);
    struct db_result *results[3] = { NULL };
    struct db_tx tx = { 0 };
    struct err err = { 0 };

    if (db == NULL)
        return;
    CHECK(db_pipeline_begin(db, &err));
    CHECK(db_begin(db, DB_READ_COMMITTED, &tx, &err));
    CHECK(queue_token(db, "good", &err));
    CHECK(db_queue(db, DB_SESSION_SET_TOKEN, DB_ARGS(DB_TEXT(BYTES("bad\0"))), &err));
    CHECK(db_queue(db, DB_SESSION_NOW, DB_NO_ARGS, &err));
    CHECK(db_commit(&tx, &err));
    CHECK(!db_pipeline_end(db, results, 3, &err));
    CHECK_EQ_U64(err.code, ERR_SYNTAX);
    CHECK(strstr(err.text, "session_set_token") != NULL);
    CHECK(results[0] == NULL && results[1] == NULL && results[2] == NULL);
    /* Neither the transaction nor a wrong notion of what is prepared is left behind. */
    CHECK(db_begin(db, DB_READ_COMMITTED, &tx, &err));
    CHECK(db_run_ok(db, DB_SESSION_NOW, DB_NO_ARGS, &err));
    CHECK(db_commit(&tx, &err));
}

static void queue_and_leave(struct db *db)
{
    CLEANUP(db_rollback) struct db_tx tx = { 0 };
    struct err err = { 0 };

    CHECK(db_pipeline_begin(db, &err));
    CHECK(db_begin(db, DB_READ_COMMITTED, &tx, &err));
    CHECK(queue_token(db, "never", &err));
}

TEST(a_pipeline_whose_transaction_leaves_its_scope_is_cancelled_and_the_connection_goes_on)
{
    CLEANUP(db_close) struct db *db = test_db(DB_ROLE_OWNER);
    struct err err = { 0 };

    if (db == NULL)
        return;
    queue_and_leave(db);
    CHECK(!db_is_broken(db));
    CHECK(db_run_ok(db, DB_SESSION_NOW, DB_NO_ARGS, &err));
}

TEST(a_cancelled_pipeline_without_a_transaction_gives_the_connection_up)
{
    CLEANUP(db_close) struct db *db = test_db(DB_ROLE_OWNER);
    struct err err = { 0 };

    if (db == NULL)
        return;
    CHECK(db_pipeline_begin(db, &err));
    CHECK(queue_token(db, "never", &err));
    db_pipeline_cancel(db);
    CHECK(db_is_broken(db));
    CHECK(db_reset_if_broken(db, &err));
    CHECK(db_run_ok(db, DB_SESSION_NOW, DB_NO_ARGS, &err));
    CHECK(db_pipeline_begin(db, &err));
    db_pipeline_cancel(db);
    CHECK(!db_is_broken(db));
}

TEST(more_octets_than_both_sockets_hold_do_not_make_both_sides_wait)
{
    CLEANUP(db_close) struct db *db = test_db(DB_ROLE_OWNER);
    struct db_result *results[40] = { NULL };
    struct err err = { 0 };
    char *octets = malloc(1 << 20);

    if (db == NULL) {
        free(octets);
        return;
    }
    CHECK(octets != NULL);
    memset(octets, 'x', 1 << 20);
    CHECK(db_pipeline_begin(db, &err));
    for (size_t i = 0; i < 40; i++) /* each answer is as long as its question */
        CHECK(
            db_queue(db, DB_SESSION_SET_TOKEN, DB_ARGS(DB_TEXT(bytes_of(octets, 1 << 20))), &err));
    CHECK(db_pipeline_end(db, results, 40, &err));
    CHECK_EQ_U64(db_bytes(results[39], 0, 0).len, 1 << 20);
    free_results(results, 40);
    free(octets);
}

TEST(a_connection_cut_within_a_pipeline_is_an_error_to_retry)
{
    CLEANUP(db_close) struct db *db = test_db(DB_ROLE_OWNER);
    CLEANUP(db_close) struct db *other = test_db(DB_ROLE_OWNER);
    CLEANUP(db_result_free) struct db_result *pid = NULL;
    CLEANUP(db_result_free) struct db_result *done = NULL;
    struct db_result *results[1] = { NULL };
    struct db_tx tx = { 0 };
    struct err err = { 0 };

    if (db == NULL)
        return;
    CHECK(db_run_assembled(db, "SELECT pg_backend_pid()", DB_NO_ARGS, &pid, &err));
    CHECK(db_pipeline_begin(db, &err));
    CHECK(db_begin(db, DB_READ_COMMITTED, &tx, &err));
    CHECK(queue_token(db, "x", &err));
    CHECK(db_run_assembled(other, "SELECT pg_terminate_backend($1, 5000)",
                           DB_ARGS(DB_I32(db_i32(pid, 0, 0))), &done, &err));
    CHECK(db_commit(&tx, &err));
    CHECK(!db_pipeline_end(db, results, 1, &err));
    CHECK_EQ_U64(err.code, ERR_RETRY);
    CHECK(results[0] == NULL);
    CHECK(db_reset_if_broken(db, &err));
    CHECK(db_run_ok(db, DB_SESSION_NOW, DB_NO_ARGS, &err));
}

TEST(statements_over_the_limit_of_a_pipeline_are_refused)
{
    CLEANUP(db_close) struct db *db = test_db(DB_ROLE_OWNER);
    struct err err = { 0 };
    bool is_ok = true;

    if (db == NULL)
        return;
    CHECK(db_pipeline_begin(db, &err));
    for (size_t i = 0; i < 5000 && is_ok; i++)
        is_ok = db_queue(db, DB_SESSION_NOW, DB_NO_ARGS, &err);
    CHECK(!is_ok);
    CHECK_EQ_U64(err.code, ERR_LIMIT);
}
