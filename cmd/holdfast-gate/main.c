/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holdfast-gate - the one process that holds the master key. It checks auditors' passwords, opens
 * packs for those who may read them, and hands the secret of a claimed account to its worker.
 *
 * It parses no mail and talks to nobody but its two Unix sockets, the database and the token endpoints of
 * accounts (OAuth).
 */
#include "auth/secret.h"
#include "conf/runtime.h"
#include "db/migrate.h"
#include "gate/client.h"
#include "holdfast-gate/gate.h"
#include "oauth/grant.h"
#include "process/process.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    DATABASE_WAIT_MS = 60000,
    STATEMENT_TIMEOUT_MS = 5000, /* below VISIT_ANSWER_MS: a hung server costs no visitor more */
    CONNECT_TIMEOUT_MS = 3000,
    IMAPD_CONNECTIONS = 4,
    INGEST_CONNECTIONS = 2,
};

static bool load_master_key(const struct conf *conf, struct crypto_key **out, struct err *err)
{
    char path[PATH_MAX];
    int len = snprintf(path, sizeof path, "%s/" AUTH_MASTER_KEY_FILE, conf->holdfast.data_dir);

    if (len < 0 || (size_t)len >= sizeof path)
        return err_fail(err, ERR_LIMIT, "the path of the master key is too long");
    return crypto_load_key_file(path, out, err) || err_wrap(err, "master key");
}

/* Fails here, once and loudly, rather than with every request. */
static bool check_database(const struct process *process, struct err *err)
{
    CLEANUP(db_close) struct db *db = NULL;

    return process_connect(process, DATABASE_WAIT_MS, &db, err) && db_check_schema(db, err);
}

static uint32_t kdfs_at_once(void)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);

    return processors >= 4 ? (uint32_t)(processors / 2) : 1;
}

static unsigned visitors_for(uint32_t threads)
{
    if (threads < DOOR_VISITORS_MIN)
        return DOOR_VISITORS_MIN;
    return threads < DOOR_VISITORS_MAX ? threads : DOOR_VISITORS_MAX;
}

static bool make_desks(const struct process *process, const struct crypto_key *master,
                       struct hall *hall, struct err *err)
{
    struct db_target target = process_db_target(process);
    struct auth_desk_settings settings = {
        .target = &target,
        .master = master,
        .data_dir = process->conf->holdfast.data_dir,
        .max_kdfs = kdfs_at_once(),
    };

    target.statement_timeout_ms = STATEMENT_TIMEOUT_MS;
    target.connect_timeout_ms = CONNECT_TIMEOUT_MS;
    hall->doors[AUTH_DOOR_IMAPD].visitors_max = visitors_for(process->conf->imapd.active_threads);
    settings.door = AUTH_DOOR_IMAPD;
    settings.connections = IMAPD_CONNECTIONS;
    if (!auth_create_desk(&settings, &hall->doors[AUTH_DOOR_IMAPD].desk, err))
        return false;
    settings.door = AUTH_DOOR_INGEST;
    settings.connections = INGEST_CONNECTIONS;
    return auth_create_desk(&settings, &hall->doors[AUTH_DOOR_INGEST].desk, err);
}

static bool open_doors(const struct process *process, struct hall *hall, struct err *err)
{
    char imapd[CONF_SOCKET_PATH_BYTES], ingest[CONF_SOCKET_PATH_BYTES];
    const char *const paths[DOOR_COUNT] = {
        [AUTH_DOOR_IMAPD] = imapd,
        [AUTH_DOOR_INGEST] = ingest,
    };

    conf_get_socket_path(&process->runtime, GATE_IMAPD_SOCKET, imapd);
    conf_get_socket_path(&process->runtime, GATE_INGEST_SOCKET, ingest);
    return hall_make_doors(hall, paths, err);
}

/* Ends with *hall empty, or not at all: then the process does, with everything in it. */
static bool run(const struct process *process, struct hall *hall, struct err *err)
{
    bool is_good = hall_receive(hall, process->stop_fd, err);

    if (!hall_wait_until_empty(hall, deadline_after_ms(PROCESS_STOP_MS))) {
        log_warn(&process->log, "stopped with requests unanswered");
        _exit(is_good ? EXIT_SUCCESS : err_exit_status(err->code));
    }
    return is_good;
}

static bool gate(const struct process *process, struct err *err)
{
    CLEANUP(crypto_free_key) struct crypto_key *master = NULL;
    CLEANUP(hall_close) struct hall hall;

    hall_open(&hall, &process->log);
    if (!oauth_start(err) || !load_master_key(process->conf, &master, err) ||
        !check_database(process, err) || !make_desks(process, master, &hall, err) ||
        !open_doors(process, &hall, err))
        return false;
    log_info(&process->log, "ready");
    process_ready();
    return run(process, &hall, err);
}

int main(int argc, char **argv)
{
    CLEANUP(process_end) struct process process = { .stop_fd = -1 };
    struct err err = { 0 };

    if (!process_start(argc, argv, "gate", db_role_name(DB_ROLE_GATE), &process, &err)) {
        (void)fprintf(stderr, "holdfast-gate: %s\n", err.text);
        return err.code == ERR_SYNTAX ? 2 : err_exit_status(err.code);
    }
    if (gate(&process, &err)) {
        log_info(&process.log, "stopped");
        return EXIT_SUCCESS;
    }
    log_error(&process.log, "ended", F_ERR(&err));
    return err_exit_status(err.code);
}
