/* SPDX-License-Identifier: Apache-2.0 */
/*
 * search/language.c - reads a query. Recursive descent over the text; the grammar is in README.md.
 */
#include "search/language.h"

#include "base/limits.h"
#include "search/language_internal.h"

#include <stdio.h>
#include <utf8proc.h>

struct reader {
    struct bytes text;
    size_t at; /* octets read */
    struct arena *arena;
    struct search_mistake *mistake;
    struct err *err;
    size_t count; /* terms and operators */
    size_t depth; /* of recursion */
    bool is_mixed;
    const struct search_field *field; /* within field:( … ): whose values these are */
    struct bytes name;                /* likewise, of header: */
};

/* A term as it is read: how deep its tree is, at most. */
struct piece {
    struct search_term *term;
    size_t depth;
    bool is_bare_and; /* AND without parentheses around it */
};

static bool read_any(struct reader *r, struct piece *out);

/* ---- mistakes --------------------------------------------------------------------------------- */

static size_t count_characters(struct bytes text)
{
    size_t count = 0;

    for (size_t i = 0; i < text.len; i++)
        count += (text.ptr[i] & 0xc0) != 0x80 ? 1 : 0;
    return count;
}

static bool fail(struct reader *r, enum err_code code, size_t offset, const char *text)
{
    struct search_mistake mistake = {
        .offset = offset,
        .column = count_characters(bytes_slice(r->text, 0, offset)),
    };

    (void)snprintf(mistake.text, sizeof mistake.text, "%s", text);
    if (r->mistake != NULL)
        *r->mistake = mistake;
    return err_fail(r->err, code, "query, column %zu: %s", mistake.column + 1, text);
}

static bool expect(struct reader *r, size_t offset, const char *text)
{
    return fail(r, ERR_SYNTAX, offset, text);
}

/* ---- characters ------------------------------------------------------------------------------- */

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* What ends a word. */
static bool is_border(uint8_t c)
{
    return is_space(c) || c == '(' || c == ')' || c == '"';
}

static bool at_end(const struct reader *r)
{
    return r->at == r->text.len;
}

static uint8_t peek(const struct reader *r)
{
    return at_end(r) ? 0 : r->text.ptr[r->at];
}

static bool looks_at(const struct reader *r, struct bytes text)
{
    return bytes_start_with(bytes_slice(r->text, r->at, SIZE_MAX), text);
}

static void skip_spaces(struct reader *r)
{
    while (!at_end(r) && is_space(peek(r)))
        r->at++;
}

/* The word here, without taking it. */
static struct bytes peek_word(const struct reader *r)
{
    size_t end = r->at;

    while (end < r->text.len && !is_border(r->text.ptr[end]))
        end++;
    return bytes_slice(r->text, r->at, end - r->at);
}

/* UTF-8 throughout, and no control characters. */
static bool check_characters(struct reader *r)
{
    size_t at = 0;

    while (at < r->text.len) {
        utf8proc_int32_t c;
        utf8proc_ssize_t len =
            utf8proc_iterate(r->text.ptr + at, (utf8proc_ssize_t)(r->text.len - at), &c);

        if (len <= 0)
            return expect(r, at, "this is not UTF-8");
        if ((c < 0x20 && !is_space((uint8_t)c)) || (c >= 0x7f && c < 0xa0))
            return expect(r, at, "a control character");
        at += (size_t)len;
    }
    return true;
}

/* Signs that word processors put where ours are meant. */
static bool check_signs(struct reader *r)
{
    static const struct {
        struct bytes sign;
        const char *text;
    } signs[] = {
        { BYTES_INIT("\u201c"), "a typographic quotation mark: use the plain \"" },
        { BYTES_INIT("\u201d"), "a typographic quotation mark: use the plain \"" },
        { BYTES_INIT("\u201e"), "a typographic quotation mark: use the plain \"" },
        { BYTES_INIT("\u00ab"), "a typographic quotation mark: use the plain \"" },
        { BYTES_INIT("\u2013"), "a long dash does not negate: use the plain -" },
        { BYTES_INIT("\u2014"), "a long dash does not negate: use the plain -" },
        { BYTES_INIT("\u2212"), "a long dash does not negate: use the plain -" },
    };

    for (size_t i = 0; i < ARRAY_LEN(signs); i++) {
        if (looks_at(r, signs[i].sign))
            return expect(r, r->at, signs[i].text);
    }
    return true;
}

