/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holdfast-ingest: claims the jobs that are due, one at a time, and runs them.
 *
 * Holds one database connection and, during a job, one connection to a source server, or several of one account
 * (ingest/crew.h). A job that was begun is finished or dropped at a safe point when SIGTERM comes (ingest/run.h).
 *
 * With HOLDFAST_IMPORT_FD=N it serves the one import that is fed through descriptor N (ingest/import.h),
 * and ends.
 */
#include "base/clock.h"
#include "base/fd.h"
#include "conf/runtime.h"
#include "gate/client.h"
#include "ingest/import.h"
#include "ingest/run.h"
#include "process/process.h"
#include "process/sandbox.h"
#include "source/import.h"
#include "source/lease.h"

#include <malloc.h>
#include <stdio.h>
#include <unistd.h>

enum {
    CONNECT_MS = 60000,
    IDLE_MS = 1000, /* between two looks for work; a request is told at once (LISTEN) */
    /* requests come in swarms, and every idle worker hears each: the first is looked for at once,
     * those of so long behind it cost one look more */
    SWARM_MS = 50,
    TROUBLE_MS = 2000, /* after a failure of the database */
    /* in a transaction, beyond the longest silence of a source; more than what the vault leaves
     * between two statements of a large message (VAULT_LARGE_ASK_MS) */
    SPARE_MS = 15000,
};

/* A worker that was stopped, or whose network died, in the middle of a transaction holds its job: nobody
 * else could take it when its lease ends. */
static bool connect_database(const struct process *process, struct db **out, struct err *err)
{
    struct db_target target = process_db_target(process);

    target.transaction_idle_ms = (uint32_t)process->conf->ingest.stall_ms + SPARE_MS;
    return process_connect_to(process, &target, CONNECT_MS, out, err);
}

/* What the one before us left is due at once. */
static bool release_dead(const struct process *process, struct db *db, const char *owner,
                         struct err *err)
{
    int64_t released = 0;

    if (process->worker >= 0 && !source_release_dead(db, bytes_of_text(owner), &released, err))
        return false;
    if (released > 0)
        log_warn(&process->log, "a worker ended in the middle of its job",
                 F_I64("released", released));
    return true;
}

/* Once, when a worker starts: who sets a clock right restarts what went by it. */
static bool mend_schedule(const struct process *process, struct db *db, struct err *err)
{
    int64_t mended;

    if (!source_mend_schedule(db, &mended, err))
        return false;
    if (mended > 0)
        log_warn(&process->log, "the clock of the database was ahead: jobs were put off too long",
                 F_I64("mended", mended));
    return true;
}

/* Claims and runs one job. *has_run false: nothing is due. */
static bool run_one(struct db *db, const char *owner, const struct ingest_settings *settings,
                    bool *has_run, struct err *err)
{
    struct source_lease lease;

    return source_claim_job(db, bytes_of_text(owner), settings->host_connections, &lease, has_run,
                            err) &&
           (!*has_run || ingest_run_job(db, &lease, settings, err));
}

/* Until somebody asks for a run, or a look is due; in a swarm not before next_look. True: stop. */
static bool wait_for_work(struct process *process, struct db *db, struct deadline *next_look)
{
    struct db_notice notice;
    struct err unheard = { 0 };
    bool has_one = true;

    if (process_wait_for(process, db_fd(db), IDLE_MS) ||
        process_wait(process, deadline_poll_ms(*next_look)))
        return true;
    *next_look = deadline_after_ms(SWARM_MS);
    while (has_one)
        if (!db_take_notice(db, &notice, &has_one, &unheard))
            return process_wait(process, IDLE_MS); /* the next look finds out what it is */
    return false;
}

/* True: stop. */
static bool mend(struct process *process, struct db *db, struct err *err)
{
    log_warn(&process->log, "the archive failed, the job is left to its lease", F_ERR(err));
    err_clear(err);
    if (process_wait(process, TROUBLE_MS))
        return true;
    if (!db_reset_if_broken(db, err) || !db_listen(db, SOURCE_JOB_CHANNEL, err))
        err_clear(err); /* tried again in the next round */
    return false;
}

static void work(struct process *process, struct db *db, const char *owner)
{
    char gate_path[CONF_SOCKET_PATH_BYTES];
    struct ingest_settings settings = {
        .gate_socket = gate_path,
        .stall_ms = process->conf->ingest.stall_ms,
        .stop_fd = process->stop_fd,
        .host_connections = (int32_t)process->conf->ingest.host_connections,
        .slice_ms = process->conf->ingest.slice_ms,
        .compress = process->conf->ingest.compress,
        .recognises = process->conf->ingest.recognise,
        .log = &process->log,
    };
    struct deadline next_look = deadline_after_ms(0);

    conf_get_socket_path(&process->runtime, GATE_INGEST_SOCKET, gate_path);
    while (!process_must_stop(process)) {
        bool has_run = false;
        struct err err = { 0 };

        if (!run_one(db, owner, &settings, &has_run, &err)) {
            if (mend(process, db, &err))
                return;
        } else if (!has_run && wait_for_work(process, db, &next_look)) {
            return;
        }
    }
}

static int import(struct process *process, struct db *db, int feed_fd)
{
    struct ingest_settings settings = { .stop_fd = process->stop_fd, .log = &process->log };
    struct err err = { 0 };
    char text[SOURCE_IMPORT_OWNER_BYTES];

    if (ingest_run_import(db, feed_fd, source_import_owner((int)getpid(), text), &settings, &err))
        return 0;
    log_error(&process->log, "import failed", F_ERR(&err));
    return err_exit_status(err.code);
}

int main(int argc, char **argv)
{
    CLEANUP(fd_close) int feed_fd = process_take_number("HOLDFAST_IMPORT_FD");
    CLEANUP(db_close) struct db *db = NULL;
    struct process process;
    char owner[PROCESS_OWNER_BYTES];
    struct err err = { 0 };
    int status = 0;

    /* What one thread prepares another frees: with an arena each, they would hold a quarter more, for the same CPU. */
    (void)mallopt(M_ARENA_MAX, 1);
    if (!process_start(argc, argv, "ingest", "holdfast_ingest", &process, &err)) {
        (void)fprintf(stderr, "holdfast-ingest: %s\n", err.text);
        return err_exit_status(err.code);
    }
    process_write_owner(&process, owner);
    if (!process_enter_sandbox(&process, SANDBOX_CONNECTS, &err) ||
        !connect_database(&process, &db, &err) || !db_listen(db, SOURCE_JOB_CHANNEL, &err) ||
        !release_dead(&process, db, owner, &err) || !mend_schedule(&process, db, &err)) {
        log_error(&process.log, "cannot start", F_ERR(&err));
        process_end(&process);
        return err_exit_status(err.code);
    }
    process_ready();
    if (feed_fd >= 0)
        status = import(&process, db, feed_fd);
    else
        work(&process, db, owner);
    db_close(&db);
    process_end(&process);
    return status;
}
