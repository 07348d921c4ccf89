/* SPDX-License-Identifier: Apache-2.0 */
#include "text/match.h"

#include "text/fold.h"
#include "text/internal.h"

#include <stdlib.h>

struct text_matcher {
    enum text_scope scope;
    struct buf needle; /* folded */
    struct buf field;  /* kind and folded name, as a record has it: "\x01subject" */
    struct text_finder find_needle;
    struct text_finder find_field;

    /* of the extraction that it listens to */
    bool has_matched;
    bool is_in_scope; /* the piece being given may hold it */
    struct buf seam;  /* the end of what came of the piece, and the start of the next chunk */
};

bool text_create_matcher(enum text_scope scope, struct bytes field, struct bytes needle,
                         struct text_matcher **out, struct err *err)
{
    struct text_matcher *matcher;

    if (needle.len > TEXT_NEEDLE_MAX || field.len > TEXT_NEEDLE_MAX)
        return err_fail(err, ERR_LIMIT, "text of more than %d octets to search for",
                        TEXT_NEEDLE_MAX);
    matcher = calloc(1, sizeof *matcher);
    assert(matcher != NULL);
    matcher->scope = scope;
    matcher->needle = buf_create((size_t)TEXT_FOLD_GROWTH_MAX * TEXT_NEEDLE_MAX);
    matcher->field = buf_create((size_t)TEXT_FOLD_GROWTH_MAX * TEXT_NEEDLE_MAX + 1);
    text_fold(needle, &matcher->needle);
    buf_byte(&matcher->field, TEXT_KIND_HEADER);
    text_fold(field, &matcher->field);
    matcher->seam = buf_create(2 * matcher->needle.len + 1);
    matcher->find_needle = text_make_finder(buf_bytes(&matcher->needle));
    matcher->find_field = text_make_finder(buf_bytes(&matcher->field));
    *out = matcher;
    return true;
}

void text_free_matcher(struct text_matcher **matcher)
{
    if (*matcher == NULL)
        return;
    buf_free(&(*matcher)->needle);
    buf_free(&(*matcher)->field);
    buf_free(&(*matcher)->seam);
    free(*matcher);
    *matcher = NULL;
}

/* ---- records ----------------------------------------------------------------------------------- */

static bool is_field(enum text_kind kind)
{
    return kind == TEXT_KIND_HEADER || kind == TEXT_KIND_PART_HEADER;
}

/* Where the piece that holds this octet begins: at its kind. */
static size_t piece_start(struct bytes records, size_t at)
{
    const uint8_t *end = at == 0 ? NULL : memrchr(records.ptr, '\0', at);

    return end == NULL ? 0 : (size_t)(end - records.ptr) + 1;
}

/* Behind the 0x00 of the piece that holds this octet. */
static size_t piece_end(struct bytes records, size_t at)
{
    ssize_t len = bytes_find_byte(bytes_slice(records, at, SIZE_MAX), '\0');

    return len < 0 ? records.len : at + (size_t)len + 1;
}

/* Where the needle is in a piece that is no field, or records.len. */
static size_t find_in_bodies(const struct text_matcher *matcher, struct bytes records)
{
    size_t from = 0;

    while (from < records.len) {
        ssize_t at = text_find(&matcher->find_needle, bytes_slice(records, from, SIZE_MAX));
        size_t place = from + (size_t)at;

        if (at < 0)
            break;
        if (!is_field((enum text_kind)records.ptr[piece_start(records, place)]))
            return place;
        from = piece_end(records, place);
    }
    return records.len;
}

/* Is this the rest of a field that has the name, which holds the needle? rest: behind the name. */
static bool is_in_value(const struct text_matcher *matcher, struct bytes rest)
{
    rest = bytes_slice(rest, 0, piece_end(rest, 0));
    if (rest.len > 0 && rest.ptr[rest.len - 1] == '\0')
        rest.len--;
    while (rest.len > 0 && (rest.ptr[0] == ' ' || rest.ptr[0] == '\t'))
        rest = bytes_slice(rest, 1, SIZE_MAX);
    if (rest.len == 0 || rest.ptr[0] != ':')
        return false;
    rest = bytes_slice(rest, 1, SIZE_MAX);
    if (rest.len > 0 && (rest.ptr[0] == ' ' || rest.ptr[0] == '\t'))
        rest = bytes_slice(rest, 1, SIZE_MAX);
    return text_find(&matcher->find_needle, rest) >= 0;
}