/* ---- pieces ------------------------------------------------------------------------------------ */

static bool count_one(struct reader *r, size_t offset)
{
    if (++r->count > LIMIT_SEARCH_KEYS)
        return fail(r, ERR_LIMIT, offset, "too many terms in one query");
    return true;
}

static bool go_deeper(struct reader *r, size_t offset)
{
    if (++r->depth > LIMIT_COMMAND_NESTING)
        return fail(r, ERR_LIMIT, offset, "nested too deep");
    return true;
}

static bool set_depth(struct reader *r, struct piece *piece, size_t depth, size_t offset)
{
    piece->depth = depth;
    if (depth >= LIMIT_COMMAND_NESTING) /* one is kept for the AND around everything */
        return fail(r, ERR_LIMIT, offset, "nested too deep");
    return true;
}

static struct piece new_piece(struct reader *r, enum search_term_kind kind)
{
    struct search_term *term = arena_new(r->arena, struct search_term);

    term->kind = kind;
    return (struct piece){ .term = term, .depth = 1 };
}

static bool negate(struct reader *r, struct piece *piece, size_t offset)
{
    struct piece outer = new_piece(r, SEARCH_TERM_NOT);

    outer.term->children = piece->term;
    outer.term->has_place = piece->term->has_place;
    if (!count_one(r, offset) || !set_depth(r, &outer, piece->depth + 1, offset))
        return false;
    *piece = outer;
    return true;
}

/* ---- values ------------------------------------------------------------------------------------ */

static bool is_place(const struct search_field *field)
{
    switch (field->value) {
    case SEARCH_VALUE_ACCOUNT:
    case SEARCH_VALUE_LEVELS:
    case SEARCH_VALUE_PATH:
        return true;
    case SEARCH_VALUE_TEXT:
    case SEARCH_VALUE_HEADER:
    case SEARCH_VALUE_ID:
    case SEARCH_VALUE_HASH:
    case SEARCH_VALUE_DAY:
    case SEARCH_VALUE_SIZE:
    case SEARCH_VALUE_STATE:
    case SEARCH_VALUE_HAS:
        return false;
    }
    UNREACHABLE();
}

/* value: in the arena. offset: where it stands, for mistakes. */
static bool make_leaf(struct reader *r, const struct search_field *field, struct bytes value,
                      size_t offset, struct piece *out)
{
    struct piece piece = new_piece(r, is_place(field) ? SEARCH_TERM_PLACE : SEARCH_TERM_KEY);
    const char *mistake = NULL;

    piece.term->field = field;
    piece.term->name = r->name;
    piece.term->value = value;
    if (!count_one(r, offset))
        return false;
    if (is_place(field) && value.len > LIMIT_MAILBOX_NAME_BYTES)
        return expect(r, offset, "no name is as long as this");
    if (is_place(field)) {
        piece.term->has_place = true;
        piece.term->pattern = search_fold_name(value, r->arena);
    } else if (!search_make_key(field, r->name, value, r->arena, &piece.term->key, &mistake)) {
        return expect(r, offset, mistake);
    }
    if (!set_depth(r, &piece, piece.term->key.children == NULL ? 1 : 2, offset))
        return false;
    *out = piece;
    return true;
}

/* At a quotation mark. \" and \\ stand for the sign itself. */
static bool read_quoted(struct reader *r, struct bytes *out)
{
    size_t start = r->at;
    uint8_t *copy;
    size_t len = 0;

    for (r->at++; peek(r) != '"'; r->at++) {
        if (looks_at(r, BYTES("\\\"")) || looks_at(r, BYTES("\\\\")))
            r->at++;
        if (at_end(r))
            return expect(r, start, "this quotation mark is not closed");
        if (is_space(peek(r)) && peek(r) != ' ')
            return expect(r, r->at, "a tab or line end within quotation marks");
    }
    if (r->at == start + 1)
        return expect(r, start, "nothing stands between these quotation marks");
    copy = arena_alloc(r->arena, r->at - start);
    for (size_t i = start + 1; i < r->at; i++) {
        if (r->text.ptr[i] == '\\' && (r->text.ptr[i + 1] == '"' || r->text.ptr[i + 1] == '\\'))
            i++;
        copy[len++] = r->text.ptr[i];
    }
    r->at++;
    *out = bytes_of(copy, len);
    if (!at_end(r) && !is_space(peek(r)) && peek(r) != ')')
        return expect(r, r->at, "a space is expected behind the quotation mark");
    return true;
}

