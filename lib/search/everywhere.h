/* SPDX-License-Identifier: Apache-2.0 */
/*
 * search/everywhere.h - a query over all mailboxes that a token may see, hits page by page.
 *
 * Accounts come by name, their mailboxes by path, hits by ascending UID. Nothing is kept but a page of
 * each, whatever the size of the archive; every page is a short transaction of its own (search.h).
 *
 *     if (!search_open_walk(&request, &walk, err))
 *         ...
 *     while (search_next_page(walk, &page, &has_page, err) && has_page)
 *         for each page.uids
 *             ...
 *     search_walk_counts(walk)
 *
 * Each mailbox has a bound, its UIDNEXT and HIGHESTMODSEQ. Now, it is what the mailbox is when the walk
 * comes to it. At a position (vault/position.h) it is what stands there, mailboxes are those of the
 * position, in its order and under the names they had, and flags, keywords and disappearance are as they
 * were: the same query gives the same hits again, save what was disposed of.
 *
 * A walk belongs to one thread and uses the reader of its request, which the caller may use too between
 * two calls.
 *
 * Codes: ERR_RETRY (database), ERR_DENIED (the token's session ended meanwhile: what was given is right,
 * but not all), ERR_CORRUPT, ERR_LIMIT, ERR_ABSENT (a key that search does not offer).
 */
#pragma once

#include "base/secret.h"
#include "search/language.h"
#include "search/search.h"

struct db_pool;
struct search_walk;

/* All borrowed until the walk is closed. */
struct search_walk_request {
    struct db_pool *pool;
    const struct secret *token;
    struct vault_reader *reader;
    const struct search_query *query;
    int64_t position_id; /* 0: now */
};

/* A mailbox and its bound. */
struct search_mailbox {
    int64_t account_id;
    int64_t mailbox_id;
    struct bytes account_name;
    struct bytes path;
    uint32_t uidvalidity;
    uint64_t uidnext;
    uint64_t highestmodseq;
};

struct search_page {
    const struct search_mailbox *mailbox;
    const uint32_t *uids; /* ascending */
    size_t count;         /* 1 … SEARCH_PAGE_HITS */
};

struct search_counts {
    uint64_t accounts;         /* that can have hits by their name */
    uint64_t mailboxes;        /* that were searched */
    uint64_t searched;         /* messages in them */
    uint64_t hits;             /* given so far */
    struct search_tally tally; /* of all of them: what could not be searched, and why */
};

MUST_USE bool search_open_walk(const struct search_walk_request *request, struct search_walk **out,
                               struct err *err);
void search_close_walk(struct search_walk **walk);

/* *page is borrowed until the next call. *has_page false: all were given. After a failure the walk is
 * only good for closing. */
MUST_USE bool search_next_page(struct search_walk *walk, struct search_page *page, bool *has_page,
                               struct err *err);

struct search_counts search_walk_counts(const struct search_walk *walk);
