/* SPDX-License-Identifier: Apache-2.0 */
/*
 * search/tree.c - the tree of keys: sets and texts resolved, leaves numbered, and what known leaves
 * make of it. Recursion: LIMIT_COMMAND_NESTING deep at most (imap/search_args.h).
 */
#include "base/limits.h"
#include "imap/flag.h"
#include "search/internal.h"
#include "text/fold.h"

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

/* ---- what is known without the database --------------------------------------------------------- */

static enum search_truth negate(enum search_truth truth)
{
    if (truth == SEARCH_ASK)
        return SEARCH_ASK;
    return truth == SEARCH_YES ? SEARCH_NO : SEARCH_YES;
}

static enum search_truth truth_if(bool is_true)
{
    return is_true ? SEARCH_YES : SEARCH_NO;
}

static enum search_truth truth_of_flag(const struct search_scope *scope, uint8_t flag)
{
    if (flag == IMAP_FLAG_DELETED)
        return SEARCH_NO; /* shown as a keyword */
    if (flag == IMAP_FLAG_SEEN && scope->shows_all_seen)
        return SEARCH_YES;
    return SEARCH_ASK;
}

static enum search_truth truth_of_leaf(const struct search_scope *scope,
                                       const struct search_node *node, uint32_t uid)
{
    enum imap_search_kind kind = node->key->kind;

    if (kind == IMAP_SEARCH_ALL)
        return SEARCH_YES;
    if (kind == IMAP_SEARCH_RECENT)
        return SEARCH_NO;
    if (kind == IMAP_SEARCH_SEQ_SET || kind == IMAP_SEARCH_UID_SET)
        return truth_if(has_uid(node, uid));
    if (kind == IMAP_SEARCH_FLAG)
        return truth_of_flag(scope, node->key->flag);
    if ((kind == IMAP_SEARCH_BODY || kind == IMAP_SEARCH_TEXT) && node->key->text.len == 0)
        return SEARCH_YES;
    if (kind == IMAP_SEARCH_HEADER && node->key->field.len == 0)
        return SEARCH_NO; /* no field has this name */
    return SEARCH_ASK;
}

/* ASK wherever a part says so: whether a query is pure must not depend on the UID. */
static enum search_truth truth_of_children(const struct search_scope *scope,
                                           const struct search_node *node, uint32_t uid)
{
    bool is_or = node->key->kind == IMAP_SEARCH_OR;
    enum search_truth truth = truth_if(!is_or);

    for (const struct search_node *child = node->children; child != NULL; child = child->next) {
        enum search_truth part = search_truth_of(scope, child, uid);

        if (part == SEARCH_ASK)
            return SEARCH_ASK;
        if (part == truth_if(is_or))
            truth = part;
    }
    return truth;
}

enum search_truth search_truth_of(const struct search_scope *scope, const struct search_node *node,
                                  uint32_t uid)
{
    enum imap_search_kind kind = node->key->kind;

    if (kind == IMAP_SEARCH_NOT)
        return negate(search_truth_of(scope, node->children, uid));
    if (kind == IMAP_SEARCH_AND || kind == IMAP_SEARCH_OR)
        return truth_of_children(scope, node, uid);
    return truth_of_leaf(scope, node, uid);
}

/* ---- one message -------------------------------------------------------------------------------- */

static enum search_truth decide_leaf(const struct search_facts *facts,
                                     const struct search_node *node)
{
    enum search_truth truth = truth_of_leaf(facts->scope, node, facts->uid);

    if (truth == SEARCH_ASK && node->bit != SEARCH_NOWHERE && facts->bits != NULL &&
        facts->bits[node->bit] != '2')
        truth = truth_if(facts->bits[node->bit] == '1');
    if (truth == SEARCH_ASK && node->text != SEARCH_NOWHERE && facts->ask != NULL)
        truth = facts->ask(facts->context, node);
    return truth;
}

