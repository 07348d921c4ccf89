/* SPDX-License-Identifier: Apache-2.0 */
/*
 * search/everywhere.c - visits mailbox after mailbox and searches each with the one engine.
 *
 *   next account --may match?--> next mailbox --key for it?--> load, bound --> pages of hits --> next
 *
 * A session that ends makes everything disappear, which looks like having no hits. So the mailbox is
 * asked for once more behind its last page, and the last one behind the last list.
 */
#include "search/everywhere.h"

#include "base/limits.h"
#include "vault/position.h"

#include <stdlib.h>

enum {
    LIST_ARENA_BYTES = 32 << 20,    /* rows of one page, each of at most two long names */
    MAILBOX_ARENA_BYTES = 64 << 20, /* keywords, disposed ranges, the query's tree */
};

/* Rows that come page by page. The page before stays until the next one is read: its last row is
 * where that begins. */
struct pages {
    struct arena *arenas[2];
    unsigned current;
    const void *rows;
    size_t count, at;
    bool is_begun, is_last;
};

struct search_walk {
    struct search_walk_request request;
    struct pages accounts, mailboxes;
    struct arena *arena; /* of the mailbox that is searched */
    struct search *search;
    struct search_mailbox mailbox;
    bool has_mailbox; /* one was searched */
    int64_t last_account;
    uint32_t uids[SEARCH_PAGE_HITS];
    struct search_counts counts;
};

/* ---- pages of rows ----------------------------------------------------------------------------- */

static void create_pages(struct pages *pages)
{
    pages->arenas[0] = arena_create(LIST_ARENA_BYTES);
    pages->arenas[1] = arena_create(LIST_ARENA_BYTES);
}

static void free_pages(struct pages *pages)
{
    arena_free(&pages->arenas[0]);
    arena_free(&pages->arenas[1]);
}

static void begin_pages(struct pages *pages)
{
    pages->count = pages->at = 0;
    pages->is_begun = pages->is_last = false;
}

/* The arena for the next page. */
static struct arena *turn_page(struct pages *pages)
{
    pages->current ^= 1;
    arena_reset(pages->arenas[pages->current]);
    return pages->arenas[pages->current];
}

static void set_page(struct pages *pages, const void *rows, size_t count)
{
    pages->rows = rows;
    pages->count = count;
    pages->at = 0;
    pages->is_begun = true;
    pages->is_last = count < LIMIT_PAGE_ROWS;
}

static bool needs_page(const struct pages *pages)
{
    return pages->at == pages->count && !pages->is_last;
}

/* ---- accounts and mailboxes as they are now ------------------------------------------------------ */

/* *out NULL: there is none behind. */
static bool next_account(struct search_walk *walk, const struct vault_account **out,
                         struct err *err)
{
    struct pages *pages = &walk->accounts;
    const struct vault_account *rows = pages->rows;
    size_t count;

    *out = NULL;
    while (needs_page(pages)) {
        struct bytes after = pages->is_begun ? rows[pages->count - 1].name : bytes_of(NULL, 0);

        if (!vault_list_accounts(walk->request.reader, after, LIMIT_PAGE_ROWS, turn_page(pages),
                                 &rows, &count, err))
            return false;
        set_page(pages, rows, count);
    }
    if (pages->at < pages->count)
        *out = &rows[pages->at++];
    return true;
}

/* The next mailbox of the account. */
static bool next_of_account(struct search_walk *walk, struct bytes account,
                            const struct vault_mailbox_row **out, struct err *err)
{
    struct pages *pages = &walk->mailboxes;
    const struct vault_mailbox_row *rows = pages->rows;
    size_t count;

    *out = NULL;
    while (needs_page(pages)) {
        const struct vault_mailbox_row *after = pages->is_begun ? &rows[pages->count - 1] : NULL;

        if (!vault_list_mailboxes(walk->request.reader, account, after, LIMIT_PAGE_ROWS,
                                  turn_page(pages), &rows, &count, err))
            return false;
        set_page(pages, rows, count);
    }
    if (pages->at < pages->count)
        *out = &rows[pages->at++];
    return true;
}

