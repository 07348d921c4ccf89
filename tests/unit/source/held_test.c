/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs whose worker is in the middle of a transaction, which may take long (vault/large.c).
 */
#include "schedule_bench.h"
#include "source/account.h"
#include "source/import.h"
#include "source/watch.h"

TEST(a_watcher_does_not_wait_for_a_worker_in_the_middle_of_a_transaction)
{
    struct bench bench, *b = &bench;
    CLEANUP(db_close) struct db *worker = test_db(DB_ROLE_INGEST);
    CLEANUP(db_rollback) struct db_tx tx = { 0 };
    struct source_watch_list watches;
    struct source_lease lease;
    bool is_told;

    if (!begin(b))
        return;
    execute(b, "UPDATE account SET watch = '{INBOX}' WHERE account_id = $1",
            DB_ARGS(DB_I64(add(b, "large.example", 10))));
    CHECK(claim(b, &lease) != 0);
    execute(b,
            "INSERT INTO job (account_id, kind, host) "
            "SELECT account_id, 'watch', host FROM job WHERE job_id = $1",
            DB_ARGS(DB_I64(lease.job_id)));
    MUST(source_claim_watches(b->ingest, BYTES("watcher"), CAP, b->arena, &watches, &b->err));
    CHECK_EQ_U64(watches.count, 1);
    MUST(db_begin(worker, DB_READ_COMMITTED, &tx, &b->err));
    MUST(source_renew(worker, &lease, NULL, &b->err));
    MUST(source_wake_account(b->ingest, &watches.rows[0].lease, &is_told, &b->err));
    CHECK(!is_told);
    db_rollback(&tx);
    MUST(source_wake_account(b->ingest, &watches.rows[0].lease, &is_told, &b->err));
    CHECK(is_told);
    CHECK_EQ_I64(number(b,
                        "SELECT count(*) FROM job WHERE job_id = $1 AND requested_at > started_at",
                        DB_ARGS(DB_I64(lease.job_id))),
                 1);
    end(b);
}

static bool hold(struct bench *b, struct db *worker, const struct source_lease *lease)
{
    CLEANUP(db_result_free) struct db_result *held = NULL;

    MUST(db_run_one(worker, DB_VAULT_HOLD, DB_ARGS(DB_I64(lease->job_id), DB_I64(lease->fence)),
                    &held, &b->err));
    return db_bool(held, 0, 0);
}

static void let_lapse(struct bench *b, const struct source_lease *lease)
{
    execute(b, "UPDATE job SET due_at = now() - interval '1 minute' WHERE job_id = $1",
            DB_ARGS(DB_I64(lease->job_id)));
}

/* A large message comes for it. */
TEST(a_job_that_is_held_is_nobody_elses_although_its_lease_ran_out)
{
    struct bench bench, *b = &bench;
    CLEANUP(db_close) struct db *worker = test_db(DB_ROLE_INGEST);
    CLEANUP(db_rollback) struct db_tx tx = { 0 };
    struct source_lease lease, busy, next;
    bool is_waiting;

    if (!begin(b))
        return;
    (void)add(b, "large.example", 10);
    CHECK(claim(b, &lease) != 0);
    (void)add(b, "busy.example", 5);
    CHECK(claim(b, &busy) != 0);
    MUST(db_begin(worker, DB_READ_COMMITTED, &tx, &b->err));
    CHECK(hold(b, worker, &lease));
    let_lapse(b, &lease);
    MUST(source_others_wait(b->ingest, &busy, CAP, &is_waiting, &b->err));
    CHECK(!is_waiting);
    CHECK_EQ_I64(claim(b, &next), 0);
    CHECK_EQ_I64(
        number(b, "SELECT connections_of_account(account_id)::bigint FROM job WHERE job_id = $1",
               DB_ARGS(DB_I64(lease.job_id))),
        1); /* who looked has prolonged it */
    let_lapse(b, &lease);
    db_rollback(&tx);
    MUST(source_others_wait(b->ingest, &busy, CAP, &is_waiting, &b->err));
    CHECK(is_waiting); /* its worker is dead */
    CHECK_EQ_I64(claim(b, &next), lease.account_id);
    MUST(db_begin(worker, DB_READ_COMMITTED, &tx, &b->err));
    CHECK(!hold(b, worker, &lease));
    end(b);
}

TEST(who_asks_whether_others_wait_keeps_a_dead_workers_job_from_nobody)
{
    struct bench bench, *b = &bench;
    CLEANUP(db_close) struct db *other = test_db(DB_ROLE_INGEST);
    CLEANUP(db_rollback) struct db_tx tx = { 0 };
    struct source_lease lease, busy, next;
    bool is_waiting;

    if (!begin(b))
        return;
    (void)add(b, "dead.example", 10);
    CHECK(claim(b, &lease) != 0);
    (void)add(b, "busy.example", 5);
    CHECK(claim(b, &busy) != 0);
    let_lapse(b, &lease);
    MUST(db_begin(other, DB_READ_COMMITTED, &tx, &b->err));
    MUST(source_others_wait(other, &busy, CAP, &is_waiting, &b->err));
    CHECK(is_waiting);
    CHECK_EQ_I64(claim(b, &next), lease.account_id);
    end(b);
}

TEST(an_import_that_is_held_is_not_another_s_although_its_lease_ran_out)
{
    struct bench bench, *b = &bench;
    CLEANUP(db_close) struct db *worker = test_db(DB_ROLE_INGEST);
    CLEANUP(db_rollback) struct db_tx tx = { 0 };
    struct source_lease lease, other;
    int64_t account, job;
    bool is_mine;

    if (!begin(b))
        return;
    account = add(b, "files.example", 0);
    execute(b, "UPDATE job SET kind = 'import' WHERE account_id = $1", DB_ARGS(DB_I64(account)));
    job = number(b, "SELECT job_id FROM job WHERE account_id = $1", DB_ARGS(DB_I64(account)));
    MUST(source_claim_import(b->ingest, job, BYTES("first"), &lease, &is_mine, &b->err));
    CHECK(is_mine);
    MUST(db_begin(worker, DB_READ_COMMITTED, &tx, &b->err));
    CHECK(hold(b, worker, &lease));
    let_lapse(b, &lease);
    MUST(source_claim_import(b->ingest, lease.job_id, BYTES("second"), &other, &is_mine, &b->err));
    CHECK(!is_mine);
    db_rollback(&tx);
    MUST(source_claim_import(b->ingest, lease.job_id, BYTES("second"), &other, &is_mine, &b->err));
    CHECK(is_mine);
    end(b);
}

TEST(a_job_that_is_held_is_stopped_without_waiting_for_its_worker)
{
    struct bench bench, *b = &bench;
    CLEANUP(db_close) struct db *worker = test_db(DB_ROLE_INGEST);
    CLEANUP(db_rollback) struct db_tx tx = { 0 };
    struct source_lease lease;

    if (!begin(b))
        return;
    (void)add(b, "large.example", 10);
    CHECK(claim(b, &lease) != 0);
    MUST(db_begin(worker, DB_READ_COMMITTED, &tx, &b->err));
    CHECK(hold(b, worker, &lease));
    MUST(source_pause_account(b->owner, lease.account_id, &b->err));
    CHECK(!hold(b, worker, &lease));
    end(b);
}
