/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keep/seal.h - when accounts are sealed, and by whose wish.
 *
 * By itself: an account with seal_bytes waiting, in packs of that size; one with a week in the spool
 * that is over, or metadata that is a week old, completely. By request (`holdfast seal`): completely.
 * Likewise the installation, by request or once a day, if anything was audited, and five minutes after the last when rights
 * of auditors, or holds, have changed. Each pack is audited. The connection is the keeper's; one thread.
 */
#pragma once

#include "base/err.h"
#include "vault/seal.h"

struct keep_seal {
    const char *packs_dir;
    uint64_t seal_bytes;
    void *context; /* of the next three */
    bool (*must_stop)(void *context);
    void (*on_pack)(void *context, int64_t account_id, const struct vault_sealed *pack);
    /* 0: installation */
    void (*on_failure)(void *context, int64_t account_id, const struct err *why);
};

struct keep_seal_work {
    uint64_t packs;
    uint64_t installation_packs;
    uint64_t failures; /* accounts that could not be sealed: told, tried again the next time */
    bool has_cleared;  /* an account was sealed completely: a week may be ready to be dropped */
};

/*
 * Seals what is due. What is wrong with one account does not keep others from being sealed; failure:
 * ERR_RETRY of the connection, or the round cannot go on (ERR_SYSTEM: disk full).
 */
MUST_USE bool keep_seal_due(struct db *db, const struct keep_seal *seal, struct keep_seal_work *out,
                            struct err *err);

/* Does what operators asked for, and answers. */
MUST_USE bool keep_seal_requests(struct db *db, const struct keep_seal *seal,
                                 struct keep_seal_work *out, struct err *err);