static bool next_now(struct search_walk *walk, struct search_mailbox *out, bool *has_one,
                     struct err *err)
{
    const struct vault_mailbox_row *row = NULL;
    const struct vault_account *account;
    const struct vault_account *accounts = walk->accounts.rows;

    if (walk->accounts.at > 0 &&
        !next_of_account(walk, accounts[walk->accounts.at - 1].name, &row, err))
        return false;
    while (row == NULL) {
        if (!next_account(walk, &account, err))
            return false;
        *has_one = account != NULL;
        if (account == NULL)
            return true;
        begin_pages(&walk->mailboxes);
        if (!search_query_may_match_account(walk->request.query, account->name)) {
            walk->mailboxes.is_last = true;
            continue;
        }
        walk->counts.accounts++;
        if (!next_of_account(walk, account->name, &row, err))
            return false;
    }
    *has_one = true;
    *out = (struct search_mailbox){
        .account_id = row->account_id,
        .mailbox_id = row->mailbox_id,
        .account_name = row->account_name,
        .path = row->path,
        .uidvalidity = row->uidvalidity,
        .uidnext = row->uidnext,
        .highestmodseq = row->highestmodseq,
    };
    return true;
}

/* ---- mailboxes as they were ----------------------------------------------------------------------- */

static bool next_then(struct search_walk *walk, struct search_mailbox *out, bool *has_one,
                      struct err *err)
{
    struct pages *pages = &walk->mailboxes;
    const struct vault_position_mailbox *rows = pages->rows;
    size_t count;

    while (needs_page(pages)) {
        uint64_t after = pages->is_begun ? rows[pages->count - 1].ordinal : 0;

        if (!vault_list_position(walk->request.reader, walk->request.position_id, after,
                                 LIMIT_PAGE_ROWS, turn_page(pages), &rows, &count, err))
            return false;
        set_page(pages, rows, count);
    }
    *has_one = pages->at < pages->count;
    if (!*has_one)
        return true;
    rows += pages->at++;
    walk->counts.accounts += rows->account_id != walk->last_account ? 1 : 0;
    walk->last_account = rows->account_id;
    *out = (struct search_mailbox){
        .account_id = rows->account_id,
        .mailbox_id = rows->mailbox_id,
        .account_name = rows->account_name,
        .path = rows->path,
        .uidvalidity = rows->uidvalidity,
        .uidnext = rows->uidnext,
        .highestmodseq = rows->highestmodseq,
    };
    return true;
}

/* ---- one mailbox ------------------------------------------------------------------------------------ */

/* Everything would be hidden from a session that is over. */
static bool check_session(struct search_walk *walk, struct err *err)
{
    struct vault_mailbox_row row;

    if (vault_poll_mailbox(walk->request.reader, walk->mailbox.account_id, walk->mailbox.mailbox_id,
                           &row, err))
        return true;
    if (err->code == ERR_ABSENT) {
        err_clear(err);
        return err_fail(err, ERR_DENIED, "the session ended before everything was searched");
    }
    return false;
}

/* What came later does not exist. */
static void set_bound(struct vault_mailbox *mailbox, const struct search_mailbox *bound)
{
    if (mailbox->row.uidnext <= bound->uidnext)
        return;
    mailbox->row.uidnext = bound->uidnext;
    while (mailbox->disposed_count > 0 &&
           mailbox->disposed[mailbox->disposed_count - 1].first >= bound->uidnext)
        mailbox->disposed_count--;
    if (mailbox->disposed_count > 0 &&
        mailbox->disposed[mailbox->disposed_count - 1].last >= bound->uidnext)
        mailbox->row.uidnext = mailbox->disposed[--mailbox->disposed_count].first;
}

static bool open_search(struct search_walk *walk, const struct imap_search_key *key,
                        struct err *err)
{
    struct vault_mailbox *mailbox = arena_new(walk->arena, struct vault_mailbox);
    struct search_scope scope = {
        .pool = walk->request.pool,
        .token = walk->request.token,
        .reader = walk->request.reader,
        .mailbox = mailbox,
        .as_of_modseq = walk->request.position_id != 0 ? walk->mailbox.highestmodseq : 0,
    };

