/* SPDX-License-Identifier: Apache-2.0 */
/*
 * search/text.c - messages that SQL leaves over, decided by their text: first by their records, in the
 * order in which these lie, then one by one by their octets.
 *
 * Whatever decides, the answer is the same: records are what lib/text makes of the octets, and a
 * message without one is given to lib/text here, in constant memory. README 6 to 9.
 */

#include "vault/text.h"

#include "db/pool.h"
#include "search/internal.h"

#include <stdlib.h>

enum {
    BORROW_MS = 10000,
    OCTET_ROWS = 64, /* placements that are fetched at once, and announced to the vault */
    PLACEMENT_BYTES = 1 << 20,
    SUMMARY_BYTES = 64 << 20, /* the header that was kept, decoded; mostly a few KiB */
    RECORDS_BETWEEN_QUESTIONS = 1024,
    FED_BETWEEN_QUESTIONS = 4 << 20,
};

struct pending {
    int64_t message_id;
    size_t row;
};

/* Of one leaf that text may decide. */
struct leaf {
    struct text_matcher *matcher; /* SEARCH_ARG_TEXT */
    struct text_sink sink;
    enum search_truth found; /* in the message at hand: YES or NO; ASK: not looked yet */
};

struct search_scan {
    struct search *search;
    struct leaf *leaves; /* by number */
    size_t count;
    uint32_t notes_mask;   /* of TEXT_NOTE_*: what matters to this tree */
    struct bytes *needles; /* of the leaves that have a matcher */
    size_t needle_count;
    bool needs_summary; /* a leaf is of message_index */

    /* records */
    struct pending *pending; /* of the page, by message_id */
    int64_t *ids;            /* the same, each once */
    size_t pending_count, id_count;
    int64_t *absent; /* decided by what was not found */
    size_t absent_count;
    size_t next; /* in pending: where the next id is likely to be */
    size_t asked;
    struct bytes record;
    bool misses_count; /* what is not found counts as not there */

    /* octets */
    struct text_extractor *extractor; /* NULL: not needed yet */
    struct arena *arena;              /* of the placements */
    struct arena *summary;            /* of one message */
    struct vault_placement_page placements;
    size_t placement; /* those before it were taken */
    uint64_t fed;     /* octets since goes_on was asked */
    const struct search_candidate *row;
    bool has_ended;    /* the message is whole: dates and columns are known */
    bool is_decided;   /* before its end */
    bool is_abandoned; /* goes_on said no */
};

/* ---- opening ------------------------------------------------------------------------------------ */

static bool open_leaf(const struct search_node *node, struct leaf *leaf, struct err *err)
{
    const struct imap_search_key *key = node->key;
    enum text_scope scope = TEXT_SCOPE_HEADER;

    if (search_key_row(key->kind)->arg != SEARCH_ARG_TEXT)
        return true;
    if (key->kind == IMAP_SEARCH_BODY)
        scope = TEXT_SCOPE_BODY;
    else if (key->kind == IMAP_SEARCH_TEXT)
        scope = TEXT_SCOPE_TEXT;
    if (!text_create_matcher(scope, key->field, key->text, &leaf->matcher, err))
        return false;
    leaf->sink = text_match_sink(leaf->matcher);
    return true;
}

/* What a message cannot have been searched for matters where its body does. */
static uint32_t notes_mask(const struct search *search)
{
    for (size_t i = 0; i < search->text_count; i++) {
        enum imap_search_kind kind = search->texts[i]->key->kind;

        if (kind == IMAP_SEARCH_BODY || kind == IMAP_SEARCH_TEXT)
            return TEXT_NOTES_UNSEARCHED;
    }
    return TEXT_NOTE_HEADER_CUT;
}

