/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/rebuild_internal.h - what the files of a rebuild share.
 */
#pragma once

#include "vault/rebuild.h"

struct rebuilding {
    struct db *db;
    const struct vault_rebuild *order;
    struct vault_rebuild_counts *counts;
    int64_t account_id;          /* 0: the installation */
    int64_t newest_installation; /* the highest number that packs of accounts know of */
    /* of each of order->tips: there is a readable pack of such a name */
    bool *has_tip;
};

enum {
    VAULT_CHAIN_ARENA_BYTES = 64 << 20
};

/* What an interrupted rebuild has read of an account. */
struct vault_read_before {
    bool has_stray; /* a pack that is not in this chain */
    struct crypto_sha256 stray;
    /* what is not read of so many first links comes too late: its lines would hold over later
     * ones */
    size_t links;
};

MUST_USE bool vault_find_read_before(const struct rebuilding *r, const struct vault_chain *chain,
                                     struct arena *arena, struct vault_read_before *out,
                                     struct err *err);

/* rebuild_ask.c: looks at the chains of these accounts, asks about those that are forked or are not what an interrupted
 * rebuild has followed, and about tips of which there is no pack, and sets newest_installation. A folder that cannot be read is passed over here. */
MUST_USE bool vault_survey_chains(struct rebuilding *r, const int64_t *accounts, size_t count,
                                  struct err *err);

/* Asks what is to become of a database that an interrupted rebuild has filled from this pack. */
void vault_ask_stray(struct rebuilding *r, const struct crypto_sha256 *stray);

/* Asks about the installation's chain if it is forked. */
void vault_ask_fork(struct rebuilding *r, const struct vault_chain *chain);

/* Asks whether an installation pack will do that is not the newest there was. */
void vault_ask_old_installation(struct rebuilding *r, const struct vault_link *link);
