/* SPDX-License-Identifier: Apache-2.0 */
/*
 * db/run.c - one statement: prepare, send, wait, take its result.
 *
 * libpq is used in its non-blocking mode, so that every wait is ours and has a deadline.
 */
#include "base/fd.h"
#include "db/internal.h"

#include <errno.h>
#include <poll.h>

#define GRACE_MS 30000 /* what a server may need beyond statement_timeout to say so */

/* ---- waiting ------------------------------------------------------------------------------- */

static struct deadline wait_deadline(const struct db *db)
{
    if (db->target.statement_timeout_ms == 0)
        return deadline_never();
    return deadline_after_ms((int64_t)db->target.statement_timeout_ms + GRACE_MS);
}

static bool wait_for(struct db *db, short events, struct deadline deadline, struct err *err)
{
    struct pollfd waiting = { .fd = PQsocket(db->pg), .events = events };
    int ready;

    if (waiting.fd < 0)
        return db_fail_lost(db, "wait", err);
    do
        ready = poll(&waiting, 1, deadline_poll_ms(deadline));
    while (ready < 0 && errno == EINTR);
    if (ready < 0)
        return err_errno(err, "wait for the database");
    if (ready == 0) {
        db->is_lost = true;
        return err_fail(err, ERR_RETRY, "the database does not answer");
    }
    if ((waiting.revents & (POLLIN | POLLHUP | POLLERR)) != 0)
        (void)PQconsumeInput(db->pg); /* a failure becomes the next result */
    return true;
}

bool db_flush(struct db *db, struct err *err)
{
    struct deadline deadline = wait_deadline(db);
    int left;

    while ((left = PQflush(db->pg)) > 0)
        if (!wait_for(db, POLLIN | POLLOUT, deadline, err))
            return false;
    db->unflushed_bytes = 0;
    /* On failure the server's last words may still be waiting to be read: db_await finds out. */
    return left == 0 || PQstatus(db->pg) == CONNECTION_OK || db_fail_lost(db, "send", err);
}

/* Tells the server to stop; what it answers is still to be read. */
static void cancel_statement(struct db *db)
{
    char text[256];
    PGcancel *cancel = PQgetCancel(db->pg);

    if (cancel == NULL || PQcancel(cancel, text, sizeof text) == 0)
        db->is_lost = true;
    PQfreeCancel(cancel);
}

/* Until something can be read. Nobody who wants the answer any more: the statement is cancelled, once. */
static bool await_interested(struct db *db, struct deadline deadline, struct err *err)
{
    while (db->interest.goes_on != NULL && !deadline_has_passed(deadline) &&
           !fd_wait(PQsocket(db->pg), DB_ASK_MS))
        if (!db->interest.goes_on(db->interest.context)) {
            db->interest.goes_on = NULL;
            cancel_statement(db);
            if (db->is_lost)
                return err_fail(err, ERR_RETRY, "nobody waits for the answer");
        }
    return wait_for(db, POLLIN, deadline, err);
}

bool db_await(struct db *db, struct err *err)
{
    struct deadline deadline = wait_deadline(db);

    while (PQisBusy(db->pg))
        if (!await_interested(db, deadline, err))
            return false;
    return true;
}

static bool is_success(const PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);

    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_SINGLE_TUPLE;
}

bool db_collect(struct db *db, const char *what, PGresult **out, struct err *err)
{
    PGresult *last = NULL, *next;
    bool is_ok = true;

    db->round_trips++;
    if (!db_flush(db, err))
        return err_wrap(err, "%s", what);
    for (;;) {
        if (!db_await(db, err)) {
            PQclear(last);
            return err_wrap(err, "%s", what);
        }
        next = PQgetResult(db->pg);
        if (next == NULL)
            break;
        if (!is_success(next) && is_ok)
            is_ok = db_fail_result(db, what, next, err);
        PQclear(last);
        last = next;
        if (PQstatus(db->pg) != CONNECTION_OK)
            break;
    }
    if (is_ok && last == NULL)
        is_ok = db_fail_lost(db, what, err);
    if (!is_ok || out == NULL) {
        PQclear(last);
        return is_ok;
    }
    *out = last;
    return true;
}

