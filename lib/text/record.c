/* SPDX-License-Identifier: Apache-2.0 */
#include "text/record.h"

#include "text/extract.h"
#include "text/internal.h"

#include <stdlib.h>

enum {
    KEPT_BYTES = 256 << 10, /* of the buffer, from one message to the next */
};

/* ---- reading ------------------------------------------------------------------------------- */

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

struct text_record_piece text_split_piece(enum text_kind kind, struct bytes text)
{
    struct text_record_piece piece = { .kind = kind, .text = text, .value = text };
    ssize_t colon = -1;

    if (kind == TEXT_KIND_HEADER || kind == TEXT_KIND_PART_HEADER)
        colon = bytes_find_byte(text, ':');
    if (colon < 0)
        return piece;
    piece.name = bytes_slice(text, 0, (size_t)colon);
    while (piece.name.len > 0 && is_blank(piece.name.ptr[piece.name.len - 1]))
        piece.name.len--;
    piece.value = bytes_slice(text, (size_t)colon + 1, SIZE_MAX);
    if (piece.value.len > 0 && is_blank(piece.value.ptr[0]))
        piece.value = bytes_slice(piece.value, 1, SIZE_MAX);
    return piece;
}

bool text_next_piece(struct bytes *record, struct text_record_piece *out)
{
    uint8_t kind = record->len > 0 ? record->ptr[0] : 0;
    struct bytes rest = bytes_slice(*record, 1, SIZE_MAX);
    ssize_t end = bytes_find_byte(rest, '\0');

    if (kind < TEXT_KIND_MIN || kind > TEXT_KIND_MAX || end < 0)
        return false;
    *out = text_split_piece((enum text_kind)kind, bytes_slice(rest, 0, (size_t)end));
    *record = bytes_slice(rest, (size_t)end + 1, SIZE_MAX);
    return true;
}

/* UTF-8 without marks: what folding leaves as it is, in number and kind of octets. */
static bool is_folded(struct bytes text)
{
    for (size_t i = 0; i < text.len;) {
        uint32_t character;
        size_t len = 1;

        if (text.ptr[i] >= 0x80) {
            if (!text_read_character(bytes_slice(text, i, 4), &character, &len))
                return false;
        } else if (text.ptr[i] < TEXT_FIRST_KEPT) {
            return false;
        }
        i += len;
    }
    return true;
}

bool text_check_record(struct bytes record, struct err *err)
{
    struct text_record_piece piece;
    struct bytes rest = record;

    if (record.len > TEXT_RECORD_MAX)
        return err_fail(err, ERR_CORRUPT, "text record of %zu octets", record.len);
    while (text_next_piece(&rest, &piece))
        if (!is_folded(piece.text))
            return err_fail(err, ERR_CORRUPT, "text record: a piece before octet %zu is no text",
                            record.len - rest.len);
    if (rest.len > 0)
        return err_fail(err, ERR_CORRUPT, "text record: no piece at octet %zu",
                        record.len - rest.len);
    return true;
}

/* ---- writing ------------------------------------------------------------------------------- */

struct text_record_writer {
    struct buf buf;
};

struct text_record_writer *text_create_record(void)
{
    struct text_record_writer *writer = calloc(1, sizeof *writer);

    assert(writer != NULL);
    writer->buf = buf_create(TEXT_RECORD_MAX);
    return writer;
}

void text_free_record(struct text_record_writer **writer)
{
    if (*writer == NULL)
        return;
    buf_free(&(*writer)->buf);
    free(*writer);
    *writer = NULL;
}

void text_reset_record(struct text_record_writer *writer)
{
    buf_reset(&writer->buf, KEPT_BYTES);
}

static void add_piece(void *context, const struct text_piece *piece)
{
    struct text_record_writer *writer = context;

    if (piece->is_first)
        buf_byte(&writer->buf, (uint8_t)piece->kind);
    buf_append(&writer->buf, piece->chunk);
    if (piece->is_last)
        buf_byte(&writer->buf, '\0');
}

struct text_sink text_record_sink(struct text_record_writer *writer)
{
    return (struct text_sink){ .context = writer, .piece = add_piece };
}

bool text_record(const struct text_record_writer *writer, struct bytes *out)
{
    if (writer->buf.has_failed)
        return false;
    *out = buf_bytes(&writer->buf);
    return true;
}
