/* SPDX-License-Identifier: Apache-2.0 */
/*
 * search/sql.c - one statement from constant fragments. No octet of a client gets into its text.
 */
#include "imap/flag.h"
#include "search/internal.h"

enum {
    SQL_BYTES = 1 << 20,
    VALUES_MAX = 4 * LIMIT_SEARCH_KEYS + 8, /* at most three of a key */
};

struct assembly {
    struct search *search;
    struct buf sql;
};

static void add_value(struct assembly *at, struct db_value value)
{
    assert(at->search->value_count < VALUES_MAX);
    at->search->values[at->search->value_count++] = value;
}

/* Appends the fragment with the next parameters' numbers in place of its question marks. */
static void add_fragment(struct assembly *at, const char *fragment, const struct db_value *values)
{
    for (; *fragment != '\0'; fragment++) {
        if (*fragment != '?') {
            buf_byte(&at->sql, (uint8_t)*fragment);
            continue;
        }
        add_value(at, *values++);
        buf_byte(&at->sql, '$');
        buf_u64(&at->sql, at->search->value_count);
    }
}

/* "{[1,5],[7,7]}" */
static bool write_multirange(const struct search_node *node, struct arena *arena, struct bytes *out,
                             struct err *err)
{
    CLEANUP(buf_free) struct buf text = buf_create(SQL_BYTES);

    buf_byte(&text, '{');
    for (size_t i = 0; i < node->range_count; i++) {
        buf_text(&text, i > 0 ? ",[" : "[");
        buf_u64(&text, node->ranges[i].first);
        buf_byte(&text, ',');
        buf_u64(&text, node->ranges[i].last);
        buf_byte(&text, ']');
    }
    buf_byte(&text, '}');
    return buf_done(&text, out, err) && arena_try_copy(arena, *out, SIZE_MAX, out, err);
}

/* Numbers of keywords of this name: a mailbox may have it in several spellings. */
static void add_keyword_numbers(struct assembly *at, struct bytes name)
{
    const struct vault_mailbox *mailbox = at->search->scope.mailbox;

    for (size_t i = 0; i < mailbox->keyword_count; i++) {
        struct db_value values[] = { DB_I32((int32_t)(i / 8)), DB_I32((int32_t)(i / 8)),
                                     DB_I32(1 << (i % 8)) };

        if (mailbox->keywords[i].len == 0 || !bytes_equal_nocase(mailbox->keywords[i], name))
            continue;
        add_fragment(at,
                     " OR CASE WHEN octet_length(p.keywords) > ?"
                     " THEN get_byte(p.keywords, ?) & ? <> 0 ELSE false END",
                     values);
    }
}

static void add_keyword(struct assembly *at, struct bytes shown)
{
    if (bytes_equal_nocase(shown, BYTES(IMAP_KEYWORD_SOURCE_DELETED))) {
        add_fragment(at, "(p.flags & ?) <> 0", DB_ARGS(DB_I16(VAULT_FLAG_DELETED)).values);
    } else if (bytes_equal_nocase(shown, BYTES(IMAP_KEYWORD_GONE_AT_SOURCE))) {
        buf_text(&at->sql, "p.gone_at IS NOT NULL");
    } else {
        buf_text(&at->sql, "(false");
        add_keyword_numbers(at, imap_unescape_keyword(shown));
        buf_byte(&at->sql, ')');
    }
}

static bool add_node(struct assembly *at, const struct search_node *node, struct err *err);

static bool add_children(struct assembly *at, const struct search_node *node, struct err *err)
{
    const char *between = node->key->kind == IMAP_SEARCH_OR ? " OR " : " AND ";
    const char *gap = "";

    buf_text(&at->sql, node->key->kind == IMAP_SEARCH_NOT ? "(NOT " : "(");
    if (node->children == NULL)
        buf_text(&at->sql, "true");
    for (const struct search_node *child = node->children; child != NULL; child = child->next) {
        buf_text(&at->sql, gap);
        gap = between;
        if (!add_node(at, child, err))
            return false;
    }
    buf_byte(&at->sql, ')');
    return true;
}

static int64_t to_bigint(uint64_t number)
{
    return number > INT64_MAX ? INT64_MAX : (int64_t)number;
}

/* Recursion: LIMIT_COMMAND_NESTING deep at most (imap/search_args.h). */
static bool add_node(struct assembly *at, const struct search_node *node, struct err *err)
{
    const struct search_key_row *row = search_key_row(node->key->kind);
    enum search_truth truth = search_truth_of(&at->search->scope, node, 0);
    struct bytes text;

    switch (row->arg) {
    case SEARCH_ARG_CHILDREN:
        return add_children(at, node, err);
    case SEARCH_ARG_NONE:
        buf_text(&at->sql, row->fragment);
        return true;
    case SEARCH_ARG_FLAG:
        if (truth != SEARCH_ASK)
            buf_text(&at->sql, truth == SEARCH_YES ? "true" : "false");
        else
            add_fragment(at, row->fragment, DB_ARGS(DB_I16(node->key->flag)).values);
        return true;
    case SEARCH_ARG_KEYWORD:
        add_keyword(at, node->key->text);
        return true;
    case SEARCH_ARG_SET:
        if (!write_multirange(node, at->search->arena, &text, err))
            return false;
        add_fragment(at, row->fragment, DB_ARGS(DB_TEXT(text)).values);
        return true;
    case SEARCH_ARG_DATE:
        add_fragment(at, row->fragment, DB_ARGS(DB_DATE(node->key->days)).values);
        return true;
    case SEARCH_ARG_NUMBER:
        add_fragment(at, row->fragment, DB_ARGS(DB_I64(to_bigint(node->key->number))).values);
        return true;
    case SEARCH_ARG_LATER:
        break;
    }
    return err_fail(err, ERR_ABSENT, "search key %s is not offered yet", row->name);
}

static bool add_statement(struct assembly *at, struct err *err)
{
    CLEANUP(buf_free) struct buf where = at->sql; /* the condition, already numbered */
    struct bytes condition;

    if (!buf_done(&where, &condition, err))
        return false;
    at->sql = buf_create(SQL_BYTES + 1024);
    buf_text(&at->sql, "SELECT p.uid FROM placement p WHERE p.account_id = $1"
                       " AND p.mailbox_id = $2 AND p.uid > $3 AND p.uid <= $4 AND ");
    buf_append(&at->sql, condition);
    buf_text(&at->sql, " ORDER BY p.uid LIMIT ");
    buf_u64(&at->sql, SEARCH_PAGE_HITS);
    buf_byte(&at->sql, 0);
    return buf_done(&at->sql, &condition, err);
}

bool search_assemble(struct search *search, struct err *err)
{
    struct assembly at = { .search = search, .sql = buf_create(SQL_BYTES) };
    bool is_done;

    search->values = arena_new_array(search->arena, struct db_value, VALUES_MAX);
    add_value(&at, DB_I64(search->scope.mailbox->row.account_id));
    add_value(&at, DB_I64(search->scope.mailbox->row.mailbox_id));
    add_value(&at, DB_I64(0)); /* after_uid, set for each page */
    add_value(&at, DB_I64(search->through_uid));
    is_done = add_node(&at, search->root, err) && add_statement(&at, err);
    if (is_done)
        search->sql = arena_text(search->arena, (const char *)at.sql.ptr);
    buf_free(&at.sql);
    return is_done;
}