enum search_truth search_decide(const struct search_facts *facts, const struct search_node *node)
{
    bool is_or = node->key->kind == IMAP_SEARCH_OR;
    enum search_truth truth = truth_if(!is_or);

    if (node->key->kind == IMAP_SEARCH_NOT)
        return negate(search_decide(facts, node->children));
    if (node->key->kind != IMAP_SEARCH_AND && !is_or)
        return decide_leaf(facts, node);
    for (const struct search_node *child = node->children; child != NULL; child = child->next) {
        enum search_truth part = search_decide(facts, child);

        if (part == truth_if(is_or))
            return part;
        if (part == SEARCH_ASK)
            truth = SEARCH_ASK;
    }
    return truth;
}

/* ---- resolving ---------------------------------------------------------------------------------- */

/* Folded as the column is: text/fold.h. */
static bool fold_needle(struct search *search, struct search_node *node, struct err *err)
{
    CLEANUP(buf_free)
    struct buf folded = buf_create((size_t)TEXT_NEEDLE_MAX * TEXT_FOLD_GROWTH_MAX);
    struct bytes done;

    if (node->key->text.len > TEXT_NEEDLE_MAX)
        return err_fail(err, ERR_LIMIT, "search text of %zu octets, at most %u",
                        node->key->text.len, TEXT_NEEDLE_MAX);
    text_fold_line(node->key->text, &folded);
    return buf_done(&folded, &done, err) &&
           arena_try_copy(search->arena, done, SIZE_MAX, &node->needle, err);
}

static bool resolve_argument(struct search *search, struct search_node *node, enum search_arg arg,
                             struct err *err)
{
    const struct imap_search_key *key = node->key;

    if (arg == SEARCH_ARG_SET)
        return search_resolve_uids(search->scope.mailbox, &key->set,
                                   key->kind == IMAP_SEARCH_UID_SET, search->arena, &node->ranges,
                                   &node->range_count, NULL, err);
    if (arg == SEARCH_ARG_COLUMN)
        return fold_needle(search, node, err);
    return true;
}

/* Leaves that are not known yet get their numbers. */
static void number_leaf(struct search *search, struct search_node *node, enum search_arg arg)
{
    node->bit = node->text = SEARCH_NOWHERE;
    if (arg == SEARCH_ARG_CHILDREN || arg == SEARCH_ARG_SET ||
        truth_of_leaf(&search->scope, node, 0) != SEARCH_ASK)
        return;
    if (arg != SEARCH_ARG_TEXT)
        node->bit = (int32_t)search->bit_count++;
    if (arg == SEARCH_ARG_TEXT || arg == SEARCH_ARG_COLUMN || arg == SEARCH_ARG_SENT ||
        arg == SEARCH_ARG_PARTS) {
        node->may_ask = true;
        node->text = (int32_t)search->text_count;
        search->texts[search->text_count++] = node;
    }
}

static bool resolve(struct search *search, const struct imap_search_key *key,
                    const struct search_node **out, struct err *err)
{
    struct search_node *node = arena_new(search->arena, struct search_node);
    const struct search_node **at = &node->children;
    enum search_arg arg = search_key_row(key->kind)->arg;

    node->key = key;
    if (!resolve_argument(search, node, arg, err))
        return false;
    number_leaf(search, node, arg);
    for (const struct imap_search_key *child = key->children; child != NULL; child = child->next) {
        if (!resolve(search, child, at, err))
            return false;
        node->may_ask = node->may_ask || (*at)->may_ask;
        at = &((struct search_node *)(uintptr_t)*at)->next;
    }
    *out = node;
    return true;
}

static size_t count_keys(const struct imap_search_key *key)
{
    size_t count = 1;

    for (const struct imap_search_key *child = key->children; child != NULL; child = child->next)
        count += count_keys(child);
    return count;
}

bool search_resolve(struct search *search, const struct imap_search_key *key, struct err *err)
{
    search->texts = arena_new_array(search->arena, const struct search_node *, count_keys(key));
    return resolve(search, key, &search->root, err);
}
