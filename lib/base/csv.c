/* SPDX-License-Identifier: Apache-2.0 */
#include "base/csv.h"

#include "base/buf.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/*
 *   FIELD_START --quote--> QUOTED <--quote--> QUOTE_SEEN --comma--> FIELD_START
 *   FIELD_START --any other--> PLAIN --comma--> FIELD_START
 *   FIELD_START, PLAIN, QUOTE_SEEN --CR--> CR_SEEN --LF--> the row is whole, FIELD_START
 *                                  --LF--> the row is whole, FIELD_START
 */
enum state {
    FIELD_START,
    PLAIN,
    QUOTED,
    QUOTE_SEEN, /* the closing one, or the first of two */
    CR_SEEN,
};

struct csv_reader {
    enum state state;
    uint64_t line;   /* of the next octet */
    size_t mark;     /* octets of a byte order mark seen at the front; MARK_BYTES: none can come */
    bool has_row;    /* the row was given out: the next octet begins another */
    bool has_field;  /* the row is not an empty line */
    struct buf text; /* the fields, one behind the other */
    size_t ends[CSV_FIELDS_MAX]; /* in text, of the fields that are whole */
    struct csv_row row;
};

static const uint8_t mark[] = { 0xef, 0xbb, 0xbf };
enum {
    MARK_BYTES = sizeof mark
};

struct csv_reader *csv_create_reader(void)
{
    struct csv_reader *reader = calloc(1, sizeof *reader);

    assert(reader != NULL);
    reader->text = buf_create(CSV_ROW_BYTES);
    reader->line = 1;
    reader->row.line = 1;
    return reader;
}

void csv_free_reader(struct csv_reader **reader)
{
    if (*reader == NULL)
        return;
    buf_free(&(*reader)->text);
    free(*reader);
    *reader = NULL;
}

static bool refuse(const struct csv_reader *reader, const char *why, struct err *err)
{
    return err_fail(err, ERR_SYNTAX, "line %ju: %s", (uintmax_t)reader->line, why);
}

static void begin_row(struct csv_reader *reader)
{
    buf_reset(&reader->text, CSV_ROW_BYTES);
    reader->has_row = false;
    reader->has_field = false;
    reader->row.count = 0;
    reader->row.line = reader->line;
}

static bool end_field(struct csv_reader *reader, struct err *err)
{
    if (reader->text.has_failed)
        return err_fail(err, ERR_LIMIT, "line %ju: a row of more than %d octets",
                        (uintmax_t)reader->row.line, CSV_ROW_BYTES);
    if (reader->row.count == CSV_FIELDS_MAX)
        return err_fail(err, ERR_LIMIT, "line %ju: a row of more than %d fields",
                        (uintmax_t)reader->row.line, CSV_FIELDS_MAX);
    reader->ends[reader->row.count++] = reader->text.len;
    reader->state = FIELD_START;
    return true;
}

/* An empty line is no row. */
static bool end_row(struct csv_reader *reader, struct err *err)
{
    size_t start = 0;

    if (!reader->has_field) {
        reader->state = FIELD_START;
        return true;
    }
    if (!end_field(reader, err))
        return false;
    for (size_t i = 0; i < reader->row.count; i++) {
        reader->row.fields[i] =
            bytes_slice(buf_bytes(&reader->text), start, reader->ends[i] - start);
        start = reader->ends[i];
    }
    reader->has_row = true;
    return true;
}

static bool take_line_feed(struct csv_reader *reader, struct err *err)
{
    bool is_ended = end_row(reader, err);

    reader->line++;
    if (!reader->has_field)
        reader->row.line = reader->line;
    return is_ended;
}

/* Between fields: after a field's last octet, or where one would begin. */
static bool take_separator(struct csv_reader *reader, uint8_t octet, bool *is_one, struct err *err)
{
    *is_one = true;
    if (octet == ',') {
        reader->has_field = true;
        return end_field(reader, err);
    }
    if (octet == '\n')
        return take_line_feed(reader, err);
    if (octet == '\r') {
        reader->state = CR_SEEN;
        return true;
    }
    *is_one = false;
    return true;
}

static void take_quoted(struct csv_reader *reader, uint8_t octet)
{
    if (octet == '"') {
        reader->state = QUOTE_SEEN;
        return;
    }
    reader->line += octet == '\n';
    buf_byte(&reader->text, octet);
}

static bool take_plain(struct csv_reader *reader, uint8_t octet, struct err *err)
{
    if (octet == '"' && reader->state == FIELD_START) {
        reader->state = QUOTED;
    } else if (octet == '"') {
        return refuse(reader, "a quote within a field that does not begin with one", err);
    } else {
        reader->state = PLAIN;
        buf_byte(&reader->text, octet);
    }
    reader->has_field = true;
    return true;
}

static bool take_octet(struct csv_reader *reader, uint8_t octet, struct err *err)
{
    bool is_separator;

    if (octet == '\0')
        return refuse(reader, "a NUL", err);
    switch (reader->state) {
    case FIELD_START:
    case PLAIN:
        return take_separator(reader, octet, &is_separator, err) &&
               (is_separator || take_plain(reader, octet, err));
    case QUOTED:
        take_quoted(reader, octet);
        return true;
    case QUOTE_SEEN:
        if (octet == '"') {
            buf_byte(&reader->text, octet);
            reader->state = QUOTED;
            return true;
        }
        return take_separator(reader, octet, &is_separator, err) &&
               (is_separator || refuse(reader, "something behind the closing quote", err));
    case CR_SEEN:
        if (octet != '\n')
            return refuse(reader, "CR without LF", err);
        return take_line_feed(reader, err);
    }
    UNREACHABLE();
}

/* At the very front. False: an ordinary octet. */
static bool take_mark(struct csv_reader *reader, uint8_t octet, struct err *err, bool *is_right)
{
    size_t seen = reader->mark;

    *is_right = true;
    if (seen == MARK_BYTES)
        return false;
    if (octet == mark[seen]) {
        reader->mark++;
        return true;
    }
    reader->mark = MARK_BYTES;
    for (size_t i = 0; i < seen && *is_right; i++) /* only the beginning of one */
        *is_right = take_octet(reader, mark[i], err);
    return false;
}

bool csv_read_row(struct csv_reader *reader, struct bytes *in, const struct csv_row **out,
                  struct err *err)
{
    if (reader->has_row)
        begin_row(reader);
    *out = NULL;
    while (in->len > 0 && !reader->has_row) {
        uint8_t octet = in->ptr[0];
        bool is_right;

        *in = bytes_slice(*in, 1, SIZE_MAX);
        if (take_mark(reader, octet, err, &is_right))
            continue;
        if (!is_right || !take_octet(reader, octet, err))
            return false;
    }
    if (reader->has_row)
        *out = &reader->row;
    return true;
}

bool csv_end_rows(struct csv_reader *reader, const struct csv_row **out, struct err *err)
{
    if (reader->has_row)
        begin_row(reader);
    *out = NULL;
    if (reader->state == QUOTED)
        return err_fail(err, ERR_SYNTAX, "line %ju: a quote that is never closed",
                        (uintmax_t)reader->row.line);
    if (reader->state == CR_SEEN)
        return refuse(reader, "CR without LF", err);
    if (reader->mark > 0 && reader->mark < MARK_BYTES)
        return refuse(reader, "no UTF-8", err);
    if (!end_row(reader, err))
        return false;
    if (reader->has_row)
        *out = &reader->row;
    return true;
}
