/* SPDX-License-Identifier: Apache-2.0 */
#include "source/queue.h"

#include "db/db.h"
#include "source/internal.h"

bool source_load_queue(struct db *db, int32_t host_connections, struct source_queue *out,
                       struct err *err)
{
    CLEANUP(db_result_free) struct db_result *row = NULL;

    if (!db_run_one(db, DB_SOURCE_QUEUE, DB_ARGS(DB_I32(host_connections)), &row, err))
        return false;
    *out = (struct source_queue){
        .running = (uint64_t)db_i64(row, 0, 0),
        .due = (uint64_t)db_i64(row, 0, 1),
        .host = (uint64_t)db_i64(row, 0, 2),
        .budget = (uint64_t)db_i64(row, 0, 3),
        .back_off = (uint64_t)db_i64(row, 0, 4),
        .later = (uint64_t)db_i64(row, 0, 5),
        .watched = (uint64_t)db_i64(row, 0, 6),
        .oldest_due_usec = source_time(row, 0, 7),
    };
    return true;
}