/* ---- sending ------------------------------------------------------------------------------- */

/* NULL fits any type; all else is as declared. */
static void check_args(const struct db_statement_text *text, struct db_args args)
{
    assert(args.count == text->arg_count && "number of arguments differs from the -- args: line");
    for (size_t i = 0; i < args.count; i++)
        assert((args.values[i].type == DB_TYPE_NULL ||
                (args.values[i].type == text->args[i].type &&
                 args.values[i].is_array == text->args[i].is_array)) &&
               "type of an argument differs from the -- args: line");
}

static bool send_prepare(struct db *db, enum db_statement statement, struct err *err)
{
    const struct db_statement_text *text = &db_statement_texts[statement];
    Oid types[DB_ARGS_MAX];

    assert(text->arg_count <= DB_ARGS_MAX);
    for (size_t i = 0; i < text->arg_count; i++)
        types[i] = db_oid(text->args[i].type, text->args[i].is_array);
    if (PQsendPrepare(db->pg, text->name, text->sql, (int)text->arg_count, types) == 0)
        return db_fail_lost(db, text->name, err);
    return true;
}

bool db_prepare(struct db *db, enum db_statement statement, struct err *err)
{
    if (db->is_prepared[statement])
        return true;
    if (!send_prepare(db, statement, err) ||
        !db_collect(db, db_statement_texts[statement].name, NULL, err))
        return false;
    db->is_prepared[statement] = true;
    return true;
}

bool db_send(struct db *db, enum db_statement statement, struct db_args args, size_t *sent_bytes,
             struct err *err)
{
    const struct db_statement_text *text = &db_statement_texts[statement];
    struct db_encoded encoded;

    check_args(text, args);
    if (!db_encode(args, &db->scratch, &encoded, err))
        return err_wrap(err, "%s", text->name);
    if (PQsendQueryPrepared(db->pg, text->name, (int)args.count, encoded.values, encoded.lengths,
                            encoded.formats, 1) == 0)
        return db_fail_lost(db, text->name, err);
    if (sent_bytes != NULL)
        *sent_bytes = encoded.bytes;
    return true;
}

bool db_send_assembled(struct db *db, const char *sql, struct db_args args, struct err *err)
{
    CLEANUP(db_free_encoded) struct db_encoded encoded = { 0 };

    if (!db_encode(args, &db->scratch, &encoded, err))
        return err_wrap(err, "assembled statement");
    if (PQsendQueryParams(db->pg, sql, (int)args.count, encoded.types, encoded.values,
                          encoded.lengths, encoded.formats, 1) == 0)
        return db_fail_lost(db, "assembled statement", err);
    return true;
}

/* ---- running ------------------------------------------------------------------------------- */

static bool is_usable(struct db *db, const char *what, struct err *err)
{
    assert(!db->is_in_pipeline && "a pipeline is open: db_queue");
    return !db_is_broken(db) || db_fail_lost(db, what, err);
}

static bool run(struct db *db, enum db_statement statement, struct db_args args, PGresult **out,
                struct err *err)
{
    const char *name = db_statement_texts[statement].name;

    db->sqlstate[0] = '\0';
    return is_usable(db, name, err) && db_prepare(db, statement, err) &&
           db_send(db, statement, args, NULL, err) && db_collect(db, name, out, err);
}

bool db_run(struct db *db, enum db_statement statement, struct db_args args, struct db_result **out,
            struct err *err)
{
    PGresult *pg = NULL;

    return run(db, statement, args, &pg, err) &&
           db_wrap_result(pg, db_statement_texts[statement].name, out, err);
}

bool db_run_one(struct db *db, enum db_statement statement, struct db_args args,
                struct db_result **out, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *result = NULL;

    if (!db_run(db, statement, args, &result, err))
        return false;
    if (db_rows(result) == 0)
        return err_fail(err, ERR_ABSENT, "%s: no such row", db_statement_texts[statement].name);
    *out = result;
    result = NULL; /* the caller's now */
    return true;
}

