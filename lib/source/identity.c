/* SPDX-License-Identifier: Apache-2.0 */
#include "source/identity.h"

#include "db/db.h"
#include "source/internal.h"

bool source_open_id_scope(struct db *db, const struct source_lease *lease, struct bytes kind,
                          struct source_id_scope *out, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *row = NULL;

    if (!source_run_leased(
            db, lease, DB_SOURCE_IDENTITY_OPEN,
            DB_ARGS(SOURCE_LEASE_ARGS(lease), DB_NULL, DB_I64(lease->account_id), DB_TEXT(kind)),
            &row, err))
        return false;
    *out = (struct source_id_scope){
        .scope = db_i32(row, 0, 1),
        .placed = (uint64_t)db_i64(row, 0, 2),
        .is_trusted = db_bool(row, 0, 3),
        .is_empty = !db_bool(row, 0, 4),
    };
    return true;
}
