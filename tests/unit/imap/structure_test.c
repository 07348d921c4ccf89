/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"
#include "imap/section.h"
#include "imap/structure.h"
#include "mime/parser.h"

typedef void write_fn(struct buf *buf, const struct mime_part *part);

static void check(write_fn *write, const char *message, const char *want)
{
    CLEANUP(buf_free) struct buf buf = buf_create(100000);
    struct mime_parser *parser = mime_create_parser();

    mime_feed_parser(parser, bytes_of_text(message));
    write(&buf, mime_finish_parser(parser));
    CHECK_BYTES(buf_bytes(&buf), bytes_of_text(want));
    mime_free_parser(&parser);
}

static void write_envelope(struct buf *buf, const struct mime_part *part)
{
    imap_write_envelope(buf, part->envelope);
}

static void write_short(struct buf *buf, const struct mime_part *part)
{
    CLEANUP(buf_free) struct buf whole = buf_create(100000);
    struct err err = { 0 };

    imap_write_bodystructure(&whole, part);
    CHECK(imap_write_body_of_bodystructure(buf, buf_bytes(&whole), &err));
}

TEST(an_envelope_has_nil_for_absent_fields_and_from_for_sender_and_reply_to)
{
    check(write_envelope, "From: A <a@b>\r\n\r\n",
          "(NIL NIL ((\"A\" NIL \"a\" \"b\")) ((\"A\" NIL \"a\" \"b\")) ((\"A\" NIL \"a\" \"b\")) "
          "NIL NIL NIL NIL NIL)");
    check(write_envelope, "", "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)");
    check(write_envelope, "Subject:\r\nTo:\r\n\r\n", "(NIL \"\" NIL NIL NIL NIL NIL NIL NIL NIL)");
}

TEST(an_envelope_is_unfolded_and_stays_encoded)
{
    check(write_envelope,
          "Subject: =?utf-8?q?x?=\r\nDate: a\r\n b\r\nMessage-ID:\r\n <1@x>\r\n\r\n",
          "(\"a b\" \"=?utf-8?q?x?=\" NIL NIL NIL NIL NIL NIL NIL \" <1@x>\")");
}

TEST(what_cannot_be_quoted_is_a_literal)
{
    check(write_envelope, "Subject: a \"b\"\r\nDate: \xe4\r\n\r\n",
          "({1}\r\n\xe4 {5}\r\na \"b\" NIL NIL NIL NIL NIL NIL NIL NIL)");
}

TEST(groups_have_a_nil_host)
{
    check(write_envelope, "To: g: a@b;\r\n\r\n",
          "(NIL NIL NIL NIL NIL ((NIL NIL \"g\" NIL)(NIL NIL \"a\" \"b\")(NIL NIL NIL NIL)) NIL "
          "NIL NIL NIL)");
}

TEST(a_list_of_too_many_addresses_is_cut_and_its_group_closed)
{
    CLEANUP(buf_free) struct buf message = buf_create(1 << 20);
    CLEANUP(buf_free) struct buf buf = buf_create(16 << 20);
    struct mime_parser *parser = mime_create_parser();
    size_t count = 0;
    ssize_t at;

    buf_text(&message, "To: g: ");
    for (unsigned i = 0; i < IMAP_ENVELOPE_ADDRESSES_MAX + 100; i++)
        buf_text(&message, "a@b,");
    mime_feed_parser(parser, buf_bytes(&message));
    imap_write_envelope(&buf, mime_finish_parser(parser)->envelope);
    for (struct bytes rest = buf_bytes(&buf); (at = bytes_find(rest, BYTES("\"a\" \"b\""))) >= 0;
         rest = bytes_slice(rest, (size_t)at + 1, SIZE_MAX))
        count++;
    CHECK_EQ_U64(count, IMAP_ENVELOPE_ADDRESSES_MAX - 1);
    CHECK(bytes_find(buf_bytes(&buf), BYTES("(NIL NIL NIL NIL)) NIL")) > 0);
    mime_free_parser(&parser);
}

