/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holdfast-watch: holds chosen mailboxes of many accounts in IDLE, and makes the account's sync due at once when
 * one of them has news (ingest/watch.h).
 *
 * Holds one database connection, in the role of holdfast-ingest, and a connection for each mailbox. What it reads of
 * a source it uses for nothing but that hint. One thread, and a few while connections are made.
 */
#include "conf/runtime.h"
#include "gate/client.h"
#include "ingest/watch.h"
#include "process/process.h"
#include "process/sandbox.h"

#include <stdio.h>

enum {
    CONNECT_MS = 60000,
    TROUBLE_MS = 2000,        /* after a failure of the database */
    WATCHES_EXPECTED = 10000, /* each is a descriptor */
};

/* True: stop. */
static bool mend(struct process *process, struct db *db, struct err *err)
{
    log_warn(&process->log, "the archive failed, watches wait for it", F_ERR(err));
    err_clear(err);
    if (process_wait(process, TROUBLE_MS))
        return true;
    if (!db_reset_if_broken(db, err))
        err_clear(err); /* tried again in the next round */
    return false;
}

static bool watch(struct process *process, struct db *db, struct bytes owner, struct err *err)
{
    CLEANUP(ingest_free_watcher) struct ingest_watcher *watcher = NULL;
    char gate_path[CONF_SOCKET_PATH_BYTES];
    struct ingest_settings settings = {
        .gate_socket = gate_path,
        .stop_fd = process->stop_fd,
        .host_connections = (int32_t)process->conf->ingest.host_connections,
        .log = &process->log,
    };
    size_t told = 0;

    conf_get_socket_path(&process->runtime, GATE_INGEST_SOCKET, gate_path);
    if (!ingest_create_watcher(&settings, owner, &watcher, err))
        return false;
    while (!process_must_stop(process)) {
        size_t watched;

        if (!ingest_watch(watcher, db, err) && mend(process, db, err))
            break;
        watched = ingest_count_watched(watcher);
        if (watched != told)
            log_debug(&process->log, "watching", F_U64("mailboxes", watched));
        told = watched;
    }
    return true;
}

/* What we, or the one before us, held is due at once. */
static bool release(struct db *db, struct bytes owner, struct err *err)
{
    int64_t released;

    return source_release_dead(db, owner, &released, err);
}

int main(int argc, char **argv)
{
    CLEANUP(db_close) struct db *db = NULL;
    CLEANUP(process_end) struct process process = { .stop_fd = -1 };
    char owner[PROCESS_OWNER_BYTES];
    struct err err = { 0 };

    if (!process_start(argc, argv, "watch", "holdfast_ingest", &process, &err)) {
        (void)fprintf(stderr, "holdfast-watch: %s\n", err.text);
        return err_exit_status(err.code);
    }
    process_write_owner(&process, owner);
    process_allow_descriptors(&process, WATCHES_EXPECTED);
    if (!process_enter_sandbox(&process, SANDBOX_CONNECTS, &err) ||
        !process_connect(&process, CONNECT_MS, &db, &err) ||
        !release(db, bytes_of_text(owner), &err)) {
        log_error(&process.log, "cannot start", F_ERR(&err));
        return err_exit_status(err.code);
    }
    process_ready();
    if (!watch(&process, db, bytes_of_text(owner), &err) ||
        !release(db, bytes_of_text(owner), &err)) {
        log_error(&process.log, "ended", F_ERR(&err));
        return err_exit_status(err.code);
    }
    return 0;
}