static size_t find_in_fields(const struct text_matcher *matcher, struct bytes records)
{
    size_t from = 0;

    while (from < records.len) {
        ssize_t at = text_find(&matcher->find_field, bytes_slice(records, from, SIZE_MAX));
        size_t behind = from + (size_t)at + matcher->field.len;

        if (at < 0)
            break;
        if (is_in_value(matcher, bytes_slice(records, behind, SIZE_MAX)))
            return from + (size_t)at;
        from = behind;
    }
    return records.len;
}

/* A place within the first piece that matches, or records.len. */
static size_t find_match(const struct text_matcher *matcher, struct bytes records)
{
    ssize_t at;

    switch (matcher->scope) {
    case TEXT_SCOPE_HEADER:
        return find_in_fields(matcher, records);
    case TEXT_SCOPE_BODY:
        return find_in_bodies(matcher, records);
    case TEXT_SCOPE_TEXT:
        at = text_find(&matcher->find_needle, records);
        return at < 0 ? records.len : (size_t)at;
    }
    UNREACHABLE();
}

static bool matches_all(const struct text_matcher *matcher)
{
    return matcher->scope != TEXT_SCOPE_HEADER && matcher->needle.len == 0;
}

bool text_match_record(const struct text_matcher *matcher, struct bytes record)
{
    return matches_all(matcher) || find_match(matcher, record) < record.len;
}

size_t text_match_records(const struct text_matcher *matcher, struct bytes records,
                          const size_t *starts, size_t count, size_t from)
{
    size_t place;

    if (from >= count || matches_all(matcher))
        return from < count ? from : count;
    records = bytes_slice(records, 0, starts[count]);
    place = starts[from] + find_match(matcher, bytes_slice(records, starts[from], SIZE_MAX));
    while (from < count && starts[from + 1] <= place)
        from++;
    return from;
}

struct bytes text_needle(const struct text_matcher *matcher)
{
    if (matcher->needle.len == 0 && matcher->scope == TEXT_SCOPE_HEADER)
        return bytes_slice(buf_bytes(&matcher->field), 1, SIZE_MAX);
    return buf_bytes(&matcher->needle);
}

/* ---- an extraction ------------------------------------------------------------------------------ */

void text_reset_matcher(struct text_matcher *matcher)
{
    matcher->has_matched = matches_all(matcher);
    matcher->is_in_scope = false;
    buf_reset(&matcher->seam, SIZE_MAX);
}

static bool is_in_scope(const struct text_matcher *matcher, const struct text_piece *piece)
{
    switch (matcher->scope) {
    case TEXT_SCOPE_TEXT:
        return true;
    case TEXT_SCOPE_BODY:
        return !is_field(piece->kind);
    case TEXT_SCOPE_HEADER:
        return piece->kind == TEXT_KIND_HEADER &&
               bytes_equal(piece->name, bytes_slice(buf_bytes(&matcher->field), 1, SIZE_MAX));
    }
    UNREACHABLE();
}

/* The needle across the border of two chunks: the seam keeps all but one octet of it. */
static bool is_across(struct text_matcher *matcher, struct bytes chunk)
{
    struct buf *seam = &matcher->seam;
    size_t keep = matcher->needle.len - 1;
    bool is_found = false;

    if (seam->len > 0) {
        buf_append(seam, bytes_slice(chunk, 0, keep));
        is_found = text_find(&matcher->find_needle, buf_bytes(seam)) >= 0;
    }
    if (chunk.len >= keep) {
        buf_reset(seam, SIZE_MAX);
        buf_append(seam, bytes_slice(chunk, chunk.len - keep, SIZE_MAX));
        return is_found;
    }
    if (seam->len == 0)
        buf_append(seam, chunk);
    if (seam->len > keep)
        buf_consume(seam, seam->len - keep);
    return is_found;
}

static void take_piece(void *context, const struct text_piece *piece)
{
    struct text_matcher *matcher = context;
    struct bytes chunk = piece->chunk;

    if (matcher->has_matched)
        return;
    if (piece->is_first) {
        matcher->is_in_scope = is_in_scope(matcher, piece);
        buf_reset(&matcher->seam, SIZE_MAX);
        if (matcher->scope == TEXT_SCOPE_HEADER)
            chunk = bytes_slice(chunk, piece->value_at, SIZE_MAX);
    }
    if (!matcher->is_in_scope)
        return;
    if (text_find(&matcher->find_needle, chunk) >= 0 ||
        (!(piece->is_first && piece->is_last) && is_across(matcher, chunk)))
        matcher->has_matched = true;
}

struct text_sink text_match_sink(struct text_matcher *matcher)
{
    return (struct text_sink){ .context = matcher, .piece = take_piece };
}

bool text_has_matched(const struct text_matcher *matcher)
{
    return matcher->has_matched;
}
