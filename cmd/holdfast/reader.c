/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holdfast/reader.c - the child in which show, search and export read: it has no more rights in the
 * database than an auditor has, the reader's role and a token of its own, whose making is audited.
 */
#include "audit/append.h"
#include "auth/session.h"
#include "base/fd.h"
#include "db/cluster.h"
#include "db/pool.h"
#include "holdfast/cli.h"
#include "source/account.h"
#include "vault/pack.h"
#include "vault/read.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    TOKEN_SECONDS = 24 * 3600, /* a large export through a slow pipe; ended when the child has */
    CONNECTIONS = 2,           /* one to page with, one to read with */
};

/* What the child is told over a pipe once everything is open. Wiped by both. */
struct order {
    struct conf_runtime runtime;
    int64_t number;
    size_t token_len, password_len; /* password_len 0: libpq's own means */
    uint8_t token[AUDIT_TOKEN_BYTES];
    uint8_t password[256];
};

static void wipe_order(struct order *order)
{
    secret_wipe(order, sizeof *order);
}

/* ---- the child ------------------------------------------------------------------------------- */

static int read_mail(struct cli *cli, const struct cli_reading *reading, const struct order *order)
{
    CLEANUP(secret_free) struct secret *token = NULL;
    CLEANUP(secret_free) struct secret *password = NULL;
    CLEANUP(db_pool_free) struct db_pool *pool = NULL;
    CLEANUP(vault_close_reader) struct vault_reader *vault = NULL;
    struct operate_session place = { .conf = cli->conf, .runtime = order->runtime };
    struct vault_pack_opener opener = { vault_open_pack_in_folder, cli_packs_dir(cli) };
    struct cli_reader reader = { .cli = cli, .number = order->number };
    struct db_target target;

    if (!secret_create(bytes_of(order->token, order->token_len), &token, &cli->err) ||
        (order->password_len > 0 &&
         !secret_create(bytes_of(order->password, order->password_len), &password, &cli->err)))
        return cli_fail(cli);
    target = operate_session_target(&place, db_role_name(DB_ROLE_READER), password);
    if (!db_pool_create(&target, CONNECTIONS, &pool, &cli->err) ||
        !vault_open_reader(pool, token, &opener, &vault, &cli->err))
        return cli_fail(cli);
    reader.token = token;
    reader.pool = pool;
    reader.vault = vault;
    return reading->run(&reader, reading->context);
}

static void run_child(struct cli *cli, const struct cli_reading *reading, int orders)
{
    CLEANUP(wipe_order) struct order order;
    size_t len = 0;
    int status;

    (void)prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    while (len < sizeof order) {
        ssize_t got = read(orders, (uint8_t *)&order + len, sizeof order - len);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            _exit(EXIT_FAILURE); /* the parent has said why */
        len += (size_t)got;
    }
    status = read_mail(cli, reading, &order);
    if (fflush(stdout) != 0 && status == EXIT_SUCCESS)
        status = EXIT_FAILURE;
    _exit(status);
}

/* ---- the parent ------------------------------------------------------------------------------ */

static bool copy_secret(const struct secret *secret, uint8_t *out, size_t size, size_t *len,
                        struct err *err)
{
    struct bytes octets = secret_bytes(secret);

    if (octets.len > size)
        return err_fail(err, ERR_LIMIT, "a secret is too long");
    memcpy(out, octets.ptr, octets.len);
    *len = octets.len;
    return true;
}

/* A token that sees no more accounts than needed. */
static bool mint_token(struct cli *cli, const struct cli_reading *reading, struct secret **token,
                       int64_t *number)
{
    const int64_t *accounts = NULL;
    size_t count = 0;

    *number = 0;
    return (reading->prepare == NULL ||
            reading->prepare(cli, reading->context, &accounts, &count, number)) &&
           auth_mint_operator_session(cli->session.db, accounts, count, TOKEN_SECONDS, token,
                                      &cli->err);
}

static bool give_order(struct cli *cli, const struct secret *token, int64_t number, int orders)
{
    CLEANUP(wipe_order)
    struct order order = { .runtime = cli->session.runtime, .number = number };
    CLEANUP(secret_free) struct secret *password = NULL;

    if (!db_read_password(cli->conf->holdfast.data_dir, DB_ROLE_READER, &password, &cli->err)) {
        if (cli->conf->database.url[0] == '\0' || cli->err.code != ERR_ABSENT)
            return false;
        err_clear(&cli->err);
    } else if (!copy_secret(password, order.password, sizeof order.password, &order.password_len,
                            &cli->err)) {
        return false;
    }
    return copy_secret(token, order.token, sizeof order.token, &order.token_len, &cli->err) &&
           fd_write_all(orders, bytes_of(&order, sizeof order), &cli->err);
}

static int wait_for(pid_t pid)
{
    int status;

    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR)
            return EXIT_FAILURE;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
}

int cli_read_by_child(struct cli *cli, const struct cli_reading *reading)
{
    CLEANUP(secret_free) struct secret *token = NULL;
    CLEANUP(fd_close) int orders = -1;
    bool is_ordered;
    int64_t number;
    int status;
    int ends[2];
    pid_t pid;

    if (pipe2(ends, O_CLOEXEC) != 0) {
        (void)err_errno(&cli->err, "pipe");
        return cli_fail(cli);
    }
    orders = ends[1];
    pid = fork(); /* before there is any secret or connection to inherit */
    if (pid == 0) {
        fd_close(&orders);
        run_child(cli, reading, ends[0]);
    }
    fd_close(&ends[0]);
    if (pid < 0) {
        (void)err_errno(&cli->err, "start the reading child");
        return cli_fail(cli);
    }
    is_ordered = cli_open(cli, OPERATE_SERVICE_DATABASE) &&
                 mint_token(cli, reading, &token, &number) &&
                 give_order(cli, token, number, orders);
    fd_close(&orders);
    status = wait_for(pid);
    if (!is_ordered)
        return cli_fail(cli);
    if (!auth_end_session(cli->session.db, token, &cli->err))
        return cli_fail(cli);
    return status;
}

bool cli_find_accounts(struct cli *cli, const struct cli_list *names, const int64_t **accounts,
                       size_t *count)
{
    int64_t *ids = arena_new_array(cli->arena, int64_t, names->count);

    for (size_t i = 0; i < names->count; i++) {
        if (!source_find_account(cli->session.db, names->items[i], &ids[i], &cli->err))
            return false;
    }
    *accounts = ids;
    *count = names->count;
    return true;
}

bool cli_append_audit(struct cli_reader *reader, const struct audit_event *event)
{
    enum {
        BORROW_MS = 10000
    };
    CLEANUP(db_pool_return) struct db_loan loan = { 0 };
    struct audit_event copy = *event;

    copy.token = secret_bytes(reader->token);
    if (!db_pool_borrow(reader->pool, deadline_after_ms(BORROW_MS), &loan, &reader->cli->err) ||
        !audit_append_one(loan.db, &copy, &reader->cli->err))
        return err_wrap(&reader->cli->err, "audit");
    return true;
}
