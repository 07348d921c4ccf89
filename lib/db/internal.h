/* SPDX-License-Identifier: Apache-2.0 */
/*
 * db/internal.h - what the files of db share.
 */
#pragma once

#include "base/buf.h"
#include "db/db.h"
#include "db/migrate.h"

#include <libpq-fe.h>

/* ---- statements.awk ------------------------------------------------------------------------ */

struct db_arg_type {
    enum db_type type;
    bool is_array;
};

struct db_statement_text {
    const char *name;
    const char *sql;
    size_t arg_count;
    const struct db_arg_type *args;
};

extern const struct db_statement_text db_statement_texts[DB_STATEMENT_COUNT];

/* ---- the connection (connect.c) ------------------------------------------------------------ */

enum {
    DB_QUEUE_MAX = 4096
}; /* statements in one pipeline */

/* What one message of a pipeline was, in the order in which answers come. */
enum db_queue_kind {
    DB_QUEUED_PREPARE,
    DB_QUEUED_RUN,
    DB_QUEUED_BEGIN,
    DB_QUEUED_COMMIT
};

struct db_queue_entry {
    enum db_queue_kind kind;
    enum db_statement statement;
};

struct db {
    PGconn *pg;              /* never NULL once connected; may be bad */
    struct db_target target; /* owned copies */
    bool is_lost;            /* unusable though libpq may not know: a wait ended at its deadline */
    bool is_in_tx;           /* a struct db_tx owns a transaction */
    bool is_prepared[DB_STATEMENT_COUNT];
    char sqlstate[6];
    uint64_t round_trips;
    struct buf scratch;          /* encoded parameters of one statement */
    struct db_interest interest; /* of db_run_while_wanted, while it runs */

    bool is_in_pipeline;
    bool is_sent; /* the pipeline, with its sync: only its answers are missing */
    bool has_queued_commit;
    struct db_queue_entry *queue; /* owned; grows to DB_QUEUE_MAX */
    size_t queue_len, queue_cap;
    size_t queue_runs; /* of kind DB_QUEUED_RUN */
    size_t unflushed_bytes;
};

MUST_USE bool db_copy_target(const struct db_target *from, struct db_target *out, struct err *err);
void db_free_target(struct db_target *target);

/* Nothing arrived that tells of the connection's end; never waits. */
bool db_looks_alive(struct db *db);

/* ---- waiting (run.c) ----------------------------------------------------------------------- */

/* Sends what is buffered, reading meanwhile so that neither side waits for the other. */
MUST_USE bool db_flush(struct db *db, struct err *err);

/* Waits until PQgetResult would not. */
MUST_USE bool db_await(struct db *db, struct err *err);

/* Sends and takes every result of what was sent before; the last one is *out (NULL: dropped). */
MUST_USE bool db_collect(struct db *db, const char *what, PGresult **out, struct err *err);

/* SQL without parameters, of any number of statements: migrations, LISTEN. */
MUST_USE bool db_run_script(struct db *db, const char *what, const char *sql, struct err *err);

MUST_USE bool db_prepare(struct db *db, enum db_statement statement, struct err *err);
MUST_USE bool db_send(struct db *db, enum db_statement statement, struct db_args args,
                      size_t *sent_bytes, struct err *err);
MUST_USE bool db_send_assembled(struct db *db, const char *sql, struct db_args args,
                                struct err *err);

/* Queues into the open pipeline. */
MUST_USE bool db_queue_as(struct db *db, enum db_queue_kind kind, enum db_statement statement,
                          struct db_args args, struct err *err);

/* ---- errors (error.c) ---------------------------------------------------------------------- */

enum err_code db_code_of_sqlstate(const char *sqlstate);

/* Sets db->sqlstate and *err from a failed result. what: statement name. Always false. */
bool db_fail_result(struct db *db, const char *what, const PGresult *result, struct err *err);

/* The connection is gone. Always false. */
bool db_fail_lost(struct db *db, const char *what, struct err *err);

/* ---- parameters (encode.c) and results (result.c) ------------------------------------------ */

enum {
    DB_ARGS_MAX = 64,              /* of a statement by name */
    DB_ASSEMBLED_ARGS_MAX = 65535, /* what the protocol can count */
};

/* Not to be moved: the pointers may be into `few`. */
struct db_encoded {
    Oid *types;
    const char **values;
    int *lengths;
    int *formats;
    size_t bytes; /* of all values */
    struct {
        Oid types[DB_ARGS_MAX];
        const char *values[DB_ARGS_MAX];
        int lengths[DB_ARGS_MAX];
        int formats[DB_ARGS_MAX];
    } few;
    void *many; /* owned: room for more than that */
};
void db_free_encoded(struct db_encoded *encoded);

Oid db_oid(enum db_type type, bool is_array);

/* Values point into scratch or at the caller's octets. ERR_LIMIT: over 256 MiB in all, or over
 * DB_ASSEMBLED_ARGS_MAX. */
MUST_USE bool db_encode(struct db_args args, struct buf *scratch, struct db_encoded *out,
                        struct err *err);

struct db_result {
    PGresult *pg;
    const char *what; /* for assertions: constant */
};

/* Takes pg in any case. */
MUST_USE bool db_wrap_result(PGresult *pg, const char *what, struct db_result **out,
                             struct err *err);

/* ---- programs (spawn.c) -------------------------------------------------------------------- */

/* Starts a program in a process group of its own, which gets SIGINT when the calling thread ends.
 * output: for both its streams. argv[0] is its path. ERR_ABSENT: no such program. */
MUST_USE bool db_spawn(const char *const *argv, int output, pid_t *pid, struct err *err);

/* Runs a program to its end. output: what it wrote to both streams (NULL: dropped), cut at its ceiling. */
MUST_USE bool db_run_program(const char *const *argv, struct buf *output, int *exit_status,
                             struct err *err);
