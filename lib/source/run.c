/* SPDX-License-Identifier: Apache-2.0 */
#include "source/run.h"

#include "db/db.h"
#include "source/internal.h"

struct bytes source_job_kind_name(enum source_job_kind kind)
{
    switch (kind) {
    case SOURCE_JOB_SYNC:
    case SOURCE_JOB_RECONCILE:
        return BYTES("sync");
    case SOURCE_JOB_TEST:
        return BYTES("test");
    case SOURCE_JOB_IMPORT:
        return BYTES("import");
    case SOURCE_JOB_WATCH:
        return BYTES("watch");
    }
    UNREACHABLE();
}

/* The names are err_code_name's; anything else, and nothing, is none. */
static enum err_code code_of(struct bytes name)
{
    for (int code = ERR_NONE; code <= ERR_SYSTEM; code++)
        if (bytes_equal(name, bytes_of_text(err_code_name((enum err_code)code))))
            return (enum err_code)code;
    return ERR_NONE;
}

bool source_read_run(const struct db_result *rows, size_t row, size_t col, struct arena *arena,
                     struct source_run *out, struct err *err)
{
    out->job_id = db_i64(rows, row, col);
    out->is_active = db_bool(rows, row, col + 1);
    out->is_running = db_bool(rows, row, col + 2);
    out->is_finished = !db_is_null(rows, row, col + 3) && db_bool(rows, row, col + 3);
    out->due_usec = source_time(rows, row, col + 4);
    out->attempts = db_i32(rows, row, col + 5);
    out->requested_usec = source_time(rows, row, col + 6);
    out->started_usec = source_time(rows, row, col + 7);
    out->finished_usec = source_time(rows, row, col + 8);
    out->outcome = code_of(db_bytes(rows, row, col + 9));
    return source_copy_column(rows, row, col + 10, arena, &out->outcome_text, err) &&
           source_copy_column(rows, row, col + 11, arena, &out->progress, err);
}

static bool check_requestable(struct db *db, int64_t account_id, enum source_job_kind kind,
                              struct err *err)
{
    CLEANUP(db_result_free) struct db_result *row = NULL;

    if (!db_run(db, DB_SOURCE_ACCOUNT_STATE, DB_ARGS(DB_I64(account_id)), &row, err))
        return false;
    if (db_rows(row) == 0)
        return err_fail(err, ERR_ABSENT, "no account with id %jd", (intmax_t)account_id);
    if (db_bool(row, 0, 1))
        return err_fail(err, ERR_DENIED, "the account was removed; its mail stays as it is");
    if (db_bool(row, 0, 2) && kind != SOURCE_JOB_IMPORT)
        return err_fail(err, ERR_DENIED,
                        "the account has no source: holdfast import NAME PATH fills it");
    if (kind != SOURCE_JOB_TEST && kind != SOURCE_JOB_IMPORT && db_bool(row, 0, 0))
        return err_fail(err, ERR_DENIED, "the account is paused: holdfast account resume NAME");
    return true;
}

bool source_request_run(struct db *db, int64_t account_id, enum source_job_kind kind,
                        struct source_request *out, struct err *err)
{
    CLEANUP(db_rollback) struct db_tx tx = { 0 };
    CLEANUP(db_result_free) struct db_result *row = NULL;

    if (!db_begin(db, DB_READ_COMMITTED, &tx, err) ||
        !check_requestable(db, account_id, kind, err) ||
        !db_run_one(db, DB_SOURCE_JOB_REQUEST,
                    DB_ARGS(DB_I64(account_id), DB_TEXT(source_job_kind_name(kind)),
                            DB_BOOL(kind == SOURCE_JOB_RECONCILE)),
                    &row, err) ||
        !db_commit(&tx, err))
        return false;
    *out = (struct source_request){ db_i64(row, 0, 0), db_time_usec(row, 0, 1) };
    return true;
}

bool source_find_begun_run(struct db *db, int64_t account_id, int64_t since_usec,
                           struct source_request *out, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *row = NULL;

    if (!db_run_one(db, DB_SOURCE_JOB_BEGUN, DB_ARGS(DB_I64(account_id), DB_TIME(since_usec)), &row,
                    err))
        return false;
    *out = (struct source_request){ db_i64(row, 0, 0), since_usec };
    return true;
}

bool source_watch_run(struct db *db, const struct source_request *request, struct arena *arena,
                      struct source_run *out, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *row = NULL;

    if (!db_run(db, DB_SOURCE_JOB_WATCH,
                DB_ARGS(DB_I64(request->job_id), DB_TIME(request->requested_usec)), &row, err))
        return false;
    if (db_rows(row) == 0)
        return err_fail(err, ERR_ABSENT, "job %jd is no more", (intmax_t)request->job_id);
    return source_read_run(row, 0, 0, arena, out, err);
}

bool source_find_moved_runs(struct db *db, const struct source_request *requests, size_t count,
                            struct arena *arena, const size_t **indexes, size_t *found,
                            struct err *err)
{
    CLEANUP(db_result_free) struct db_result *rows = NULL;
    int64_t *job_ids = arena_new_array(arena, int64_t, count);
    int64_t *times = arena_new_array(arena, int64_t, count);
    size_t *moved;

    for (size_t i = 0; i < count; i++) {
        job_ids[i] = requests[i].job_id;
        times[i] = requests[i].requested_usec;
    }
    if (!db_run(db, DB_SOURCE_JOBS_MOVED, DB_ARGS(DB_I64S(job_ids, count), DB_TIMES(times, count)),
                &rows, err))
        return false;
    moved = arena_new_array(arena, size_t, db_rows(rows));
    for (size_t i = 0; i < db_rows(rows); i++)
        moved[i] = (size_t)db_i64(rows, i, 0);
    *indexes = moved;
    *found = db_rows(rows);
    return true;
}
