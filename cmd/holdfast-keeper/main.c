/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holdfast-keeper - looks after what is archived: the spool's weeks and packs; the signed chain next.
 * It accepts no connections.
 */
#include "base/clock.h"
#include "db/migrate.h"
#include "keep/seal.h"
#include "keep/spool.h"
#include "process/process.h"
#include "vault/rebuild.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    DATABASE_WAIT_MS = 60000,
    SPOOL_MS = 3600 * 1000,
    RETRY_MS = 10 * 1000,
    REQUESTS_MS = 2000,
    DUE_MS = 60 * 1000,
    DUE_SHARE = 20, /* looking for what is due takes at most one part in so many of the time */
};

struct keeper {
    const struct process *process;
    struct db *db;
    struct keep_seal seal;
    char packs_dir[PATH_MAX];
    struct deadline next_spool, next_due;
    bool is_rebuilding; /* as was told last */
};

/* ---- told by lib/keep -------------------------------------------------------------------------- */

static bool must_stop(void *context)
{
    const struct keeper *keeper = context;

    return process_must_stop(keeper->process);
}

static void on_pack(void *context, int64_t account_id, const struct vault_sealed *pack)
{
    const struct keeper *keeper = context;

    log_info(&keeper->process->log, "pack sealed", F_I64("account", account_id),
             F_I64("pack", pack->pack_id), F_U64("bytes", pack->stored_bytes),
             F_U64("frames", pack->frames), F_U64("runs", pack->runs),
             F_U64("joined", pack->joined_runs));
}

static void on_failure(void *context, int64_t account_id, const struct err *why)
{
    const struct keeper *keeper = context;

    log_error(&keeper->process->log, "account not sealed", F_I64("account", account_id),
              F_ERR(why));
}

/* ---- rounds ------------------------------------------------------------------------------------ */

static bool keep_spool(struct keeper *keeper, struct err *err)
{
    const struct log *log = &keeper->process->log;
    struct keep_spool_work spool;

    if (!keep_spool_weeks(keeper->db, &spool, err))
        return err_wrap(err, "spool weeks");
    if (spool.added > 0 || spool.dropped > 0)
        log_info(log, "spool weeks kept", F_U64("added", spool.added),
                 F_U64("dropped", spool.dropped), F_U64("waiting", spool.waiting));
    keeper->next_spool = deadline_after_ms(SPOOL_MS);
    return true;
}

/* A rebuild keeps everything from being sealed, an abandoned one for ever: nobody should have to find that out. */
static bool tell_rebuild(struct keeper *keeper, struct err *err)
{
    const struct log *log = &keeper->process->log;
    bool was_rebuilding = keeper->is_rebuilding;

    if (!vault_is_rebuild_running(keeper->db, &keeper->is_rebuilding, err))
        return false;
    if (keeper->is_rebuilding && !was_rebuilding)
        log_warn(log, "nothing is sealed until the rebuild is finished",
                 F_TEXT("command", "holdfast rebuild"));
    else if (was_rebuilding && !keeper->is_rebuilding)
        log_info(log, "the rebuild is finished");
    return true;
}

static bool seal_due(struct keeper *keeper, struct err *err)
{
    int64_t began_usec = clock_now_usec();
    int64_t spent_ms;
    struct keep_seal_work work;

    if (!tell_rebuild(keeper, err) || !keep_seal_due(keeper->db, &keeper->seal, &work, err))
        return err_wrap(err, "sealing");
    if (work.has_cleared)
        keeper->next_spool = deadline_after_ms(0);
    spent_ms = (clock_now_usec() - began_usec) / 1000;
    if (work.packs == 0 && spent_ms * DUE_SHARE > DUE_MS)
        keeper->next_due = deadline_after_ms(spent_ms * DUE_SHARE);
    else
        keeper->next_due = deadline_after_ms(DUE_MS);
    return true;
}

/* False: to be tried again in a while. */
static bool work(struct keeper *keeper, struct err *err)
{
    struct keep_seal_work requested;

    if (!db_reset_if_broken(keeper->db, err) ||
        !keep_seal_requests(keeper->db, &keeper->seal, &requested, err))
        return false;
    if (deadline_has_passed(keeper->next_due) && !seal_due(keeper, err))
        return false;
    return !deadline_has_passed(keeper->next_spool) || keep_spool(keeper, err);
}

static bool prepare(struct keeper *keeper, struct err *err)
{
    const struct conf *conf = keeper->process->conf;
    int length = snprintf(keeper->packs_dir, PATH_MAX, "%s/packs", conf->holdfast.data_dir);

    if (length < 0 || length >= PATH_MAX)
        return err_fail(err, ERR_LIMIT, "the data directory's path is too long");
    keeper->seal = (struct keep_seal){ .packs_dir = keeper->packs_dir,
                                       .seal_bytes = conf->store.seal_bytes,
                                       .context = keeper,
                                       .must_stop = must_stop,
                                       .on_pack = on_pack,
                                       .on_failure = on_failure };
    keeper->next_spool = keeper->next_due = deadline_after_ms(0);
    return vault_seal_recover(keeper->db, keeper->packs_dir, err);
}

static bool keep(const struct process *process, struct err *err)
{
    CLEANUP(db_close) struct db *db = NULL;
    struct keeper keeper = { .process = process };
    struct err why = { 0 };
    bool is_done;

    if (!process_connect(process, DATABASE_WAIT_MS, &db, err) || !db_check_schema(db, err))
        return false;
    keeper.db = db;
    if (!prepare(&keeper, err))
        return false;
    log_info(&process->log, "ready");
    if (!keep_spool(&keeper, &why)) /* before ingest begins: it needs a partition */
        log_warn(&process->log, "spool not kept", F_ERR(&why));
    process_ready();
    do {
        err_clear(&why);
        is_done = work(&keeper, &why);
        if (!is_done)
            log_warn(&process->log, "round not finished", F_ERR(&why));
    } while (!process_wait(process, is_done ? REQUESTS_MS : RETRY_MS));
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
