/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holdfast/child.h - children of a command that read octets which others made (DESIGN 2): each has a
 * database role of its own and nothing of the operator's.
 *
 *     cli_fork_child    before there is a secret or a connection to inherit
 *     cli_order_child   once the services run: role, password and token go over a pipe
 *     cli_await_child   its answer, and its exit status
 */
#pragma once

#include "db/migrate.h"
#include "holdfast/cli.h"

/* What the child is told. All borrowed for the call. */
struct cli_errand {
    struct db_target target;
    const struct secret *token; /* NULL: none was given */
    void *context;              /* of cli_fork_child: as it was then */
};

/* In the child. answer: what the parent gets, `answer_bytes` zeroed octets. False: cli->err is told on
 * standard error and makes the exit status; the answer goes out all the same. */
typedef bool cli_errand_fn(struct cli *cli, const struct cli_errand *errand, void *answer);

enum {
    CLI_ANSWER_BYTES = 512
};

struct cli_child {
    int pid; /* 0: none */
    int orders, answers;
};

#define CLI_NO_CHILD ((struct cli_child){ 0, -1, -1 })

MUST_USE bool cli_fork_child(struct cli *cli, cli_errand_fn *run, void *context,
                             struct cli_child *out);

/* token: NULL or at most AUDIT_TOKEN_BYTES. */
MUST_USE bool cli_order_child(struct cli *cli, struct cli_child *child, enum db_role role,
                              const struct secret *token);

/* Waits for its end. A child that was not ordered ends without a word. answer: zeroed octets when it
 * gave none. The exit status. */
int cli_await_child(struct cli_child *child, void *answer, size_t answer_bytes);

/* For CLEANUP: as cli_await_child, nothing when it has ended. */
void cli_end_child(struct cli_child *child);
