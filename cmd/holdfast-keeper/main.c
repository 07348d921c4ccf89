/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holdfast-keeper - looks after what is archived: the spool's weeks now; packs and the signed chain
 * next. It accepts no connections.
 */
#include "db/migrate.h"
#include "keep/spool.h"
#include "process/process.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    DATABASE_WAIT_MS = 60000,
    ROUND_MS = 3600 * 1000,
    RETRY_MS = 10 * 1000,
};

/* True: done until the next round. */
static bool work(const struct process *process, struct db *db)
{
    struct keep_spool_work spool;
    struct err err = { 0 };

    if (!db_reset_if_broken(db, &err) || !keep_spool_weeks(db, &spool, &err)) {
        log_warn(&process->log, "spool weeks not kept", F_ERR(&err));
        return false;
    }
    if (spool.added > 0 || spool.dropped > 0)
        log_info(&process->log, "spool weeks kept", F_U64("added", spool.added),
                 F_U64("dropped", spool.dropped), F_U64("waiting", spool.waiting));
    return true;
}

static bool keep(const struct process *process, struct err *err)
{
    CLEANUP(db_close) struct db *db = NULL;
    bool is_done;

    if (!process_connect(process, DATABASE_WAIT_MS, &db, err) || !db_check_schema(db, err))
        return false;
    log_info(&process->log, "ready");
    is_done = work(process, db);
    process_ready();
    while (!process_wait(process, is_done ? ROUND_MS : RETRY_MS))
        is_done = work(process, db);
    return true;
}

int main(int argc, char **argv)
{
    CLEANUP(process_end) struct process process = { .stop_fd = -1 };
    struct err err = { 0 };

    if (!process_start(argc, argv, "keeper", db_role_name(DB_ROLE_KEEPER), &process, &err)) {
        (void)fprintf(stderr, "holdfast-keeper: %s\n", err.text);
        return err.code == ERR_SYNTAX ? 2 : err_exit_status(err.code);
    }
    if (keep(&process, &err)) {
        log_info(&process.log, "stopped");
        return EXIT_SUCCESS;
    }
    log_error(&process.log, "ended", F_ERR(&err));
    return err_exit_status(err.code);
}
