/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"
#include "text/internal.h"
#include "text/match.h"

#include <stdlib.h>

static const char mail[] =
    "Subject: Quarterly Forecast\r\nX-Empty:\r\nReceived: one\r\nReceived: Two\r\n"
    "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nX-Part: Partfield\r\n\r\n"
    "The Body of the message, \xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82 "
    "aaaaaaaaaaaaaaab.\r\n"
    "--b\r\nContent-Type: text/html\r\n\r\n<p>ren<i>dered</i></p>\r\n--b\r\n"
    "Content-Type: image/gif; name=\"Picture.gif\"\r\n\r\nGIF89a\r\n--b--\r\n";

/* Both ways, and in chunks of all sizes: they must agree. */
static bool matches(enum text_scope scope, const char *field, const char *needle)
{
    struct text_extractor *extractor = text_create_extractor();
    struct text_record_writer *writer = text_create_record();
    struct text_matcher *matcher = NULL;
    struct bytes in = bytes_of(mail, sizeof mail - 1);
    struct bytes record;
    struct err err = { 0 };
    bool in_record;

    CHECK(text_create_matcher(scope, bytes_of_text(field), bytes_of_text(needle), &matcher, &err));
    for (size_t chunk = 1; chunk < 50; chunk++) {
        struct text_sink sinks[] = { text_match_sink(matcher), text_record_sink(writer) };

        text_reset_record(writer);
        text_reset_matcher(matcher);
        text_begin(extractor, sinks, ARRAY_LEN(sinks));
        for (size_t at = 0; at < in.len; at += chunk)
            text_feed(extractor, bytes_slice(in, at, chunk));
        (void)text_end(extractor);
        CHECK(text_record(writer, &record));
        in_record = text_match_record(matcher, record);
        CHECK_EQ_U64(text_has_matched(matcher), in_record);
    }
    text_free_matcher(&matcher);
    text_free_record(&writer);
    text_free_extractor(&extractor);
    return in_record;
}

TEST(text_is_found_in_all_pieces_in_any_case)
{
    CHECK(matches(TEXT_SCOPE_TEXT, "", "quarterly FORECAST"));
    CHECK(matches(TEXT_SCOPE_TEXT, "", "subject: q"));
    CHECK(matches(TEXT_SCOPE_TEXT, "", "partfield"));
    CHECK(matches(TEXT_SCOPE_TEXT, "", "body OF"));
    CHECK(matches(TEXT_SCOPE_TEXT, "", "ПРИВЕТ"));
    CHECK(matches(TEXT_SCOPE_TEXT, "", "picture.gif"));
    CHECK(matches(TEXT_SCOPE_TEXT, "", ""));
    CHECK(!matches(TEXT_SCOPE_TEXT, "", "gif89a"));
    CHECK(!matches(TEXT_SCOPE_TEXT, "", "forecastx-empty"));
}

TEST(body_is_found_in_texts_renderings_and_names_but_not_in_fields)
{
    CHECK(matches(TEXT_SCOPE_BODY, "", "body of the"));
    CHECK(matches(TEXT_SCOPE_BODY, "", "ren<i>dered"));
    CHECK(matches(TEXT_SCOPE_BODY, "", "RENDERED"));
    CHECK(matches(TEXT_SCOPE_BODY, "", "picture"));
    CHECK(matches(TEXT_SCOPE_BODY, "", ""));
    CHECK(matches(TEXT_SCOPE_BODY, "", "e"));
    CHECK(matches(TEXT_SCOPE_BODY, "", "aaab."));
    CHECK(matches(TEXT_SCOPE_BODY, "", "message, привет aaaaaaaaaaaaaaab.")); // across chunks
    CHECK(!matches(TEXT_SCOPE_BODY, "", "quarterly"));
    CHECK(!matches(TEXT_SCOPE_BODY, "", "partfield"));
}

TEST(header_is_found_in_values_of_the_message_s_own_fields_of_that_name)
{
    CHECK(matches(TEXT_SCOPE_HEADER, "SUBJECT", "forecast"));
    CHECK(matches(TEXT_SCOPE_HEADER, "received", "two"));
    CHECK(matches(TEXT_SCOPE_HEADER, "received", "ONE"));
    CHECK(!matches(TEXT_SCOPE_HEADER, "received", "received"));
    CHECK(!matches(TEXT_SCOPE_HEADER, "subject", "two"));
    CHECK(!matches(TEXT_SCOPE_HEADER, "sub", "forecast"));
    CHECK(!matches(TEXT_SCOPE_HEADER, "x-part", "partfield"));
    CHECK(!matches(TEXT_SCOPE_HEADER, "subject", " quarterly"));
}

