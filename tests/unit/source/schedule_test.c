/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose turn it is (schema/0008_schedule.sql), against a real PostgreSQL: order, caps over several workers at
 * once, budgets, rest, and workers that die.
 */
#include "base/buf.h"
#include "schedule_bench.h"
#include "source/queue.h"

#include <poll.h>
#include <pthread.h>

enum {
    WORKERS = 6
};

/* How many connections wait for a lock of another. */
#define STANDS_IN_LINE                                                                             \
    "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) "                         \
    "WHERE NOT l.granted AND a.datname = current_database()"

TEST(the_job_due_longest_comes_first)
{
    struct bench bench, *b = &bench;
    struct source_lease lease;
    int64_t late, first, second;

    if (!begin(b))
        return;
    late = add(b, "a.example", -60);
    second = add(b, "a.example", 10);
    first = add(b, "a.example", 20);
    CHECK_EQ_I64(claim(b, &lease), first);
    CHECK_EQ_I64(claim(b, &lease), second);
    CHECK_EQ_I64(claim(b, &lease), 0);
    CHECK(late > 0);
    end(b);
}

TEST(a_test_that_somebody_waits_for_comes_before_all_that_is_due)
{
    struct bench bench, *b = &bench;
    struct source_request request;
    struct source_lease lease;
    int64_t tested;

    if (!begin(b))
        return;
    (void)add(b, "a.example", 3600);
    tested = add(b, "a.example", -60);
    MUST(source_request_run(b->owner, tested, SOURCE_JOB_TEST, &request, &b->err));
    CHECK_EQ_I64(claim(b, &lease), tested);
    CHECK_EQ_U64(lease.kind, SOURCE_JOB_TEST);
    end(b);
}

TEST(a_full_host_is_passed_over_until_a_lease_is_given_back)
{
    struct bench bench, *b = &bench;
    struct source_lease held[CAP], lease;
    int64_t waiting, elsewhere;

    if (!begin(b))
        return;
    for (int i = 0; i < CAP; i++)
        (void)add(b, "Full.Example", 100);
    waiting = add(b, "full.example", 50);
    elsewhere = add(b, "free.example", 1);
    CHECK(claim(b, &held[0]) != 0);
    CHECK_EQ_I64(claim(b, &lease), elsewhere); /* before its turn: see the next test */
    for (int i = 1; i < CAP; i++)
        CHECK(claim(b, &held[i]) != 0);
    CHECK_EQ_I64(claim(b, &lease), 0);
    finish(b, &held[0], SOURCE_REST_NONE, 300);
    CHECK_EQ_I64(claim(b, &lease), waiting);
    end(b);
}

TEST(no_host_takes_more_than_half_of_the_workers_while_another_waits)
{
    struct bench bench, *b = &bench;
    struct source_lease lease;
    int64_t first, of_slow = 0;

    if (!begin(b))
        return;
    execute(b, "INSERT INTO source_host (host, connections) VALUES ('slow.example', 100)",
            DB_NO_ARGS);
    first = add(b, "slow.example", 2000);
    for (int i = 0; i < 9; i++)
        (void)add(b, "slow.example", 1000);
    for (int i = 0; i < CAP; i++) {
        (void)add(b, "one.example", 1);
        (void)add(b, "two.example", 1);
    }
    CHECK_EQ_I64(claim(b, &lease), first);
    for (int i = 0; i < 7; i++)
        CHECK(claim(b, &lease) != 0);
    of_slow = number(b,
                     "SELECT count(*) FROM job WHERE host = 'slow.example' AND "
                     "lease_owner IS NOT NULL",
                     DB_NO_ARGS);
    CHECK(of_slow >= 2 && of_slow <= 4);
    for (int i = 0; i < 6; i++) /* when nothing else is due, all workers are its */
        CHECK(claim(b, &lease) != 0);
    end(b);
}

static void *claim_apart(void *context)
{
    struct bench *b = context;
    struct source_lease lease;

    b->claimed = claim(b, &lease);
    return NULL;
}