TEST(body_is_bodystructure_without_the_extension_data)
{
    const char message[] =
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b\r\n"
        "Content-Type: message/rfc822\r\n\r\nSubject: s\r\n\r\ny\r\n--b--\r\n";
    const char body[] =
        "((\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 1 0)"
        "(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 15 (NIL \"s\" NIL NIL NIL NIL NIL NIL NIL "
        "NIL)"
        " (\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 1 0) 2) \"mixed\")";

    check(imap_write_body, message, body);
    check(write_short, message, body);
}

TEST(a_multipart_without_parts_shows_an_empty_text)
{
    check(imap_write_body, "Content-Type: multipart/mixed\r\n\r\n",
          "((\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 0 0) \"mixed\")");
}

TEST(what_is_not_a_bodystructure_gives_no_body)
{
    static const char *const broken[] = { "",
                                          "(",
                                          "()",
                                          "(\"text\" \"plain\")",
                                          "NIL",
                                          "((((((((",
                                          "(\"a\" \"b\" NIL NIL NIL \"7bit\" 1) x" };

    for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
        CLEANUP(buf_free) struct buf buf = buf_create(1000);
        struct err err = { 0 };

        CHECK(!imap_write_body_of_bodystructure(&buf, bytes_of_text(broken[i]), &err));
        CHECK_EQ_U64(err.code, ERR_CORRUPT);
    }
}

/* The octets that a section names, or "absent". */
static void check_section(const char *message, const char *name, const char *want)
{
    CLEANUP(arena_free) struct arena *arena = arena_create(10000);
    struct mime_parser *parser = mime_create_parser();
    struct bytes octets = bytes_of_text(message);
    struct imap_section section = { 0 };
    struct imap_section_range range;
    struct err err = { 0 };
    struct bytes in = bytes_of_text(name);

    CHECK(imap_read_section(&in, arena, &section, &err));
    mime_feed_parser(parser, octets);
    range = imap_find_section(mime_finish_parser(parser), &section);
    if (range.is_absent)
        CHECK_BYTES(BYTES("absent"), bytes_of_text(want));
    else
        CHECK_BYTES(bytes_slice(octets, (size_t)range.offset, (size_t)range.size_bytes),
                    bytes_of_text(want));
    mime_free_parser(&parser);
}

TEST(part_1_of_a_plain_message_is_its_body)
{
    check_section("A: b\r\n\r\nbody", "1]", "body");
    check_section("A: b\r\n\r\nbody", "1.MIME]", "A: b\r\n\r\n");
    check_section("A: b\r\n\r\nbody", "]", "A: b\r\n\r\nbody");
    check_section("A: b\r\n\r\nbody", "TEXT]", "body");
    check_section("A: b\r\n\r\nbody", "2]", "absent");
    check_section("A: b\r\n\r\nbody", "1.1]", "absent");
    check_section("A: b\r\n\r\nbody", "1.HEADER]", "absent");
}

TEST(numbers_go_on_inside_a_message_within)
{
    const char message[] =
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b\r\n"
        "Content-Type: message/rfc822\r\n\r\n"
        "Content-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\ninner\r\n--c--\r\n--b--\r\n";

    check_section(message, "2.HEADER]", "Content-Type: multipart/mixed; boundary=c\r\n\r\n");
    check_section(message, "2.MIME]", "Content-Type: message/rfc822\r\n\r\n");
    check_section(message, "2.1]", "inner");
    check_section(message, "2.TEXT]", "--c\r\n\r\ninner\r\n--c--\r\n");
    check_section(message, "2.2]", "absent");
}

TEST(a_partial_range_is_cut_to_what_there_is)
{
    const struct imap_section_range whole = { .offset = 10, .size_bytes = 5 };
    const struct imap_partial inside = { true, 1, 2 };
    const struct imap_partial beyond = { true, 9, 2 };

    CHECK_EQ_U64(imap_cut_section(whole, &inside).offset, 11);
    CHECK_EQ_U64(imap_cut_section(whole, &inside).size_bytes, 2);
    CHECK_EQ_U64(imap_cut_section(whole, &beyond).size_bytes, 0);
}
