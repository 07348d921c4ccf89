/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/position.c - positions, and where placements come from.
 */
#include "vault/position.h"

#include "vault/internal.h"

#include <stdlib.h>

static struct db_value scope_of(const int64_t *accounts, size_t count)
{
    return db_null_unless(count > 0, DB_I64S(accounts, count));
}

static struct vault_position read_position(const struct db_result *rows)
{
    return (struct vault_position){ .position_id = db_i64(rows, 0, 0),
                                    .taken_usec = db_time_usec(rows, 0, 1),
                                    .accounts = (uint64_t)db_i64(rows, 0, 2),
                                    .mailboxes = (uint64_t)db_i64(rows, 0, 3) };
}

/* Two that record the same state at once: the unique key stops one, which then finds the other's. */
bool vault_take_position(struct db *owner, const int64_t *accounts, size_t count,
                         struct vault_position *out, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *rows = NULL;
    struct db_args args = DB_ARGS(scope_of(accounts, count));

    if (!db_run_one(owner, DB_VAULT_POSITION_TAKE, args, &rows, err)) {
        if (strcmp(db_sqlstate(owner), "23505") != 0)
            return false;
        err_clear(err);
        if (!db_run_one(owner, DB_VAULT_POSITION_TAKE, args, &rows, err))
            return false;
    }
    *out = read_position(rows);
    return true;
}

bool vault_find_position(struct db *owner, int64_t position_id, const int64_t *accounts,
                         size_t count, struct vault_position *out, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *rows = NULL;

    if (!db_run(owner, DB_VAULT_POSITION_FIND,
                DB_ARGS(DB_I64(position_id), DB_I64S(accounts, count)), &rows, err))
        return false;
    if (db_rows(rows) == 0)
        return err_fail(err, ERR_ABSENT, "there is no position %jd", (intmax_t)position_id);
    if (db_i64(rows, 0, 4) > 0)
        return err_fail(err, ERR_ABSENT, "position %jd does not cover all of these accounts",
                        (intmax_t)position_id);
    *out = read_position(rows);
    return true;
}

static bool read_mailbox(const struct db_result *rows, size_t row, struct arena *arena,
                         struct vault_position_mailbox *out, struct err *err)
{
    *out = (struct vault_position_mailbox){ .ordinal = (uint64_t)db_i64(rows, row, 0),
                                            .account_id = db_i64(rows, row, 1),
                                            .mailbox_id = db_i64(rows, row, 2),
                                            .uidvalidity = (uint32_t)db_i64(rows, row, 6),
                                            .uidnext = (uint64_t)db_i64(rows, row, 7),
                                            .highestmodseq = (uint64_t)db_i64(rows, row, 8) };
    return vault_copy_column(rows, row, 3, arena, &out->account_name, err) &&
           vault_copy_column(rows, row, 4, arena, &out->path, err) &&
           vault_copy_column(rows, row, 5, arena, &out->special_use, err);
}

bool vault_list_position(struct vault_reader *reader, int64_t position_id, uint64_t after,
                         size_t limit, struct arena *arena,
                         const struct vault_position_mailbox **out, size_t *count, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *rows = NULL;
    struct vault_position_mailbox *mailboxes;
    void *room;

    assert(limit >= 1 && limit <= LIMIT_PAGE_ROWS);
    if (!vault_run_queries(
            reader,
            &(struct vault_query){ DB_VAULT_POSITION_MAILBOXES,
                                   DB_ARGS(DB_I64(position_id), DB_I64(after), DB_I64(limit)) },
            1, &rows, err) ||
        !arena_try_alloc(arena, db_rows(rows), sizeof *mailboxes, &room, err))
        return false;
    mailboxes = room;
    for (size_t i = 0; i < db_rows(rows); i++)
        if (!read_mailbox(rows, i, arena, &mailboxes[i], err))
            return false;
    *out = mailboxes;
    *count = db_rows(rows);
    return true;
}

/* ---- where placements come from ---------------------------------------------------------------- */

struct walk {
    struct vault_reader *reader;
    int64_t account_id, mailbox_id;
    vault_origins_fn *fn;
    void *context;
};

static bool walk_epoch(const struct walk *walk, int32_t epoch, uint32_t uidvalidity,
                       struct err *err)
{
    struct vault_origin origins[LIMIT_PAGE_ROWS];
    int64_t after = 0;
    size_t rows_given = LIMIT_PAGE_ROWS;

    while (rows_given == LIMIT_PAGE_ROWS) {
        CLEANUP(db_result_free) struct db_result *rows = NULL;
        size_t count = 0;

        if (!vault_run_queries(walk->reader,
                               &(struct vault_query){
                                   DB_VAULT_ORIGIN_PAGE,
                                   DB_ARGS(DB_I64(walk->account_id), DB_I64(walk->mailbox_id),
                                           DB_I32(epoch), DB_I64(after), DB_I64(LIMIT_PAGE_ROWS)) },
                               1, &rows, err))
            return false;
        rows_given = db_rows(rows);
        for (size_t i = 0; i < rows_given; i++) {
            after = db_i64(rows, i, 0);
            if (db_i64(rows, i, 1) > 0)
                origins[count++] =
                    (struct vault_origin){ (uint32_t)db_i64(rows, i, 1), (uint32_t)after,
                                           vault_recognition_of(db_bytes(rows, i, 2)) };
        }
        if (!walk->fn(walk->context, epoch, uidvalidity, origins, count, err))
            return false;
    }
    return true;
}

bool vault_walk_origins(struct vault_reader *reader, int64_t account_id, int64_t mailbox_id,
                        vault_origins_fn *fn, void *context, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *epochs = NULL;
    struct walk walk = { reader, account_id, mailbox_id, fn, context };

    if (!vault_run_queries(reader,
                           &(struct vault_query){ DB_VAULT_EPOCH_LIST,
                                                  DB_ARGS(DB_I64(account_id), DB_I64(mailbox_id)) },
                           1, &epochs, err))
        return false;
    for (size_t i = 0; i < db_rows(epochs); i++)
        if (!walk_epoch(&walk, db_i32(epochs, i, 0), (uint32_t)db_i64(epochs, i, 1), err))
            return false;
    return true;
}