TEST(workers_that_claim_at_the_same_moment_do_not_crowd_one_host)
{
    struct bench bench, *b = &bench;
    CLEANUP(db_close) struct db *first = NULL;
    CLEANUP(db_rollback) struct db_tx tx = { 0 };
    struct source_lease lease;
    bool has_one = false;
    pthread_t second;
    int64_t other;

    if (!begin(b))
        return;
    (void)add(b, "dead.example", 100);
    (void)add(b, "dead.example", 90);
    other = add(b, "other.example", 10);
    execute(b,
            "UPDATE job j SET host = a.host FROM account a "
            "WHERE a.account_id = j.account_id AND j.is_active",
            DB_NO_ARGS);
    first = test_db(DB_ROLE_INGEST);
    MUST(db_begin(first, DB_READ_COMMITTED, &tx, &b->err));
    MUST(source_claim_job(first, BYTES("first"), CAP, &lease, &has_one, &b->err));
    CHECK(has_one);
    CHECK(pthread_create(&second, NULL, claim_apart, b) == 0);
    for (int i = 0; i < 2000 && number(b, STANDS_IN_LINE, DB_NO_ARGS) == 0; i++)
        (void)poll(NULL, 0, 5);
    CHECK_EQ_I64(number(b, STANDS_IN_LINE, DB_NO_ARGS), 1);
    MUST(db_commit(&tx, &b->err));
    (void)pthread_join(second, NULL);
    CHECK_EQ_I64(b->claimed, other);
    end(b);
}

TEST(what_the_operator_says_of_a_host_counts_more_than_the_provider)
{
    struct bench bench, *b = &bench;
    struct source_lease lease;

    if (!begin(b))
        return;
    for (int i = 0; i < CAP + 2; i++)
        (void)add(b, "imap.gmail.com", 10);
    for (int i = 0; i < CAP + 1; i++)
        CHECK(claim(b, &lease) != 0);
    execute(b, "UPDATE source_host SET connections = 2 WHERE host = 'imap.gmail.com'", DB_NO_ARGS);
    CHECK_EQ_I64(claim(b, &lease), 0);
    end(b);
}

TEST(an_account_that_bears_one_connection_gets_one)
{
    struct bench bench, *b = &bench;
    struct source_lease sync, test;
    int64_t yahoo;
    int32_t granted;

    if (!begin(b))
        return;
    yahoo = add(b, "imap.mail.yahoo.com", 10);
    CHECK_EQ_I64(claim(b, &sync), yahoo);
    execute(b, "INSERT INTO job (account_id, kind) VALUES ($1, 'test')", DB_ARGS(DB_I64(yahoo)));
    CHECK_EQ_I64(claim(b, &test), 0);
    MUST(source_ask_connections(b->ingest, &sync, 5, CAP, &granted, &b->err));
    CHECK_EQ_I64(granted, 1);
    finish(b, &sync, SOURCE_REST_NONE, 300);
    CHECK_EQ_I64(claim(b, &test), yahoo);
    end(b);
}

TEST(more_connections_leave_half_of_what_is_left_to_others)
{
    struct bench bench, *b = &bench;
    struct source_lease lease, other;
    int32_t granted;

    if (!begin(b))
        return;
    execute(b, "INSERT INTO source_host (host, connections) VALUES ('h.example', 7)", DB_NO_ARGS);
    (void)add(b, "h.example", 10);
    (void)add(b, "h.example", 5);
    CHECK(claim(b, &lease) != 0);
    MUST(source_ask_connections(b->ingest, &lease, 100, CAP, &granted, &b->err));
    CHECK_EQ_I64(granted, 3);
    CHECK(claim(b, &other) != 0);
    MUST(source_ask_connections(b->ingest, &other, 100, CAP, &granted, &b->err));
    CHECK_EQ_I64(granted, 2);
    MUST(source_ask_connections(b->ingest, &lease, 1, CAP, &granted, &b->err));
    CHECK_EQ_I64(granted, 1);
    finish(b, &lease, SOURCE_REST_NONE, 300);
    CHECK(!source_ask_connections(b->ingest, &lease, 2, CAP, &granted, &b->err));
    CHECK_EQ_U64(b->err.code, ERR_DENIED);
    end(b);
}

