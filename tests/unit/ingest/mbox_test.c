/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "base/clock.h"
#include "ingest/mbox.h"
#include "test.h"

#include <string.h>

enum {
    ROOM = 64 << 20
};

struct file {
    struct bytes octets;
    size_t at_most; /* in one read; 0: as much as is wanted */
    uint64_t given; /* octets, of all reads */
};

static bool read_at(void *context, uint64_t offset, uint8_t *room, size_t size, size_t *got,
                    struct err *err)
{
    struct file *file = context;
    struct bytes some =
        bytes_slice(file->octets, offset > SIZE_MAX ? SIZE_MAX : (size_t)offset, size);

    (void)err;
    if (file->at_most > 0)
        some = bytes_slice(some, 0, file->at_most);
    if (some.len > 0)
        memcpy(room, some.ptr, some.len);
    *got = some.len;
    file->given += some.len;
    return true;
}

static bool gather(void *context, struct bytes octets, struct err *err)
{
    (void)err;
    buf_append(context, octets);
    return true;
}

/* The octets of a message, fed to the un-quoter in pieces of this size. */
static void unquote(enum ingest_mbox_format format, struct bytes quoted, size_t chunk,
                    struct buf *out)
{
    struct ingest_unquoter unquoter = ingest_begin_unquoting(format, gather, out);
    struct err err = { 0 };

    for (size_t at = 0; at < quoted.len; at += chunk)
        CHECK(ingest_unquote(&unquoter, bytes_slice(quoted, at, chunk), &err));
    CHECK(ingest_end_unquoting(&unquoter, &err));
}

/* The messages, each with "|" behind it; "!" before those whose Content-Length was not followed, "~" before
 * one that is cut, "?" before one that may go on behind its end. */
static void check_format(enum ingest_mbox_format format, struct bytes text, struct bytes want)
{
    for (size_t chunk = 1; chunk <= 64; chunk *= 8) {
        CLEANUP(buf_free) struct buf all = buf_create(ROOM);
        struct file file = { text, chunk, 0 };
        struct ingest_mbox *mbox = ingest_open_mbox(format, read_at, &file);
        struct ingest_mbox_message message;
        struct err err = { 0 };
        bool has_one = true;

        while (has_one) {
            size_t before;

            CHECK(ingest_next_message(mbox, &message, &has_one, &err));
            if (!has_one)
                break;
            CHECK(bytes_start_with(message.separator, BYTES("From ")));
            buf_text(&all, message.has_bad_length ? "!" : "");
            buf_text(&all, message.is_cut ? "~" : "");
            buf_text(&all, message.is_doubtful ? "?" : "");
            before = all.len;
            unquote(format, bytes_slice(text, (size_t)message.offset, (size_t)message.bytes), chunk,
                    &all);
            CHECK_EQ_U64(all.len - before, message.size_bytes);
            buf_byte(&all, '|');
        }
        CHECK_BYTES(buf_bytes(&all), want);
        ingest_close_mbox(&mbox);
    }
}

static void check(struct bytes text, struct bytes want)
{
    check_format(INGEST_MBOXRD, text, want);
}

#define SEPARATOR "From a@example.org Mon Oct  1 08:00:00 2001\n"

TEST(messages_lie_between_separators_without_the_empty_line_before_them)
{
    check(BYTES(SEPARATOR "A: 1\n\nx\n\n" SEPARATOR "B: 2\n\ny\n\n"),
          BYTES("A: 1\n\nx\n|B: 2\n\ny\n|"));
    check(BYTES(SEPARATOR "A: 1\n\nx\n\n\n" SEPARATOR "B: 2\n\ny\n"),
          BYTES("A: 1\n\nx\n\n|B: 2\n\ny\n|"));
}

TEST(line_ends_stay_as_they_are)
{
    check(BYTES("From a 10:00\r\nA: 1\r\n\r\nx\r\n\r\nFrom b 11:00\r\nB: 2\n\ny\r\n\r\n"),
          BYTES("A: 1\r\n\r\nx\r\n|B: 2\n\ny\r\n|"));
}

TEST(a_line_that_begins_with_from_is_content_unless_it_looks_like_a_separator)
{
    check(BYTES(SEPARATOR "A: 1\n\nFrom here on\n\nFrom there\nFrom 12:00 on\n\n"),
          BYTES("A: 1\n\nFrom here on\n\nFrom there\nFrom 12:00 on\n|"));
}

TEST(a_separator_of_thunderbird_says_nothing_and_a_field_follows_it)
{
    check(BYTES("From \r\nX-Mozilla-Status: 0001\r\n\r\nx\r\n\r\nFrom \r\nB: 2\r\n\r\ny\r\n\r\n"),
          BYTES("X-Mozilla-Status: 0001\r\n\r\nx\r\n|B: 2\r\n\r\ny\r\n|"));
    check(BYTES(SEPARATOR "A: 1\n\nFrom \nthe start\n\nFrom \n\n"),
          BYTES("A: 1\n\nFrom \nthe start\n\nFrom \n|"));
}

