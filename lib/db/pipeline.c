/* SPDX-License-Identifier: Apache-2.0 */
/*
 * db/pipeline.c - many statements, one wait.
 *
 *   (run) --db_pipeline_begin--> OPEN --db_pipeline_send--> SENT --db_pipeline_end--> (run)
 *                                OPEN --db_pipeline_end--> (run)
 *                                OPEN, SENT --db_pipeline_cancel, any failure--> (run) or broken
 *
 *   OPEN: db->queue lists what was sent, in the order in which answers will come.
 *   SENT: the server has all of it, the sync too.
 */
#include "db/internal.h"

#include <stdlib.h>

/* Beyond this the server is given a chance to take what libpq has gathered. */
#define FLUSH_BYTES ((size_t)256 << 10)

bool db_pipeline_begin(struct db *db, struct err *err)
{
    assert(!db->is_in_pipeline && "a pipeline is open already");
    db->sqlstate[0] = '\0';
    if (db_is_broken(db) || PQenterPipelineMode(db->pg) == 0)
        return db_fail_lost(db, "pipeline", err);
    db->is_in_pipeline = true;
    db->is_sent = false;
    db->has_queued_commit = false;
    db->queue_len = 0;
    db->queue_runs = 0;
    db->unflushed_bytes = 0;
    return true;
}

size_t db_queued(const struct db *db)
{
    return db->queue_runs;
}

static bool note_entry(struct db *db, enum db_queue_kind kind, enum db_statement statement,
                       struct err *err)
{
    if (db->queue_len == DB_QUEUE_MAX)
        return err_fail(err, ERR_LIMIT, "pipeline of more than %d statements", (int)DB_QUEUE_MAX);
    if (db->queue_len == db->queue_cap) {
        size_t cap = db->queue_cap == 0 ? 32 : db->queue_cap * 2;
        struct db_queue_entry *grown = realloc(db->queue, cap * sizeof *grown);

        if (grown == NULL)
            return err_fail(err, ERR_SYSTEM, "pipeline: no memory");
        db->queue = grown;
        db->queue_cap = cap;
    }
    db->queue[db->queue_len++] = (struct db_queue_entry){ kind, statement };
    return true;
}

static bool queue_prepare(struct db *db, enum db_statement statement, struct err *err)
{
    const struct db_statement_text *text = &db_statement_texts[statement];
    Oid types[DB_ARGS_MAX];

    for (size_t i = 0; i < text->arg_count; i++)
        types[i] = db_oid(text->args[i].type, text->args[i].is_array);
    if (!note_entry(db, DB_QUEUED_PREPARE, statement, err))
        return false;
    if (PQsendPrepare(db->pg, text->name, text->sql, (int)text->arg_count, types) == 0)
        return db_fail_lost(db, text->name, err);
    db->is_prepared[statement] = true; /* taken back when its answer is not a success */
    return true;
}

static bool queue_entry(struct db *db, enum db_queue_kind kind, enum db_statement statement,
                        struct db_args args, struct err *err)
{
    size_t bytes = 0;

    if (!db->is_prepared[statement] && !queue_prepare(db, statement, err))
        return false;
    if (!note_entry(db, kind, statement, err))
        return false;
    if (!db_send(db, statement, args, &bytes, err)) {
        db->queue_len--;
        return false;
    }
    db->unflushed_bytes += bytes;
    return db->unflushed_bytes < FLUSH_BYTES || db_flush(db, err);
}

bool db_queue_as(struct db *db, enum db_queue_kind kind, enum db_statement statement,
                 struct db_args args, struct err *err)
{
    assert(db->is_in_pipeline && !db->is_sent && "no pipeline is open");
    if (queue_entry(db, kind, statement, args, err))
        return true;
    db_pipeline_cancel(db);
    return false;
}

bool db_queue(struct db *db, enum db_statement statement, struct db_args args, struct err *err)
{
    assert(!db->has_queued_commit && "a statement behind the commit");
    if (!db_queue_as(db, DB_QUEUED_RUN, statement, args, err))
        return false;
    db->queue_runs++;
    return true;
}

/* The answer to one entry; *out is NULL on failure. A statement's answers end with a NULL result. */
static bool take_answer(struct db *db, PGresult **out, struct err *err)
{
    PGresult *pg, *end;

    *out = NULL;
    if (!db_await(db, err))
        return false;
    pg = PQgetResult(db->pg);
    if (pg == NULL)
        return db_fail_lost(db, "pipeline", err);
    if (!db_await(db, err)) {
        PQclear(pg);
        return false;
    }
    end = PQgetResult(db->pg);
    if (end != NULL) {
        PQclear(end);
        PQclear(pg);
        return db_fail_lost(db, "pipeline", err);
    }
    *out = pg;
    return true;
}