TEST(a_host_that_asked_to_be_left_alone_gets_no_more_connections_of_a_job_that_has_some)
{
    struct bench bench, *b = &bench;
    struct source_lease lease;
    int32_t granted;

    if (!begin(b))
        return;
    execute(b, "INSERT INTO source_host (host, connections) VALUES ('h.example', 20)", DB_NO_ARGS);
    (void)add(b, "h.example", 10);
    CHECK(claim(b, &lease) != 0);
    MUST(source_ask_connections(b->ingest, &lease, 2, CAP, &granted, &b->err));
    CHECK_EQ_I64(granted, 2);
    execute(b, "UPDATE source_host SET sleeps_until = now() + interval '1 hour'", DB_NO_ARGS);
    MUST(source_ask_connections(b->ingest, &lease, 3, CAP, &granted, &b->err));
    CHECK_EQ_I64(granted, 2);
    MUST(source_ask_connections(b->ingest, &lease, 1, CAP, &granted, &b->err));
    CHECK_EQ_I64(granted, 1);
    finish(b, &lease, SOURCE_REST_NONE, 300);
    end(b);
}

/* ---- several at once ---- */

struct worker {
    pthread_t thread;
    struct db *db;
    pthread_barrier_t *start;
    int claimed;
    struct err err;
};

static void *claim_all(void *context)
{
    struct worker *worker = context;
    struct source_lease lease;
    bool has_one = true;

    (void)pthread_barrier_wait(worker->start);
    while (has_one) {
        if (!source_claim_job(worker->db, BYTES("many"), CAP, &lease, &has_one, &worker->err))
            break;
        worker->claimed += has_one;
    }
    return NULL;
}

TEST(workers_that_claim_at_once_never_exceed_a_cap_and_leave_nothing)
{
    struct bench bench, *b = &bench;
    struct worker workers[WORKERS] = { 0 };
    pthread_barrier_t start;
    int claimed = 0;

    if (!begin(b))
        return;
    for (int i = 0; i < 40; i++)
        (void)add(b, i % 2 == 0 ? "even.example" : "odd.example", 10);
    CHECK(pthread_barrier_init(&start, NULL, WORKERS) == 0);
    for (int i = 0; i < WORKERS; i++) {
        workers[i] = (struct worker){ .db = test_db(DB_ROLE_INGEST), .start = &start };
        CHECK(pthread_create(&workers[i].thread, NULL, claim_all, &workers[i]) == 0);
    }
    for (int i = 0; i < WORKERS; i++) {
        (void)pthread_join(workers[i].thread, NULL);
        CHECK_EQ_U64(workers[i].err.code, ERR_NONE);
        claimed += workers[i].claimed;
        db_close(&workers[i].db);
    }
    (void)pthread_barrier_destroy(&start);
    CHECK_EQ_I64(claimed, 2 * CAP);
    CHECK_EQ_I64(number(b,
                        "SELECT max(n) FROM (SELECT count(*) AS n FROM job "
                        "WHERE lease_owner = 'many' GROUP BY host) x",
                        DB_NO_ARGS),
                 CAP);
    end(b);
}

/* ---- rest ---- */

