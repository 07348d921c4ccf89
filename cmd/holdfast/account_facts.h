/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holdfast/account_facts.h - what `account show` tells besides settings, limits and mailboxes: which are
 * watched, which are left out, ids that are not trusted any more.
 */
#pragma once

#include "holdfast/cli.h"

MUST_USE bool account_print_facts(struct cli *cli, int64_t account_id);

/* Likewise, as members of `value`: "watch", "left_out", "distrusted_ids". */
MUST_USE bool account_add_facts(struct cli *cli, int64_t account_id, json_t *value);
