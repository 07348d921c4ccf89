/* SPDX-License-Identifier: Apache-2.0 */
#include "search/search.h"

#include "db/pool.h"
#include "imap/flag.h"
#include "search/internal.h"

enum {
    BORROW_MS = 10000
};

/* ---- sets --------------------------------------------------------------------------------------- */

static struct vault_uid_range to_uids(const struct vault_mailbox *mailbox, struct imap_range range,
                                      bool is_uid)
{
    if (is_uid)
        return (struct vault_uid_range){ .first = range.first, .last = range.last };
    return (struct vault_uid_range){ .first = vault_uid_at_seq(mailbox, range.first),
                                     .last = vault_uid_at_seq(mailbox, range.last) };
}

bool search_resolve_uids(const struct vault_mailbox *mailbox, const struct imap_sequence_set *set,
                         bool is_uid, struct arena *arena, const struct vault_uid_range **out,
                         size_t *count, bool *beyond, struct err *err)
{
    uint32_t exists = vault_count_messages(mailbox);
    uint32_t last_uid = vault_uid_at_seq(mailbox, exists);
    uint32_t last = is_uid ? last_uid : exists;
    struct imap_set resolved;
    struct vault_uid_range *ranges;
    size_t used = 0;

    if (set->is_saved_result)
        return err_fail(err, ERR_SYNTAX, "$ is not offered");
    resolved = imap_resolve_set(set, last, arena);
    ranges = arena_new_array(arena, struct vault_uid_range, resolved.count);
    if (beyond != NULL)
        *beyond = imap_set_max(&resolved) > last;
    for (size_t i = 0; i < resolved.count && resolved.ranges[i].first <= last; i++) {
        struct imap_range range = resolved.ranges[i];

        if (range.last > last)
            range.last = last;
        ranges[used++] = to_uids(mailbox, range, is_uid);
    }
    *out = ranges;
    *count = used;
    return true;
}

static bool has_uid(const struct search_node *node, uint32_t uid)
{
    size_t low = 0;
    size_t high = node->range_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (node->ranges[middle].last < uid)
            low = middle + 1;
        else
            high = middle;
    }
    return low < node->range_count && node->ranges[low].first <= uid;
}

/* ---- the tree ----------------------------------------------------------------------------------- */

static bool resolve(struct search *search, const struct imap_search_key *key,
                    const struct search_node **out, struct err *err)
{
    struct search_node *node = arena_new(search->arena, struct search_node);
    const struct search_node **at = &node->children;
    enum search_arg arg = search_key_row(key->kind)->arg;

    node->key = key;
    if (arg == SEARCH_ARG_LATER)
        return err_fail(err, ERR_ABSENT, "search key %s is not offered yet",
                        search_key_row(key->kind)->name);
    if (arg == SEARCH_ARG_SET &&
        !search_resolve_uids(search->scope.mailbox, &key->set, key->kind == IMAP_SEARCH_UID_SET,
                             search->arena, &node->ranges, &node->range_count, NULL, err))
        return false;
    for (const struct imap_search_key *child = key->children; child != NULL; child = child->next) {
        if (!resolve(search, child, at, err))
            return false;
        at = &((struct search_node *)(uintptr_t)*at)->next;
    }
    *out = node;
    return true;
}

static enum search_truth negate(enum search_truth truth)
{
    if (truth == SEARCH_ASK)
        return SEARCH_ASK;
    return truth == SEARCH_YES ? SEARCH_NO : SEARCH_YES;
}

static enum search_truth truth_of_flag(const struct search_scope *scope, uint8_t flag)
{
    if (flag == IMAP_FLAG_DELETED)
        return SEARCH_NO; /* shown as a keyword */
    if (flag == IMAP_FLAG_SEEN && scope->shows_all_seen)
        return SEARCH_YES;
    return SEARCH_ASK;
}

/* ASK wherever a part says so: whether a query is pure must not depend on the UID. */
static enum search_truth truth_of_children(const struct search_scope *scope,
                                           const struct search_node *node, uint32_t uid)
{
    bool is_or = node->key->kind == IMAP_SEARCH_OR;
    enum search_truth truth = is_or ? SEARCH_NO : SEARCH_YES;

    for (const struct search_node *child = node->children; child != NULL; child = child->next) {
        enum search_truth part = search_truth_of(scope, child, uid);

        if (part == SEARCH_ASK)
            return SEARCH_ASK;
        if (part == (is_or ? SEARCH_YES : SEARCH_NO))
            truth = part;
    }
    return truth;
}

