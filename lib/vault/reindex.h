/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/reindex.h - rows of message_index and search text made again from the octets, where the
 * rows are missing or old.
 *
 * Message octets are parsed (by the caller's deriver): for a process that has no other rights than the
 * role holdfast_reindex and a token. What is renewed stays, so it may be killed and begun again; each
 * page is one transaction. One thread; two connections of the pool.
 */
#pragma once

#include "base/arena.h"
#include "vault/read.h"
#include "vault/write.h"

struct vault_reindex {
    struct db_pool *pool;
    const struct secret *token;
    const struct vault_pack_opener *opener;
    const struct vault_deriver *deriver;
    int32_t parser_version; /* what the deriver gives; rows of a later one stay */
    void *context;          /* of the next two */
    /* After each page. */
    void (*on_page)(void *context, uint64_t renewed);
    /* A message whose octets are damaged; it is passed over. */
    void (*on_damage)(void *context, int64_t account_id, const struct crypto_sha256 *sha256,
                      const struct err *why);
};

struct vault_reindexed {
    uint64_t renewed;
    uint64_t damaged;
};

/* Every account that the token may see. ERR_RETRY: database. */
MUST_USE bool vault_reindex(const struct vault_reindex *order, struct vault_reindexed *out,
                            struct err *err);
