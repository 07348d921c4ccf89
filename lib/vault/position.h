/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/position.h - the archive as it was at a moment: which messages, flags and disappearances.
 *
 * A position names UIDNEXT and HIGHESTMODSEQ of every mailbox of some accounts, as one snapshot saw
 * them. UIDs are dense and history is kept by MODSEQ (vault/README 3, 8), so it says all there was;
 * what came later does not change what it says. Only disposal takes away from it.
 */
#pragma once

#include "db/db.h"
#include "vault/read.h"
#include "vault/recognition.h"

struct vault_position {
    int64_t position_id;
    int64_t taken_usec;
    uint64_t accounts; /* that have a mailbox */
    uint64_t mailboxes;
};

/*
 * Records where these accounts are now (count 0: all accounts). When nothing has happened since an
 * earlier position of just these mailboxes, it is that one. Owner's connection, one statement.
 */
MUST_USE bool vault_take_position(struct db *owner, const int64_t *accounts, size_t count,
                                  struct vault_position *out, struct err *err);

/* ERR_ABSENT: no such position, or it has no mailbox of one of these accounts. Owner's connection. */
MUST_USE bool vault_find_position(struct db *owner, int64_t position_id, const int64_t *accounts,
                                  size_t count, struct vault_position *out, struct err *err);

/* A mailbox as it was. */
struct vault_position_mailbox {
    uint64_t ordinal; /* by account name and path, octet by octet */
    int64_t account_id;
    int64_t mailbox_id;
    struct bytes account_name; /* then */
    struct bytes path;
    struct bytes special_use; /* "\Sent"; empty: none */
    uint32_t uidvalidity;
    uint64_t uidnext;
    uint64_t highestmodseq;
};

/* One keyset page behind `after` (an ordinal, 0: from the first), of what the token may see. */
MUST_USE bool vault_list_position(struct vault_reader *reader, int64_t position_id, uint64_t after,
                                  size_t limit, struct arena *arena,
                                  const struct vault_position_mailbox **rows, size_t *count,
                                  struct err *err);

/* Where placements of a mailbox come from: the UIDs of one source epoch. */
struct vault_origin {
    uint32_t placement_uid;
    uint32_t source_uid;
    enum vault_recognition by;
};

/*
 * Gives them page by page, the latest epoch first, so that the last that is given for a placement is
 * the one it was archived under. uidvalidity 0: the source gives none. The rows are borrowed.
 */
typedef bool vault_origins_fn(void *context, int32_t epoch, uint32_t uidvalidity,
                              const struct vault_origin *rows, size_t count, struct err *err);
MUST_USE bool vault_walk_origins(struct vault_reader *reader, int64_t account_id,
                                 int64_t mailbox_id, vault_origins_fn *fn, void *context,
                                 struct err *err);
