/* SPDX-License-Identifier: Apache-2.0 */
/*
 * db/db.h - a connection to PostgreSQL: statements by name, transactions, pipelines, streams.
 *
 * struct db is one connection and belongs to one thread at a time (db/pool.h shares several). The
 * statements are the blocks of lib/db/sql/; each is prepared on its first use on a connection.
 * Search path is "holdfast", time zone UTC, and values travel in binary, only as parameters.
 *
 *     CLEANUP(db_rollback) struct db_tx tx = { 0 };
 *     CLEANUP(db_result_free) struct db_result *rows = NULL;
 *     if (!db_begin(db, DB_READ_COMMITTED, &tx, err) ||
 *         !db_run(db, DB_PLACEMENT_LOCATE, DB_ARGS(DB_I64(account), DB_I64(uid.n)), &rows, err))
 *         return false;
 *     for (size_t i = 0; i < db_rows(rows); i++)
 *         use(db_i64(rows, i, 0), db_bytes(rows, i, 1));
 *     return db_commit(&tx, err);
 *
 * Failure: the text names the statement and the SQLSTATE, never a parameter. Codes (table in error.c):
 *   ERR_RETRY    connection lost or refused, serialization failure, deadlock, lock or statement
 *                time-out, server starting, stopping or standby, too many connections
 *   ERR_DENIED   the role may not do this; password refused
 *   ERR_SYNTAX   a value the type cannot hold (class 22: a NUL in text, bad UTF-8)
 *   ERR_ABSENT   no such database
 *   ERR_CORRUPT  the server found damage in its own files
 *   ERR_SYSTEM   everything else: disk full, constraint broken (see db_sqlstate), our own SQL
 */
#pragma once

#include "base/clock.h"
#include "base/secret.h"
#include "db/result.h"
#include "db/statements.h" /* generated: enum db_statement { DB_<NAME>, …, DB_STATEMENT_COUNT } */
#include "db/value.h"

/* Where and as whom. All borrowed for the call; what stays with a connection is copied. */
struct db_target {
    const char *url;        /* libpq URL or "key=value …"; several hosts allowed; or NULL and: */
    const char *socket_dir; /* folder of the server's Unix socket */
    const char *database;   /* overrides the URL's when not NULL */
    const char *role;       /* overrides the URL's when not NULL */
    const struct secret *password; /* NULL: the URL's, or none */
    const char *application_name;  /* seen in pg_stat_activity */
    uint32_t statement_timeout_ms; /* 0: none. The client gives up 30 s later (connection broken) */
    uint32_t connect_timeout_ms;   /* per host, 0: 10 s; whole seconds, at least 2 */
    /* 0: any; the server ends a transaction, and the connection, from which it hears nothing for
     * so long, so that who was stopped keeps no lock */
    uint32_t transaction_idle_ms;
};

struct db;

MUST_USE bool db_connect(const struct db_target *target, struct db **out, struct err *err);
void db_close(struct db **db);

/* After ERR_RETRY: connects anew if the connection is lost (no transaction may be open in C). */
bool db_is_broken(const struct db *db);
MUST_USE bool db_reset_if_broken(struct db *db, struct err *err);

/* SQLSTATE of the last failure on this connection ("23505": unique), "" when the server gave none. */
const char *db_sqlstate(const struct db *db);

/* Waits for the server so far: what tests of pipelining count. */
uint64_t db_round_trips(const struct db *db);

/* ---- one statement ------------------------------------------------------------------------- */

MUST_USE bool db_run(struct db *db, enum db_statement statement, struct db_args args,
                     struct db_result **out, struct err *err);

/* As db_run, of a statement that must give a row: ERR_ABSENT when it gives none. */
MUST_USE bool db_run_one(struct db *db, enum db_statement statement, struct db_args args,
                         struct db_result **out, struct err *err);

/* Without a result. affected: NULL, or set to the number of rows. */
MUST_USE bool db_run_ok(struct db *db, enum db_statement statement, struct db_args args,
                        struct err *err);
MUST_USE bool db_run_count(struct db *db, enum db_statement statement, struct db_args args,
                           uint64_t *affected, struct err *err);

/* The one assembled statement (SEARCH): sql is made of constant fragments and $n only. */
MUST_USE bool db_run_assembled(struct db *db, const char *sql, struct db_args args,
                               struct db_result **out, struct err *err);

/* Is the answer still wanted? */
struct db_interest {
    bool (*goes_on)(void *context); /* NULL: it is */
    void *context;
};

/* As db_run_assembled, of a statement that may take long: while the server works, goes_on is asked every
 * DB_ASK_MS; once it says no the statement is cancelled (ERR_RETRY, the connection stays good). */
enum {
    DB_ASK_MS = 250
};
MUST_USE bool db_run_while_wanted(struct db *db, const char *sql, struct db_args args,
                                  struct db_interest interest, struct db_result **out,
                                  struct err *err);

