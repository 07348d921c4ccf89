/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "base/csv.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    TEXT_BYTES = 4096
};

/* Rows as "line:field|field|…;" one behind the other; an error as "!text". */
static void read_in_pieces(struct bytes in, size_t piece, char text[TEXT_BYTES])
{
    struct csv_reader *reader = csv_create_reader();
    struct buf seen = buf_create(TEXT_BYTES - 1);
    struct err err = { 0 };
    bool is_right = true, is_over = false;

    while (is_right && !is_over) {
        struct bytes now = bytes_slice(in, 0, piece);
        const struct csv_row *row = NULL;

        in = bytes_slice(in, now.len, SIZE_MAX);
        is_over = now.len == 0;
        do {
            is_right =
                is_over ? csv_end_rows(reader, &row, &err) : csv_read_row(reader, &now, &row, &err);
            if (!is_right || row == NULL)
                continue;
            buf_u64(&seen, row->line);
            for (size_t i = 0; i < row->count; i++) {
                buf_byte(&seen, i == 0 ? ':' : '|');
                buf_append(&seen, row->fields[i]);
            }
            buf_byte(&seen, ';');
        } while (is_right && now.len > 0);
    }
    if (!is_right) {
        buf_byte(&seen, '!');
        buf_text(&seen, err.text);
    }
    (void)snprintf(text, TEXT_BYTES, "%.*s", (int)seen.len, (const char *)seen.ptr);
    buf_free(&seen);
    csv_free_reader(&reader);
}

static void check_rows(struct bytes in, const char *expected)
{
    static const size_t pieces[] = { 1, 2, 3, SIZE_MAX };

    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        char text[TEXT_BYTES];

        read_in_pieces(in, pieces[i], text);
        CHECK_STR(text, expected);
    }
}

TEST(rows_end_with_crlf_or_lf_and_the_last_may_lack_its_end)
{
    check_rows(BYTES("a,b\r\nc,d\ne,f"), "1:a|b;2:c|d;3:e|f;");
    check_rows(BYTES("a,b\r\n"), "1:a|b;");
    check_rows(BYTES(""), "");
}

TEST(a_quoted_field_holds_commas_quotes_and_line_ends)
{
    check_rows(BYTES("\"a,\"\"b\"\"\",\"c\r\nd\"\ne\n"), "1:a,\"b\"|c\r\nd;3:e;");
    check_rows(BYTES("\"\",x,\"\"\n"), "1:|x|;");
}

TEST(empty_fields_count_and_empty_lines_do_not)
{
    check_rows(BYTES(",\n\n\r\na\n"), "1:|;4:a;");
    check_rows(BYTES("a,\n,b\n\"\"\n"), "1:a|;2:|b;3:;");
}

TEST(a_byte_order_mark_is_passed_over_only_at_the_front)
{
    check_rows(BYTES("\xef\xbb\xbf\"na,me\",b\n"), "1:na,me|b;");
    check_rows(BYTES("\xef\xbb\xbf"), "");
    check_rows(BYTES("\xef\xbcz,\xef\xbb\xbf\n"), "1:\xef\xbcz|\xef\xbb\xbf;");
    check_rows(BYTES("\xef\xbb"), "!line 1: no UTF-8");
}

TEST(what_is_no_csv_is_refused_with_its_line)
{
    check_rows(BYTES("a\nb\"c\n"),
               "1:a;!line 2: a quote within a field that does not begin with one");
    check_rows(BYTES("a\n\"b\"c\n"), "1:a;!line 2: something behind the closing quote");
    check_rows(BYTES("a\n\n\"b\n\n"), "1:a;!line 3: a quote that is never closed");
    check_rows(BYTES("a\rb"), "!line 1: CR without LF");
    check_rows(BYTES("a\r"), "!line 1: CR without LF");
    check_rows(BYTES("a\0b\n"), "!line 1: a NUL");
}

TEST(a_row_over_the_limits_is_refused)
{
    struct bytes row;
    struct buf in = buf_create(2 * CSV_ROW_BYTES);
    char text[TEXT_BYTES];

    for (size_t i = 0; i + 1 < CSV_FIELDS_MAX; i++)
        buf_byte(&in, ',');
    buf_byte(&in, '\n');
    row = buf_bytes(&in);
    read_in_pieces(row, SIZE_MAX, text);
    CHECK(text[0] == '1');
    buf_reset(&in, 0);
    for (size_t i = 0; i < CSV_FIELDS_MAX; i++)
        buf_byte(&in, ',');
    read_in_pieces(buf_bytes(&in), SIZE_MAX, text);
    CHECK_STR(text, "!line 1: a row of more than 64 fields");
    buf_reset(&in, 0);
    for (size_t i = 0; i <= CSV_ROW_BYTES; i++)
        buf_byte(&in, 'x');
    read_in_pieces(buf_bytes(&in), 1000, text);
    CHECK_STR(text, "!line 1: a row of more than 65536 octets");
    buf_free(&in);
}