TEST(a_time_of_day_alone_makes_no_separator_of_a_line)
{
    check(BYTES(SEPARATOR "A: 1\n\nx\n\nFrom 10:30 to 11:00 we eat\nand drink\n"),
          BYTES("A: 1\n\nx\n\nFrom 10:30 to 11:00 we eat\nand drink\n|"));
}

TEST(a_separator_with_a_date_and_a_field_behind_it_needs_no_empty_line)
{
    check(BYTES(SEPARATOR "A: 1\n\nx\n" SEPARATOR "B: 2\n\ny\n" SEPARATOR ">From z\nC: 3\n"),
          BYTES("A: 1\n\nx\n|B: 2\n\ny\n|From z\nC: 3\n|"));
    check(BYTES(SEPARATOR "A: 1\n\nx\n" SEPARATOR "no field\n"),
          BYTES("A: 1\n\nx\n" SEPARATOR "no field\n|"));
}

TEST(a_byte_order_mark_and_empty_lines_may_stand_before_the_first_separator)
{
    check(BYTES("\xef\xbb\xbf\r\n\n" SEPARATOR "A: 1\n\nx\n\n" SEPARATOR "B: 2\n"),
          BYTES("A: 1\n\nx\n|B: 2\n|"));
    CHECK(ingest_begins_mbox(BYTES("\n\n" SEPARATOR)));
    CHECK(!ingest_begins_mbox(BYTES("\n\nSubject: x\n")));
    CHECK(!ingest_begins_mbox(BYTES("\n\n")));
    CHECK(!ingest_begins_mbox(BYTES("")));
}

TEST(a_length_that_leads_over_a_separator_makes_it_doubtful)
{
    check(BYTES(SEPARATOR "Content-Length: 48\n\nx\n\n" SEPARATOR "\n\n" SEPARATOR "B: 2\n\ny\n"),
          BYTES("?Content-Length: 48\n\nx\n|\n|B: 2\n\ny\n|"));
    check(BYTES(SEPARATOR "Content-Length: 7\n\nx\n\n" SEPARATOR "B: 2\n\ny\n"),
          BYTES("Content-Length: 7\n\nx\n|B: 2\n\ny\n|"));
    check(BYTES(SEPARATOR "Content-Length: 2\n\nx\n\n" SEPARATOR "B: 2\n\ny\n"),
          BYTES("Content-Length: 2\n\nx\n|B: 2\n\ny\n|"));
}

TEST(quoting_of_mboxrd_is_undone_at_each_depth)
{
    check(BYTES(SEPARATOR "A: 1\n\n>From x\n>>>From y\n> From z\n>Frombar\n >From q\n"),
          BYTES("A: 1\n\nFrom x\n>>From y\n> From z\n>Frombar\n >From q\n|"));
}

TEST(quoting_of_mboxo_is_undone_once)
{
    check_format(INGEST_MBOXO, BYTES(SEPARATOR "A: 1\n\n>From x\n>>From y\n"),
                 BYTES("A: 1\n\nFrom x\n>>From y\n|"));
}

TEST(a_message_that_is_cut_is_told)
{
    check(BYTES(SEPARATOR "A: 1\n\nx\n\n" SEPARATOR "B: 2\n\nhalf a li"),
          BYTES("A: 1\n\nx\n|~B: 2\n\nhalf a li|"));
    check(BYTES(SEPARATOR "A: 1\n\n>Fro"), BYTES("~A: 1\n\n>Fro|"));
}

TEST(messages_without_octets_are_passed_over)
{
    check(BYTES(SEPARATOR "\n" SEPARATOR "B: 2\n\n\n" SEPARATOR), BYTES("B: 2\n\n|"));
    check(BYTES(SEPARATOR), BYTES(""));
}

TEST(content_length_says_where_a_message_ends_when_a_separator_follows)
{
    check_format(
        INGEST_MBOXCL2,
        BYTES(SEPARATOR "Content-Length: 50\n\n" SEPARATOR ">From \n" SEPARATOR
                        "content-length:0002\n\nx\n\n" SEPARATOR "\nbody\n"),
        BYTES("Content-Length: 50\n\n" SEPARATOR ">From |content-length:0002\n\nx\n|\nbody\n|"));
}

TEST(content_length_that_leads_nowhere_is_not_followed_and_told)
{
    check_format(INGEST_MBOXCL,
                 BYTES(SEPARATOR "Content-Length: 3\n\nlonger\n\n" SEPARATOR "B: 2\n\n>From\n"),
                 BYTES("!Content-Length: 3\n\nlonger\n|B: 2\n\n>From\n|"));
    check_format(INGEST_MBOXCL, BYTES(SEPARATOR "Content-Length: 18446744073709551615\n\nx\n"),
                 BYTES("!Content-Length: 18446744073709551615\n\nx\n|"));
    check_format(INGEST_MBOXCL2, BYTES(SEPARATOR "Content-Length: 700\n\nx\n"),
                 BYTES("!Content-Length: 700\n\nx\n|"));
}

