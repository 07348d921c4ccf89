/* SPDX-License-Identifier: Apache-2.0 */
#include "holdfast/child.h"

#include "base/fd.h"
#include "db/cluster.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Over the pipe. Wiped by both. */
struct order {
    struct conf_runtime runtime;
    enum db_role role;
    size_t token_len, password_len; /* password_len 0: libpq's own means */
    uint8_t token[AUDIT_TOKEN_BYTES];
    uint8_t password[256];
};

static void wipe_order(struct order *order)
{
    secret_wipe(order, sizeof *order);
}

/* False: the other end was closed before. */
static bool read_whole(int fd, void *out, size_t size)
{
    size_t len = 0;

    while (len < size) {
        ssize_t got = read(fd, (uint8_t *)out + len, size - len);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        len += (size_t)got;
    }
    return true;
}

/* ---- the child ---------------------------------------------------------------------------------------- */

static bool run_errand(struct cli *cli, const struct order *order, cli_errand_fn *run, void *context,
                       void *answer)
{
    CLEANUP(secret_free) struct secret *token = NULL;
    CLEANUP(secret_free) struct secret *password = NULL;
    struct operate_session place = { .conf = cli->conf, .runtime = order->runtime };
    struct cli_errand errand = { .context = context };

    if ((order->token_len > 0 &&
         !secret_create(bytes_of(order->token, order->token_len), &token, &cli->err)) ||
        (order->password_len > 0 &&
         !secret_create(bytes_of(order->password, order->password_len), &password, &cli->err)))
        return false;
    errand.token = token;
    errand.target = operate_session_target(&place, db_role_name(order->role), password);
    return run(cli, &errand, answer);
}

static _Noreturn void be_child(struct cli *cli, cli_errand_fn *run, void *context, int orders,
                               int answers)
{
    CLEANUP(wipe_order) struct order order;
    uint8_t answer[CLI_ANSWER_BYTES] = { 0 };
    struct err ignored = { 0 };
    int status = EXIT_SUCCESS;

    (void)prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (!read_whole(orders, &order, sizeof order))
        _exit(EXIT_FAILURE); /* the parent has said why */
    if (!run_errand(cli, &order, run, context, answer))
        status = cli_fail(cli);
    if (!fd_write_all(answers, bytes_of(answer, sizeof answer), &ignored) ||
        fflush(stdout) != 0)
        status = status == EXIT_SUCCESS ? EXIT_FAILURE : status;
    _exit(status);
}

/* ---- the parent --------------------------------------------------------------------------------------- */

bool cli_fork_child(struct cli *cli, cli_errand_fn *run, void *context, struct cli_child *out)
{
    int orders[2], answers[2];
    pid_t pid;

    if (pipe2(orders, O_CLOEXEC) != 0)
        return err_errno(&cli->err, "pipe");
    if (pipe2(answers, O_CLOEXEC) != 0) {
        (void)err_errno(&cli->err, "pipe");
        (void)close(orders[0]);
        (void)close(orders[1]);
        return false;
    }
    (void)fflush(stdout);
    pid = fork();
    if (pid == 0) {
        (void)close(orders[1]);
        (void)close(answers[0]);
        be_child(cli, run, context, orders[0], answers[1]);
    }
    (void)close(orders[0]);
    (void)close(answers[1]);
    if (pid < 0) {
        (void)err_errno(&cli->err, "start the reading child");
        (void)close(orders[1]);
        (void)close(answers[0]);
        return false;
    }
    *out = (struct cli_child){ (int)pid, orders[1], answers[0] };
    return true;
}

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

bool cli_order_child(struct cli *cli, struct cli_child *child, enum db_role role,
                     const struct secret *token)
{
    CLEANUP(wipe_order) struct order order = { .runtime = cli->session.runtime, .role = role };
    CLEANUP(secret_free) struct secret *password = NULL;

    if (!db_read_password(cli->conf->holdfast.data_dir, role, &password, &cli->err)) {
        if (cli->conf->database.url[0] == '\0' || cli->err.code != ERR_ABSENT)
            return false;
        err_clear(&cli->err);
    } else if (!copy_secret(password, order.password, sizeof order.password, &order.password_len,
                            &cli->err)) {
        return false;
    }
    if (token != NULL &&
        !copy_secret(token, order.token, sizeof order.token, &order.token_len, &cli->err))
        return false;
    return fd_write_all(child->orders, bytes_of(&order, sizeof order), &cli->err);
}

int cli_await_child(struct cli_child *child, void *answer, size_t answer_bytes)
{
    uint8_t whole[CLI_ANSWER_BYTES] = { 0 };
    int status = 0;

    assert(answer_bytes <= sizeof whole);
    fd_close(&child->orders);
    if (!read_whole(child->answers, whole, sizeof whole))
        memset(whole, 0, sizeof whole);
    if (answer_bytes > 0)
        memcpy(answer, whole, answer_bytes);
    fd_close(&child->answers);
    while (waitpid(child->pid, &status, 0) < 0) {
        if (errno != EINTR) {
            status = -1;
            break;
        }
    }
    child->pid = 0;
    return status >= 0 && WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
}

void cli_end_child(struct cli_child *child)
{
    if (child->pid != 0)
        (void)cli_await_child(child, NULL, 0);
}
