/* SPDX-License-Identifier: Apache-2.0 */
#include "search/search.h"

#include "db/pool.h"
#include "search/internal.h"

#include <stdlib.h>

enum {
    BORROW_MS = 10000,
    UIDS_BETWEEN_QUESTIONS = 1024,
};

/* ---- opening ------------------------------------------------------------------------------------ */

/* Sets that every hit must be in narrow the UIDs to look at. */
static void narrow(struct search *search, const struct search_node *node)
{
    if (node->key->kind == IMAP_SEARCH_AND) {
        for (const struct search_node *child = node->children; child != NULL; child = child->next)
            narrow(search, child);
        return;
    }
    if (search_key_row(node->key->kind)->arg != SEARCH_ARG_SET)
        return;
    if (node->range_count == 0) {
        search->through_uid = 0;
        return;
    }
    if (search->after_uid < node->ranges[0].first - 1)
        search->after_uid = node->ranges[0].first - 1;
    if (search->through_uid > node->ranges[node->range_count - 1].last)
        search->through_uid = node->ranges[node->range_count - 1].last;
}

static void free_page(struct search_candidates **page)
{
    if (*page == NULL)
        return;
    free((*page)->rows);
    free((*page)->bits);
    free(*page);
    *page = NULL;
}

static bool open_page(struct search *search, struct err *err)
{
    search->page = calloc(1, sizeof *search->page);
    if (search->page == NULL)
        return err_fail(err, ERR_LIMIT, "no memory for a search");
    search->page->rows = calloc(search->page_rows, sizeof *search->page->rows);
    search->page->bits = calloc(search->page_rows, search->bit_count + 1);
    if (search->page->rows == NULL || search->page->bits == NULL)
        return err_fail(err, ERR_LIMIT, "no memory for a search");
    return true;
}

static bool prepare(struct search *search, const struct imap_search_key *key, struct err *err)
{
    if (!search_resolve(search, key, err))
        return false;
    narrow(search, search->root);
    search->is_pure = search_truth_of(&search->scope, search->root, 0) != SEARCH_ASK;
    if (search->is_pure)
        return true;
    return search_assemble(search, err) &&
           (!search->root->may_ask || (open_page(search, err) && search_open_scan(search, err)));
}

bool search_open(const struct search_scope *scope, const struct imap_search_key *key,
                 struct arena *arena, struct search **out, struct err *err)
{
    struct search *search = arena_new(arena, struct search);

    search->scope = *scope;
    search->arena = arena;
    search->through_uid = vault_uid_at_seq(scope->mailbox, vault_count_messages(scope->mailbox));
    if (!prepare(search, key, err)) {
        search_close(&search);
        return false;
    }
    *out = search;
    return true;
}

void search_close(struct search **search)
{
    if (*search == NULL)
        return;
    free((*search)->values);
    (*search)->values = NULL;
    free_page(&(*search)->page);
    search_close_scan(&(*search)->scan);
    *search = NULL;
}

const struct search_tally *search_tally(const struct search *search)
{
    return &search->tally;
}

bool search_asks_text(const struct search *search)
{
    return search->page != NULL;
}

/* ---- hits --------------------------------------------------------------------------------------- */

static bool goes_on(const struct search *search, struct err *err)
{
    return search->scope.goes_on == NULL || search->scope.goes_on(search->scope.context) ||
           err_fail(err, ERR_RETRY, "nobody waits for this search");
}

/* A thousand keys at ten million UIDs take minutes: in steps, like the others. */
static bool next_pure(struct search *search, uint32_t *uids, size_t *count, struct err *err)
{
    struct deadline step = deadline_after_ms(SEARCH_STEP_MS);

    while (*count < SEARCH_PAGE_HITS && search->after_uid < search->through_uid) {
        uint32_t uid = ++search->after_uid;

        if (search_truth_of(&search->scope, search->root, uid) == SEARCH_YES &&
            vault_uid_exists(search->scope.mailbox, uid))
            uids[(*count)++] = uid;
        if (uid % UIDS_BETWEEN_QUESTIONS == 0 && deadline_has_passed(step))
            return goes_on(search, err);
    }
    return true;
}

