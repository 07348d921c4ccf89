/* SPDX-License-Identifier: Apache-2.0 */
/* Encoded words, charsets, transfer encodings, dates, summaries. */
#include "../test.h"
#include "mime/address.h"
#include "mime/charset.h"
#include "mime/date.h"
#include "mime/parser.h"
#include "mime/summary.h"
#include "mime/transfer.h"
#include "mime/word.h"

static void check_words(const char *value, const char *want)
{
    CLEANUP(buf_free) struct buf out = buf_create(10000);

    mime_decode_words(bytes_of_text(value), &out);
    CHECK_BYTES(buf_bytes(&out), bytes_of_text(want));
}

TEST(encoded_words_become_utf8)
{
    check_words("=?utf-8?q?a=E2=82=AC_b?= c", "a\xe2\x82\xac b c");
    check_words("x =?ISO-8859-1*de?B?5A==?=", "x \xc3\xa4");
    check_words("=?koi8-r?q?=C1?=", "\xd0\xb0");
}

TEST(blanks_between_encoded_words_go_and_split_characters_are_joined)
{
    check_words("=?utf-8?b?4oI=?=\r\n =?utf-8?b?rA==?= x", "\xe2\x82\xac x");
    check_words("=?utf-8?q?a?= =?iso-8859-1?q?=E4?=", "a\xc3\xa4");
}

TEST(an_encoded_word_of_any_length_is_decoded_and_words_that_never_end_are_text)
{
    CLEANUP(buf_free) struct buf value = buf_create(8 << 20);
    CLEANUP(buf_free) struct buf decoded = buf_create(8 << 20);

    buf_text(&value, "=?utf-8?b?");
    for (int i = 0; i < 25000; i++)
        buf_text(&value, "c2Vj");
    buf_text(&value, "cmV0?= =?utf-8?q?=21?=");
    mime_decode_words(buf_bytes(&value), &decoded);
    CHECK_EQ_U64(decoded.len, 75000 + 4);
    CHECK_BYTES(bytes_slice(buf_bytes(&decoded), 75000 - 3, SIZE_MAX), BYTES("secret!"));

    buf_reset(&value, SIZE_MAX);
    buf_reset(&decoded, SIZE_MAX);
    for (int i = 0; i < 150000; i++) /* a second for each, if each looked for an end */
        buf_text(&value, "=?x?q? ");
    buf_text(&value, "\n=?x?q?y?=");
    mime_decode_words(buf_bytes(&value), &decoded);
    CHECK_EQ_U64(decoded.len, 7 * 150000 + 1);
}

TEST(what_is_no_encoded_word_stays_and_folding_goes)
{
    check_words("a\r\n b =?utf-8?x?y?= =?utf-8?q?z", "a b =?utf-8?x?y?= =?utf-8?q?z");
    check_words("raw \xe4 and \xc3\xa4", "raw \xc3\xa4 and \xc3\xa4");
}

TEST(extended_parameters_are_decoded)
{
    CLEANUP(buf_free) struct buf out = buf_create(100);
    struct mime_param param = { BYTES("filename*"), BYTES("iso-8859-1'en'%E4%zz") };

    mime_decode_param(&param, &out);
    CHECK_BYTES(buf_bytes(&out), BYTES("\xc3\xa4%zz"));
}

static void check_charset(const char *name, struct bytes text, const char *want, uint64_t errors)
{
    CLEANUP(buf_free) struct buf out = buf_create(1000);
    struct mime_charset_decoder *decoder = mime_open_charset(bytes_of_text(name));

    for (size_t i = 0; i < text.len; i++)
        mime_decode_charset(decoder, bytes_slice(text, i, 1), &out);
    mime_finish_charset(decoder, &out);
    CHECK_BYTES(buf_bytes(&out), bytes_of_text(want));
    CHECK_EQ_U64(mime_charset_errors(decoder), errors);
    mime_close_charset(&decoder);
}