bool db_run_ok(struct db *db, enum db_statement statement, struct db_args args, struct err *err)
{
    return run(db, statement, args, NULL, err);
}

bool db_run_count(struct db *db, enum db_statement statement, struct db_args args,
                  uint64_t *affected, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *result = NULL;

    if (!db_run(db, statement, args, &result, err))
        return false;
    if (affected != NULL)
        *affected = db_affected(result);
    return true;
}

bool db_run_assembled(struct db *db, const char *sql, struct db_args args, struct db_result **out,
                      struct err *err)
{
    PGresult *pg = NULL;

    db->sqlstate[0] = '\0';
    return is_usable(db, "assembled statement", err) && db_send_assembled(db, sql, args, err) &&
           db_collect(db, "assembled statement", &pg, err) &&
           db_wrap_result(pg, "assembled statement", out, err);
}

bool db_run_while_wanted(struct db *db, const char *sql, struct db_args args,
                         struct db_interest interest, struct db_result **out, struct err *err)
{
    bool is_done;

    db->interest = interest;
    is_done = db_run_assembled(db, sql, args, out, err);
    db->interest = (struct db_interest){ 0 };
    return is_done;
}

bool db_run_script(struct db *db, const char *what, const char *sql, struct err *err)
{
    db->sqlstate[0] = '\0';
    if (!is_usable(db, what, err))
        return false;
    if (PQsendQuery(db->pg, sql) == 0)
        return db_fail_lost(db, what, err);
    return db_collect(db, what, NULL, err);
}

/* ---- streams ------------------------------------------------------------------------------- */

/* What the server still sends is read and dropped. */
static void cancel_rest(struct db *db)
{
    struct err ignored = { 0 };
    PGresult *result;

    cancel_statement(db);
    while (!db_is_broken(db) && db_await(db, &ignored) && (result = PQgetResult(db->pg)) != NULL)
        PQclear(result);
}

/* Takes rows until the end; a failure of `row` is *is_stopped. */
static bool take_rows(struct db *db, const char *what, db_row_fn *row, void *context,
                      bool *is_stopped, struct err *err)
{
    PGresult *pg;
    bool is_ok = true, has_answer = false;

    for (;;) {
        if (!db_await(db, err))
            return err_wrap(err, "%s", what);
        pg = PQgetResult(db->pg);
        if (pg == NULL)
            break;
        has_answer = true;
        if (!is_success(pg) && is_ok) {
            is_ok = db_fail_result(db, what, pg, err);
        } else if (PQresultStatus(pg) == PGRES_SINGLE_TUPLE && is_ok) {
            struct db_result result = { .pg = pg, .what = what };

            *is_stopped = !row(context, &result, err);
        }
        PQclear(pg);
        if (*is_stopped)
            return false;
        if (PQstatus(db->pg) != CONNECTION_OK)
            break;
    }
    return is_ok && (has_answer || db_fail_lost(db, what, err));
}

static bool stream(struct db *db, const char *what, db_row_fn *row, void *context, struct err *err)
{
    bool is_stopped = false;

    if (PQsetSingleRowMode(db->pg) == 0)
        return db_fail_lost(db, what, err);
    db->round_trips++;
    if (!db_flush(db, err))
        return err_wrap(err, "%s", what);
    if (take_rows(db, what, row, context, &is_stopped, err))
        return true;
    if (is_stopped)
        cancel_rest(db);
    return false;
}

bool db_stream(struct db *db, enum db_statement statement, struct db_args args, db_row_fn *row,
               void *context, struct err *err)
{
    const char *name = db_statement_texts[statement].name;

    db->sqlstate[0] = '\0';
    return is_usable(db, name, err) && db_prepare(db, statement, err) &&
           db_send(db, statement, args, NULL, err) && stream(db, name, row, context, err);
}

bool db_stream_assembled(struct db *db, const char *sql, struct db_args args, db_row_fn *row,
                         void *context, struct err *err)
{
    db->sqlstate[0] = '\0';
    return is_usable(db, "assembled statement", err) && db_send_assembled(db, sql, args, err) &&
           stream(db, "assembled statement", row, context, err);
}
