/* SPDX-License-Identifier: Apache-2.0 */
/*
 * search/search.h - which messages of a mailbox a query means, as a login may see them.
 *
 * The query is IMAP's SEARCH tree (imap/search_args.h). Hits come in pages of ascending UIDs; each
 * page is one REPEATABLE READ READ ONLY transaction under the login's token, on a connection that is
 * borrowed for that long, never while a client reads. The SQL is assembled from the constant
 * fragments of key.c; values travel as parameters.
 *
 * A search belongs to one thread; it lives in the arena it was opened with.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/secret.h"
#include "imap/search_args.h"
#include "vault/read.h"

struct db_pool;
struct search;

/* All borrowed for as long as the search is used. */
struct search_scope {
    struct db_pool *pool;
    const struct secret *token;
    const struct vault_mailbox *mailbox; /* what the session sees; later messages are no hits */
    bool shows_all_seen;                 /* [imapd] flags = seen */
};

/*
 * ERR_ABSENT: a key that is not offered yet. ERR_LIMIT: over the arena's ceiling.
 * Captured \Deleted is shown as $SourceDeleted: DELETED is nobody, UNDELETED everybody.
 */
MUST_USE bool search_open(const struct search_scope *scope, const struct imap_search_key *key,
                          struct arena *arena, struct search **out, struct err *err);

enum {
    SEARCH_PAGE_HITS = 1000
};

/* The next hits. *count may be 0 on a page that is not the last. ERR_RETRY: as db_run. */
MUST_USE bool search_next(struct search *search, uint32_t uids[SEARCH_PAGE_HITS], size_t *count,
                          bool *is_last, struct err *err);

/*
 * A set as ascending UID ranges of messages that the mailbox may have. is_uid: what its numbers are.
 * beyond: set when a sequence number is over EXISTS (it is then left out); NULL: not asked for.
 */
MUST_USE bool search_resolve_uids(const struct vault_mailbox *mailbox,
                                  const struct imap_sequence_set *set, bool is_uid,
                                  struct arena *arena, const struct vault_uid_range **out,
                                  size_t *count, bool *beyond, struct err *err);

/* Names of the keys, for the audit: "FROM OR SINCE"; never their values. */
void search_write_key_names(const struct imap_search_key *key, struct buf *buf);
