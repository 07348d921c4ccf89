/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holdfast/reindex.h - renewing what is derived, for `reindex`, `rebuild` and `verify --repair`.
 */
#pragma once

#include "holdfast/child.h"

#include <stdio.h>

/* Before there is a secret. told: where damage is told, standard output or, beside JSON, standard error. */
MUST_USE bool cli_fork_reindex(struct cli *cli, FILE *told, struct cli_child *out);

struct cli_reindexed {
    uint64_t renewed, damaged;
};

/* Gives the child its order (account_id 0: every account) and waits. The exit status; damage has been
 * told, and is none of it. */
int cli_reindex(struct cli *cli, struct cli_child *child, int64_t account_id,
                struct cli_reindexed *out);