TEST(an_empty_needle_asks_whether_the_field_is_there)
{
    CHECK(matches(TEXT_SCOPE_HEADER, "x-empty", ""));
    CHECK(matches(TEXT_SCOPE_HEADER, "subject", ""));
    CHECK(!matches(TEXT_SCOPE_HEADER, "x-part", ""));
    CHECK(!matches(TEXT_SCOPE_HEADER, "x-none", ""));
}

#define FIRST "\1subject: alpha\0\3body one\0"
#define SECOND "\1subject: beta\0\3body two\0"
#define THIRD "\1subject: two\0\3body three\0"

static size_t match_many(enum text_scope scope, const char *needle, size_t from)
{
    static const char records[] = FIRST SECOND THIRD;
    const size_t starts[] = { 0, sizeof FIRST - 1, sizeof FIRST + sizeof SECOND - 2,
                              sizeof records - 1 };
    struct text_matcher *matcher;
    struct err err = { 0 };
    size_t found;

    CHECK(text_create_matcher(scope, BYTES("Subject"), bytes_of_text(needle), &matcher, &err));
    found = text_match_records(matcher, bytes_of(records, sizeof records - 1), starts, 3, from);
    text_free_matcher(&matcher);
    return found;
}

TEST(of_many_records_the_first_that_matches_is_found)
{
    CHECK_EQ_U64(match_many(TEXT_SCOPE_TEXT, "two", 0), 1);
    CHECK_EQ_U64(match_many(TEXT_SCOPE_TEXT, "two", 2), 2);
    CHECK_EQ_U64(match_many(TEXT_SCOPE_BODY, "two", 2), 3);
    CHECK_EQ_U64(match_many(TEXT_SCOPE_HEADER, "two", 0), 2);
    CHECK_EQ_U64(match_many(TEXT_SCOPE_HEADER, "", 1), 1);
    CHECK_EQ_U64(match_many(TEXT_SCOPE_TEXT, "", 1), 1);
    CHECK_EQ_U64(match_many(TEXT_SCOPE_TEXT, "", 3), 3);
    CHECK_EQ_U64(match_many(TEXT_SCOPE_TEXT, "none", 0), 3);
    CHECK_EQ_U64(match_many(TEXT_SCOPE_BODY, "body three", 0), 2);
}

TEST(a_needle_over_the_limit_is_refused)
{
    char *long_needle = calloc(1, TEXT_NEEDLE_MAX + 1);
    struct text_matcher *matcher = NULL;
    struct err err = { 0 };

    CHECK(long_needle != NULL);
    CHECK(!text_create_matcher(TEXT_SCOPE_TEXT, BYTES(""),
                               bytes_of(long_needle, TEXT_NEEDLE_MAX + 1), &matcher, &err));
    CHECK(err.code == ERR_LIMIT && matcher == NULL);
    CHECK(text_create_matcher(TEXT_SCOPE_TEXT, BYTES(""), bytes_of(long_needle, TEXT_NEEDLE_MAX),
                              &matcher, &err));
    text_free_matcher(&matcher);
    free(long_needle);
}

/* Small alphabets make many near hits; memmem is right. */
TEST(finding_agrees_with_memmem_wherever_the_needle_lies)
{
    uint8_t haystack[300];
    uint32_t seed = 1;

    for (int round = 0; round < 20000; round++) {
        uint8_t needle[40];
        size_t needle_len = 1 + (size_t)round % 39;
        size_t len = (size_t)round % sizeof haystack;
        struct text_finder finder;
        const uint8_t *want;
        ssize_t got;

        for (size_t i = 0; i < sizeof haystack; i++) {
            seed = seed * 1103515245 + 12345;
            haystack[i] = (uint8_t)("ab z"[seed >> 16 & (round % 3 == 0 ? 1 : 3)]);
        }
        for (size_t i = 0; i < needle_len; i++)
            needle[i] = haystack[(i + (size_t)round * 7) % sizeof haystack];
        finder = text_make_finder(bytes_of(needle, needle_len));
        want = memmem(haystack, len, needle, needle_len);
        got = text_find(&finder, bytes_of(haystack, len));
        CHECK_EQ_I64(got, want == NULL ? -1 : want - haystack);
    }
}
