/* SPDX-License-Identifier: Apache-2.0 */
#include "holdfast/child.h"

#include "audit/event.h"
#include "auth/session.h"
#include "base/fd.h"
#include "db/cluster.h"
#include "process/sandbox.h"

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

/* ---- a process and two pipes -------------------------------------------------------------------------- */

bool cli_fork(struct cli_child *out, struct err *err)
{
    int orders[2] = { -1, -1 }, answers[2] = { -1, -1 };
    pid_t pid = -1;

    (void)fflush(stdout);
    if (pipe2(orders, O_CLOEXEC) != 0 || pipe2(answers, O_CLOEXEC) != 0) {
        (void)err_errno(err, "pipe");
    } else {
        pid = fork();
        if (pid < 0)
            (void)err_errno(err, "start a child");
    }
    if (pid >= 0)
        *out = (struct cli_child){ .pid = (int)pid,
                                   .orders = fd_take(&orders[pid == 0 ? 0 : 1]),
                                   .answers = fd_take(&answers[pid == 0 ? 1 : 0]) };
    if (pid == 0)
        (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    for (size_t i = 0; i < 2; i++) {
        fd_close(&orders[i]);
        fd_close(&answers[i]);
    }
    return pid >= 0;
}

bool cli_receive(int fd, void *value, size_t size)
{
    uint8_t *room = value;

    for (size_t len = 0; len < size;) {
        ssize_t got = read(fd, room + len, size - len);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        len += (size_t)got;
    }
    return true;
}

/* ---- the child ---------------------------------------------------------------------------------------- */

static int run_errand(struct cli *cli, cli_errand_fn *run, void *context,
                      const struct cli_child *ends)
{
    CLEANUP(wipe_order) struct order order;
    CLEANUP(secret_free) struct secret *token = NULL;
    CLEANUP(secret_free) struct secret *password = NULL;
    struct sandbox sandbox = { .rights = sandbox_rights_of_libpq(cli->conf) };
    bool has_landlock; /* the processes of holdfastd say when there is none */
    struct operate_session place = { .conf = cli->conf };
    struct cli_errand errand = { .context = context,
                                 .orders = ends->orders,
                                 .answers = ends->answers };

    if (!cli_receive(ends->orders, &order, sizeof order))
        return EXIT_FAILURE; /* the parent has said why */
    if ((order.token_len > 0 &&
         !secret_create(bytes_of(order.token, order.token_len), &token, &cli->err)) ||
        (order.password_len > 0 &&
         !secret_create(bytes_of(order.password, order.password_len), &password, &cli->err)))
        return cli_fail(cli);
    place.runtime = order.runtime;
    errand.token = token;
    errand.target = operate_session_target(&place, db_role_name(order.role), password);
    sandbox.readable = cli_packs_dir(cli);
    if (!sandbox_enter(&sandbox, &has_landlock, &cli->err) || !run(cli, &errand))
        return cli_fail(cli);
    return cli_end_output() ? EXIT_SUCCESS : EXIT_FAILURE;
}

bool cli_fork_child(struct cli *cli, cli_errand_fn *run, void *context, struct cli_child *out)
{
    struct cli_child child;
    pid_t command = getpid();

    if (!cli_fork(&child, &cli->err))
        return false;
    if (child.pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
        if (getppid() != command)
            _exit(EXIT_FAILURE);
        _exit(run_errand(cli, run, context, &child));
    }
    child.cli = cli;
    *out = child;
    return true;
}

/* ---- a token does not outlive its command -------------------------------------------------------------- */

static const int ending_signals[] = { SIGINT, SIGTERM, SIGHUP };

static bool is_guarded;
static volatile sig_atomic_t token_holder; /* pid of the child with the token; 0: none */
static volatile sig_atomic_t ended_by;     /* the signal that came meanwhile; 0: none */

/* The child is ended instead: then the command takes the token back, and ends. */
static void end_holder(int signal_number)
{
    int kept = errno;

    ended_by = signal_number;
    if (token_holder > 0)
        (void)kill(token_holder, SIGTERM);
    errno = kept;
}

static void guard_token(const struct cli_child *child)
{
    struct sigaction action = { .sa_handler = end_holder };
    struct sigaction old;

    token_holder = child->pid;
    is_guarded = true;
    (void)signal(SIGPIPE, SIG_IGN); /* of its pipe, when it has ended */
    for (size_t i = 0; i < ARRAY_LEN(ending_signals); i++)
        if (sigaction(ending_signals[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
            (void)sigaction(ending_signals[i], &action, NULL);
}

/* The token has ended: so does the command, when it was told to. */
static void unguard_token(void)
{
    struct sigaction old;

    if (!is_guarded)
        return;
    is_guarded = false;
    (void)signal(SIGPIPE, SIG_DFL);
    for (size_t i = 0; i < ARRAY_LEN(ending_signals); i++)
        if (sigaction(ending_signals[i], NULL, &old) == 0 && old.sa_handler == end_holder)
            (void)signal(ending_signals[i], SIG_DFL);
    if (ended_by != 0)
        (void)raise(ended_by);
}

/* ---- the command -------------------------------------------------------------------------------------- */

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

static bool add_password(const struct conf *conf, struct order *order, struct err *err)
{
    CLEANUP(secret_free) struct secret *password = NULL;

    if (db_read_password(conf->holdfast.data_dir, order->role, &password, err))
        return copy_secret(password, order->password, sizeof order->password, &order->password_len,
                           err);
    if (conf->database.url[0] == '\0' || err->code != ERR_ABSENT)
        return false;
    err_clear(err);
    return true;
}

static bool add_token(struct cli_child *child, const struct cli_scope *scope, struct order *order)
{
    struct cli *cli = child->cli;

    guard_token(child);
    return auth_mint_operator_session(cli->session.db, scope->accounts, scope->count,
                                      scope->seconds, &child->token, &cli->err) &&
           copy_secret(child->token, order->token, sizeof order->token, &order->token_len,
                       &cli->err);
}

bool cli_order_child(struct cli_child *child, enum db_role role, const struct cli_scope *scope)
{
    struct cli *cli = child->cli;
    CLEANUP(wipe_order) struct order order = { .runtime = cli->session.runtime, .role = role };

    return add_password(cli->conf, &order, &cli->err) &&
           (scope == NULL || add_token(child, scope, &order)) &&
           fd_write_all(child->orders, bytes_of(&order, sizeof order), &cli->err);
}

static int wait_for(int pid)
{
    int status;

    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR)
            return EXIT_FAILURE;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
}

static bool end_token(struct cli_child *child, struct err *err)
{
    bool is_ended =
        child->token == NULL || auth_end_session(child->cli->session.db, child->token, err);

    secret_free(&child->token);
    unguard_token();
    return is_ended;
}

/* Answers stay open to its end, so that it may write what nobody reads. */
static int await_end(struct cli_child *child, void *answer, size_t size)
{
    int status;

    fd_close(&child->orders);
    if (size > 0 && !cli_receive(child->answers, answer, size))
        memset(answer, 0, size);
    status = wait_for(child->pid);
    token_holder = 0;
    fd_close(&child->answers);
    child->pid = 0;
    return status;
}

int cli_await_child(struct cli_child *child, void *answer, size_t size)
{
    int status = await_end(child, answer, size);
    int failure;

    if (end_token(child, &child->cli->err))
        return status;
    failure = cli_fail(child->cli);
    return status != EXIT_SUCCESS ? status : failure;
}

void cli_end_child(struct cli_child *child)
{
    struct err ignored = { .code = ERR_NONE };

    if (child->pid != 0)
        (void)await_end(child, NULL, 0);
    (void)end_token(child, &ignored);
}