/* One READ ONLY transaction; ERR_RETRY is the caller's to try again. */
static bool run_statement(struct search *search, struct db_result **rows, struct err *err)
{
    CLEANUP(db_pool_return) struct db_loan loan = { 0 };
    CLEANUP(db_rollback) struct db_tx tx = { 0 };
    CLEANUP(db_result_free) struct db_result *found = NULL;

    search->values[2] = DB_I64(search->after_uid);
    if (!db_pool_borrow(search->scope.pool, deadline_after_ms(BORROW_MS), &loan, err) ||
        !db_begin(loan.db, DB_REPEATABLE_READ_ONLY, &tx, err) ||
        (search->scope.token != NULL &&
         !db_run_ok(loan.db, DB_SESSION_SET_TOKEN,
                    DB_ARGS(DB_TEXT(secret_bytes(search->scope.token))), err)) ||
        !db_run_while_wanted(
            loan.db, search->sql, (struct db_args){ search->values, search->value_count },
            (struct db_interest){ search->scope.goes_on, search->scope.context }, &found, err) ||
        !db_commit(&tx, err))
        return err_wrap(err, "search");
    *rows = found;
    found = NULL;
    return true;
}

/* Sets how far the statement has got. */
static void advance(struct search *search, const struct db_result *rows)
{
    size_t count = db_rows(rows);

    if (count == search->page_rows)
        search->after_uid = (uint32_t)db_i64(rows, count - 1, 0);
    else
        search->after_uid = search->through_uid;
}

static bool next_from_database(struct search *search, uint32_t *uids, size_t *count,
                               struct err *err)
{
    CLEANUP(db_result_free) struct db_result *rows = NULL;

    if (!run_statement(search, &rows, err))
        return false;
    for (size_t i = 0; i < db_rows(rows); i++)
        uids[(*count)++] = (uint32_t)db_i64(rows, i, 0);
    advance(search, rows);
    return true;
}

/* Fills the page with what SQL leaves over. */
static bool next_page(struct search *search, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *rows = NULL;
    struct search_candidates *page = search->page;

    page->count = page->at = 0;
    if (!run_statement(search, &rows, err))
        return false;
    assert(db_rows(rows) <= search->page_rows);
    for (size_t i = 0; i < db_rows(rows); i++) {
        struct bytes bits = db_bytes(rows, i, 2);
        uint8_t *kept = page->bits + i * search->bit_count;
        struct search_facts facts = { .scope = &search->scope, .bits = kept };

        assert(bits.len == search->bit_count);
        if (bits.len > 0)
            memcpy(kept, bits.ptr, bits.len);
        facts.uid = (uint32_t)db_i64(rows, i, 0);
        page->rows[i] = (struct search_candidate){
            .uid = facts.uid,
            .message_id = db_i64(rows, i, 1),
            .truth = (uint8_t)search_decide(&facts, search->root),
        };
        search->tally.examined += page->rows[i].truth == SEARCH_ASK;
    }
    page->count = db_rows(rows);
    advance(search, rows);
    return search_scan_records(search, err);
}

static bool next_by_text(struct search *search, uint32_t *uids, size_t *count, struct err *err)
{
    struct deadline step = deadline_after_ms(SEARCH_STEP_MS);
    struct search_candidates *page = search->page;

    if (!goes_on(search, err) || (page->at == page->count && !next_page(search, err)))
        return false;
    while (page->at < page->count && *count < SEARCH_PAGE_HITS) {
        const struct search_candidate *row = &page->rows[page->at];

        if (row->truth == SEARCH_ASK) {
            if (deadline_has_passed(step))
                return true;
            if (!search_scan_octets(search, err))
                return false;
        }
        if (row->truth == SEARCH_YES)
            uids[(*count)++] = row->uid;
        page->at++;
    }
    return true;
}

bool search_next(struct search *search, uint32_t uids[SEARCH_PAGE_HITS], size_t *count,
                 bool *is_last, struct err *err)
{
    bool has_page = search->page != NULL && search->page->at < search->page->count;

    *count = 0;
    if (has_page || search->after_uid < search->through_uid) {
        if (search->is_pure        ? !next_pure(search, uids, count, err)
            : search->page != NULL ? !next_by_text(search, uids, count, err)
                                   : !next_from_database(search, uids, count, err))
            return false;
    }
    has_page = search->page != NULL && search->page->at < search->page->count;
    *is_last = !has_page && search->after_uid >= search->through_uid;
    return true;
}