TEST(charsets_are_decoded_octet_by_octet)
{
    check_charset("utf-8", BYTES("\xe2\x82\xac"), "\xe2\x82\xac", 0);
    check_charset("ISO-8859-1", BYTES("\x80"), "\xe2\x82\xac", 0);
    check_charset("shift_jis", BYTES("\x82\xa0"), "\xe3\x81\x82", 0);
    check_charset("iso-2022-jp", BYTES("\x1b$B$\"\x1b(Ba"),
                  "\xe3\x81\x82"
                  "a",
                  0);
}

TEST(what_does_not_belong_to_a_charset_is_replaced_and_counted)
{
    check_charset("utf-8", BYTES("a\xffz\xe2\x82"), "a\xef\xbf\xbdz\xef\xbf\xbd\xef\xbf\xbd", 3);
}

TEST(an_unknown_charset_is_utf8_or_windows_1252)
{
    check_charset("x-nobody", BYTES("\xc3\xa4\xe4"), "\xc3\xa4\xc3\xa4", 1);
    check_charset("../../etc//X", BYTES("a"), "a", 0);
}

static void check_transfer(enum mime_transfer kind, const char *text, const char *want,
                           uint64_t errors)
{
    for (size_t chunk = 1; chunk < 5; chunk++) {
        CLEANUP(buf_free) struct buf out = buf_create(1000);
        struct mime_transfer_decoder decoder = mime_start_transfer(kind);
        struct bytes in = bytes_of_text(text);

        for (size_t at = 0; at < in.len; at += chunk)
            mime_decode_transfer(&decoder, bytes_slice(in, at, chunk), &out);
        mime_finish_transfer(&decoder, &out);
        CHECK_BYTES(buf_bytes(&out), bytes_of_text(want));
        CHECK_EQ_U64(decoder.error_count, errors);
    }
}

TEST(base64_is_decoded_with_line_ends_joined_pieces_and_garbage)
{
    check_transfer(MIME_TRANSFER_BASE64, "YWJj\r\nZA==ZWY=", "abcdef", 0);
    check_transfer(MIME_TRANSFER_BASE64, "YW!Jj", "abc", 1);
    check_transfer(MIME_TRANSFER_BASE64, "YWI", "ab", 0);
}

TEST(quoted_printable_is_decoded_and_what_is_none_is_kept)
{
    check_transfer(MIME_TRANSFER_QUOTED_PRINTABLE, "a=3Db=\r\nc= \t\r\nd", "a=bcd", 0);
    check_transfer(MIME_TRANSFER_QUOTED_PRINTABLE, "=4=zz=", "=4=zz=", 4);
}

static void check_date(const char *text, int64_t seconds, int zone)
{
    struct mime_date date = { 0 };

    CHECK(mime_read_date(bytes_of_text(text), &date));
    CHECK_EQ_I64(date.usec, seconds * 1000000);
    CHECK_EQ_I64(date.zone_minutes, zone);
}

TEST(dates_are_read_in_all_their_forms)
{
    check_date("Mon, 1 Oct 2001 10:00:00 +0200", 1001923200, 120);
    check_date("1 Oct 01 10:00 (CEST) +0200", 1001923200, 120);
    check_date("Mon Oct  1 08:00:00 2001", 1001923200, 0);
    check_date("Mon,\r\n 1-Oct-2001 04:00:00 EDT", 1001923200, -240);
    check_date("Monday, 01 October 101 8:00:00 GMT", 1001923200, 0);
}

TEST(what_is_no_date_is_none)
{
    struct mime_date date;

    CHECK(!mime_read_date(BYTES(""), &date));
    CHECK(!mime_read_date(BYTES("yesterday"), &date));
    CHECK(!mime_read_date(BYTES("32 Jan 2001 10:00:00 +0000"), &date));
    CHECK(!mime_read_date(BYTES("1 Jan 2001 25:00:00 +0000"), &date) || date.usec > 0);
}

