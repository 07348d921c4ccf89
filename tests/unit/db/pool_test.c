/* SPDX-License-Identifier: Apache-2.0 */
#include "db/pool.h"
#include "db/test_server.h"

#include <pthread.h>

static struct db_pool *make_pool(size_t max)
{
    struct db_pool *pool = NULL;
    struct db_target target;
    struct err err = { 0 };

    if (!test_target(DB_ROLE_OWNER, &target))
        return NULL;
    if (!db_pool_create(&target, max, &pool, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
    return pool;
}

static struct deadline soon(void)
{
    return deadline_after_ms(5000);
}

TEST(a_returned_connection_is_lent_again)
{
    CLEANUP(db_pool_free) struct db_pool *pool = make_pool(2);
    struct db_loan loan = { 0 };
    struct err err = { 0 };

    if (pool == NULL)
        return;
    for (int i = 0; i < 5; i++) {
        CHECK(db_pool_borrow(pool, soon(), &loan, &err));
        CHECK(db_run_ok(loan.db, DB_SESSION_NOW, DB_NO_ARGS, &err));
        db_pool_return(&loan);
        CHECK(loan.db == NULL);
    }
    CHECK_EQ_U64(db_pool_counts(pool).connects, 1);
    CHECK_EQ_U64(db_pool_counts(pool).open, 1);
}

TEST(when_all_are_lent_a_borrower_waits_until_its_deadline)
{
    CLEANUP(db_pool_free) struct db_pool *pool = make_pool(1);
    struct db_loan one = { 0 }, two = { 0 };
    struct err err = { 0 };

    if (pool == NULL)
        return;
    CHECK(db_pool_borrow(pool, soon(), &one, &err));
    CHECK(!db_pool_borrow(pool, deadline_after_ms(30), &two, &err));
    CHECK_EQ_U64(err.code, ERR_RETRY);
    db_pool_return(&one);
    CHECK(db_pool_borrow(pool, soon(), &two, &err));
    db_pool_return(&two);
}

TEST(an_open_transaction_is_rolled_back_when_its_connection_comes_back)
{
    CLEANUP(db_pool_free) struct db_pool *pool = make_pool(1);
    struct db_loan loan = { 0 };
    struct db_tx forgotten = { 0 };
    struct err err = { 0 };

    if (pool == NULL)
        return;
    CHECK(db_pool_borrow(pool, soon(), &loan, &err));
    CHECK(db_begin(loan.db, DB_READ_COMMITTED, &forgotten, &err));
    db_pool_return(&loan);
    CHECK(db_pool_borrow(pool, soon(), &loan, &err));
    CHECK(db_begin(loan.db, DB_READ_COMMITTED, &forgotten, &err));
    CHECK(db_commit(&forgotten, &err));
    db_pool_return(&loan);
}

TEST(a_connection_that_was_cut_while_idle_is_replaced)
{
    CLEANUP(db_pool_free) struct db_pool *pool = make_pool(1);
    CLEANUP(db_close) struct db *other = test_db(DB_ROLE_OWNER);
    struct db_loan loan = { 0 };
    struct err err = { 0 };

    if (pool == NULL)
        return;
    CHECK(db_pool_borrow(pool, soon(), &loan, &err));
    db_pool_return(&loan);
    test_sql(other, "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                    "WHERE application_name = 'holdfast-test' AND pid <> pg_backend_pid()");
    CHECK(db_pool_borrow(pool, soon(), &loan, &err));
    CHECK(db_run_ok(loan.db, DB_SESSION_NOW, DB_NO_ARGS, &err));
    db_pool_return(&loan);
    CHECK_EQ_U64(db_pool_counts(pool).connects, 2);
    CHECK_EQ_U64(db_pool_counts(pool).open, 1);
}

TEST(a_connection_that_breaks_while_lent_is_closed_on_return)
{
    CLEANUP(db_pool_free) struct db_pool *pool = make_pool(1);
    CLEANUP(db_result_free) struct db_result *result = NULL;
    struct db_loan loan = { 0 };
    struct err err = { 0 };

    if (pool == NULL)
        return;
    CHECK(db_pool_borrow(pool, soon(), &loan, &err));
    CHECK(!db_run_assembled(loan.db, "SELECT pg_terminate_backend(pg_backend_pid())", DB_NO_ARGS,
                            &result, &err));
    CHECK_EQ_U64(err.code, ERR_RETRY);
    db_pool_return(&loan);
    CHECK_EQ_U64(db_pool_counts(pool).open, 0);
    CHECK(db_pool_borrow(pool, soon(), &loan, &err));
    db_pool_return(&loan);
}

TEST(when_the_server_cannot_be_reached_the_place_is_given_back)
{
    const struct db_target nowhere = { .socket_dir = "/nonexistent", .database = "x" };
    CLEANUP(db_pool_free) struct db_pool *pool = NULL;
    struct db_loan loan = { 0 };
    struct err err = { 0 };

    CHECK(db_pool_create(&nowhere, 1, &pool, &err));
    for (int i = 0; i < 3; i++) {
        CHECK(!db_pool_borrow(pool, soon(), &loan, &err));
        CHECK_EQ_U64(err.code, ERR_RETRY);
    }
    CHECK_EQ_U64(db_pool_counts(pool).lent, 0);
}

struct worker {
    pthread_t thread;
    struct db_pool *pool;
    size_t good, most_lent;
};

static void *work(void *argument)
{
    struct worker *worker = argument;

    for (int i = 0; i < 50; i++) {
        CLEANUP(db_pool_return) struct db_loan loan = { 0 };
        struct err err = { 0 };
        size_t lent;

        if (!db_pool_borrow(worker->pool, deadline_after_ms(20000), &loan, &err))
            continue;
        lent = db_pool_counts(worker->pool).lent;
        if (lent > worker->most_lent)
            worker->most_lent = lent;
        worker->good += db_run_ok(loan.db, DB_SESSION_NOW, DB_NO_ARGS, &err);
    }
    return NULL;
}

TEST(many_threads_share_a_few_connections_and_never_more)
{
    CLEANUP(db_pool_free) struct db_pool *pool = make_pool(3);
    struct worker workers[12];

    if (pool == NULL)
        return;
    for (size_t i = 0; i < ARRAY_LEN(workers); i++) {
        workers[i] = (struct worker){ .pool = pool };
        CHECK(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(workers); i++) {
        CHECK(pthread_join(workers[i].thread, NULL) == 0);
        CHECK_EQ_U64(workers[i].good, 50);
        CHECK(workers[i].most_lent <= 3);
    }
    CHECK(db_pool_counts(pool).connects <= 3);
    CHECK_EQ_U64(db_pool_counts(pool).lent, 0);
}