/*
 * Gives the rows to `row` one at a time (row 0 of a result that is valid during the call), without
 * holding more than one in memory. When `row` returns false the rest is cancelled and its error is
 * the stream's. `row` must not use the connection, and not write to a client's socket: the
 * connection is held until the last row.
 */
typedef bool db_row_fn(void *context, const struct db_result *row, struct err *err);
MUST_USE bool db_stream(struct db *db, enum db_statement statement, struct db_args args,
                        db_row_fn *row, void *context, struct err *err);
MUST_USE bool db_stream_assembled(struct db *db, const char *sql, struct db_args args,
                                  db_row_fn *row, void *context, struct err *err);

/* ---- transactions -------------------------------------------------------------------------- */

enum db_isolation {
    DB_READ_COMMITTED,
    DB_REPEATABLE_READ,
    DB_REPEATABLE_READ_ONLY, /* the reader's: also on a standby */
    DB_SERIALIZABLE,
};

struct db_tx {
    struct db *db; /* NULL: none open */
};

MUST_USE bool db_begin(struct db *db, enum db_isolation isolation, struct db_tx *tx,
                       struct err *err);

/*
 * Ends *tx either way. After ERR_RETRY the outcome may be unknown (connection lost while waiting):
 * the unit of work must find out by itself (fence, unique key) when it is tried again.
 */
MUST_USE bool db_commit(struct db_tx *tx, struct err *err);

/* For CLEANUP: nothing when none is open. A connection on which this fails counts as broken. */
void db_rollback(struct db_tx *tx);

/* Nested work: begin; then either keep or undo. They nest. */
MUST_USE bool db_savepoint_begin(struct db_tx *tx, struct err *err);
MUST_USE bool db_savepoint_keep(struct db_tx *tx, struct err *err);
MUST_USE bool db_savepoint_undo(struct db_tx *tx, struct err *err);

/* ---- pipelines ----------------------------------------------------------------------------- */

/*
 * Between begin and end, statements are queued and travel without an answer being awaited:
 *
 *     db_pipeline_begin(db, err) &&
 *     db_begin(db, DB_READ_COMMITTED, &tx, err) &&          queued too
 *     db_queue(db, DB_SPOOL_INSERT, DB_ARGS(…), err) &&     index 0
 *     db_queue(db, DB_MESSAGE_INSERT, DB_ARGS(…), err) &&   index 1
 *     db_commit(&tx, err) &&                                queued too
 *     db_pipeline_end(db, results, 2, err)                  one round trip for everything
 *
 * The first statement that fails is the error; everything behind it is skipped by the server, a
 * queued COMMIT too. Without db_begin the whole pipeline is one transaction of its own.
 * Nothing but db_begin, db_queue and db_commit may be called in between; when something fails, call
 * db_pipeline_cancel (or db_rollback on the transaction, which cancels first).
 */
MUST_USE bool db_pipeline_begin(struct db *db, struct err *err);
MUST_USE bool db_queue(struct db *db, enum db_statement statement, struct db_args args,
                       struct err *err);

/* How many statements were queued so far: the index of the next one. */
size_t db_queued(const struct db *db);

/*
 * Waits for all. results: NULL, or `count` pointers (all NULL before), of which results[i] gets the
 * result of the i-th db_queue, owned by the caller. Failure: none is set, and the pipeline is over.
 * If a transaction was begun before db_pipeline_begin and is not committed in it, it stays open.
 */
MUST_USE bool db_pipeline_end(struct db *db, struct db_result **results, size_t count,
                              struct err *err);

/*
 * Sends all of it and does not wait: the server works while the caller does something else, and
 * db_pipeline_end takes the answers. Nothing but that and db_pipeline_cancel may be called on the
 * connection meanwhile. Failure: the pipeline is over.
 */
MUST_USE bool db_pipeline_send(struct db *db, struct err *err);

/* Leaves the pipeline and forgets every answer; nothing when none is open. */
void db_pipeline_cancel(struct db *db);

/* ---- notifications (a hint only; correctness comes from polling) ---------------------------- */

enum {
    DB_NOTICE_PAYLOAD_BYTES = 256
};

struct db_notice {
    char channel[64];
    char payload[DB_NOTICE_PAYLOAD_BYTES]; /* cut */
};

/* channel: a name we wrote ourselves. The primary only. */
MUST_USE bool db_listen(struct db *db, const char *channel, struct err *err);

/* For poll(2): when readable, call db_take_notice until *has_one is false. -1 when broken. */
int db_fd(const struct db *db);
MUST_USE bool db_take_notice(struct db *db, struct db_notice *out, bool *has_one, struct err *err);

/* Those that came with answers to statements, which are kept until they are taken: for who listens and is busy. */
void db_drop_notices(struct db *db);
