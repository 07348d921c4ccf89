/* SPDX-License-Identifier: Apache-2.0 */
/*
 * db/tx.c - transactions and savepoints; inside a pipeline they are queued.
 */
#include "db/internal.h"

static enum db_statement begin_statement(enum db_isolation isolation)
{
    switch (isolation) {
    case DB_READ_COMMITTED:
        return DB_SESSION_BEGIN_READ_COMMITTED;
    case DB_REPEATABLE_READ:
        return DB_SESSION_BEGIN_REPEATABLE_READ;
    case DB_REPEATABLE_READ_ONLY:
        return DB_SESSION_BEGIN_REPEATABLE_READ_ONLY;
    case DB_SERIALIZABLE:
        return DB_SESSION_BEGIN_SERIALIZABLE;
    }
    UNREACHABLE();
}

bool db_begin(struct db *db, enum db_isolation isolation, struct db_tx *tx, struct err *err)
{
    enum db_statement statement = begin_statement(isolation);

    assert(!db->is_in_tx && "a transaction is open already");
    if (db->is_in_pipeline) {
        assert(!db->has_queued_commit && "one transaction in a pipeline");
        if (!db_queue_as(db, DB_QUEUED_BEGIN, statement, DB_NO_ARGS, err))
            return false;
    } else if (!db_run_ok(db, statement, DB_NO_ARGS, err)) {
        return false;
    }
    db->is_in_tx = true;
    tx->db = db;
    return true;
}

/* COMMIT of a transaction in which a statement failed is answered ROLLBACK, as if all were well. */
static bool commit_now(struct db *db, struct err *err)
{
    PGresult *pg = NULL;
    bool is_committed;

    db->sqlstate[0] = '\0';
    if (!db_prepare(db, DB_SESSION_COMMIT, err) ||
        !db_send(db, DB_SESSION_COMMIT, DB_NO_ARGS, NULL, err) ||
        !db_collect(db, "commit", &pg, err))
        return false;
    is_committed = strcmp(PQcmdStatus(pg), "COMMIT") == 0;
    PQclear(pg);
    return is_committed ||
           err_fail(err, ERR_SYSTEM, "commit: a statement of this transaction had failed");
}

static bool commit(struct db *db, struct err *err)
{
    if (!db->is_in_pipeline)
        return (!db_is_broken(db) || db_fail_lost(db, "commit", err)) && commit_now(db, err);
    if (!db_queue_as(db, DB_QUEUED_COMMIT, DB_SESSION_COMMIT, DB_NO_ARGS, err))
        return false;
    db->has_queued_commit = true;
    return true;
}

bool db_commit(struct db_tx *tx, struct err *err)
{
    assert(tx->db != NULL && tx->db->is_in_tx && "no transaction is open");
    if (!commit(tx->db, err)) {
        db_rollback(tx);
        return false;
    }
    tx->db->is_in_tx = false;
    tx->db = NULL;
    return true;
}

void db_rollback(struct db_tx *tx)
{
    struct db *db = tx->db;
    struct err ignored = { 0 };

    if (db == NULL)
        return;
    db_pipeline_cancel(db);
    db->is_in_tx = false;
    tx->db = NULL;
    if (db_is_broken(db) || PQtransactionStatus(db->pg) == PQTRANS_IDLE)
        return;
    if (!db_run_script(db, "rollback", "ROLLBACK", &ignored))
        db->is_lost = true;
}

bool db_savepoint_begin(struct db_tx *tx, struct err *err)
{
    assert(tx->db != NULL);
    return db_run_ok(tx->db, DB_SESSION_SAVEPOINT, DB_NO_ARGS, err);
}

bool db_savepoint_keep(struct db_tx *tx, struct err *err)
{
    assert(tx->db != NULL);
    return db_run_ok(tx->db, DB_SESSION_SAVEPOINT_RELEASE, DB_NO_ARGS, err);
}

bool db_savepoint_undo(struct db_tx *tx, struct err *err)
{
    assert(tx->db != NULL);
    return db_run_script(tx->db, "savepoint undo",
                         "ROLLBACK TO SAVEPOINT nested; RELEASE SAVEPOINT nested", err);
}
