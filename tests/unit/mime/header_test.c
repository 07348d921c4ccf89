/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "mime/header.h"
#include "test.h"

static void check_header_size(struct bytes message, size_t want)
{
    CHECK_EQ_U64(mime_header_size(message), want);
    for (size_t step = 1; step < 5; step++) {
        struct mime_header_end end = { 0 };
        size_t left = 0;

        for (size_t at = 0; at < message.len; at += step) {
            struct bytes chunk = bytes_slice(message, at, step);

            mime_find_header_end(&end, &chunk);
            CHECK(end.is_found || chunk.len == 0);
            left += chunk.len;
        }
        CHECK_EQ_U64(end.header_bytes, want);
        CHECK_EQ_U64(message.len - left, want);
    }
}

TEST(the_header_ends_with_the_first_empty_line)
{
    check_header_size(BYTES("A: b\r\n\r\nbody\r\n\r\n"), 8);
    check_header_size(BYTES("A: b\n\nbody"), 6);
    check_header_size(BYTES("A: b\n\r\nbody"), 7);
    check_header_size(BYTES("A: b\r\n\nbody"), 7);
    check_header_size(BYTES("\r\nbody"), 2);
    check_header_size(BYTES("\nbody"), 1);
}

TEST(a_message_without_an_empty_line_is_all_header)
{
    check_header_size(BYTES(""), 0);
    check_header_size(BYTES("A: b\r\n"), 6);
    check_header_size(BYTES("A: b"), 4);
    check_header_size(BYTES("A: b\r\n\r"), 7);
}

TEST(a_bare_cr_a_blank_or_nul_makes_no_empty_line)
{
    check_header_size(BYTES("A: b\r\n\r\r\nC: d\r\n\r\nx"), 17);
    check_header_size(BYTES("A: b\r\r\n\r\r\nx"), 11);
    check_header_size(BYTES("A: b\r\n \r\n\r\nx"), 11);
    check_header_size(BYTES("A: b\r\n\0\r\n\r\nx"), 11);
    check_header_size(BYTES("A: b\r\n\rX: y\r\n\r\nx"), 15);
}

TEST(fields_come_with_their_folded_lines)
{
    struct bytes header = BYTES("A : b\r\n c\r\n\td\r\nno colon\r\n: e\r\nF:g");
    struct mime_field field;

    CHECK(mime_read_field(&header, &field));
    CHECK_BYTES(field.name, BYTES("A"));
    CHECK_BYTES(field.value, BYTES(" b\r\n c\r\n\td\r\n"));
    CHECK_BYTES(field.octets, BYTES("A : b\r\n c\r\n\td\r\n"));
    CHECK(mime_read_field(&header, &field));
    CHECK_EQ_U64(field.name.len, 0);
    CHECK_BYTES(field.octets, BYTES("no colon\r\n"));
    CHECK(mime_read_field(&header, &field));
    CHECK_EQ_U64(field.name.len, 0);
    CHECK(mime_read_field(&header, &field));
    CHECK_BYTES(field.name, BYTES("F"));
    CHECK_BYTES(field.value, BYTES("g"));
    CHECK(!mime_read_field(&header, &field));
    CHECK_EQ_U64(header.len, 0);
}

TEST(a_first_line_that_begins_with_a_blank_has_no_name)
{
    struct bytes header = BYTES("\tSubject: q\r\n To: z\r\n\r\n");
    struct mime_field field;

    CHECK(mime_read_field(&header, &field));
    CHECK_EQ_U64(field.name.len, 0);
    CHECK_BYTES(field.octets, BYTES("\tSubject: q\r\n To: z\r\n"));
    CHECK(!mime_read_field(&header, &field));
    CHECK_BYTES(header, BYTES("\r\n"));
}

TEST(unfolding_drops_line_ends_and_outer_blanks_only)
{
    uint8_t out[40];
    size_t len = mime_unfold(BYTES(" a\r\n b\n\tc  d\r\n"), out);

    CHECK_BYTES(bytes_of(out, len), BYTES("a b\tc  d"));
    CHECK_EQ_U64(mime_unfold(BYTES(" \r\n"), out), 0);
    CHECK_EQ_U64(mime_unfold(BYTES(""), out), 0);
    len = mime_unfold(BYTES("x\r\r\n"), out);
    CHECK_BYTES(bytes_of(out, len), BYTES("x\r"));
}

static void check_selected(struct bytes header, const char *name, bool is_not, struct bytes want)
{
    struct bytes names[] = { BYTES("X-Absent"), bytes_of_text(name) };
    struct mime_selection selection = { names, 2, is_not };
    struct mime_selection_at at = { 0 };
    struct buf out = buf_create(1000);
    struct bytes piece;

    while (mime_next_selected(header, &selection, &at, &piece))
        buf_append(&out, piece);
    CHECK_BYTES(buf_bytes(&out), want);
    CHECK_EQ_U64(mime_selected_bytes(header, &selection), want.len);
    CHECK(!mime_next_selected(header, &selection, &at, &piece));
    buf_free(&out);
}

/* The expected octets of this and the next test are what Dovecot 2.3.19 answers. */
TEST(chosen_fields_keep_order_case_and_folding_and_end_with_an_empty_line)
{
    struct bytes header =
        BYTES("SUBJECT:a\r\nTo: x\r\nfoo\r\n bar\r\nSubject\t : b\r\n c\r\nSubjectX: "
              "d\r\n\r\n");

    check_selected(header, "subject", false, BYTES("SUBJECT:a\r\nSubject\t : b\r\n c\r\n\r\n"));
    check_selected(header, "subject", true, BYTES("To: x\r\nfoo\r\n bar\r\nSubjectX: d\r\n\r\n"));
    check_selected(header, "From", false, BYTES("\r\n"));
    check_selected(header, "From", true, header);
}

TEST(headers_without_an_end_get_one_only_for_named_fields)
{
    check_selected(BYTES(""), "To", false, BYTES("\r\n"));
    check_selected(BYTES(""), "To", true, BYTES(""));
    check_selected(BYTES("\r\n"), "To", true, BYTES("\r\n"));
    check_selected(BYTES("A: b\r\nTo: x\r\n"), "To", false, BYTES("To: x\r\n\r\n"));
    check_selected(BYTES("A: b\r\nTo: x\r\n"), "To", true, BYTES("A: b\r\n"));
    check_selected(BYTES("A: b\r\nTo: x"), "To", false, BYTES("To: x\r\n\r\n"));
    check_selected(BYTES("To: x\r\n\r"), "To", true, BYTES("\r"));
    check_selected(BYTES("A: b\r\nTo: x\r"), "To", false, BYTES("To: x\r\r\n\r\n"));
    check_selected(BYTES("no colon"), "To", true, BYTES("no colon"));
}

TEST(what_stands_behind_the_header_is_not_looked_at)
{
    check_selected(BYTES("A: b\r\n\r\nTo: body\r\n\r\n"), "To", false, BYTES("\r\n"));
    check_selected(BYTES("A: b\r\n\r\nTo: body\r\n\r\n"), "To", true, BYTES("A: b\r\n\r\n"));
}