TEST(a_run_that_yields_goes_on_behind_those_that_wait_and_is_one_run)
{
    struct bench bench, *b = &bench;
    struct source_lease lease, small_lease;
    struct source_request request;
    struct source_progress progress = { .fetched = 7 };
    struct source_work work;
    struct source_run run;
    int64_t large, small;
    bool is_waiting;

    if (!begin(b))
        return;
    large = add(b, "y.example", 0);
    MUST(source_request_run(b->owner, large, SOURCE_JOB_SYNC, &request, &b->err));
    CHECK_EQ_I64(claim(b, &lease), large);
    MUST(source_others_wait(b->ingest, &lease, CAP, &is_waiting, &b->err));
    CHECK(!is_waiting);
    small = add(b, "y.example", 10);
    MUST(source_others_wait(b->ingest, &lease, CAP, &is_waiting, &b->err));
    CHECK(is_waiting);
    MUST(source_renew(b->ingest, &lease, &progress, &b->err));
    finish(b, &lease, SOURCE_REST_YIELDED, 0);
    MUST(source_watch_run(b->owner, &request, b->arena, &run, &b->err));
    CHECK(!run.is_finished);
    CHECK_EQ_I64(claim(b, &small_lease), small);
    CHECK_EQ_I64(claim(b, &lease), large);
    MUST(source_load_work(b->ingest, &lease, b->arena, &work, &b->err));
    CHECK_EQ_U64(work.progress.fetched, 7);
    CHECK_EQ_I64(work.attempts, 0);
    finish(b, &lease, SOURCE_REST_NONE, 300);
    MUST(source_watch_run(b->owner, &request, b->arena, &run, &b->err));
    CHECK(run.is_finished);
    end(b);
}

TEST(a_run_gives_way_to_nobody_who_waits_for_another_host)
{
    struct bench bench, *b = &bench;
    struct source_lease full[CAP], lease;
    bool is_waiting;

    if (!begin(b))
        return;
    for (int i = 0; i < CAP; i++) {
        (void)add(b, "full.example", 100);
        CHECK(claim(b, &full[i]) != 0);
    }
    (void)add(b, "free.example", 50);
    CHECK(claim(b, &lease) != 0);
    (void)add(b, "full.example", 50);
    MUST(source_others_wait(b->ingest, &lease, CAP, &is_waiting, &b->err));
    CHECK(!is_waiting);
    MUST(source_others_wait(b->ingest, &full[0], CAP, &is_waiting, &b->err));
    CHECK(is_waiting); /* its place is what the other waits for */
    MUST(source_others_wait(b->ingest, &lease, CAP + 1, &is_waiting, &b->err));
    CHECK(is_waiting);
    MUST(source_sleep_host(b->ingest, &full[0], 600, BYTES("leave us alone"), &b->err));
    MUST(source_others_wait(b->ingest, &full[0], CAP, &is_waiting, &b->err));
    CHECK(!is_waiting);
    end(b);
}

TEST(a_busy_worker_does_not_keep_what_it_is_told_of_other_work)
{
    struct bench bench, *b = &bench;
    struct pollfd told = { .events = POLLIN };
    struct source_request request;
    struct source_lease lease;
    struct db_notice notice;
    bool has_one;

    if (!begin(b))
        return;
    MUST(db_listen(b->ingest, SOURCE_JOB_CHANNEL, &b->err));
    CHECK(add(b, "busy.example", 10) == claim(b, &lease));
    MUST(source_request_run(b->owner, add(b, "busy.example", -60), SOURCE_JOB_SYNC, &request,
                            &b->err));
    told.fd = db_fd(b->ingest);
    CHECK(poll(&told, 1, 5000) == 1);
    for (int i = 0; i < 2; i++) /* it comes with the first answer */
        MUST(source_renew(b->ingest, &lease, NULL, &b->err));
    MUST(db_take_notice(b->ingest, &notice, &has_one, &b->err));
    CHECK(!has_one);
    end(b);
}