enum search_truth search_truth_of(const struct search_scope *scope, const struct search_node *node,
                                  uint32_t uid)
{
    enum imap_search_kind kind = node->key->kind;

    if (kind == IMAP_SEARCH_ALL)
        return SEARCH_YES;
    if (kind == IMAP_SEARCH_RECENT)
        return SEARCH_NO;
    if (kind == IMAP_SEARCH_NOT)
        return negate(search_truth_of(scope, node->children, uid));
    if (kind == IMAP_SEARCH_AND || kind == IMAP_SEARCH_OR)
        return truth_of_children(scope, node, uid);
    if (kind == IMAP_SEARCH_SEQ_SET || kind == IMAP_SEARCH_UID_SET)
        return has_uid(node, uid) ? SEARCH_YES : SEARCH_NO;
    if (kind == IMAP_SEARCH_FLAG)
        return truth_of_flag(scope, node->key->flag);
    return SEARCH_ASK;
}

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

bool search_open(const struct search_scope *scope, const struct imap_search_key *key,
                 struct arena *arena, struct search **out, struct err *err)
{
    struct search *search = arena_new(arena, struct search);

    search->scope = *scope;
    search->arena = arena;
    search->through_uid = vault_uid_at_seq(scope->mailbox, vault_count_messages(scope->mailbox));
    if (!resolve(search, key, &search->root, err))
        return false;
    narrow(search, search->root);
    search->is_pure = search_truth_of(scope, search->root, 0) != SEARCH_ASK;
    if (!search->is_pure && !search_assemble(search, err))
        return false;
    *out = search;
    return true;
}

/* ---- hits --------------------------------------------------------------------------------------- */

static void next_pure(struct search *search, uint32_t *uids, size_t *count)
{
    while (*count < SEARCH_PAGE_HITS && search->after_uid < search->through_uid) {
        uint32_t uid = ++search->after_uid;

        if (search_truth_of(&search->scope, search->root, uid) == SEARCH_YES &&
            vault_uid_exists(search->scope.mailbox, uid))
            uids[(*count)++] = uid;
    }
}

/* One READ ONLY transaction; ERR_RETRY is the caller's to try again. */
static bool next_from_database(struct search *search, uint32_t *uids, size_t *count,
                               struct err *err)
{
    CLEANUP(db_pool_return) struct db_loan loan = { 0 };
    CLEANUP(db_rollback) struct db_tx tx = { 0 };
    CLEANUP(db_result_free) struct db_result *rows = NULL;

    search->values[2] = DB_I64(search->after_uid);
    if (!db_pool_borrow(search->scope.pool, deadline_after_ms(BORROW_MS), &loan, err) ||
        !db_begin(loan.db, DB_REPEATABLE_READ_ONLY, &tx, err) ||
        !db_run_ok(loan.db, DB_SESSION_SET_TOKEN,
                   DB_ARGS(DB_TEXT(secret_bytes(search->scope.token))), err) ||
        !db_run_assembled(loan.db, search->sql,
                          (struct db_args){ search->values, search->value_count }, &rows, err) ||
        !db_commit(&tx, err))
        return err_wrap(err, "search");
    for (size_t i = 0; i < db_rows(rows); i++)
        uids[(*count)++] = (uint32_t)db_i64(rows, i, 0);
    if (*count == SEARCH_PAGE_HITS)
        search->after_uid = uids[*count - 1];
    else
        search->after_uid = search->through_uid;
    return true;
}

bool search_next(struct search *search, uint32_t uids[SEARCH_PAGE_HITS], size_t *count,
                 bool *is_last, struct err *err)
{
    *count = 0;
    if (search->after_uid < search->through_uid) {
        if (search->is_pure)
            next_pure(search, uids, count);
        else if (!next_from_database(search, uids, count, err))
            return false;
    }
    *is_last = search->after_uid >= search->through_uid;
    return true;
}