/* Judges an answer. After the first failure the server sends PGRES_PIPELINE_ABORTED for the rest. */
static bool is_answer_good(struct db *db, const struct db_queue_entry *entry, PGresult *pg,
                           bool *has_failed, struct err *err)
{
    const char *name = db_statement_texts[entry->statement].name;
    ExecStatusType status = PQresultStatus(pg);

    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) {
        if (entry->kind == DB_QUEUED_COMMIT && strcmp(PQcmdStatus(pg), "COMMIT") != 0 &&
            !*has_failed) {
            *has_failed = true;
            return err_fail(err, ERR_SYSTEM, "commit: a statement of this transaction had failed");
        }
        return true;
    }
    if (entry->kind == DB_QUEUED_PREPARE)
        db->is_prepared[entry->statement] = false;
    if (!*has_failed) {
        *has_failed = true;
        if (status == PGRES_PIPELINE_ABORTED)
            (void)err_fail(err, ERR_SYSTEM, "%s: skipped by the server", name);
        else
            (void)db_fail_result(db, name, pg, err);
    }
    return false;
}

/* Reads every answer and the end of the pipeline. results: as in db_pipeline_end, or NULL. */
static bool take_answers(struct db *db, struct db_result **results, struct err *err)
{
    bool has_failed = false;
    size_t index = 0;
    PGresult *pg;

    for (size_t i = 0; i < db->queue_len; i++) {
        const struct db_queue_entry *entry = &db->queue[i];
        struct err broken = { 0 };

        if (!take_answer(db, &pg, &broken)) {
            if (!has_failed)
                *err = broken; /* what failed first is the error, also when the server then left */
            return false;
        }
        if (is_answer_good(db, entry, pg, &has_failed, err) && results != NULL &&
            entry->kind == DB_QUEUED_RUN) {
            if (!db_wrap_result(pg, db_statement_texts[entry->statement].name, &results[index],
                                err))
                has_failed = true;
        } else {
            PQclear(pg);
        }
        index += entry->kind == DB_QUEUED_RUN;
    }
    if (!db_await(db, err))
        return false;
    pg = PQgetResult(db->pg); /* the answer to the sync */
    if (pg == NULL || PQresultStatus(pg) != PGRES_PIPELINE_SYNC) {
        PQclear(pg);
        return has_failed ? false : db_fail_lost(db, "pipeline", err);
    }
    PQclear(pg);
    return !has_failed;
}

/* A COMMIT that was queued and skipped leaves a failed transaction that nobody owns. */
static void leave_pipeline(struct db *db)
{
    struct err ignored = { 0 };

    db->is_in_pipeline = false;
    db->queue_len = 0;
    if (db_is_broken(db))
        return;
    if (PQexitPipelineMode(db->pg) == 0) {
        db->is_lost = true;
        return;
    }
    if (!db->is_in_tx && PQtransactionStatus(db->pg) != PQTRANS_IDLE &&
        !db_run_script(db, "rollback", "ROLLBACK", &ignored))
        db->is_lost = true;
}

bool db_pipeline_send(struct db *db, struct err *err)
{
    assert(db->is_in_pipeline && !db->is_sent && "no pipeline is open");
    if ((PQpipelineSync(db->pg) != 0 || db_fail_lost(db, "pipeline", err)) && db_flush(db, err)) {
        db->is_sent = true;
        return true;
    }
    leave_pipeline(db);
    return false;
}

bool db_pipeline_end(struct db *db, struct db_result **results, size_t count, struct err *err)
{
    bool is_ok;

    assert(db->is_in_pipeline && "no pipeline is open");
    assert((results == NULL || count == db->queue_runs) && "room for every result");
    db->round_trips++;
    if (!db->is_sent && !db_pipeline_send(db, err))
        return false;
    is_ok = take_answers(db, results, err);
    leave_pipeline(db);
    if (!is_ok && results != NULL)
        for (size_t i = 0; i < count; i++)
            db_result_free(&results[i]);
    return is_ok;
}

/*
 * Without an open transaction that its owner will roll back, what was sent would be committed by the
 * sync that ends a pipeline; the connection is given up instead, and the server undoes it.
 */
void db_pipeline_cancel(struct db *db)
{
    struct err ignored = { 0 };

    if (!db->is_in_pipeline)
        return;
    if (!db->is_in_tx && !db->is_sent && db->queue_len > 0)
        db->is_lost = true;
    if (!db_is_broken(db) && !db->is_sent &&
        (PQpipelineSync(db->pg) == 0 || !db_flush(db, &ignored)))
        db->is_lost = true;
    if (!db_is_broken(db))
        (void)take_answers(db, NULL, &ignored);
    leave_pipeline(db);
}
