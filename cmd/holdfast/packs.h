/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holdfast/packs.h - what the commands about packs share (pack.c).
 */
#pragma once

#include "holdfast/cli.h"
#include "vault/pack.h"

enum {
    CLI_HASH_BYTES = 2 * CRYPTO_SHA256_BYTES + 1,
};

void cli_write_hash(const struct crypto_sha256 *hash, char text[CLI_HASH_BYTES]);

/* False: stop, cli->err is set. */
typedef bool cli_pack_fn(struct cli *cli, void *context, const struct vault_pack_row *pack,
                         struct arena *arena);

/* All rows, by account and age, page by page. */
MUST_USE bool cli_each_pack(struct cli *cli, cli_pack_fn *visit, void *context);