    if (!vault_load_mailbox(walk->request.reader, walk->mailbox.account_id,
                            walk->mailbox.mailbox_id, walk->arena, mailbox, err)) {
        if (err->code != ERR_ABSENT)
            return false;
        err_clear(err);
        return err_fail(err, ERR_DENIED, "the session ended before everything was searched");
    }
    if (walk->request.position_id != 0)
        set_bound(mailbox, &walk->mailbox);
    walk->mailbox.uidnext = mailbox->row.uidnext;
    if (walk->request.position_id == 0)
        walk->mailbox.highestmodseq = mailbox->row.highestmodseq;
    if (!search_open(&scope, key, walk->arena, &walk->search, err))
        return err_wrap(err, "mailbox %jd", (intmax_t)walk->mailbox.mailbox_id);
    walk->has_mailbox = true;
    walk->counts.mailboxes++;
    walk->counts.searched += vault_count_messages(mailbox);
    return true;
}

static void close_search(struct search_walk *walk)
{
    const struct search_tally *one = search_tally(walk->search);
    struct search_tally *all = &walk->counts.tally;

    all->examined += one->examined;
    all->unsearched += one->unsearched;
    all->damaged += one->damaged;
    for (size_t i = 0; i < SEARCH_NOTES; i++)
        all->notes[i] += one->notes[i];
    if (all->problem.code == ERR_NONE)
        all->problem = one->problem;
    search_close(&walk->search);
}

/* Opens a search in the next mailbox that may have hits. */
static bool next_search(struct search_walk *walk, bool *has_one, struct err *err)
{
    for (;;) {
        const struct imap_search_key *key;
        struct search_mailbox mailbox;
        struct search_place place;

        if (walk->request.position_id != 0 ? !next_then(walk, &mailbox, has_one, err)
                                           : !next_now(walk, &mailbox, has_one, err))
            return false;
        if (!*has_one)
            return !walk->has_mailbox || check_session(walk, err);
        arena_reset(walk->arena);
        place = (struct search_place){ mailbox.account_name, mailbox.path };
        key = search_query_key_for(walk->request.query, &place, walk->arena);
        if (key == NULL || mailbox.uidnext <= 1)
            continue;
        walk->mailbox = mailbox;
        return open_search(walk, key, err);
    }
}

/* ---- the walk ---------------------------------------------------------------------------------------- */

bool search_open_walk(const struct search_walk_request *request, struct search_walk **out,
                      struct err *err)
{
    struct search_walk *walk = calloc(1, sizeof *walk);

    if (walk == NULL)
        return err_errno(err, "search");
    walk->request = *request;
    create_pages(&walk->accounts);
    create_pages(&walk->mailboxes);
    walk->arena = arena_create(MAILBOX_ARENA_BYTES);
    *out = walk;
    return true;
}

void search_close_walk(struct search_walk **walk)
{
    if (*walk == NULL)
        return;
    search_close(&(*walk)->search);
    free_pages(&(*walk)->accounts);
    free_pages(&(*walk)->mailboxes);
    arena_free(&(*walk)->arena);
    free(*walk);
    *walk = NULL;
}

bool search_next_page(struct search_walk *walk, struct search_page *page, bool *has_page,
                      struct err *err)
{
    size_t count = 0;
    bool has_one = true;
    bool is_last;

    while (count == 0) {
        if (walk->search == NULL && !next_search(walk, &has_one, err))
            return false;
        *has_page = has_one;
        if (!has_one)
            return true;
        if (!search_next(walk->search, walk->uids, &count, &is_last, err))
            return false;
        if (is_last) {
            close_search(walk);
            if (!check_session(walk, err))
                return false;
        }
    }
    walk->counts.hits += count;
    *page = (struct search_page){ &walk->mailbox, walk->uids, count };
    return true;
}

struct search_counts search_walk_counts(const struct search_walk *walk)
{
    return walk->counts;
}
