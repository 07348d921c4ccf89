/* SPDX-License-Identifier: Apache-2.0 */
/*
 * search/language.h - the operator's query language, turned into IMAP's SEARCH tree for each mailbox.
 *
 *     from:alice subject:"q3 forecast" after:2001-05-01 -in:trash has:attachment
 *
 * The grammar and the meaning of every field stand in README.md ("The query language"). A query names
 * no moment ("today"): the same text always means the same.
 *
 *     if (!search_parse_query(text, arena, &query, &mistake, err))
 *         search_write_mistake(text, &mistake, &lines);
 *     for each account that search_query_may_match_account(query, name)
 *         for each of its mailboxes
 *             if ((key = search_query_key_for(query, &place, arena)) != NULL)
 *                 search_open(&scope, key, arena, &search, err) ...            (search/search.h)
 *
 * search/everywhere.h does that walk. Pure: no I/O; any thread, a query is never changed once parsed.
 * The text is the operator's and hostile all the same: at most SEARCH_QUERY_BYTES, LIMIT_SEARCH_KEYS
 * terms and operators, LIMIT_COMMAND_NESTING deep, and so is each tree that is made of it.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "imap/search_args.h"

enum {
    SEARCH_QUERY_BYTES = 64 << 10, /* as a command of IMAP */
    SEARCH_MISTAKE_BYTES = 256,
};

/* Lives in the arena it was parsed into, and borrows nothing from the text. */
struct search_query;

/* Where a query is wrong, and what was expected there. */
struct search_mistake {
    size_t offset;                   /* octets before the place; at most the length of the text */
    size_t column;                   /* characters before it */
    char text[SEARCH_MISTAKE_BYTES]; /* our words only, nothing of the query */
};

/*
 * Failure: *out is untouched. ERR_SYNTAX: *mistake is set, err has its text and column. ERR_LIMIT: too
 * long, too many terms or nested too deep (*mistake is set), or over the arena's ceiling (not set: its
 * text is then empty). mistake may be NULL.
 */
MUST_USE bool search_parse_query(struct bytes text, struct arena *arena, struct search_query **out,
                                 struct search_mistake *mistake, struct err *err);

/*
 * Three lines for a terminal: the query (its part around the place when it is long), a caret under
 * the place, what was expected. Control characters of the query are shown as spaces.
 */
void search_write_mistake(struct bytes text, const struct search_mistake *mistake, struct buf *out);

/*
 * The query in its one spelling, with the parentheses that it does not need: what it was taken to
 * mean. Parsed again it gives the same spelling.
 */
void search_write_query(const struct search_query *query, struct buf *out);

/* AND and OR meet in it without parentheses (AND binds closer): worth saying how it was read. */
bool search_query_is_mixed(const struct search_query *query);

/* ---- per account and mailbox ---------------------------------------------------------------- */

/* What decides account:, in: and mailbox:. Borrowed. (SPECIAL-USE does not: a source may change it,
 * and an export must find the same again.) */
struct search_place {
    struct bytes account_name;
    struct bytes path; /* "/" between levels, UTF-8 */
};

/* False: no mailbox of this account can have a hit. */
bool search_query_may_match_account(const struct search_query *query, struct bytes account_name);

/*
 * The query within this mailbox, for search_open: account:, in: and mailbox: are decided. NULL: no
 * message there can match. The tree lives in `arena` or with the query; its texts with the query.
 */
const struct imap_search_key *search_query_key_for(const struct search_query *query,
                                                   const struct search_place *place,
                                                   struct arena *arena);

/* ---- for showing hits ------------------------------------------------------------------------- */

/* A text that a hit may contain (one that is not under NOT), as typed. */
struct search_word {
    enum imap_search_kind kind; /* IMAP_SEARCH_FROM … IMAP_SEARCH_HEADER */
    struct bytes text;
};

/* The words, borrowed from the query. */
const struct search_word *search_query_words(const struct search_query *query, size_t *count);
