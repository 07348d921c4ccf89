/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a test of an account saw at its source: kept by the worker, read by the operator.
 */
#include "base/limits.h"
#include "db/db.h"
#include "source/account.h"
#include "source/internal.h"
#include "source/mailbox.h"

enum {
    SAVE_ROWS = 1000, /* in one statement */
};

struct arrays {
    struct bytes *paths, *uses, *reasons, *rules;
    int64_t *noselects, *messages, *octets;
};

static struct arrays create_arrays(struct arena *arena, size_t count)
{
    return (struct arrays){
        .paths = arena_new_array(arena, struct bytes, count),
        .uses = arena_new_array(arena, struct bytes, count),
        .reasons = arena_new_array(arena, struct bytes, count),
        .rules = arena_new_array(arena, struct bytes, count),
        .noselects = arena_new_array(arena, int64_t, count),
        .messages = arena_new_array(arena, int64_t, count),
        .octets = arena_new_array(arena, int64_t, count),
    };
}

static void spread(const struct source_listed *rows, size_t count, struct arrays *out)
{
    for (size_t i = 0; i < count; i++) {
        bool is_left_out = rows[i].left_out != SOURCE_NOT_LEFT_OUT;

        out->paths[i] = rows[i].path;
        out->uses[i] = rows[i].special_use;
        out->reasons[i] = is_left_out ? source_left_out_name(rows[i].left_out) : BYTES("");
        out->rules[i] = rows[i].rule;
        out->noselects[i] = rows[i].is_noselect;
        out->messages[i] = rows[i].messages;
        out->octets[i] = rows[i].octets;
    }
}

bool source_save_listing(struct db *db, const struct source_lease *lease,
                         const struct source_listed *rows, size_t count, struct arena *arena,
                         struct err *err)
{
    struct arrays a = create_arrays(arena, count < SAVE_ROWS ? count : SAVE_ROWS);

    for (size_t first = 0; first < count; first += SAVE_ROWS) {
        size_t n = count - first < SAVE_ROWS ? count - first : SAVE_ROWS;

        spread(rows + first, n, &a);
        if (!source_run_leased(db, lease, DB_SOURCE_LISTING_SAVE,
                               DB_ARGS(SOURCE_LEASE_ARGS(lease), DB_NULL, DB_I64(lease->account_id),
                                       DB_I64((int64_t)first), DB_TEXTS(a.paths, n),
                                       DB_TEXTS(a.uses, n), DB_I64S(a.noselects, n),
                                       DB_TEXTS(a.reasons, n), DB_TEXTS(a.rules, n),
                                       DB_I64S(a.messages, n), DB_I64S(a.octets, n)),
                               NULL, err))
            return false;
    }
    return true;
}

static bool read_listed(const struct db_result *rows, size_t row, struct arena *arena,
                        struct source_listed *out, struct err *err)
{
    struct bytes reason = db_bytes(rows, row, 3);

    out->is_noselect = db_bool(rows, row, 2);
    out->left_out = reason.len == 0 ? SOURCE_NOT_LEFT_OUT : source_left_out_of(reason);
    out->messages = db_i64(rows, row, 5);
    out->octets = db_i64(rows, row, 6);
    return source_copy_column(rows, row, 0, arena, &out->path, err) &&
           source_copy_column(rows, row, 1, arena, &out->special_use, err) &&
           source_copy_column(rows, row, 4, arena, &out->rule, err);
}

bool source_load_listing(struct db *db, int64_t account_id, struct arena *arena,
                         struct source_listed_list *out, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *rows = NULL;
    struct source_listed *listed;

    if (!db_run(db, DB_SOURCE_LISTING_LOAD, DB_ARGS(DB_I64(account_id)), &rows, err))
        return false;
    listed = arena_new_array(arena, struct source_listed, db_rows(rows));
    for (size_t i = 0; i < db_rows(rows); i++)
        if (!read_listed(rows, i, arena, &listed[i], err))
            return false;
    *out = (struct source_listed_list){ listed, db_rows(rows) };
    return true;
}
