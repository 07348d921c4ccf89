/* SPDX-License-Identifier: Apache-2.0 */
/*
 * search/sql.c - one statement from constant fragments. No octet of a client gets into its text.
 */
#include "imap/flag.h"
#include "mime/parser.h"
#include "search/internal.h"

#include <stdlib.h>

enum {
    SQL_BYTES = 4 << 20,
    /* Of candidates: as many as there are ids in one reading of texts, but their leaves are kept too. */
    CANDIDATES = 16384,
    CANDIDATE_LEAVES = 1 << 20,
};

struct assembly {
    struct search *search;
    struct buf sql;
};

static void add_value(struct assembly *at, struct db_value value)
{
    struct search *search = at->search;

    if (search->value_count == search->value_room) {
        search->value_room = 2 * search->value_room + 16;
        search->values = reallocarray(search->values, search->value_room, sizeof value);
        assert(search->values != NULL);
    }
    search->values[search->value_count++] = value;
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

static void add_column(struct assembly *at, const struct search_key_row *row,
                       const struct search_node *node)
{
    const struct db_value values[] = { DB_I32(MIME_PARSER_VERSION), DB_TEXT(node->needle) };

    add_fragment(at, node->needle.len > 0 ? row->fragment : row->empty_fragment, values);
}

/* The empty text is known. */
static void add_text(struct assembly *at, const struct search_key_row *row,
                     const struct search_node *node)
{
    enum search_truth truth = search_truth_of(&at->search->scope, node, 0);

    buf_text(&at->sql, truth == SEARCH_ASK   ? row->fragment
                       : truth == SEARCH_YES ? "true"
                                             : "false");
}

static int64_t to_bigint(uint64_t number)
{
    return number > INT64_MAX ? INT64_MAX : (int64_t)number;
}

static void add_flag(struct assembly *at, const struct search_key_row *row,
                     const struct search_node *node)
{
    enum search_truth truth = search_truth_of(&at->search->scope, node, 0);

    if (truth != SEARCH_ASK)
        buf_text(&at->sql, truth == SEARCH_YES ? "true" : "false");
    else
        add_fragment(at, row->fragment, DB_ARGS(DB_I16(node->key->flag)).values);
}

/* Recursion: LIMIT_COMMAND_NESTING deep at most (imap/search_args.h). */
static bool add_node(struct assembly *at, const struct search_node *node, struct err *err)
{
    const struct search_key_row *row = search_key_row(node->key->kind);
    struct bytes text;

    switch (row->arg) {
    case SEARCH_ARG_CHILDREN:
        return add_children(at, node, err);
    case SEARCH_ARG_NONE:
        buf_text(&at->sql, row->fragment);
        return true;
    case SEARCH_ARG_FLAG:
        add_flag(at, row, node);
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
    case SEARCH_ARG_SENT:
        add_fragment(at, row->fragment,
                     DB_ARGS(DB_I32(MIME_PARSER_VERSION), DB_DATE(node->key->days)).values);
        return true;
    case SEARCH_ARG_NUMBER:
        add_fragment(at, row->fragment, DB_ARGS(DB_I64(to_bigint(node->key->number))).values);
        return true;
    case SEARCH_ARG_PARTS:
        add_fragment(at, row->fragment, DB_ARGS(DB_I32(MIME_PARSER_VERSION)).values);
        return true;
    case SEARCH_ARG_HASH:
        add_fragment(at, row->fragment, DB_ARGS(DB_TEXT(node->key->text)).values);
        return true;
    case SEARCH_ARG_COLUMN:
        add_column(at, row, node);
        return true;
    case SEARCH_ARG_TEXT:
        add_text(at, row, node);
        return true;
    }
    UNREACHABLE();
}

/* What is not false may be a hit. Each part of an AND by itself, so that the planner sees them. */
static bool add_condition(struct assembly *at, const struct search_node *node, struct err *err)
{
    const char *gap = "(";

    if (!node->may_ask)
        return add_node(at, node, err);
    if (node->key->kind == IMAP_SEARCH_AND) {
        for (const struct search_node *child = node->children; child != NULL; child = child->next) {
            buf_text(&at->sql, gap);
            gap = " AND ";
            if (!add_condition(at, child, err))
                return false;
        }
        buf_byte(&at->sql, ')');
        return true;
    }
    buf_text(&at->sql, "(");
    if (!add_node(at, node, err))
        return false;
    buf_text(&at->sql, ") IS NOT FALSE");
    return true;
}

/* "'0', '1' or '2' (not known) of each leaf, in the order of their numbers", as one text. */
static bool add_bits(struct assembly *at, const struct search_node *node, struct err *err)
{
    if (node->bit != SEARCH_NOWHERE) {
        buf_text(&at->sql, " || coalesce((");
        if (!add_node(at, node, err))
            return false;
        buf_text(&at->sql, ")::int::text, '2')");
    }
    for (const struct search_node *child = node->children; child != NULL; child = child->next)
        if (!add_bits(at, child, err))
            return false;
    return true;
}

static bool uses_index(const struct search *search)
{
    for (size_t i = 0; i < search->text_count; i++)
        if (search->texts[i]->bit != SEARCH_NOWHERE)
            return true;
    return false;
}

static size_t page_rows(const struct search *search)
{
    size_t rows = CANDIDATES;

    if (!search->root->may_ask)
        return SEARCH_PAGE_HITS;
    if (rows * search->bit_count > CANDIDATE_LEAVES)
        rows = CANDIDATE_LEAVES / search->bit_count;
    return rows;
}

/*
 * A look-up of the index for each row, not a join that the planner might turn round (see SIZE in
 * key.c); one, whatever the number of keys that need it.
 */
#define WITH_INDEX                                                                                 \
    " LEFT JOIN LATERAL (SELECT * FROM message_index x WHERE x.account_id = p.account_id"          \
    " AND x.message_id = p.message_id OFFSET 0) i ON true"

/* Placements as they were at a MODSEQ (vault/position.h): by the last event up to it, where there is a
 * later one. The events of other rows are not looked at. */
#define AS_OF                                                                                      \
    " FROM (SELECT q.account_id, q.mailbox_id, q.uid, q.message_id, q.internal_at,"                \
    " q.internal_day, coalesce(e.flags, q.flags) AS flags,"                                        \
    " coalesce(e.keywords, q.keywords) AS keywords,"                                               \
    " CASE WHEN e.modseq IS NULL THEN q.gone_at WHEN e.is_gone THEN e.at END AS gone_at"           \
    " FROM placement q LEFT JOIN LATERAL (SELECT v.modseq, v.at, v.flags, v.keywords, v.is_gone"   \
    " FROM flag_event v WHERE v.account_id = q.account_id AND v.mailbox_id = q.mailbox_id"         \
    " AND v.uid = q.uid AND v.modseq <= ? AND q.modseq > ? ORDER BY v.modseq DESC LIMIT 1) e"      \
    " ON true) p"

static void add_source(struct assembly *at)
{
    struct db_value modseq = DB_I64(at->search->scope.as_of_modseq);

    if (at->search->scope.as_of_modseq == 0)
        buf_text(&at->sql, " FROM placement p");
    else
        add_fragment(at, AS_OF, DB_ARGS(modseq, modseq).values);
}

static bool add_statement(struct assembly *at, struct err *err)
{
    const struct search *search = at->search;

    buf_text(&at->sql, "SELECT p.uid");
    if (search->root->may_ask) {
        buf_text(&at->sql, ", p.message_id, ''");
        if (!add_bits(at, search->root, err))
            return false;
    }
    add_source(at);
    if (uses_index(search))
        buf_text(&at->sql, WITH_INDEX);
    buf_text(&at->sql, " WHERE p.account_id = $1 AND p.mailbox_id = $2 AND p.uid > $3"
                       " AND p.uid <= $4 AND ");
    if (!add_condition(at, search->root, err))
        return false;
    buf_text(&at->sql, " ORDER BY p.uid LIMIT ");
    buf_u64(&at->sql, search->page_rows);
    buf_byte(&at->sql, 0);
    return true;
}

bool search_assemble(struct search *search, struct err *err)
{
    CLEANUP(buf_free) struct buf sql = { 0 };
    struct assembly at = { .search = search, .sql = buf_create(SQL_BYTES) };
    struct bytes done;
    bool is_done;

    search->page_rows = page_rows(search);
    add_value(&at, DB_I64(search->scope.mailbox->row.account_id));
    add_value(&at, DB_I64(search->scope.mailbox->row.mailbox_id));
    add_value(&at, DB_I64(0)); /* after_uid, set for each page */
    add_value(&at, DB_I64(search->through_uid));
    is_done = add_statement(&at, err);
    sql = at.sql;
    if (!is_done || !buf_done(&sql, &done, err) ||
        !arena_try_copy(search->arena, done, SIZE_MAX, &done, err))
        return false;
    search->sql = (const char *)done.ptr;
    return true;
}