bool search_open_scan(struct search *search, struct err *err)
{
    struct search_scan *scan = calloc(1, sizeof *scan);

    if (scan == NULL)
        return err_fail(err, ERR_LIMIT, "no memory for a search");
    search->scan = scan;
    scan->search = search;
    scan->count = search->text_count;
    scan->notes_mask = notes_mask(search);
    scan->arena = arena_create(PLACEMENT_BYTES);
    scan->summary = arena_create(SUMMARY_BYTES);
    scan->leaves = calloc(scan->count, sizeof *scan->leaves);
    scan->pending = calloc(search->page_rows, sizeof *scan->pending);
    scan->ids = calloc(search->page_rows, sizeof *scan->ids);
    scan->absent = calloc(search->page_rows, sizeof *scan->absent);
    scan->needles = calloc(scan->count, sizeof *scan->needles);
    if (scan->leaves == NULL || scan->pending == NULL || scan->ids == NULL ||
        scan->absent == NULL || scan->needles == NULL)
        return err_fail(err, ERR_LIMIT, "no memory for a search");
    for (size_t i = 0; i < scan->count; i++) {
        if (!open_leaf(search->texts[i], &scan->leaves[i], err))
            return false;
        if (scan->leaves[i].matcher != NULL)
            scan->needles[scan->needle_count++] = text_needle(scan->leaves[i].matcher);
        scan->needs_summary = scan->needs_summary || scan->leaves[i].matcher == NULL;
    }
    return true;
}

void search_close_scan(struct search_scan **scan)
{
    struct search_scan *closed = *scan;

    if (closed == NULL)
        return;
    if (closed->placements.count > 0) /* they lie in our arena */
        vault_expect_octets(closed->search->scope.reader, NULL, 0);
    for (size_t i = 0; closed->leaves != NULL && i < closed->count; i++)
        text_free_matcher(&closed->leaves[i].matcher);
    free(closed->leaves);
    free(closed->pending);
    free(closed->ids);
    free(closed->absent);
    free(closed->needles);
    text_free_extractor(&closed->extractor);
    arena_free(&closed->arena);
    arena_free(&closed->summary);
    free(closed);
    *scan = NULL;
}

static void forget_message(struct search_scan *scan)
{
    for (size_t i = 0; i < scan->count; i++)
        scan->leaves[i].found = SEARCH_ASK;
}

static bool goes_on(struct search_scan *scan, struct err *err)
{
    const struct search_scope *scope = &scan->search->scope;

    if (scope->goes_on == NULL || scope->goes_on(scope->context))
        return true;
    scan->is_abandoned = true;
    return err_fail(err, ERR_RETRY, "nobody waits for this search");
}

/* The row's truth, as far as `ask` knows. */
static enum search_truth decide(struct search_scan *scan, const struct search_candidate *row,
                                enum search_truth (*ask)(void *, const struct search_node *))
{
    const struct search *search = scan->search;
    struct search_facts facts = {
        .scope = &search->scope,
        .uid = row->uid,
        .bits = search->page->bits + (size_t)(row - search->page->rows) * search->bit_count,
        .ask = ask,
        .context = scan,
    };

    return search_decide(&facts, search->root);
}

/* ---- records ------------------------------------------------------------------------------------ */

static int by_message(const void *a, const void *b)
{
    const struct pending *left = a;
    const struct pending *right = b;

    if (left->message_id != right->message_id)
        return left->message_id < right->message_id ? -1 : 1;
    return left->row < right->row ? -1 : left->row > right->row;
}

static void list_pending(struct search_scan *scan)
{
    const struct search_candidates *page = scan->search->page;

    scan->pending_count = scan->id_count = scan->absent_count = scan->next = 0;
    for (size_t i = 0; i < page->count; i++)
        if (page->rows[i].truth == SEARCH_ASK)
            scan->pending[scan->pending_count++] = (struct pending){ page->rows[i].message_id, i };
    qsort(scan->pending, scan->pending_count, sizeof *scan->pending, by_message);
    for (size_t i = 0; i < scan->pending_count; i++)
        if (i == 0 || scan->pending[i].message_id != scan->pending[i - 1].message_id)
            scan->ids[scan->id_count++] = scan->pending[i].message_id;
}

