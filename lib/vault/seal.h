/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/seal.h - from the spool into packs (vault/README.md, "Sealing").
 *
 * The keeper is the only writer of packs. A pack lies at <packs_dir>/<account_id>/<sha256>.tar.zst and
 * is never changed or removed. One thread at a time; the connection is the keeper's. Memory is
 * constant: one frame, and about 200 octets for each frame of the pack.
 *
 *   what a crash leaves behind          and what becomes of it (vault_seal_account, vault_seal_recover)
 *   sealing.new, .catalogue, .text      removed: nothing points there
 *   a pack that is pending, no row      removed, its text too: its transaction did not commit, so all is
 *                                       in the spool
 *   a pack that is neither              left alone, for `verify` to name: from before a restored backup
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "db/db.h"
#include "store/frame.h"

struct vault_seal_order {
    const char *packs_dir; /* made if absent */
    int64_t account_id;
    uint64_t pack_bytes; /* stored octets that a pack aims at; the last run may go beyond */
    bool is_all;         /* false: only if that much is waiting */
};

struct vault_sealed {
    bool is_made;  /* false: nothing (or not enough) was waiting */
    bool has_more; /* there are runs that would fill another one */
    int64_t pack_id;
    struct crypto_sha256 sha256;
    uint64_t stored_bytes;
    uint64_t raw_bytes;
    uint64_t frames;
    uint64_t runs;
    uint64_t joined_runs; /* of them, that became part of another one */
};

/*
 * Seals at most one pack. ERR_RETRY: database, or somebody else sealed this account meanwhile; try
 * again. ERR_CORRUPT: a frame in the spool fails its check, or the file read back is not what was
 * written. ERR_SYSTEM, ERR_DENIED: the file system. Whatever failed, the archive is as it was.
 */
MUST_USE bool vault_seal_account(struct db *db, const struct vault_seal_order *order,
                                 struct vault_sealed *out, struct err *err);

/* At the start of the keeper: clears away what a crash left, for every account. */
MUST_USE bool vault_seal_recover(struct db *db, const char *packs_dir, struct err *err);

/* ---- what is to be sealed ------------------------------------------------------------------------ */

struct vault_seal_due {
    int64_t account_id;
    bool is_all;
};

/* Accounts with so much waiting, those with a finished week in the spool, and those whose metadata
 * alone is a week old. */
MUST_USE bool vault_find_due_seals(struct db *db, uint64_t seal_bytes, struct arena *arena,
                                   const struct vault_seal_due **out, size_t *count,
                                   struct err *err);

struct vault_seal_request {
    int64_t account_id;
    int64_t requested_usec;
};

/* What operators asked for and is not done yet. */
MUST_USE bool vault_find_seal_requests(struct db *db, struct arena *arena,
                                       const struct vault_seal_request **out, size_t *count,
                                       struct err *err);

/* The operator asks; the owner's connection. */
MUST_USE bool vault_ask_seal(struct db *db, int64_t account_id, struct err *err);

/* The keeper answers; outcome: what the sealing ended with. */
MUST_USE bool vault_answer_seal(struct db *db, const struct vault_seal_request *request,
                                uint64_t packs, const struct err *outcome, struct err *err);

struct vault_seal_answer {
    int64_t account_id;
    uint64_t packs;
    struct bytes outcome; /* "NONE": done; an err_code's name */
    struct bytes text;
};

/* Those of these accounts whose request is done. */
MUST_USE bool vault_read_seal_answers(struct db *db, const int64_t *account_ids, size_t count,
                                      struct arena *arena, const struct vault_seal_answer **out,
                                      size_t *found, struct err *err);

/* ---- the installation ----------------------------------------------------------------------------- */

/*
 * Seals what no account's pack tells: accounts with their sealed secrets, auditors, grants, matters,
 * holds, audit events since the last (lib/store/README.md 18), as a pack in <packs_dir>/installation, if
 * anything was audited since and the last one is so old. Crashes are survived as those above.
 */
MUST_USE bool vault_seal_installation(struct db *db, const char *packs_dir,
                                      int64_t older_than_seconds, bool *is_made, struct err *err);