/* Takes a word. Asterisks are for places: elsewhere they are no signs, and perhaps meant as such. */
static bool read_word(struct reader *r, bool may_have_asterisk, struct bytes *out)
{
    struct bytes word = peek_word(r);
    ssize_t asterisk = bytes_find_byte(word, '*');
    uint8_t *copy;

    if (word.len == 0)
        return expect(r, r->at, "a word, or text in \"quotation marks\", is expected here");
    if (!check_signs(r))
        return false;
    if (asterisk >= 0 && !may_have_asterisk)
        return expect(r, r->at + (size_t)asterisk,
                      "no asterisk is needed: text is found within words too; \"*\" in quotation "
                      "marks is the sign itself");
    r->at += word.len;
    if (peek(r) == '"' || peek(r) == '(')
        return expect(r, r->at,
                      "a space is expected here; or put the whole value in "
                      "\"quotation marks\"");
    copy = arena_alloc(r->arena, word.len);
    memcpy(copy, word.ptr, word.len);
    *out = bytes_of(copy, word.len);
    return true;
}

static bool read_value(struct reader *r, const struct search_field *field, struct piece *out)
{
    size_t offset = r->at;
    struct bytes value;

    if (peek(r) == '"' ? !read_quoted(r, &value) : !read_word(r, is_place(field), &value))
        return false;
    return make_leaf(r, field, value, offset, out);
}

/* At "(". The terms up to ")". */
static bool read_group(struct reader *r, struct piece *out)
{
    size_t start = r->at++;

    if (!go_deeper(r, start) || !read_any(r, out))
        return false;
    if (peek(r) != ')')
        return expect(r, start, "this parenthesis is not closed");
    r->at++;
    r->depth--;
    out->is_bare_and = false;
    return true;
}

/* Behind "header:". NAME, or NAME=value. */
static bool read_header(struct reader *r, const struct search_field *field, struct bytes *name,
                        bool *has_value)
{
    struct bytes word = peek_word(r);
    size_t len = 0;

    (void)field;
    while (len < word.len && word.ptr[len] != '=')
        len++;
    for (size_t i = 0; i < len; i++) {
        if (word.ptr[i] <= ' ' || word.ptr[i] > '~' || word.ptr[i] == ':' || word.ptr[i] == '*')
            return expect(r, r->at + i,
                          "this cannot be in the name of a header field: "
                          "header:NAME, or header:NAME=text");
    }
    if (len == 0)
        return expect(r, r->at,
                      "the name of a header field is expected: header:NAME, or "
                      "header:NAME=text");
    if (!arena_try_copy(r->arena, bytes_slice(word, 0, len), SIZE_MAX, name, r->err))
        return false;
    r->at += len;
    *has_value = len < word.len;
    r->at += *has_value ? 1 : 0;
    if (!*has_value && (peek(r) == '"' || peek(r) == '('))
        return expect(r, r->at,
                      "\"=\" is expected between the name of a header field and its text");
    return true;
}

/* Behind the colon. */
static bool read_field_value(struct reader *r, const struct search_field *field, struct piece *out)
{
    bool has_value = true;
    bool is_done;

    if (field->value == SEARCH_VALUE_HEADER) {
        size_t start = r->at;

        if (!read_header(r, field, &r->name, &has_value))
            return false;
        if (!has_value) {
            is_done = make_leaf(r, field, bytes_of(NULL, 0), start, out);
            r->name = bytes_of(NULL, 0);
            return is_done;
        }
    }
    if (at_end(r) || is_space(peek(r)) || peek(r) == ')')
        return expect(r, r->at, "a value is expected here, without a space before it");
    if (peek(r) == '(') {
        r->field = field;
        is_done = read_group(r, out);
        r->field = NULL;
    } else {
        is_done = read_value(r, field, out);
    }
    r->name = bytes_of(NULL, 0);
    return is_done;
}

