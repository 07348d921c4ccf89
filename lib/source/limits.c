/* SPDX-License-Identifier: Apache-2.0 */
#include "source/limits.h"

#include "base/limits.h"
#include "db/db.h"
#include "source/internal.h"

static bool check(const struct source_limits *limits, struct err *err)
{
    if (limits->sets_connections && limits->max_connections <= 0 &&
        limits->max_connections != SOURCE_LIMIT_BY_PROVIDER)
        return err_fail(err, ERR_SYNTAX, "an account needs a connection");
    if (limits->sets_bytes && limits->daily_bytes < 0 &&
        limits->daily_bytes != SOURCE_LIMIT_BY_PROVIDER)
        return err_fail(err, ERR_SYNTAX, "a budget is not negative");
    if (limits->watch_count > SOURCE_WATCHED_MAX)
        return err_fail(err, ERR_LIMIT, "%zu mailboxes to be watched, at most %d accepted",
                        limits->watch_count, SOURCE_WATCHED_MAX);
    for (size_t i = 0; i < limits->watch_count; i++)
        if (limits->watch[i].len == 0 || limits->watch[i].len > LIMIT_MAILBOX_NAME_BYTES)
            return err_fail(err, ERR_SYNTAX, "path %zu to be watched is empty or over-long", i + 1);
    return true;
}

bool source_set_limits(struct db *db, int64_t account_id, const struct source_limits *limits,
                       struct err *err)
{
    uint64_t affected;

    if (!check(limits, err) ||
        !db_run_count(
            db, DB_SOURCE_LIMITS_SET,
            DB_ARGS(
                DB_I64(account_id),
                db_null_unless(limits->sets_connections, DB_I32(limits->max_connections)),
                db_null_unless(limits->sets_bytes, DB_I64(limits->daily_bytes)),
                db_null_unless(limits->sets_watch, DB_TEXTS(limits->watch, limits->watch_count))),
            &affected, err))
        return false;
    if (affected == 0)
        return err_fail(err, ERR_ABSENT, "no such account, or it was removed");
    return db_run_ok(db, DB_SOURCE_WATCH_INSERT, DB_ARGS(DB_I64(account_id)), err) &&
           db_run_ok(db, DB_SOURCE_JOB_START_UNLESS_PAUSED, DB_ARGS(DB_I64(account_id)), err);
}

bool source_show_limits(struct db *db, int64_t account_id, struct source_limit_facts *out,
                        struct err *err)
{
    CLEANUP(db_result_free) struct db_result *row = NULL;

    if (!db_run_one(db, DB_SOURCE_LIMITS, DB_ARGS(DB_I64(account_id)), &row, err))
        return false;
    *out = (struct source_limit_facts){
        .max_connections = db_i32(row, 0, 0),
        .is_own = db_bool(row, 0, 1),
        .connections = db_i32(row, 0, 2),
        .daily_bytes = db_i64(row, 0, 3),
        .today_bytes = (uint64_t)db_i64(row, 0, 4),
    };
    return true;
}

bool source_list_watched(struct db *db, int64_t account_id, struct arena *arena,
                         const struct bytes **paths, size_t *count, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *row = NULL;

    return db_run_one(db, DB_SOURCE_WATCHED, DB_ARGS(DB_I64(account_id)), &row, err) &&
           source_copy_texts(row, 0, 0, arena, paths, count, err);
}

bool source_list_distrust(struct db *db, int64_t account_id, struct arena *arena,
                          const struct source_distrust **out, size_t *count, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *rows = NULL;
    struct source_distrust *scopes;

    if (!db_run(db, DB_SOURCE_DISTRUST, DB_ARGS(DB_I64(account_id)), &rows, err))
        return false;
    scopes = arena_new_array(arena, struct source_distrust, db_rows(rows));
    for (size_t i = 0; i < db_rows(rows); i++) {
        scopes[i].since_usec = db_time_usec(rows, i, 3);
        if (!source_copy_column(rows, i, 0, arena, &scopes[i].kind, err) ||
            !source_copy_column(rows, i, 1, arena, &scopes[i].host, err) ||
            !source_copy_column(rows, i, 2, arena, &scopes[i].login, err))
            return false;
    }
    *out = scopes;
    *count = db_rows(rows);
    return true;
}
