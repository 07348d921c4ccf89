/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/reader.c - a reader, and its one way to the database.
 */
#include "db/pool.h"
#include "vault/internal.h"
#include "vault/text_internal.h"

#include <stdlib.h>

/* How long a reader waits for a connection that others have. */
enum {
    BORROW_MS = 15000
};

bool vault_open_reader(struct db_pool *pool, const struct secret *token,
                       const struct vault_pack_opener *opener, struct vault_reader **out,
                       struct err *err)
{
    CLEANUP(vault_close_reader) struct vault_reader *reader = calloc(1, sizeof *reader);

    if (reader == NULL)
        return err_errno(err, "vault reader");
    reader->pool = pool;
    if (opener != NULL)
        reader->opener = *opener;
    if (token != NULL && !secret_create(secret_bytes(token), &reader->token, err))
        return err_wrap(err, "vault reader");
    *out = reader;
    reader = NULL; /* the caller's now */
    return true;
}

void vault_close_reader(struct vault_reader **reader)
{
    if (*reader == NULL)
        return;
    vault_free_window(&(*reader)->window);
    vault_free_text_cache(&(*reader)->text);
    secret_free(&(*reader)->token);
    free(*reader);
    *reader = NULL;
}

void vault_trim_reader(struct vault_reader *reader)
{
    vault_free_window(&reader->window);
    vault_free_text_cache(&reader->text);
    reader->expected = NULL;
    reader->expected_count = 0;
}

static bool queue_all(struct vault_reader *reader, struct db *db, struct db_tx *tx,
                      const struct vault_query *queries, size_t count, struct err *err)
{
    if (!db_pipeline_begin(db, err) || !db_begin(db, DB_REPEATABLE_READ_ONLY, tx, err))
        return false;
    if (reader->token != NULL &&
        !db_queue(db, DB_SESSION_SET_TOKEN, DB_ARGS(DB_TEXT(secret_bytes(reader->token))), err))
        return false;
    for (size_t i = 0; i < count; i++)
        if (!db_queue(db, queries[i].statement, queries[i].args, err))
            return false;
    return db_commit(tx, err);
}

enum {
    QUERIES_MAX = 8
};

static bool run_once(struct vault_reader *reader, const struct vault_query *queries, size_t count,
                     struct db_result **results, bool *is_lost, struct err *err)
{
    CLEANUP(db_pool_return) struct db_loan loan = { 0 };
    CLEANUP(db_rollback) struct db_tx tx = { 0 };
    struct db_result *answers[QUERIES_MAX + 1] = { NULL };
    size_t skipped = reader->token != NULL ? 1 : 0;
    bool is_ok;

    assert(count <= QUERIES_MAX);
    if (!db_pool_borrow(reader->pool, deadline_after_ms(BORROW_MS), &loan, err))
        return false;
    is_ok = queue_all(reader, loan.db, &tx, queries, count, err) &&
            db_pipeline_end(loan.db, answers, count + skipped, err);
    if (!is_ok) {
        db_pipeline_cancel(loan.db);
        *is_lost = db_is_broken(loan.db);
        return false;
    }
    for (size_t i = 0; i < count; i++)
        results[i] = answers[i + skipped];
    if (skipped > 0)
        db_result_free(&answers[0]);
    return true;
}

bool vault_run_queries(struct vault_reader *reader, const struct vault_query *queries, size_t count,
                       struct db_result **results, struct err *err)
{
    bool is_lost = false;

    if (run_once(reader, queries, count, results, &is_lost, err))
        return true;
    /* An idle connection dies with a restart of the server and shows it only now. */
    if (!is_lost || err->code != ERR_RETRY)
        return false;
    err_clear(err);
    return run_once(reader, queries, count, results, &is_lost, err);
}

bool vault_copy_column(const struct db_result *rows, size_t row, size_t col, struct arena *arena,
                       struct bytes *out, struct err *err)
{
    struct bytes octets = db_bytes(rows, row, col);

    return arena_try_copy(arena, octets, octets.len, out, err);
}