static void check_list(const char *value, const char *want)
{
    CLEANUP(buf_free) struct buf out = buf_create(10000);

    mime_write_address_list(bytes_of_text(value), &out);
    CHECK_BYTES(buf_bytes(&out), bytes_of_text(want));
}

/* As Dovecot 2.3.19 answers SEARCH FROM, TO, CC and BCC. */
TEST(an_address_list_is_written_in_one_form)
{
    check_list("\"Doe, John\" <jd@example.org>", "\"Doe, John\" <jd@example.org>");
    check_list("John Q. Doe<x@y.org>,Solo<s@o.l>", "\"John Q. Doe\" <x@y.org>, Solo <s@o.l>");
    check_list("b@y.org (comment c)", "\"comment c\" <b@y.org>");
    check_list("=?utf-8?q?J=2C?= =?utf-8?q?M?= <jm@x.org>",
               "=?utf-8?q?J=2C?= =?utf-8?q?M?= <jm@x.org>");
    check_list("undisclosed-recipients:;", "undisclosed-recipients:;");
    check_list("x@y.org, z@y.org", "<x@y.org>, <z@y.org>");
    check_list("grp: a@b.c, \"Z W\" <d@e.f>;", "grp: <a@b.c>, \"Z W\" <d@e.f>;");
    check_list("<@r.one,@r.two:u@v.w>", "<@r.one,@r.two:u@v.w>");
    check_list("", "");
}

TEST(of_a_broken_address_list_nothing_is_lost)
{
    check_list("John", "<John@MISSING_DOMAIN> John");
    check_list("(nobody)", "(nobody)");
    check_list("a@b, bad<<>@, c@d", "<a@b>, bad <MISSING_MAILBOX@SYNTAX_ERROR> a@b, bad<<>@, c@d");
}

TEST(a_summary_has_the_columns_of_the_index)
{
    struct mime_parser *parser = mime_create_parser();
    struct arena *arena = arena_create(1 << 20);
    struct mime_summary summary;

    mime_feed_parser(parser,
                     BYTES("Subject: =?utf-8?q?=C3=A4?=\r\nFrom: A <a@b>\r\nTo: x@y\r\nTo: z@y\r\n"
                           "Message-ID: <1@x>\r\nReferences: <r1@x>\r\n\t<r2@x> <r1@x>\r\n"
                           "In-Reply-To: <r3@x>\r\nDate: Mon, 1 Oct 2001 10:00:00 +0200\r\n\r\n"));
    mime_summarise(mime_finish_parser(parser)->envelope, mime_parser_header(parser), arena,
                   &summary);
    CHECK_BYTES(summary.subject, BYTES("\xc3\xa4"));
    CHECK_BYTES(summary.from, BYTES("A <a@b>"));
    CHECK_BYTES(summary.to, BYTES("<x@y>, <z@y>"));
    CHECK_BYTES(summary.message_id, BYTES("1@x"));
    CHECK_EQ_U64(summary.reference_count, 3);
    CHECK_BYTES(summary.references[2], BYTES("r3@x"));
    CHECK(summary.has_date && summary.date.usec == INT64_C(1001923200000000) && !summary.is_cut);
    arena_free(&arena);
    mime_free_parser(&parser);
}

TEST(the_day_of_a_date_is_the_one_that_is_written)
{
    struct mime_date date;

    CHECK(mime_read_date(BYTES("Wed, 1 Jan 2020 23:30:00 -0500"), &date));
    CHECK_EQ_I64(mime_date_day(&date), 18262);
    CHECK(mime_read_date(BYTES("Thu, 2 Jan 2020 00:30:00 +0500"), &date));
    CHECK_EQ_I64(mime_date_day(&date), 18263);
    CHECK(mime_read_date(BYTES("31 Dec 1969 23:59:59 +0000"), &date));
    CHECK_EQ_I64(mime_date_day(&date), -1);
}
