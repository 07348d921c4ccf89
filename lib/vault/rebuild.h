/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/rebuild.h - the database made again from packs.
 *
 *     owner    vault_begin_rebuild     an empty database, or one whose rebuild was interrupted
 *     child    vault_rebuild           reads packs, adds rows; the role holdfast_rebuild, which may do
 *                                      so only between begin and end
 *     owner    vault_finish_rebuild    UIDs and MODSEQs go up, counters, jobs; SQL alone, no octets of packs
 *
 * Each pack is one transaction, at whose end every octet of its file was compared (vault_check_pack) and
 * every message found where the catalogue said. So it may be killed at any moment: what is there is
 * whole packs, and those are passed over the next time, which follows the same chain (README 33b). Damage is told and passed over, whatever a pack holds
 * and whatever the disk says of it; only what stops everything (the database) is a failure. Memory is
 * constant in the number of messages.
 *
 * Two things no file can decide, and the operator is asked before any mail is read (README 33a): which packs to follow
 * where two databases have sealed an account, and whether auditors and grants may come back as an older
 * installation pack tells them.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "db/db.h"
#include "vault/chain.h"

struct vault_rebuild_counts {
    uint64_t accounts;
    uint64_t packs;       /* read now */
    uint64_t known_packs; /* had been read by an interrupted run */
    uint64_t octets;      /* of files */
    uint64_t messages, placements, events, sources;
    /* placements, events, sources without their message: told with the pack */
    uint64_t lost_lines;
    /* damaged, missing, foreign, outside the chain; folders that cannot be read */
    uint64_t bad_packs;
    uint64_t installations; /* installation packs read */
    /* when that was sealed which auditors and grants come from; 0: none */
    int64_t installation_usec;
    uint64_t questions; /* asked; then no mail was read, and the rebuild is not finished */
};

struct vault_rebuild {
    const char *packs_dir;
    struct vault_tips tips; /* the operator's answer: of forked chains those to be followed */
    /* likewise: auditors and grants as the newest pack that can be read tells */
    bool takes_old_installation;
    void *context; /* of the next three */
    /* After each pack. link NULL: an installation pack. */
    void (*on_pack)(void *context, int64_t account_id, const struct vault_link *link,
                    const struct vault_rebuild_counts *counts);
    /* What is lost, or strange: one sentence. account_id 0: the installation. */
    void (*on_loss)(void *context, int64_t account_id, const char *text);
    /* What the operator has to decide: some sentences, with the option that answers. */
    void (*on_question)(void *context, int64_t account_id, const char *text);
};

/* Is one going on, or was it abandoned? Then nothing is sealed. The owner's connection or the keeper's. */
MUST_USE bool vault_is_rebuild_running(struct db *db, bool *out, struct err *err);

/* ERR_DENIED: there are accounts, auditors, matters or mail in the database. */
MUST_USE bool vault_begin_rebuild(struct db *owner, struct err *err);

/* counts: also filled when it fails. ERR_RETRY: database. */
MUST_USE bool vault_rebuild(struct db *db, const struct vault_rebuild *order,
                            struct vault_rebuild_counts *counts, struct err *err);

/* A mailbox whose UIDs were raised. */
struct vault_rebuilt_mailbox {
    int64_t account_id;
    struct bytes account_name, path;
    uint64_t lost;   /* UIDs that were given out and have no message here */
    uint64_t raised; /* UIDs skipped; less than 2^20 near the end of the numbers */
};

typedef void vault_rebuilt_fn(void *context, const struct vault_rebuilt_mailbox *mailbox);

enum {
    VAULT_REBUILD_RAISE = 1 << 20
};

/* Each mailbox is a transaction, and so is the end. master_key: id of the installation's key; accounts
 * whose secret it does not open come back paused. */
MUST_USE bool vault_finish_rebuild(struct db *owner, int64_t master_key, vault_rebuilt_fn *visit,
                                   void *context, struct err *err);

/* Names of accounts that need their password again. */
MUST_USE bool vault_list_without_secret(struct db *owner, int64_t master_key, struct arena *arena,
                                        const struct bytes **names, size_t *count, struct err *err);
