/* SPDX-License-Identifier: Apache-2.0 */
/*
 * search/language_place.c - a query within one mailbox: account:, in: and mailbox: become constants,
 * and what is left becomes IMAP's tree.
 */
#include "search/language_internal.h"

#include <stdlib.h>
#include <utf8proc.h>

/* ---- names ------------------------------------------------------------------------------------- */

struct bytes search_fold_name(struct bytes name, struct arena *arena)
{
    utf8proc_uint8_t *folded = NULL;
    utf8proc_ssize_t len = utf8proc_map(name.ptr, (utf8proc_ssize_t)name.len, &folded,
                                        UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_CASEFOLD);
    uint8_t *copy = arena_alloc(arena, (len < 0 ? name.len : (size_t)len) + 1);

    if (len < 0) { /* no UTF-8: such a name is only like itself */
        memcpy(copy, name.len > 0 ? name.ptr : copy, name.len);
        return bytes_of(copy, name.len);
    }
    memcpy(copy, folded, (size_t)len);
    free(folded);
    return bytes_of(copy, (size_t)len);
}

/* "*" stands for any octets, none too. */
static bool matches(struct bytes pattern, struct bytes name)
{
    size_t p = 0, n = 0;
    size_t after_star = SIZE_MAX, retry = 0;

    while (n < name.len) {
        if (p < pattern.len && pattern.ptr[p] == '*') {
            after_star = ++p;
            retry = n;
        } else if (p < pattern.len && pattern.ptr[p] == name.ptr[n]) {
            p++;
            n++;
        } else if (after_star != SIZE_MAX) {
            p = after_star;
            n = ++retry;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.ptr[p] == '*')
        p++;
    return p == pattern.len;
}

/* The next level; false: there is none. Empty ones do not count. */
static bool take_level(struct bytes *rest, struct bytes *out)
{
    while (scan_byte(rest, '/')) {
    }
    if (rest->len == 0)
        return false;
    if (!scan_until_byte(rest, '/', out)) {
        *out = *rest;
        *rest = bytes_slice(*rest, rest->len, 0);
    }
    return true;
}

static bool levels_match_here(struct bytes pattern, struct bytes path)
{
    struct bytes wanted, level;

    while (take_level(&pattern, &wanted)) {
        if (!take_level(&path, &level) || !matches(wanted, level))
            return false;
    }
    return true;
}

/* The levels of the pattern follow one another somewhere in the path; behind "/" at its top. */
static bool levels_match(struct bytes pattern, struct bytes path)
{
    struct bytes level;
    bool is_at_top = pattern.len > 0 && pattern.ptr[0] == '/';

    do {
        if (levels_match_here(pattern, path))
            return true;
    } while (!is_at_top && take_level(&path, &level));
    return false;
}

/* ---- truth -------------------------------------------------------------------------------------- */

/* What a place decides. */
enum verdict {
    NO,
    YES,
    OPEN, /* the messages decide, or a mailbox that is not known yet */
};

/* Names folded. has_path: else only the account is known. */
struct folded_place {
    struct bytes account_name;
    struct bytes path;
    bool has_path;
};

static enum verdict verdict_of_place(const struct search_term *term,
                                     const struct folded_place *place)
{
    if (term->field->value == SEARCH_VALUE_ACCOUNT)
        return matches(term->pattern, place->account_name) ? YES : NO;
    if (!place->has_path)
        return OPEN;
    if (term->field->value == SEARCH_VALUE_PATH)
        return matches(term->pattern, place->path) ? YES : NO;
    return levels_match(term->pattern, place->path) ? YES : NO;
}

static enum verdict verdict_of(const struct search_term *term, const struct folded_place *place);

static enum verdict verdict_of_group(const struct search_term *term,
                                     const struct folded_place *place)
{
    enum verdict deciding = term->kind == SEARCH_TERM_OR ? YES : NO;
    enum verdict verdict = deciding == YES ? NO : YES;

    for (const struct search_term *child = term->children; child != NULL; child = child->next) {
        enum verdict part = verdict_of(child, place);

        if (part == deciding)
            return deciding;
        if (part == OPEN)
            verdict = OPEN;
    }
    return verdict;
}

/* place is not asked for where no term has one. */
static enum verdict verdict_of(const struct search_term *term, const struct folded_place *place)
{
    enum verdict verdict;

    switch (term->kind) {
    case SEARCH_TERM_ALL:
        return YES;
    case SEARCH_TERM_KEY:
        return OPEN;
    case SEARCH_TERM_PLACE:
        return verdict_of_place(term, place);
    case SEARCH_TERM_NOT:
        verdict = verdict_of(term->children, place);
        return verdict == OPEN ? OPEN : verdict == YES ? NO : YES;
    case SEARCH_TERM_AND:
    case SEARCH_TERM_OR:
        return verdict_of_group(term, place);
    }
    UNREACHABLE();
}

/* ---- the tree ----------------------------------------------------------------------------------- */

/* OR has two children: a tree of pairs, so that a thousand alternatives are ten levels. */
static struct imap_search_key *pair_up(struct imap_search_key **keys, size_t count,
                                       struct arena *arena)
{
    struct imap_search_key *key;

    if (count == 1)
        return keys[0];
    key = arena_new(arena, struct imap_search_key);
    key->kind = IMAP_SEARCH_OR;
    key->children = pair_up(keys, count - count / 2, arena);
    ((struct imap_search_key *)(uintptr_t)key->children)->next =
        pair_up(keys + (count - count / 2), count / 2, arena);
    return key;
}

static struct imap_search_key *build(const struct search_term *term,
                                     const struct folded_place *place, struct arena *arena);

/* Of the children that are still open; there is at least one. */
static struct imap_search_key *build_group(const struct search_term *term,
                                           const struct folded_place *place, struct arena *arena)
{
    struct imap_search_key **keys;
    struct imap_search_key *key;
    size_t count = 0;

    for (const struct search_term *child = term->children; child != NULL; child = child->next)
        count++;
    keys = arena_new_array(arena, struct imap_search_key *, count);
    count = 0;
    for (const struct search_term *child = term->children; child != NULL; child = child->next) {
        if (verdict_of(child, place) == OPEN)
            keys[count++] = build(child, place, arena);
    }
    assert(count > 0);
    if (count == 1 || term->kind == SEARCH_TERM_OR)
        return pair_up(keys, count, arena);
    key = arena_new(arena, struct imap_search_key);
    key->kind = IMAP_SEARCH_AND;
    key->children = keys[0];
    for (size_t i = 1; i < count; i++)
        keys[i - 1]->next = keys[i];
    return key;
}

/* Of a term whose verdict is OPEN. */
static struct imap_search_key *build(const struct search_term *term,
                                     const struct folded_place *place, struct arena *arena)
{
    struct imap_search_key *key;

    if (term->kind == SEARCH_TERM_AND || term->kind == SEARCH_TERM_OR)
        return build_group(term, place, arena);
    key = arena_new(arena, struct imap_search_key);
    if (term->kind == SEARCH_TERM_NOT) {
        key->kind = IMAP_SEARCH_NOT;
        key->children = build(term->children, place, arena);
    } else {
        *key = term->key;
    }
    return key;
}

static const struct imap_search_key *
build_root(const struct search_term *root, const struct folded_place *place, struct arena *arena)
{
    enum verdict verdict = verdict_of(root, place);
    struct imap_search_key *key, *outer;

    if (verdict == NO)
        return NULL;
    if (verdict == OPEN) {
        key = build(root, place, arena);
    } else {
        key = arena_new(arena, struct imap_search_key);
        key->kind = IMAP_SEARCH_ALL;
    }
    if (key->kind == IMAP_SEARCH_AND)
        return key;
    outer = arena_new(arena, struct imap_search_key); /* an AND is the root, as of a command */
    outer->kind = IMAP_SEARCH_AND;
    outer->children = key;
    return outer;
}

const struct imap_search_key *search_build_key(const struct search_term *root, struct arena *arena)
{
    static const struct folded_place nowhere = { .has_path = false };

    return build_root(root, &nowhere, arena);
}

bool search_query_may_match_account(const struct search_query *query, struct bytes account_name)
{
    struct arena *arena;
    struct folded_place place = { .has_path = false };
    bool may_match;

    if (!query->root->has_place)
        return query->key != NULL;
    arena = arena_create(1 << 16);
    place.account_name = search_fold_name(account_name, arena);
    may_match = verdict_of(query->root, &place) != NO;
    arena_free(&arena);
    return may_match;
}

const struct imap_search_key *search_query_key_for(const struct search_query *query,
                                                   const struct search_place *place,
                                                   struct arena *arena)
{
    struct folded_place folded = { .has_path = true };

    if (!query->root->has_place)
        return query->key;
    folded.account_name = search_fold_name(place->account_name, arena);
    folded.path = search_fold_name(place->path, arena);
    return build_root(query->root, &folded, arena);
}
