/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operator's query language. The first line is the query, the second the account, the rest the
 * path of a mailbox. A query that is read has one spelling, which is read as itself and means the
 * same; a mistake lies within the text.
 */
#include "base/limits.h"
#include "imap/mailbox.h"
#include "search/language.h"

#include <stdlib.h>

#define PROMISE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

enum {
    ARENA_BYTES = 64 << 20,
    TEXT_BYTES = 1 << 20
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Deep enough to overflow a stack that is not ours is deeper than promised. */
static void check_tree(const struct imap_search_key *key, size_t depth)
{
    size_t count = 0;

    PROMISE(depth <= LIMIT_COMMAND_NESTING);
    for (const struct imap_search_key *child = key->children; child != NULL; child = child->next) {
        check_tree(child, depth + 1);
        count++;
    }
    if (key->kind == IMAP_SEARCH_OR)
        PROMISE(count == 2);
    else if (key->kind == IMAP_SEARCH_NOT)
        PROMISE(count == 1);
    else
        PROMISE(key->kind == IMAP_SEARCH_AND || count == 0);
}

static bool is_same_tree(const struct imap_search_key *a, const struct imap_search_key *b)
{
    if (a == NULL || b == NULL)
        return a == b;
    if (a->kind != b->kind || a->flag != b->flag || a->days != b->days || a->number != b->number ||
        !bytes_equal(a->text, b->text) || !bytes_equal(a->field, b->field))
        return false;
    a = a->children;
    b = b->children;
    while (a != NULL && b != NULL && is_same_tree(a, b)) {
        a = a->next;
        b = b->next;
    }
    return a == NULL && b == NULL;
}

static void check_mistake(struct bytes text, const struct search_mistake *mistake,
                          const struct err *err)
{
    struct buf shown = buf_create(TEXT_BYTES);

    PROMISE(err->code == ERR_SYNTAX || err->code == ERR_LIMIT);
    PROMISE(mistake->offset <= text.len && mistake->column <= mistake->offset);
    PROMISE(mistake->text[0] != '\0');
    search_write_mistake(text, mistake, &shown);
    PROMISE(!shown.has_failed && imap_is_utf8(buf_bytes(&shown)));
    buf_free(&shown);
}

static void check_query(const struct search_query *query, const struct search_place *place,
                        struct arena *arena)
{
    const struct imap_search_key *key = search_query_key_for(query, place, arena);
    struct search_query *again;
    struct buf first = buf_create(TEXT_BYTES);
    struct buf second = buf_create(TEXT_BYTES);
    struct err err = { 0 };
    size_t count;

    (void)search_query_words(query, &count);
    if (key != NULL) {
        PROMISE(key->kind == IMAP_SEARCH_AND &&
                search_query_may_match_account(query, place->account_name));
        check_tree(key, 1);
    }
    search_write_query(query, &first);
    PROMISE(!first.has_failed);
    if (first.len <= SEARCH_QUERY_BYTES) { /* repeated fields make it longer */
        PROMISE(search_parse_query(buf_bytes(&first), arena, &again, NULL, &err));
        search_write_query(again, &second);
        PROMISE(bytes_equal(buf_bytes(&first), buf_bytes(&second)));
        PROMISE(!search_query_is_mixed(again));
        PROMISE(is_same_tree(key, search_query_key_for(again, place, arena)));
    }
    buf_free(&first);
    buf_free(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes rest = bytes_of(data, size);
    struct bytes text = rest;
    struct search_place place = { .path = BYTES("INBOX") };
    struct search_query *query;
    struct search_mistake mistake;
    struct arena *arena = arena_create(ARENA_BYTES);
    struct err err = { 0 };

    if (scan_until_byte(&rest, '\n', &text) && scan_byte(&rest, '\n') &&
        scan_until_byte(&rest, '\n', &place.account_name) && scan_byte(&rest, '\n'))
        place.path = rest;
    if (search_parse_query(text, arena, &query, &mistake, &err))
        check_query(query, &place, arena);
    else
        check_mistake(text, &mistake, &err);
    arena_free(&arena);
    return 0;
}
