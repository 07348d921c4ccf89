/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/pack.h - packs as the operator sees them: a list, and whether each is what it was.
 *
 * The connection is the owner's or the keeper's. One thread at a time.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "db/db.h"
#include "store/frame.h"
#include "vault/read.h"

struct vault_pack_row {
    int64_t account_id;
    int64_t pack_id;
    struct bytes account_name;
    struct crypto_sha256 sha256; /* its name, and of the file */
    bool has_previous;
    struct crypto_sha256 previous;
    uint64_t stored_bytes; /* of the file */
    uint64_t raw_bytes;    /* of its tar stream */
    uint64_t frames;       /* of messages */
    int64_t sealed_usec;
    bool is_damaged; /* at the last verification */
    bool is_file;    /* lies in the file system */
};

/* One keyset page, by account and age, behind `after` (NULL: from the first). */
MUST_USE bool vault_list_packs(struct db *db, const struct vault_pack_row *after, size_t limit,
                               struct arena *arena, const struct vault_pack_row **rows,
                               size_t *count, struct err *err);

/* What was found in one pack. */
struct vault_pack_report {
    bool is_damaged;
    uint64_t healed_frames; /* is_repair: whose octets are back in the spool, to be sealed anew */
    char what[ERR_TEXT_BYTES]; /* the first thing that is wrong */
    uint64_t damaged_frames;
    uint64_t victims;    /* messages that have octets in damaged frames; of a lost file: all */
    struct bytes sha256; /* hex of one of them; empty: none is known */
    struct bytes path;   /* where it is archived; empty: nowhere */
    uint32_t uid;
    /* What is wrong with the search text beside it; empty: nothing. It is derived: no damage to mail. */
    char text_what[ERR_TEXT_BYTES];
};

struct vault_pack_check {
    const char *packs_dir;
    bool is_repair; /* heal what can be: the connection is the keeper's or the owner's */
    void *context;  /* of on_victim */
    /* With is_repair: each message (of a file that is lost at most 1,000) that could not be healed. */
    void (*on_victim)(void *context, const struct vault_pack_row *pack, struct bytes sha256_hex,
                      struct bytes path, uint32_t uid);
    /* every octet and every message's hash; otherwise file, size and index */
    bool is_full;
    struct bytes expected_previous; /* SHA-256 of the row before in the account; empty: none */
};

/*
 * Compares the file with its row and with the rows of its frames. Damage is a report, not a failure,
 * and is noted in the row; a full check without any takes the note back. Failure: the check could not be
 * made (ERR_RETRY: database).
 */
MUST_USE bool vault_check_pack(struct db *db, const struct vault_pack_check *check,
                               const struct vault_pack_row *pack, struct arena *arena,
                               struct vault_pack_report *out, struct err *err);

/*
 * Files among the account's packs that belong to no row and are not about to: what a restored backup
 * of the database does not know. Names, in the arena.
 */
MUST_USE bool vault_find_stray_packs(struct db *db, const char *packs_dir, int64_t account_id,
                                     struct arena *arena, const struct bytes **names, size_t *count,
                                     struct err *err);

/* For vault_pack_opener: opens <packs_dir>/<account_id>/<sha256>.tar.zst or .text; context: the
 * folder's path, a const char *. For processes that may read packs by themselves (the operator's). */
MUST_USE bool vault_open_pack_in_folder(void *context, enum vault_file file, int64_t account_id,
                                        int64_t pack_id, struct bytes sha256, int *fd,
                                        struct err *err);

/* ---- files, without a database (pack_open.c) --------------------------------------------------------- */

/* False ends it. */
typedef bool vault_pack_file_fn(void *context, const char *path,
                                const struct crypto_sha256 *sha256);

/* Every file with the name of a pack, of accounts and of the installation. */
MUST_USE bool vault_each_pack_file(const char *packs_dir, vault_pack_file_fn *visit, void *context,
                                   struct err *err);

/* Reads all of a file, compares every frame and every message. *sha256: of the file. ERR_CORRUPT: it is
 * no whole pack. */
MUST_USE bool vault_check_pack_file(int fd, struct crypto_sha256 *sha256, struct err *err);

/* What a keeper that was killed left half-way; account_id 0: of the installation. Also what one that
 * is at work just now has begun. */
typedef void vault_leftover_fn(void *context, int64_t account_id, const char *path);
MUST_USE bool vault_find_leftovers(const char *packs_dir, vault_leftover_fn *visit, void *context,
                                   struct err *err);
