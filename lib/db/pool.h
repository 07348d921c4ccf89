/* SPDX-License-Identifier: Apache-2.0 */
/*
 * db/pool.h - a few connections shared by many threads, each borrowed for one batch.
 *
 *     CLEANUP(db_pool_return) struct db_loan loan = { 0 };
 *     if (!db_pool_borrow(pool, deadline_after_ms(2000), &loan, err))
 *         return false;
 *     db_run(loan.db, …)
 *
 * Shared between threads under its own lock (base/locks.h, LOCK_DB_POOL), which is never held while
 * a connection is made or used. Never hold a loan across a write to a client's socket.
 */
#pragma once

#include "base/clock.h"
#include "db/db.h"

struct db_pool;

/* Copies the target; connects nobody yet. max: connections at most, at least 1. */
MUST_USE bool db_pool_create(const struct db_target *target, size_t max, struct db_pool **out,
                             struct err *err);

/* Every loan must be back. */
void db_pool_free(struct db_pool **pool);

struct db_loan {
    struct db_pool *pool;
    struct db *db; /* NULL: nothing borrowed */
};

/*
 * A connection that works as far as one can know without asking the server; a lost one is replaced.
 * ERR_RETRY: all are lent out until the deadline, or the server cannot be reached.
 */
MUST_USE bool db_pool_borrow(struct db_pool *pool, struct deadline deadline, struct db_loan *out,
                             struct err *err);

/* For CLEANUP. An open transaction is rolled back; a broken connection is closed. */
void db_pool_return(struct db_loan *loan);

struct db_pool_counts {
    size_t open, lent, waiting; /* now */
    uint64_t connects;          /* since the pool was made */
};
struct db_pool_counts db_pool_counts(struct db_pool *pool);
