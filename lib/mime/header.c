/* SPDX-License-Identifier: Apache-2.0 */
#include "mime/header.h"

/* Takes one line with its LF, or what there is of the last one. */
static struct bytes take_line(struct bytes *in)
{
    ssize_t end = bytes_find_byte(*in, '\n');
    struct bytes line = { in->ptr, end < 0 ? in->len : (size_t)end + 1 };

    *in = bytes_of(line.len == 0 ? in->ptr : in->ptr + line.len, in->len - line.len);
    return line;
}

static bool is_line_whole(struct bytes line)
{
    return line.len > 0 && line.ptr[line.len - 1] == '\n';
}

static bool is_empty_line(struct bytes line)
{
    return bytes_equal(line, BYTES("\n")) || bytes_equal(line, BYTES("\r\n"));
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

void mime_find_header_end(struct mime_header_end *end, struct bytes *chunk)
{
    while (!end->is_found && chunk->len > 0) {
        struct bytes line = take_line(chunk);
        bool is_whole = is_line_whole(line);
        size_t text_len = line.len - (is_whole ? 1 : 0);

        end->header_bytes += line.len;
        for (size_t i = 0; i < text_len && !end->is_inside_line; i++) {
            end->is_inside_line = end->has_cr || line.ptr[i] != '\r';
            end->has_cr = true;
        }
        if (!is_whole)
            break;
        end->is_found = !end->is_inside_line;
        end->is_inside_line = false;
        end->has_cr = false;
    }
}

size_t mime_header_size(struct bytes message)
{
    struct mime_header_end end = { 0 };

    mime_find_header_end(&end, &message);
    return (size_t)end.header_bytes;
}

static void split_field(struct mime_field *field)
{
    ssize_t line_end = bytes_find_byte(field->octets, '\n');
    struct bytes line = bytes_slice(field->octets, 0, line_end < 0 ? SIZE_MAX : (size_t)line_end);
    ssize_t colon = bytes_find_byte(line, ':');

    if (colon < 0 || is_blank(line.ptr[0])) {
        field->name = bytes_of(NULL, 0);
        field->value = field->octets;
        return;
    }
    field->name = bytes_of(line.ptr, (size_t)colon);
    while (field->name.len > 0 && is_blank(field->name.ptr[field->name.len - 1]))
        field->name.len--;
    field->value = bytes_slice(field->octets, (size_t)colon + 1, SIZE_MAX);
}

bool mime_read_field(struct bytes *header, struct mime_field *out)
{
    struct bytes rest = *header;
    struct mime_field field;

    field.octets = take_line(&rest);
    if (field.octets.len == 0 || is_empty_line(field.octets))
        return false;
    while (rest.len > 0 && is_blank(rest.ptr[0]))
        field.octets.len += take_line(&rest).len;
    split_field(&field);
    *header = rest;
    *out = field;
    return true;
}

size_t mime_unfold(struct bytes value, uint8_t *out)
{
    size_t len = 0;
    size_t start = 0;

    while (start < value.len && is_blank(value.ptr[start]))
        start++;
    for (size_t i = start; i < value.len; i++) {
        struct bytes rest = bytes_slice(value, i, SIZE_MAX);

        if (scan_text(&rest, BYTES("\r\n")) || scan_byte(&rest, '\n'))
            i = value.len - rest.len - 1; /* the line end only; the blank behind it stays */
        else
            out[len++] = value.ptr[i];
    }
    while (len > 0 && is_blank(out[len - 1]))
        len--;
    return len;
}

static struct bytes without_line_end(struct bytes line)
{
    if (is_line_whole(line))
        line.len -= line.len > 1 && line.ptr[line.len - 2] == '\r' ? 2 : 1;
    return line;
}

void mime_join_lines(struct bytes value, struct buf *out)
{
    struct bytes line = without_line_end(take_line(&value));
    size_t blanks = 0;

    while (blanks < line.len && is_blank(line.ptr[blanks]))
        blanks++;
    if (blanks == line.len && blanks > 0)
        blanks = 1;
    buf_append(out, bytes_slice(line, blanks, SIZE_MAX));
    while (value.len > 0) {
        buf_byte(out, '\n');
        buf_append(out, without_line_end(take_line(&value)));
    }
}

static bool is_named(const struct mime_selection *selection, struct bytes name)
{
    for (size_t i = 0; i < selection->count; i++)
        if (name.len > 0 && bytes_equal_nocase(name, selection->names[i]))
            return true;
    return false;
}

bool mime_next_selected(struct bytes header, const struct mime_selection *selection,
                        struct mime_selection_at *at, struct bytes *out)
{
    struct bytes rest = bytes_slice(header, at->offset, SIZE_MAX);
    struct mime_field field;

    if (at->is_done)
        return false;
    while (mime_read_field(&rest, &field)) {
        at->offset += field.octets.len;
        if (is_named(selection, field.name) == selection->is_not)
            continue;
        at->lacks_line_end = !is_line_whole(field.octets);
        *out = field.octets;
        return true;
    }
    if (at->lacks_line_end && !selection->is_not) {
        at->lacks_line_end = false;
        *out = BYTES("\r\n");
        return true;
    }
    at->is_done = true;
    *out = selection->is_not ? take_line(&rest) : BYTES("\r\n");
    return out->len > 0;
}

uint64_t mime_selected_bytes(struct bytes header, const struct mime_selection *selection)
{
    struct mime_selection_at at = { 0 };
    struct bytes piece;
    uint64_t sum = 0;

    while (mime_next_selected(header, selection, &at, &piece))
        sum += piece.len;
    return sum;
}
