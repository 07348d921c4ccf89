/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/seal_ask.c - what is to be sealed, and who asked for it. Each function is one statement.
 */
#include "vault/internal.h"
#include "vault/seal.h"

bool vault_find_due_seals(struct db *db, uint64_t seal_bytes, struct arena *arena,
                          const struct vault_seal_due **out, size_t *count, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *rows = NULL;
    struct vault_seal_due *due;

    if (!db_run(db, DB_VAULT_SEAL_DUE, DB_ARGS(DB_I64(seal_bytes)), &rows, err))
        return false;
    due = arena_new_array(arena, struct vault_seal_due, db_rows(rows));
    for (size_t i = 0; i < db_rows(rows); i++)
        due[i] = (struct vault_seal_due){ db_i64(rows, i, 0), db_bool(rows, i, 1) };
    *out = due;
    *count = db_rows(rows);
    return true;
}

bool vault_find_seal_requests(struct db *db, struct arena *arena,
                              const struct vault_seal_request **out, size_t *count, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *rows = NULL;
    struct vault_seal_request *requests;

    if (!db_run(db, DB_VAULT_SEAL_ASKED, DB_NO_ARGS, &rows, err))
        return false;
    requests = arena_new_array(arena, struct vault_seal_request, db_rows(rows));
    for (size_t i = 0; i < db_rows(rows); i++)
        requests[i] = (struct vault_seal_request){ db_i64(rows, i, 0), db_time_usec(rows, i, 1) };
    *out = requests;
    *count = db_rows(rows);
    return true;
}

bool vault_ask_seal(struct db *db, int64_t account_id, struct err *err)
{
    return db_run_ok(db, DB_VAULT_SEAL_ASK, DB_ARGS(DB_I64(account_id)), err);
}

bool vault_answer_seal(struct db *db, const struct vault_seal_request *request, uint64_t packs,
                       const struct err *outcome, struct err *err)
{
    return db_run_ok(db, DB_VAULT_SEAL_ANSWER,
                     DB_ARGS(DB_I64(request->account_id), DB_TIME(request->requested_usec),
                             DB_I64(packs), DB_TEXT(bytes_of_text(err_code_name(outcome->code))),
                             DB_TEXT(bytes_of_text(outcome->text))),
                     err);
}

bool vault_read_seal_answers(struct db *db, const int64_t *account_ids, size_t count,
                             struct arena *arena, const struct vault_seal_answer **out,
                             size_t *found, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *rows = NULL;
    struct vault_seal_answer *answers;

    if (!db_run(db, DB_VAULT_SEAL_ANSWERS, DB_ARGS(DB_I64S(account_ids, count)), &rows, err))
        return false;
    answers = arena_new_array(arena, struct vault_seal_answer, db_rows(rows));
    for (size_t i = 0; i < db_rows(rows); i++) {
        answers[i].account_id = db_i64(rows, i, 0);
        answers[i].packs = (uint64_t)db_i64(rows, i, 1);
        if (!vault_copy_column(rows, i, 2, arena, &answers[i].outcome, err) ||
            !vault_copy_column(rows, i, 3, arena, &answers[i].text, err))
            return false;
    }
    *out = answers;
    *found = db_rows(rows);
    return true;
}
