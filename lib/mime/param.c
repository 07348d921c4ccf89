/* SPDX-License-Identifier: Apache-2.0 */
/* Parameters of Content-Type and Content-Disposition. RFC 2045 §5.1, RFC 2231 §3, §4. */
#include "mime/internal.h"

#include <stdlib.h>

/* name*index or name*index*: a piece of a longer parameter. */
struct piece {
    struct bytes name;
    struct bytes value;
    uint64_t index;
    size_t order; /* in the field */
    bool is_extended;
};

struct param_list {
    struct arena *arena;
    struct buf *scratch;
    struct mime_param *params;
    size_t count, room;
    struct piece *pieces;
    size_t piece_count, piece_room;
    bool is_whole;
};

static bool keep(struct param_list *list, struct bytes from, struct bytes *out)
{
    struct err ignored = { 0 };

    list->is_whole = list->is_whole && arena_try_copy(list->arena, from, SIZE_MAX, out, &ignored);
    return list->is_whole;
}

/* Room for one item more, moved to twice the room when it is full. */
static bool grow(struct param_list *list, void *items, size_t item_size, size_t count, size_t *room)
{
    struct err ignored = { 0 };
    void *wider = NULL;
    void *old;

    if (count < *room)
        return true;
    if (count >= MIME_PARAMS_MAX ||
        !arena_try_alloc(list->arena, *room * 2 + 4, item_size, &wider, &ignored)) {
        list->is_whole = false;
        return false;
    }
    memcpy(&old, items, sizeof old);
    if (count > 0)
        memcpy(wider, old, count * item_size);
    memcpy(items, &wider, sizeof wider);
    *room = *room * 2 + 4;
    return true;
}

static void add_param(struct param_list *list, struct bytes name, struct bytes value)
{
    if (grow(list, &list->params, sizeof *list->params, list->count, &list->room))
        list->params[list->count++] = (struct mime_param){ name, value };
}

/* Is the name one of RFC 2231's: name*, name*0, name*0*? */
static bool split_name(struct bytes name, struct piece *out)
{
    struct bytes rest;

    if (!scan_until_byte(&name, '*', &out->name))
        return false;
    rest = bytes_slice(name, 1, SIZE_MAX);
    out->index = 0;
    out->is_extended = false;
    if (rest.len == 0) {
        out->is_extended = true;
        return true;
    }
    if (!scan_u64(&rest, &out->index))
        return false;
    out->is_extended = scan_byte(&rest, '*');
    return rest.len == 0;
}

static void add(struct param_list *list, struct bytes name, struct bytes value)
{
    struct piece piece = { .value = value };

    if (!split_name(name, &piece)) {
        add_param(list, name, value);
        return;
    }
    piece.order = list->piece_count;
    if (grow(list, &list->pieces, sizeof *list->pieces, list->piece_count, &list->piece_room))
        list->pieces[list->piece_count++] = piece;
}

/* ";" name "=" value. False: not so, the reader goes on behind the next octet. */
static bool read_param(struct mime_lexer *lex, struct param_list *list)
{
    struct buf *scratch = list->scratch;
    enum mime_scan scan;
    struct bytes name, value;
    size_t name_len;

    buf_reset(scratch, SIZE_MAX);
    if (!mime_lexer_is_at(lex, ';'))
        return false;
    lex->at++;
    if (mime_skip_cfws(lex) != MIME_SCAN_MORE || mime_scan_token(lex, scratch) != MIME_SCAN_MORE ||
        *lex->at != '=')
        return false;
    lex->at++;
    name_len = scratch->len;
    scan = mime_skip_cfws(lex);
    if (scan == MIME_SCAN_MORE && *lex->at == '"') {
        scan = mime_scan_quoted(lex, scratch);
    } else if (scan == MIME_SCAN_MORE && *lex->at == '=') {
        /* name==?utf-8?b?…?=: not allowed, but there is such mail */
        while (lex->at < lex->end && memchr("; \t\r\n", *lex->at, 5) == NULL)
            buf_byte(scratch, *lex->at++);
    } else if (scan == MIME_SCAN_MORE) {
        scan = mime_scan_token(lex, scratch);
    }
    if (scan == MIME_SCAN_BAD)
        return false;
    if (keep(list, bytes_slice(buf_bytes(scratch), 0, name_len), &name) &&
        keep(list, bytes_slice(buf_bytes(scratch), name_len, SIZE_MAX), &value))
        add(list, name, value);
    return true;
}

static int compare_pieces(const void *left, const void *right)
{
    const struct piece *a = left;
    const struct piece *b = right;
    int order = bytes_compare(a->name, b->name);

    if (order != 0)
        return order;
    if (a->index != b->index)
        return a->index < b->index ? -1 : 1;
    return a->order < b->order ? -1 : 1;
}

/* A number is missing: they stay as they came. */
static void add_apart(struct param_list *list, const struct piece *pieces, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct bytes name;

        buf_reset(list->scratch, SIZE_MAX);
        buf_append(list->scratch, pieces[i].name);
        buf_byte(list->scratch, '*');
        buf_u64(list->scratch, pieces[i].index);
        if (pieces[i].is_extended)
            buf_byte(list->scratch, '*');
        if (keep(list, buf_bytes(list->scratch), &name))
            add_param(list, name, pieces[i].value);
    }
}

/* One value of all pieces, still encoded when one of them is. */
static void add_joined(struct param_list *list, const struct piece *pieces, size_t count)
{
    struct buf *scratch = list->scratch;
    bool is_extended = false;
    struct bytes name, value;
    size_t name_len;

    for (size_t i = 0; i < count; i++)
        is_extended = is_extended || pieces[i].is_extended;
    buf_reset(scratch, SIZE_MAX);
    buf_append(scratch, pieces[0].name);
    if (is_extended)
        buf_byte(scratch, '*');
    name_len = scratch->len;
    if (is_extended && !pieces[0].is_extended)
        buf_text(scratch, "''"); /* neither charset nor language */
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < pieces[i].value.len; j++) {
            buf_byte(scratch, pieces[i].value.ptr[j]);
            if (is_extended && !pieces[i].is_extended && pieces[i].value.ptr[j] == '%')
                buf_text(scratch, "25");
        }
    }
    if (keep(list, bytes_slice(buf_bytes(scratch), 0, name_len), &name) &&
        keep(list, bytes_slice(buf_bytes(scratch), name_len, SIZE_MAX), &value))
        add_param(list, name, value);
}

static void join_pieces(struct param_list *list)
{
    size_t next;

    if (list->piece_count > 1)
        qsort(list->pieces, list->piece_count, sizeof *list->pieces, compare_pieces);
    for (size_t first = 0; first < list->piece_count; first = next) {
        bool is_complete = true;

        for (next = first; next < list->piece_count &&
                           bytes_equal_nocase(list->pieces[next].name, list->pieces[first].name);
             next++)
            is_complete = is_complete && list->pieces[next].index == next - first;
        if (is_complete)
            add_joined(list, &list->pieces[first], next - first);
        else
            add_apart(list, &list->pieces[first], next - first);
    }
}

bool mime_read_params(struct mime_lexer *lex, struct arena *arena, struct buf *scratch,
                      const struct mime_param **out, size_t *count)
{
    struct param_list list = { .arena = arena, .scratch = scratch, .is_whole = true };

    while (lex->at < lex->end) {
        if (!read_param(lex, &list) && lex->at < lex->end)
            lex->at++;
    }
    join_pieces(&list);
    *out = list.params;
    *count = list.count;
    return list.is_whole;
}