TEST(a_spent_budget_is_a_rest_and_no_failure)
{
    struct bench bench, *b = &bench;
    struct source_lease lease;
    struct source_work work;
    struct source_run run;
    struct source_request request;
    struct source_day today;
    int64_t account, left;

    if (!begin(b))
        return;
    account = add(b, "imap.gmail.com", 10);
    MUST(source_request_run(b->owner, account, SOURCE_JOB_SYNC, &request, &b->err));
    CHECK_EQ_I64(claim(b, &lease), account);
    MUST(source_load_work(b->ingest, &lease, b->arena, &work, &b->err));
    CHECK_EQ_I64(work.daily_bytes, -1);
    CHECK_EQ_U64(work.today_bytes, 0);
    MUST(source_count_intake(b->ingest, &lease, 1500, &today, &b->err));
    MUST(source_count_intake(b->ingest, &lease, 500, &today, &b->err));
    CHECK_EQ_U64(today.bytes, 2000);
    left = number(b,
                  "SELECT extract(epoch FROM date_trunc('day', now() AT TIME ZONE 'UTC') "
                  "+ interval '1 day' - now() AT TIME ZONE 'UTC')::bigint",
                  DB_NO_ARGS);
    CHECK((today.left_seconds - left + 86400) % 86400 <= 60); /* a little earlier */
    CHECK(today.left_seconds > 0 && today.left_seconds <= 86400);
    finish(b, &lease, SOURCE_REST_BUDGET, 3600);
    MUST(source_watch_run(b->owner, &request, b->arena, &run, &b->err));
    CHECK(run.is_finished && run.is_active);
    CHECK_EQ_I64(run.attempts, 0);
    CHECK(!source_count_intake(b->ingest, &lease, 1, &today, &b->err));
    CHECK_EQ_U64(b->err.code, ERR_DENIED);
    execute(b, "UPDATE account SET daily_bytes = 0 WHERE account_id = $1",
            DB_ARGS(DB_I64(account)));
    MUST(source_request_run(b->owner, account, SOURCE_JOB_SYNC, &request, &b->err));
    CHECK_EQ_I64(claim(b, &lease), account);
    MUST(source_load_work(b->ingest, &lease, b->arena, &work, &b->err));
    CHECK_EQ_I64(work.daily_bytes, 0);
    CHECK_EQ_U64(work.today_bytes, 2000);
    end(b);
}

TEST(a_host_that_sleeps_is_left_alone_by_all)
{
    struct bench bench, *b = &bench;
    struct source_lease lease;
    int64_t elsewhere;

    if (!begin(b))
        return;
    (void)add(b, "tired.example", 100);
    (void)add(b, "tired.example", 90);
    CHECK(claim(b, &lease) != 0);
    MUST(source_sleep_host(b->ingest, &lease, 300, BYTES("too many connections"), &b->err));
    elsewhere = add(b, "awake.example", 1);
    CHECK_EQ_I64(claim(b, &lease), elsewhere);
    CHECK_EQ_I64(claim(b, &lease), 0);
    end(b);
}

/* ---- clocks ---- */

TEST(what_was_put_off_while_the_clock_was_ahead_is_due_again)
{
    struct bench bench, *b = &bench;
    const int64_t day = 24 * 60 * 60;
    struct source_lease lease;
    int64_t ahead, monthly, mended;

    if (!begin(b))
        return;
    ahead = add(b, "ahead.example", -365 * day);
    (void)add(b, "ahead.example", -day);
    monthly = add(b, "ahead.example", -29 * day);
    execute(b, "UPDATE account SET every_seconds = 2592000 WHERE account_id = $1",
            DB_ARGS(DB_I64(monthly)));
    execute(b,
            "INSERT INTO source_host (host, sleeps_until) "
            "VALUES ('ahead.example', now() + interval '1 year')",
            DB_NO_ARGS);
    MUST(source_mend_schedule(b->ingest, &mended, &b->err));
    CHECK_EQ_I64(mended, 1);
    CHECK_EQ_I64(claim(b, &lease), ahead);
    CHECK_EQ_I64(claim(b, &lease), 0);
    end(b);
}

/* It began while the worker stood in line, so the run that was then claimed does not answer it. */
TEST(what_is_asked_for_in_the_middle_of_a_claim_is_answered_by_another_run)
{
    struct bench bench, *b = &bench;
    CLEANUP(db_rollback) struct db_tx tx = { 0 };
    struct source_request request;
    struct source_lease lease;
    int64_t account;

    if (!begin(b))
        return;
    account = add(b, "busy.example", 10);
    MUST(db_begin(b->ingest, DB_READ_COMMITTED, &tx, &b->err));
    MUST(source_request_run(b->owner, account, SOURCE_JOB_SYNC, &request, &b->err));
    CHECK_EQ_I64(claim(b, &lease), account);
    MUST(db_commit(&tx, &b->err));
    finish(b, &lease, SOURCE_REST_NONE, 3600);
    CHECK_EQ_I64(claim(b, &lease), account);
    end(b);
}