/* Where the rows of a message begin; they mostly come in ascending order. */
static size_t find_pending(struct search_scan *scan, int64_t message_id)
{
    size_t low = 0;
    size_t high = scan->pending_count;

    if (scan->next < high && scan->pending[scan->next].message_id == message_id)
        return scan->next;
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (scan->pending[middle].message_id < message_id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* What message_index would say is not asked of a record: the octets say it as the row would. */
static enum search_truth ask_record(void *context, const struct search_node *node)
{
    struct search_scan *scan = context;
    struct leaf *leaf = &scan->leaves[node->text];

    if (leaf->matcher == NULL)
        return SEARCH_ASK;
    if (leaf->found == SEARCH_ASK)
        leaf->found = text_match_record(leaf->matcher, scan->record) ? SEARCH_YES : SEARCH_NO;
    if (leaf->found == SEARCH_NO && !scan->misses_count)
        return SEARCH_ASK;
    return leaf->found;
}

/* First by what is there alone; only what rests on absence can have missed something. */
static bool decide_by_record(struct search_scan *scan, struct search_candidate *row)
{
    scan->misses_count = false;
    row->truth = (uint8_t)decide(scan, row, ask_record);
    if (row->truth != SEARCH_ASK)
        return false;
    scan->misses_count = true;
    row->truth = (uint8_t)decide(scan, row, ask_record);
    return row->truth != SEARCH_ASK;
}

static bool take_record(void *context, int64_t message_id, struct bytes record, struct err *err)
{
    struct search_scan *scan = context;
    size_t at = find_pending(scan, message_id);
    bool rests_on_absence = false;

    if (++scan->asked % RECORDS_BETWEEN_QUESTIONS == 0 && !goes_on(scan, err))
        return false;
    if (record.ptr == NULL)
        return true; /* stays ASK: its octets will be read */
    scan->record = record;
    forget_message(scan);
    for (; at < scan->pending_count && scan->pending[at].message_id == message_id; at++)
        if (decide_by_record(scan, &scan->search->page->rows[scan->pending[at].row]))
            rests_on_absence = true;
    scan->next = at;
    if (rests_on_absence)
        scan->absent[scan->absent_count++] = message_id;
    return true;
}

/* A message that could not be searched, or not wholly, and why. */
static void count_notes(struct search_scan *scan, uint32_t notes)
{
    struct search_tally *tally = &scan->search->tally;

    tally->unsearched++;
    for (size_t bit = 0; bit < SEARCH_NOTES; bit++)
        tally->notes[bit] += notes >> bit & 1;
}

/* Those of which something could not be searched. One READ ONLY transaction. */
static bool count_unsearched(struct search_scan *scan, struct err *err)
{
    CLEANUP(db_pool_return) struct db_loan loan = { 0 };
    CLEANUP(db_rollback) struct db_tx tx = { 0 };
    CLEANUP(db_result_free) struct db_result *rows = NULL;
    const struct search_scope *scope = &scan->search->scope;
    int64_t first, last;

    if (scan->absent_count == 0)
        return true;
    first = last = scan->absent[0];
    for (size_t i = 1; i < scan->absent_count; i++) {
        first = scan->absent[i] < first ? scan->absent[i] : first;
        last = scan->absent[i] > last ? scan->absent[i] : last;
    }
    if (!db_pool_borrow(scope->pool, deadline_after_ms(BORROW_MS), &loan, err) ||
        !db_begin(loan.db, DB_REPEATABLE_READ_ONLY, &tx, err) ||
        (scope->token != NULL && !db_run_ok(loan.db, DB_SESSION_SET_TOKEN,
                                            DB_ARGS(DB_TEXT(secret_bytes(scope->token))), err)) ||
        !db_run(loan.db, DB_SEARCH_UNSEARCHED,
                DB_ARGS(DB_I64(scope->mailbox->row.account_id),
                        DB_I64S(scan->absent, scan->absent_count), DB_I64(first), DB_I64(last),
                        DB_I32((int32_t)scan->notes_mask)),
                &rows, err) ||
        !db_commit(&tx, err))
        return err_wrap(err, "what cannot be searched");
    for (size_t i = 0; i < db_rows(rows); i++)
        count_notes(scan, (uint32_t)db_i32(rows, i, 0));
    return true;
}

bool search_scan_records(struct search *search, struct err *err)
{
    struct search_scan *scan = search->scan;
    struct vault_text_query query = {
        .account_id = search->scope.mailbox->row.account_id,
        .message_ids = scan->ids,
        .needles = scan->needles,
        .needle_count = scan->needle_count,
    };

    if (scan->placements.count > 0)
        vault_expect_octets(search->scope.reader, NULL, 0);
    scan->placements = (struct vault_placement_page){ 0 };
    scan->placement = 0;
    list_pending(scan);
    if (scan->id_count == 0)
        return true;
    query.count = scan->id_count;
    return vault_read_texts(search->scope.reader, &query, take_record, scan, err) &&
           count_unsearched(scan, err);
}

/* ---- octets ------------------------------------------------------------------------------------- */

/* The placements of the next rows that are still to be decided, with their locators. */
static bool read_placements(struct search_scan *scan, struct err *err)
{
    const struct search *search = scan->search;
    const struct search_candidates *page = search->page;
    struct vault_uid_range uids[OCTET_ROWS];
    struct vault_placement_query query = {
        .account_id = search->scope.mailbox->row.account_id,
        .mailbox_id = search->scope.mailbox->row.mailbox_id,
        .ranges = uids,
        .columns = VAULT_WITH_LOCATOR,
        .limit = OCTET_ROWS,
    };
    struct vault_octets *expected;

    vault_expect_octets(search->scope.reader, NULL, 0);
    arena_reset(scan->arena);
    for (size_t i = page->at; i < page->count && query.range_count < OCTET_ROWS; i++)
        if (page->rows[i].truth == SEARCH_ASK)
            uids[query.range_count++] =
                (struct vault_uid_range){ page->rows[i].uid, page->rows[i].uid };
    scan->placement = 0;
    scan->placements = (struct vault_placement_page){ 0 };
    if (!vault_read_placements(search->scope.reader, &query, scan->arena, &scan->placements, err))
        return false;
    expected = arena_new_array(scan->arena, struct vault_octets, scan->placements.count + 1);
    for (size_t i = 0; i < scan->placements.count; i++)
        expected[i] = scan->placements.rows[i].octets;
    vault_expect_octets(search->scope.reader, expected, scan->placements.count);
    return true;
}

static const struct vault_placement *find_placement(struct search_scan *scan, uint32_t uid)
{
    while (scan->placement < scan->placements.count &&
           scan->placements.rows[scan->placement].uid < uid)
        scan->placement++;
    if (scan->placement == scan->placements.count ||
        scan->placements.rows[scan->placement].uid != uid)
        return NULL;
    return &scan->placements.rows[scan->placement];
}

/* What was found so far stays found; what was not is known at the end only. */
static enum search_truth ask_octets(void *context, const struct search_node *node)
{
    struct search_scan *scan = context;
    const struct leaf *leaf = &scan->leaves[node->text];

    if (scan->has_ended)
        return leaf->found == SEARCH_NO && !scan->misses_count ? SEARCH_ASK : leaf->found;
    return leaf->matcher != NULL && text_has_matched(leaf->matcher) ? SEARCH_YES : SEARCH_ASK;
}

static void give_piece(void *context, const struct text_piece *piece)
{
    struct search_scan *scan = context;

    for (size_t i = 0; i < scan->count; i++) {
        struct leaf *leaf = &scan->leaves[i];

        if (leaf->matcher != NULL)
            leaf->sink.piece(leaf->sink.context, piece);
    }
}

static void begin_message(struct search_scan *scan, const struct search_candidate *row)
{
    struct text_sink sink = { .context = scan, .piece = give_piece };

    if (scan->extractor == NULL)
        scan->extractor = text_create_extractor();
    forget_message(scan);
    for (size_t i = 0; i < scan->count; i++)
        if (scan->leaves[i].matcher != NULL)
            text_reset_matcher(scan->leaves[i].matcher);
    scan->row = row;
    scan->has_ended = scan->is_decided = false;
    text_begin(scan->extractor, &sink, 1);
}

static bool feed(void *context, struct bytes octets, struct err *err)
{
    struct search_scan *scan = context;

    text_feed(scan->extractor, octets);
    scan->fed += octets.len;
    if (scan->fed >= FED_BETWEEN_QUESTIONS) {
        scan->fed = 0;
        if (!goes_on(scan, err))
            return false;
    }
    if (decide(scan, scan->row, ask_octets) == SEARCH_ASK)
        return true;
    scan->is_decided = true; /* the rest cannot change it */
    return err_fail(err, ERR_LIMIT, "decided");
}

/* The message was read to its end: now what was not found is not there. */
static enum search_truth end_message(struct search_scan *scan, const struct search_candidate *row)
{
    const struct mime_part *root = text_end(scan->extractor);
    struct mime_summary summary = { 0 };
    enum search_truth truth;

    if (scan->needs_summary)
        search_summarise(root, text_parser(scan->extractor), scan->summary, &summary);
    for (size_t i = 0; i < scan->count; i++) {
        struct leaf *leaf = &scan->leaves[i];
        bool is_found = leaf->matcher != NULL
                            ? text_has_matched(leaf->matcher)
                            : search_column_has(scan->search->texts[i], root, &summary);

        leaf->found = is_found ? SEARCH_YES : SEARCH_NO;
    }
    scan->has_ended = true;
    scan->misses_count = false;
    truth = decide(scan, row, ask_octets);
    scan->misses_count = true;
    if (truth != SEARCH_ASK)
        return truth;
    if ((text_notes(scan->extractor) & scan->notes_mask) != 0)
        count_notes(scan, text_notes(scan->extractor) & scan->notes_mask);
    return decide(scan, row, ask_octets);
}

/* Is it this message alone that cannot be had? Then the others still can. */
static bool is_local(enum err_code code)
{
    return code == ERR_CORRUPT || code == ERR_LIMIT || code == ERR_ABSENT;
}

/* No hit, and told so. */
static void give_up(struct search_scan *scan, struct search_candidate *row,
                    const struct err *problem)
{
    struct search_tally *tally = &scan->search->tally;

    row->truth = SEARCH_NO;
    tally->unsearched++;
    tally->damaged++;
    if (tally->problem.code == ERR_NONE)
        tally->problem = *problem;
}

bool search_scan_octets(struct search *search, struct err *err)
{
    struct search_scan *scan = search->scan;
    struct search_candidate *row = &search->page->rows[search->page->at];
    const struct vault_placement *placement = find_placement(scan, row->uid);
    struct err problem = { 0 };

    if (placement == NULL) {
        if (!read_placements(scan, err))
            return false;
        placement = find_placement(scan, row->uid);
    }
    if (placement == NULL) {
        (void)err_fail(&problem, ERR_ABSENT, "message is no longer to be seen");
        give_up(scan, row, &problem);
        return true;
    }
    begin_message(scan, row);
    if (vault_stream_octets(search->scope.reader, &placement->octets, 0,
                            placement->octets.size_bytes, feed, scan, &problem)) {
        row->truth = (uint8_t)end_message(scan, row);
        return true;
    }
    if (scan->is_decided) {
        row->truth = (uint8_t)decide(scan, row, ask_octets);
        return true;
    }
    if (scan->is_abandoned || !is_local(problem.code)) {
        *err = problem;
        return false;
    }
    give_up(scan, row, &problem);
    return true;
}
