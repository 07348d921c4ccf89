/* SPDX-License-Identifier: Apache-2.0 */
/*
 * search/search.h - which messages of a mailbox a query means, as a login may see them.
 *
 * The query is IMAP's SEARCH tree (imap/search_args.h). Hits come in pages of ascending UIDs; each
 * statement is one REPEATABLE READ READ ONLY transaction under the login's token, on a connection
 * that is borrowed for that long, never while a client reads. The SQL is assembled from the constant
 * fragments of key.c; values travel as parameters. What SQL cannot decide (BODY, TEXT, HEADER, and
 * whatever of a message has no row) is decided by the text of the messages that it leaves over.
 *
 *     CLEANUP(search_close) struct search *search = NULL;
 *     if (!search_open(&scope, key, arena, &search, err))
 *         return false;
 *     while (!is_last)
 *         if (!search_next(search, uids, &count, &is_last, err)) …
 *     search_tally(search)->unsearched …
 *
 * A search belongs to one thread; it lives in the arena it was opened with, and ends before it.
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
    const struct secret *token;          /* NULL: none, for roles that need none */
    struct vault_reader *reader;         /* under the same token: texts and octets come from it */
    const struct vault_mailbox *mailbox; /* what the session sees; later messages are no hits */
    bool shows_all_seen;                 /* [imapd] flags = seen */
    uint64_t as_of_modseq;               /* flags, keywords, disappearance as of then; 0: as now */
    /* Asked now and then within long work; false ends it with ERR_RETRY. NULL: goes on. */
    bool (*goes_on)(void *context);
    void *context;
};

/*
 * Texts of the tree are UTF-8 (search_convert_key). ERR_LIMIT: over the arena's ceiling, or a text
 * that is too long.
 * Captured \Deleted is shown as $SourceDeleted: DELETED is nobody, UNDELETED everybody.
 */
MUST_USE bool search_open(const struct search_scope *scope, const struct imap_search_key *key,
                          struct arena *arena, struct search **out, struct err *err);
void search_close(struct search **search);

enum {
    SEARCH_PAGE_HITS = 1000
};

/*
 * The next hits. *count may be 0 on a page that is not the last: a call ends after about
 * SEARCH_STEP_MS of reading octets or looking at UIDs, so that the caller can see to his client.
 * ERR_RETRY: as db_run, or goes_on said no.
 */
MUST_USE bool search_next(struct search *search, uint32_t uids[SEARCH_PAGE_HITS], size_t *count,
                          bool *is_last, struct err *err);

enum {
    SEARCH_STEP_MS = 250
};

enum {
    SEARCH_NOTES = 32
};

/* What was found out so far. */
struct search_tally {
    uint64_t examined;   /* messages whose text had to decide */
    uint64_t unsearched; /* of these: not to be searched, or not wholly (README 9) */
    uint64_t damaged;    /* of those: octets that cannot be had; they are no hits */
    uint64_t
        notes[SEARCH_NOTES]; /* of those: by why, the bits of TEXT_NOTE_*; one may have several */
    struct err problem;      /* the first of these, for the log */
};
const struct search_tally *search_tally(const struct search *search);

/* Does the text of messages take part? Then a tally says something. */
bool search_asks_text(const struct search *search);

/*
 * The tree with its texts in UTF-8; charset: as in the command, empty: UTF-8 (which takes in US-ASCII).
 * In the arena, where it is not the same. ERR_ABSENT: an unknown charset. ERR_SYNTAX: a text that is
 * not of the charset.
 */
MUST_USE bool search_convert_key(const struct imap_search_key *key, struct bytes charset,
                                 struct arena *arena, const struct imap_search_key **out,
                                 struct err *err);

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