/* ---- workers that die ---- */

TEST(what_a_dead_worker_held_is_due_when_its_lease_ends_and_at_once_when_it_is_known_to_be_dead)
{
    struct bench bench, *b = &bench;
    struct source_lease lease, again;
    int64_t account, released;

    if (!begin(b))
        return;
    account = add(b, "d.example", 10);
    CHECK_EQ_I64(claim(b, &lease), account);
    CHECK_EQ_I64(claim(b, &again), 0);
    MUST(source_release_dead(b->ingest, BYTES("another"), &released, &b->err));
    CHECK_EQ_I64(released, 0);
    MUST(source_release_dead(b->ingest, BYTES("worker"), &released, &b->err));
    CHECK_EQ_I64(released, 1);
    CHECK_EQ_I64(claim(b, &again), account);
    CHECK(again.fence > lease.fence);
    CHECK(!source_renew(b->ingest, &lease, NULL, &b->err));
    /* The second time in a row the lease runs out first. */
    MUST(source_release_dead(b->ingest, BYTES("worker"), &released, &b->err));
    CHECK_EQ_I64(released, 0);
    execute(b, "UPDATE job SET due_at = now() WHERE lease_owner IS NOT NULL", DB_NO_ARGS);
    CHECK_EQ_I64(claim(b, &again), account);
    end(b);
}

TEST(a_job_that_ends_its_workers_waits_like_one_that_fails)
{
    struct bench bench, *b = &bench;
    struct source_lease lease;
    int64_t deadly, other;

    if (!begin(b))
        return;
    deadly = add(b, "deadly.example", 100);
    for (int i = 0; i < 4; i++) {
        CHECK_EQ_I64(claim(b, &lease), deadly);
        execute(b, "UPDATE job SET due_at = now() - interval '1 s' WHERE lease_owner IS NOT NULL",
                DB_NO_ARGS);
    }
    other = add(b, "deadly.example", 0);
    CHECK_EQ_I64(claim(b, &lease), other);
    CHECK_EQ_I64(claim(b, &lease), 0);
    CHECK(number(b,
                 "SELECT extract(epoch FROM due_at - now())::bigint FROM job WHERE account_id = $1",
                 DB_ARGS(DB_I64(deadly))) > 200);
    end(b);
}

TEST(the_queue_says_what_waits_for_what)
{
    struct bench bench, *b = &bench;
    struct source_lease lease;
    struct source_queue queue;

    if (!begin(b))
        return;
    execute(b, "INSERT INTO source_host (host, connections) VALUES ('full.example', 1)",
            DB_NO_ARGS);
    (void)add(b, "full.example", 100);
    CHECK(claim(b, &lease) != 0);
    (void)add(b, "full.example", 90);
    (void)add(b, "free.example", 10);
    (void)add(b, "free.example", -100);
    (void)add(b, "failed.example", -100);
    (void)add(b, "spent.example", -100);
    execute(b,
            "UPDATE job j SET host = a.host, attempts = (a.host = 'failed.example')::int, "
            "rest = CASE WHEN a.host = 'spent.example' THEN 'budget' END "
            "FROM account a WHERE a.account_id = j.account_id AND j.is_active",
            DB_NO_ARGS);
    MUST(source_load_queue(b->owner, CAP, &queue, &b->err));
    CHECK_EQ_U64(queue.running, 1);
    CHECK_EQ_U64(queue.due, 1);
    CHECK_EQ_U64(queue.host, 1);
    CHECK_EQ_U64(queue.budget, 1);
    CHECK_EQ_U64(queue.back_off, 1);
    CHECK_EQ_U64(queue.later, 1);
    CHECK_EQ_U64(queue.watched, 0);
    CHECK(queue.oldest_due_usec > 0);
    end(b);
}
