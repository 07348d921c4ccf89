/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/chain.h - the packs of an account (or of the installation) as they lie in their folder, in the
 * order in which they were sealed. Files alone; no database.
 *
 * The newest pack leads to the one before it by its `previous`, and so on. What is named so and is not
 * there, or cannot be read, is a hole; the newest of the older ones goes on. Readable packs that nothing
 * leads to are outside: two databases have sealed this account, one of them restored from a backup. Such a
 * chain is forked, and nothing in the files says which of its tips is to be followed, nor, where it has a hole,
 * which branch goes on behind it: the operator does.
 *
 * Hostile input: of each file its index and the first line of its catalogue are read, both checked.
 * Memory: about 200 octets a pack.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "store/frame.h"

enum vault_link_state {
    VAULT_LINK_GOOD,
    VAULT_LINK_MISSING,    /* named by the next one, no such file */
    VAULT_LINK_UNREADABLE, /* the file is there; what says why */
    VAULT_LINK_OUTSIDE,    /* readable, not in the chain */
    VAULT_LINK_FOREIGN,    /* of another account, or not a pack of this kind */
};

struct vault_link {
    struct crypto_sha256 sha256; /* by its name */
    enum vault_link_state state;
    bool has_previous;
    struct crypto_sha256 previous;
    int64_t number; /* from 1; of a hole: one less than of the next one, or 0: unknown */
    int64_t sealed_usec;
    /* number of the newest installation pack at its sealing; 0: none, or unknown */
    int64_t installation;
    bool is_tip; /* readable, and no other one leads to it */
    /* goes on behind a hole, where another one could as well; nobody has said which */
    bool is_guess;
    const char *what; /* UNREADABLE, FOREIGN: why */
};

struct vault_chain {
    /* the chain from the first pack on, its holes; then the others */
    const struct vault_link *links;
    size_t count;
    size_t in_chain;
    /* there are packs outside, and nobody said which ones to follow, or too many were said */
    bool is_forked;
};

/* Tips to be followed where there are several, and packs to go on with behind holes: what their names begin
 * with, in lower case. */
struct vault_tips {
    const char *const *digits;
    size_t count;
};

/* account_id 0: the installation's. tips NULL: none. A folder that is not there is an empty chain. What
 * cannot be read of a file is a state; failure: of the folder. */
MUST_USE bool vault_read_chain(const char *packs_dir, int64_t account_id,
                               const struct vault_tips *tips, struct arena *arena,
                               struct vault_chain *out, struct err *err);

/* Account ids that have a folder, ascending; none when packs_dir is not there. */
MUST_USE bool vault_find_pack_folders(const char *packs_dir, struct arena *arena,
                                      const int64_t **ids, size_t *count, struct err *err);
