/* SPDX-License-Identifier: Apache-2.0 */
#include "keep/spool.h"

enum {
    WEEKS_AHEAD = 2
};

/* What waits for an exclusive lock on the spool stops all who come after it. */
#define LOCK_TIMEOUT BYTES("2s")

/* Calls add or drop for one week, in a transaction of its own (READ COMMITTED, not retried). */
static bool change_week(struct db *db, enum db_statement statement, int64_t monday,
                        bool *has_changed, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *rows = NULL;
    CLEANUP(db_rollback) struct db_tx tx = { 0 };

    if (!db_begin(db, DB_READ_COMMITTED, &tx, err) ||
        !db_run_ok(db, DB_KEEP_LOCK_TIMEOUT, DB_ARGS(DB_TEXT(LOCK_TIMEOUT)), err) ||
        !db_run_one(db, statement, DB_ARGS(DB_DATE(monday)), &rows, err) || !db_commit(&tx, err))
        return false;
    *has_changed = db_bool(rows, 0, 0);
    return true;
}

static bool add_weeks(struct db *db, struct keep_spool_work *work, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *weeks = NULL;

    if (!db_run(db, DB_KEEP_SPOOL_WANTED, DB_ARGS(DB_I32(WEEKS_AHEAD)), &weeks, err))
        return false;
    for (size_t i = 0; i < db_rows(weeks); i++) {
        bool is_added;

        if (!change_week(db, DB_KEEP_SPOOL_ADD_WEEK, db_date_days(weeks, i, 0), &is_added, err))
            return err_wrap(err, "spool week ahead by %zu", i);
        work->added += is_added ? 1 : 0;
    }
    return true;
}

static bool drop_weeks(struct db *db, struct keep_spool_work *work, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *weeks = NULL;

    if (!db_run(db, DB_KEEP_SPOOL_FINISHED, DB_NO_ARGS, &weeks, err))
        return false;
    for (size_t i = 0; i < db_rows(weeks); i++) {
        bool is_dropped = false;

        if (!change_week(db, DB_KEEP_SPOOL_DROP_WEEK, db_date_days(weeks, i, 0), &is_dropped,
                         err)) {
            if (err->code != ERR_RETRY || db_is_broken(db))
                return err_wrap(err, "drop a spool week");
            /* Lock time-out or deadlock: somebody reads. */
            err_clear(err);
        }
        work->dropped += is_dropped ? 1 : 0;
        work->waiting += is_dropped ? 0 : 1;
    }
    return true;
}

bool keep_spool_weeks(struct db *db, struct keep_spool_work *out, struct err *err)
{
    struct keep_spool_work work = { 0 };

    if (!add_weeks(db, &work, err) || !drop_weeks(db, &work, err))
        return false;
    *out = work;
    return true;
}