/* ---- terms ------------------------------------------------------------------------------------- */

static bool expect_field(struct reader *r)
{
    CLEANUP(buf_free) struct buf text = buf_create(SEARCH_MISTAKE_BYTES);

    buf_text(&text, "no such field; put text with a colon in \"quotation marks\". Fields: ");
    search_write_field_names(&text);
    buf_byte(&text, 0);
    return expect(r, r->at, text.has_failed ? "no such field" : (const char *)text.ptr);
}

/* OR, AND and NOT are written so; smaller they might be meant, or be the word. */
static bool check_operator(struct reader *r, struct bytes word)
{
    static const struct {
        struct bytes word;
        const char *text;
    } operators[] = {
        { BYTES_INIT("OR"), "OR stands between two terms, in capitals; the word itself goes in "
                            "\"quotation marks\"" },
        { BYTES_INIT("AND"), "AND stands between two terms, in capitals; the word itself goes in "
                             "\"quotation marks\"" },
        { BYTES_INIT("NOT"), "NOT stands before a term, in capitals; the word itself goes in "
                             "\"quotation marks\"" },
    };

    for (size_t i = 0; i < ARRAY_LEN(operators); i++) {
        if (bytes_equal_nocase(word, operators[i].word))
            return expect(r, r->at, operators[i].text);
    }
    return true;
}

static bool read_bare(struct reader *r, struct piece *out)
{
    struct bytes word = peek_word(r);
    ssize_t colon = bytes_find_byte(word, ':');
    const struct search_field *field =
        colon > 0 ? search_find_field(bytes_slice(word, 0, (size_t)colon)) : NULL;

    if (!check_signs(r) || !check_operator(r, word))
        return false;
    if (r->field != NULL) {
        if (field != NULL)
            return expect(r, r->at, "no other field can stand among the values of one");
        return read_value(r, r->field, out);
    }
    if (bytes_equal(word, BYTES("*"))) {
        r->at++;
        *out = new_piece(r, SEARCH_TERM_ALL);
        return count_one(r, r->at);
    }
    if (colon < 0)
        return read_value(r, search_text_field(), out);
    if (field == NULL)
        return expect_field(r);
    r->at += (size_t)colon + 1;
    return read_field_value(r, field, out);
}

static bool read_primary(struct reader *r, struct piece *out)
{
    if (at_end(r))
        return expect(r, r->at, "a term is expected here");
    if (peek(r) == ')')
        return expect(r, r->at, "a term is expected before this parenthesis");
    if (peek(r) == '(')
        return read_group(r, out);
    if (peek(r) == '"')
        return read_value(r, r->field != NULL ? r->field : search_text_field(), out);
    return read_bare(r, out);
}

/* [ "-" / "NOT" ] primary */
static bool read_term(struct reader *r, struct piece *out)
{
    size_t start = r->at;

    if (peek(r) == '-') {
        r->at++;
        if (at_end(r) || is_space(peek(r)) || peek(r) == '-' || peek(r) == ')')
            return expect(r, start, "- stands right before the term that it negates");
        return read_primary(r, out) && negate(r, out, start);
    }
    if (bytes_equal(peek_word(r), BYTES("NOT"))) {
        r->at += 3;
        skip_spaces(r);
        if (!go_deeper(r, start) || !read_term(r, out) || !negate(r, out, start))
            return false;
        r->depth--;
        return true;
    }
    return read_primary(r, out);
}

/* Takes the operator if it stands here. */
static bool take_operator(struct reader *r, struct bytes name)
{
    if (!bytes_equal(peek_word(r), name))
        return false;
    r->at += name.len;
    skip_spaces(r);
    return true;
}

/* Children of one AND or OR. */
struct group {
    struct piece first;
    struct search_term *last;
    size_t count, depth;
    bool has_place;
};

static void add_to_group(struct group *group, struct piece piece)
{
    if (group->count++ == 0)
        group->first = piece;
    else
        group->last->next = piece.term;
    group->last = piece.term;
    group->depth = piece.depth > group->depth ? piece.depth : group->depth;
    group->has_place = group->has_place || piece.term->has_place;
}

