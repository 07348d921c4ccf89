/* SPDX-License-Identifier: Apache-2.0 */
/*
 * search/language_write.c - a query in its one spelling, and mistakes for people.
 */
#include "search/language_internal.h"

#include <utf8proc.h>

enum {
    SHOWN_BEFORE = 50, /* characters around a mistake */
    SHOWN_BEHIND = 25,
};

/* ---- the one spelling ---------------------------------------------------------------------------- */

static bool is_plain(uint8_t c)
{
    return ascii_is_alpha(c) || ascii_is_digit(c) || c >= 0x80 ||
           bytes_find_byte(BYTES("._@-+=/<>,%&$"), c) >= 0;
}

/* Whether it can be read again without quotation marks, at any place. */
static bool is_word(struct bytes text)
{
    static const struct bytes operators[] = { BYTES_INIT("OR"), BYTES_INIT("AND"),
                                              BYTES_INIT("NOT") };

    for (size_t i = 0; i < text.len; i++) {
        if (!is_plain(text.ptr[i]))
            return false;
    }
    for (size_t i = 0; i < ARRAY_LEN(operators); i++) {
        if (bytes_equal_nocase(text, operators[i]))
            return false;
    }
    return text.len > 0 && text.ptr[0] != '-' && text.ptr[0] < 0x80;
}

static void write_text(struct buf *out, struct bytes text)
{
    if (is_word(text)) {
        buf_append(out, text);
        return;
    }
    buf_byte(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '"' || text.ptr[i] == '\\')
            buf_byte(out, '\\');
        buf_byte(out, text.ptr[i]);
    }
    buf_byte(out, '"');
}

static void write_leaf(struct buf *out, const struct search_term *term)
{
    if (term->field != search_text_field()) {
        buf_append(out, term->field->name);
        buf_byte(out, ':');
    }
    if (term->field->value == SEARCH_VALUE_HEADER) {
        buf_append(out, term->name);
        if (term->value.len == 0)
            return;
        buf_byte(out, '=');
    }
    write_text(out, term->value);
}

static void write_term(struct buf *out, const struct search_term *term);

static void write_child(struct buf *out, const struct search_term *term)
{
    bool has_parentheses = term->kind == SEARCH_TERM_AND || term->kind == SEARCH_TERM_OR;

    if (has_parentheses)
        buf_byte(out, '(');
    write_term(out, term);
    if (has_parentheses)
        buf_byte(out, ')');
}

/* Recursion: LIMIT_COMMAND_NESTING deep. */
static void write_term(struct buf *out, const struct search_term *term)
{
    const char *between = term->kind == SEARCH_TERM_OR ? " OR " : " ";

    switch (term->kind) {
    case SEARCH_TERM_ALL:
        buf_byte(out, '*');
        return;
    case SEARCH_TERM_KEY:
    case SEARCH_TERM_PLACE:
        write_leaf(out, term);
        return;
    case SEARCH_TERM_NOT:
        buf_text(out, term->children->kind == SEARCH_TERM_NOT ? "NOT " : "-");
        write_child(out, term->children);
        return;
    case SEARCH_TERM_AND:
    case SEARCH_TERM_OR:
        for (const struct search_term *child = term->children; child != NULL; child = child->next) {
            buf_text(out, child == term->children ? "" : between);
            write_child(out, child);
        }
        return;
    }
    UNREACHABLE();
}

void search_write_query(const struct search_query *query, struct buf *out)
{
    write_term(out, query->root);
}

/* ---- mistakes -------------------------------------------------------------------------------------- */

/* The length of the character at the front, and how it is shown. */
static size_t next_character(struct bytes text, struct bytes *shown, size_t *width)
{
    utf8proc_int32_t c;
    utf8proc_ssize_t len = utf8proc_iterate(text.ptr, (utf8proc_ssize_t)text.len, &c);

    *width = 1;
    if (len <= 0) {
        *shown = BYTES("?");
        return 1;
    }
    *shown = bytes_slice(text, 0, (size_t)len);
    if (c < 0x20 || (c >= 0x7f && c < 0xa0))
        *shown = BYTES(" ");
    else
        *width = (size_t)utf8proc_charwidth(c);
    return (size_t)len;
}

/* Where a line around the place begins. */
static size_t first_shown(struct bytes text, size_t offset)
{
    size_t count = 0;

    while (offset > 0 && count < SHOWN_BEFORE) {
        offset--;
        count += (text.ptr[offset] & 0xc0) != 0x80 ? 1 : 0;
    }
    return offset;
}

void search_write_mistake(struct bytes text, const struct search_mistake *mistake, struct buf *out)
{
    size_t at = first_shown(text, mistake->offset);
    size_t caret = at > 0 ? 3 : 0;
    size_t behind = 0;

    buf_text(out, at > 0 ? "..." : "");
    while (at < text.len && behind < SHOWN_BEHIND) {
        struct bytes shown;
        size_t width;
        size_t len = next_character(bytes_slice(text, at, SIZE_MAX), &shown, &width);

        buf_append(out, shown);
        if (at < mistake->offset)
            caret += width;
        else
            behind++;
        at += len;
    }
    buf_text(out, at < text.len ? "...\n" : "\n");
    for (size_t i = 0; i < caret; i++)
        buf_byte(out, ' ');
    buf_text(out, "^\n");
    buf_text(out, mistake->text);
    buf_byte(out, '\n');
}
