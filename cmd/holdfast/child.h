/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holdfast/child.h - children of a command. Those that read octets which others made have a database role
 * of their own and nothing of the operator's rights (DESIGN 2); a command says only which role, which
 * token, what runs there and what comes back:
 *
 *     cli_fork_child    after cli_settle, before there is a secret or a connection to inherit
 *     cli_order_child   once the services run: the runtime folder, role, its password and a token go over
 *                       a pipe; both sides wipe what they held of them. Then the errand runs
 *     cli_receive, fd_write_all   what else the two say to each other: whole values
 *     cli_await_child   what the errand answered last, and the exit status
 *
 * Descriptors: each side has its end of either pipe, the child besides what the command had open at the
 * fork, in particular pipes to children forked before: end the newest first.
 *
 * Signals: the child ends (SIGTERM) when the command does; Ctrl-C ends both, the child first where it has a
 * token; no programs with more rights can be started in it. A child that is never ordered ends without a word when its orders are closed.
 *
 * Exit status: that of the errand's error, told on standard error by the child; EXIT_FAILURE where standard
 * output could not be written or a signal ended it.
 *
 * One thread. Tokens are audited as they are made, and ended with the child, whatever became of it.
 */
#pragma once

#include "db/migrate.h"
#include "holdfast/cli.h"

struct cli_child {
    int pid;             /* 0: none */
    int orders, answers; /* our ends: the command writes orders, the child answers */
    struct cli *cli;     /* of the command, for the token; NULL: none is given */
    struct secret *token;
};

#define CLI_NO_CHILD ((struct cli_child){ 0, -1, -1, NULL, NULL })

/* In the child. All borrowed for the call. */
struct cli_errand {
    struct db_target target;
    const struct secret *token; /* NULL: none was given */
    void *context;              /* of cli_fork_child: as it was then */
    int orders, answers;
};

/* False: cli->err says why. */
typedef bool cli_errand_fn(struct cli *cli, const struct cli_errand *errand);

MUST_USE bool cli_fork_child(struct cli *cli, cli_errand_fn *run, void *context,
                             struct cli_child *out);

/* What a token may see, and for how long at most. */
struct cli_scope {
    const int64_t *accounts;
    size_t count; /* 0: all accounts */
    int64_t seconds;
};

/* scope: NULL for a role that needs no token. False: cli->err; the child then ends with cli_end_child. */
MUST_USE bool cli_order_child(struct cli_child *child, enum db_role role,
                              const struct cli_scope *scope);

/* Waits for its end. answer: the last that it wrote to `answers`; zeroed octets when it wrote none (size 0:
 * nothing is read). The exit status; a token that could not be ended is told, and a failure. */
int cli_await_child(struct cli_child *child, void *answer, size_t size);

/* For CLEANUP, and after a failure that is still to be told: as cli_await_child, but silent; nothing when
 * it has ended. */
void cli_end_child(struct cli_child *child);

/* ---- below them: a process and two pipes ---- */

/* In both processes; out->pid is 0 in the child, which can start no program with more rights. */
MUST_USE bool cli_fork(struct cli_child *out, struct err *err);

/* A whole value. False: the other side is gone. */
MUST_USE bool cli_receive(int fd, void *value, size_t size);
