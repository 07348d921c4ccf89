/* SPDX-License-Identifier: Apache-2.0 */
/*
 * db/pool.c - see pool.h.
 */
#include "db/pool.h"

#include "base/locks.h"
#include "db/internal.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

struct db_pool {
    struct db_target target; /* owned; constant */
    size_t max;              /* constant */

    pthread_mutex_t lock; /* LOCK_DB_POOL: all below */
    pthread_cond_t has_free;
    struct db **idle; /* idle_count of max; the most recently used last */
    size_t idle_count;
    size_t lent;
    size_t waiting;
    uint64_t connects;
};

bool db_pool_create(const struct db_target *target, size_t max, struct db_pool **out,
                    struct err *err)
{
    struct db_pool *pool = calloc(1, sizeof *pool);
    pthread_condattr_t attributes;

    assert(max >= 1);
    if (pool != NULL)
        pool->idle = calloc(max, sizeof *pool->idle);
    if (pool == NULL || pool->idle == NULL || !db_copy_target(target, &pool->target, err)) {
        if (pool != NULL)
            free(pool->idle);
        free(pool);
        return err_fail(err, ERR_SYSTEM, "database pool: no memory");
    }
    pool->max = max;
    (void)pthread_mutex_init(&pool->lock, NULL);
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC); /* as struct deadline */
    (void)pthread_cond_init(&pool->has_free, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    *out = pool;
    return true;
}

void db_pool_free(struct db_pool **pool)
{
    struct db_pool *p = *pool;

    if (p == NULL)
        return;
    assert(p->lent == 0 && "a loan is not back");
    for (size_t i = 0; i < p->idle_count; i++)
        db_close(&p->idle[i]);
    free(p->idle);
    db_free_target(&p->target);
    (void)pthread_cond_destroy(&p->has_free);
    (void)pthread_mutex_destroy(&p->lock);
    free(p);
    *pool = NULL;
}

/* Under the lock. False: the deadline has passed. */
static bool wait_until_free(struct db_pool *pool, struct deadline deadline)
{
    struct timespec until = { .tv_sec = (time_t)(deadline.at_usec / 1000000),
                              .tv_nsec = (long)(deadline.at_usec % 1000000 * 1000) };

    if (deadline.at_usec == INT64_MAX) {
        (void)pthread_cond_wait(&pool->has_free, &pool->lock);
        return true;
    }
    if (deadline_has_passed(deadline))
        return false;
    (void)pthread_cond_timedwait(&pool->has_free, &pool->lock, &until);
    return true;
}

/* Takes the right to one connection; *db is an idle one, or NULL: make one. */
static bool take_place(struct db_pool *pool, struct deadline deadline, struct db **db)
{
    bool is_taken = true;

    (void)pthread_mutex_lock(&pool->lock);
    pool->waiting++;
    while (pool->lent == pool->max && is_taken)
        is_taken = wait_until_free(pool, deadline);
    pool->waiting--;
    if (is_taken) {
        pool->lent++;
        *db = pool->idle_count > 0 ? pool->idle[--pool->idle_count] : NULL;
    }
    (void)pthread_mutex_unlock(&pool->lock);
    return is_taken;
}

/* db: NULL when the place's connection is closed. */
static void give_place_back(struct db_pool *pool, struct db *db)
{
    (void)pthread_mutex_lock(&pool->lock);
    pool->lent--;
    if (db != NULL)
        pool->idle[pool->idle_count++] = db;
    (void)pthread_cond_signal(&pool->has_free);
    (void)pthread_mutex_unlock(&pool->lock);
}

static void count_connect(struct db_pool *pool)
{
    (void)pthread_mutex_lock(&pool->lock);
    pool->connects++;
    (void)pthread_mutex_unlock(&pool->lock);
}

bool db_pool_borrow(struct db_pool *pool, struct deadline deadline, struct db_loan *out,
                    struct err *err)
{
    struct db *db = NULL;

    assert(out->db == NULL && "a loan that is not back");
    if (!take_place(pool, deadline, &db))
        return err_fail(err, ERR_RETRY, "all %zu database connections are in use", pool->max);
    if (db != NULL && !db_looks_alive(db))
        db_close(&db);
    if (db == NULL) {
        if (!db_connect(&pool->target, &db, err)) {
            give_place_back(pool, NULL);
            return false;
        }
        count_connect(pool);
    }
    *out = (struct db_loan){ .pool = pool, .db = db };
    return true;
}

void db_pool_return(struct db_loan *loan)
{
    struct db *db = loan->db;

    if (db == NULL)
        return;
    db_pipeline_cancel(db);
    if (db->is_in_tx) {
        struct db_tx tx = { .db = db };

        db_rollback(&tx);
    }
    if (db_is_broken(db) || PQtransactionStatus(db->pg) != PQTRANS_IDLE)
        db_close(&db);
    give_place_back(loan->pool, db);
    *loan = (struct db_loan){ .db = NULL };
}

struct db_pool_counts db_pool_counts(struct db_pool *pool)
{
    struct db_pool_counts counts;

    (void)pthread_mutex_lock(&pool->lock);
    counts = (struct db_pool_counts){ .open = pool->idle_count + pool->lent,
                                      .lent = pool->lent,
                                      .waiting = pool->waiting,
                                      .connects = pool->connects };
    (void)pthread_mutex_unlock(&pool->lock);
    return counts;
}