TEST(lines_longer_than_the_window_are_taken_as_they_are)
{
    CLEANUP(buf_free) struct buf text = buf_create(ROOM);
    struct file file;
    struct ingest_mbox *mbox;
    struct ingest_mbox_message message;
    struct err err = { 0 };
    bool has_one;

    buf_text(&text, SEPARATOR "A: 1\n\n");
    for (size_t i = 0; i < 3000000; i++)
        buf_byte(&text, '>');
    buf_text(&text, "From x\n\n" SEPARATOR "B: 2\n");
    file = (struct file){ buf_bytes(&text), 0, 0 };
    mbox = ingest_open_mbox(INGEST_MBOXRD, read_at, &file);
    CHECK(ingest_next_message(mbox, &message, &has_one, &err) && has_one);
    CHECK_EQ_U64(message.size_bytes, 6 + 3000000 - 1 + 7);
    CHECK(ingest_next_message(mbox, &message, &has_one, &err) && has_one);
    CHECK_EQ_U64(message.bytes, 5);
    CHECK(ingest_next_message(mbox, &message, &has_one, &err) && !has_one);
    ingest_close_mbox(&mbox);
}

TEST(lengths_that_all_lead_to_one_line_without_an_end_do_not_read_it_each_time)
{
    enum {
        MESSAGES = 50,
        LINE_BYTES = 8 << 20
    };
    CLEANUP(buf_free) struct buf text = buf_create(ROOM);
    size_t stride = sizeof SEPARATOR "Content-Length: 000000000\n\n" - 1;
    struct ingest_mbox_message message;
    struct ingest_mbox *mbox;
    struct err err = { 0 };
    struct file file;
    bool has_one = true;

    for (size_t i = 0; i < MESSAGES; i++) {
        buf_text(&text, SEPARATOR "Content-Length: ");
        buf_u64_padded(&text, (MESSAGES - i - 1) * stride, 9);
        buf_text(&text, "\n\n");
    }
    buf_text(&text, "From 12:00 ");
    for (size_t i = 0; i < LINE_BYTES; i++)
        buf_byte(&text, 'x');
    file = (struct file){ buf_bytes(&text), 0, 0 };
    mbox = ingest_open_mbox(INGEST_MBOXRD, read_at, &file);
    while (has_one)
        CHECK(ingest_next_message(mbox, &message, &has_one, &err));
    CHECK(file.given < (uint64_t)MESSAGES * LINE_BYTES / 4);
    ingest_close_mbox(&mbox);
}

TEST(what_does_not_begin_with_from_is_no_mbox)
{
    struct file file = { BYTES("Subject: x\n\n" SEPARATOR), 0, 0 };
    struct ingest_mbox *mbox = ingest_open_mbox(INGEST_MBOXRD, read_at, &file);
    struct ingest_mbox_message message;
    struct err err = { 0 };
    bool has_one;

    CHECK(!ingest_next_message(mbox, &message, &has_one, &err));
    CHECK_EQ_U64(err.code, ERR_SYNTAX);
    ingest_close_mbox(&mbox);
}

static void check_date(struct bytes separator, const char *want, int16_t want_zone)
{
    char text[CLOCK_TEXT_BYTES];
    int64_t usec;
    int16_t zone;

    CHECK(ingest_read_separator_date(separator, &usec, &zone));
    clock_format_rfc3339(usec, text);
    CHECK_STR(text, want);
    CHECK_EQ_I64(zone, want_zone);
}

TEST(separators_hold_a_date_in_many_forms)
{
    check_date(BYTES("From a@b.example Mon Oct  1 08:00:00 2001"), "2001-10-01T08:00:00.000000Z",
               0);
    check_date(BYTES("From - Mon Oct 01 08:00:00 2001"), "2001-10-01T08:00:00.000000Z", 0);
    check_date(BYTES("From \"a b\"@c Mon, 1 Oct 2001 08:00:00 +0200"),
               "2001-10-01T06:00:00.000000Z", 120);
}

TEST(a_separator_without_a_date_has_none)
{
    int64_t usec;
    int16_t zone;

    CHECK(!ingest_read_separator_date(BYTES("From nobody"), &usec, &zone));
    CHECK(!ingest_read_separator_date(BYTES("From nobody at 12:34"), &usec, &zone));
    CHECK(!ingest_read_separator_date(BYTES("From "), &usec, &zone));
}

TEST(formats_have_names)
{
    enum ingest_mbox_format format;

    CHECK(ingest_find_mbox_format(BYTES("mboxcl2"), &format) && format == INGEST_MBOXCL2);
    CHECK(!ingest_find_mbox_format(BYTES("mmdf"), &format));
}
