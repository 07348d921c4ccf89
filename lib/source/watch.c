/* SPDX-License-Identifier: Apache-2.0 */
#include "source/watch.h"

#include "base/limits.h"
#include "db/db.h"
#include "source/internal.h"

#include <stdlib.h>

bool source_claim_watches(struct db *db, struct bytes owner, int32_t host_connections,
                          struct arena *arena, struct source_watch_list *out, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *rows = NULL;
    struct source_watch *watches;

    if (!db_run(db, DB_SOURCE_CLAIM_WATCHES,
                DB_ARGS(DB_TEXT(owner), DB_I32(SOURCE_WATCHES_AT_ONCE),
                        DB_I64(SOURCE_WATCH_LEASE_SECONDS), DB_I32(host_connections)),
                &rows, err))
        return false;
    watches = arena_new_array(arena, struct source_watch, db_rows(rows));
    for (size_t i = 0; i < db_rows(rows); i++) {
        watches[i].lease = (struct source_lease){
            .job_id = db_i64(rows, i, 0),
            .account_id = db_i64(rows, i, 1),
            .fence = db_i64(rows, i, 2),
            .kind = SOURCE_JOB_WATCH,
        };
        if (!source_copy_column(rows, i, 3, arena, &watches[i].source_name, err))
            return false;
    }
    *out = (struct source_watch_list){ watches, db_rows(rows) };
    return true;
}

static int compare_ids(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

bool source_renew_watches(struct db *db, const int64_t *job_ids, const int64_t *fences,
                          size_t count, struct arena *arena, const int64_t **held,
                          size_t *held_count, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *rows = NULL;
    int64_t *ids;

    if (!db_run(db, DB_SOURCE_RENEW_WATCHES,
                DB_ARGS(DB_I64S(job_ids, count), DB_I64S(fences, count),
                        DB_I64(SOURCE_WATCH_LEASE_SECONDS)),
                &rows, err))
        return false;
    ids = arena_new_array(arena, int64_t, db_rows(rows));
    for (size_t i = 0; i < db_rows(rows); i++)
        ids[i] = db_i64(rows, i, 0);
    if (db_rows(rows) > 0)
        qsort(ids, db_rows(rows), sizeof *ids, compare_ids);
    *held = ids;
    *held_count = db_rows(rows);
    return true;
}

bool source_wake_account(struct db *db, const struct source_lease *lease, bool *is_told,
                         struct err *err)
{
    CLEANUP(db_result_free) struct db_result *row = NULL;

    if (!source_ask_leased(db, lease, DB_SOURCE_WAKE,
                           DB_ARGS(DB_I64(lease->job_id), DB_I64(lease->fence)), &row, err))
        return false;
    *is_told = db_bool(row, 0, 0);
    return true;
}