/* One child is itself. An OR becomes a tree of pairs. */
static bool end_group(struct reader *r, const struct group *group, enum search_term_kind kind,
                      size_t start, struct piece *out)
{
    size_t levels = 1;

    if (group->count == 1) {
        *out = group->first;
        return true;
    }
    if (kind == SEARCH_TERM_OR) {
        while (((size_t)1 << levels) < group->count)
            levels++;
    }
    *out = new_piece(r, kind);
    out->term->children = group->first.term;
    out->term->has_place = group->has_place;
    return count_one(r, start) && set_depth(r, out, group->depth + levels, start);
}

/* term *( [ "AND" ] term ) */
static bool read_all_of(struct reader *r, struct piece *out)
{
    struct group group = { .count = 0 };
    size_t start = r->at;
    bool goes_on = true;

    while (goes_on) {
        struct piece piece = { .depth = 0 };

        if (!read_term(r, &piece))
            return false;
        piece.is_bare_and = false;
        add_to_group(&group, piece);
        skip_spaces(r);
        goes_on = take_operator(r, BYTES("AND")) ||
                  (!at_end(r) && peek(r) != ')' && !bytes_equal(peek_word(r), BYTES("OR")));
    }
    if (!end_group(r, &group, SEARCH_TERM_AND, start, out))
        return false;
    out->is_bare_and = group.count > 1;
    return true;
}

/* all-of *( "OR" all-of ). Recursion: LIMIT_COMMAND_NESTING deep. */
static bool read_any(struct reader *r, struct piece *out)
{
    struct group group = { .count = 0 };
    size_t start = r->at;
    bool has_bare_and = false;

    skip_spaces(r);
    do {
        struct piece piece;

        if (!read_all_of(r, &piece))
            return false;
        has_bare_and = has_bare_and || piece.is_bare_and;
        add_to_group(&group, piece);
    } while (take_operator(r, BYTES("OR")));
    r->is_mixed = r->is_mixed || (group.count > 1 && has_bare_and);
    return end_group(r, &group, SEARCH_TERM_OR, start, out);
}

/* ---- the query --------------------------------------------------------------------------------- */

static size_t count_words(const struct search_term *term)
{
    size_t count = 0;

    if (term->kind == SEARCH_TERM_NOT)
        return 0;
    if (term->kind == SEARCH_TERM_KEY)
        return term->key.kind >= IMAP_SEARCH_SUBJECT && term->key.kind <= IMAP_SEARCH_HEADER &&
               term->key.text.len > 0;
    for (const struct search_term *child = term->children; child != NULL; child = child->next)
        count += count_words(child);
    return count;
}

static void take_words(const struct search_term *term, struct search_word *words, size_t *count)
{
    if (count_words(term) == 0)
        return;
    if (term->kind == SEARCH_TERM_KEY)
        words[(*count)++] = (struct search_word){ term->key.kind, term->key.text };
    for (const struct search_term *child = term->children; child != NULL; child = child->next)
        take_words(child, words, count);
}

bool search_parse_query(struct bytes text, struct arena *arena, struct search_query **out,
                        struct search_mistake *mistake, struct err *err)
{
    struct reader r = { .text = text, .arena = arena, .mistake = mistake, .err = err };
    struct search_query *query;
    struct search_word *words;
    struct piece piece;

    if (mistake != NULL)
        *mistake = (struct search_mistake){ .offset = 0 };
    if (text.len > SEARCH_QUERY_BYTES)
        return fail(&r, ERR_LIMIT, 0, "this query is too long");
    if (!check_characters(&r))
        return false;
    skip_spaces(&r);
    if (at_end(&r))
        return expect(&r, r.at, "a query is expected; * means every message");
    if (!read_any(&r, &piece))
        return false;
    if (!at_end(&r))
        return expect(&r, r.at, "this parenthesis was not opened");
    query = arena_new(arena, struct search_query);
    query->root = piece.term;
    query->is_mixed = r.is_mixed;
    words = arena_new_array(arena, struct search_word, count_words(piece.term));
    take_words(piece.term, words, &query->word_count);
    query->words = words;
    if (!piece.term->has_place)
        query->key = search_build_key(piece.term, arena);
    *out = query;
    return true;
}

bool search_query_is_mixed(const struct search_query *query)
{
    return query->is_mixed;
}

const struct search_word *search_query_words(const struct search_query *query, size_t *count)
{
    *count = query->word_count;
    return query->words;
}
