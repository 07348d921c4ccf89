/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holdfast-imapd - the read-only IMAP endpoint (lib/serve), as database role holdfast_reader.
 *
 * Holds the TLS key, database connections that can only read and append to the audit, and the tokens
 * of the auditors that are logged in; nothing else.
 */
#include "audit/writer.h"
#include "auth/client.h"
#include "db/migrate.h"
#include "db/pool.h"
#include "net/tls.h"
#include "operate/install.h"
#include "process/process.h"
#include "process/sandbox.h"
#include "serve/server.h"
#include "vault/watch.h"

#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    READ_CONNECTIONS = 16, /* borrowed for a batch each, so a few serve many sessions */
    CHECK_CONNECTIONS = 4, /* does the login still hold: must not wait behind long searches */
    START_MS = 60000,
    WATCH_STATEMENT_MS = 10000, /* about idle sessions: then it is asked again */
};

struct imapd {
    struct process process;
    struct net_tls *tls;
    struct db_pool *readers;
    struct db_pool *primary;
    struct auth_client gate;
    struct audit_writer *audit;
    struct vault_watch *watch;
    struct serve_server *server;
};

static bool load_certificate(struct imapd *imapd, struct err *err)
{
    const struct conf *conf = imapd->process.conf;
    char cert[PATH_MAX];
    char key[PATH_MAX];

    if (conf->imapd.tls_cert[0] != '\0')
        return net_create_tls_server(conf->imapd.tls_cert, conf->imapd.tls_key, &imapd->tls, err);
    return operate_get_path(conf, OPERATE_CERTIFICATE_FILE, cert, err) &&
           operate_get_path(conf, OPERATE_TLS_KEY_FILE, key, err) &&
           net_create_tls_server(cert, key, &imapd->tls, err);
}

static bool check_database(struct imapd *imapd, struct err *err)
{
    CLEANUP(db_close) struct db *db = NULL;

    return process_connect(&imapd->process, START_MS, &db, err) && db_check_schema(db, err);
}

static bool make_watch(struct imapd *imapd, struct err *err)
{
    struct db_target target = process_db_target(&imapd->process);

    target.statement_timeout_ms = WATCH_STATEMENT_MS;
    return vault_create_watch(&target, &imapd->watch, err);
}

static bool wire_up(struct imapd *imapd, struct err *err)
{
    const struct conf *conf = imapd->process.conf;
    struct db_target target = process_db_target(&imapd->process);
    uint32_t active = conf->imapd.active_threads;
    size_t readers = active < READ_CONNECTIONS ? active : READ_CONNECTIONS;
    struct serve_settings settings = {
        .log = &imapd->process.log,
        .listen = &conf->imapd.listen,
        .listen_tls = &conf->imapd.listen_tls,
        .shows_all_seen = conf->imapd.flags == CONF_FLAGS_SEEN,
        .active_threads = active,
        .allows_plain_loopback = conf->imapd.plain_loopback,
        .stop_fd = imapd->process.stop_fd,
        .auth = &imapd->gate,
    };

    if (!load_certificate(imapd, err) ||
        !process_enter_sandbox(&imapd->process, SANDBOX_LISTENS, err) ||
        !check_database(imapd, err) || !db_pool_create(&target, readers, &imapd->readers, err) ||
        !db_pool_create(&target, CHECK_CONNECTIONS, &imapd->primary, err) ||
        !auth_init_client(imapd->process.runtime.dir, &imapd->gate, err) ||
        !audit_create_writer(&target, &imapd->process.log, &imapd->audit, err) ||
        !make_watch(imapd, err))
        return false;
    settings.tls = imapd->tls;
    settings.pool = imapd->readers;
    settings.read_connections = readers;
    settings.primary = imapd->primary;
    settings.audit = imapd->audit;
    settings.watch = imapd->watch;
    return serve_create(&settings, &imapd->server, err);
}

static void take_down(struct imapd *imapd)
{
    serve_free(&imapd->server);
    vault_free_watch(&imapd->watch);
    audit_free_writer(&imapd->audit);
    db_pool_free(&imapd->primary);
    db_pool_free(&imapd->readers);
    net_free_tls(&imapd->tls);
    process_end(&imapd->process);
}

int main(int argc, char **argv)
{
    struct imapd imapd = { .process = { .stop_fd = -1 } };
    struct log early = { .fd = STDERR_FILENO, .level = LOG_INFO, .process = "imapd" };
    struct err err = { 0 };

    if (!process_start(argc, argv, "imapd", "holdfast_reader", &imapd.process, &err)) {
        log_error(&early, "cannot start", F_ERR(&err));
        return err_exit_status(err.code);
    }
    /* a session is one (DESIGN 11) */
    process_allow_descriptors(&imapd.process, SERVE_SESSIONS_MAX);
    if (!wire_up(&imapd, &err)) {
        log_error(&imapd.process.log, "cannot start", F_ERR(&err));
        take_down(&imapd);
        return err_exit_status(err.code);
    }
    log_info(&imapd.process.log, "serving", F_U64("port", serve_get_port(imapd.server, false)),
             F_U64("tls_port", serve_get_port(imapd.server, true)));
    process_ready();
    if (!serve_run(imapd.server, &err)) {
        log_error(&imapd.process.log, "stopped", F_ERR(&err));
        _exit(err_exit_status(err.code)); /* threads still use what take_down would free */
    }
    take_down(&imapd);
    return EXIT_SUCCESS;
}
