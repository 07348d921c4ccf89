/* SPDX-License-Identifier: Apache-2.0 */
#include "imap/date.h"
#include "test.h"

static void check_round(const char *text, int64_t usec, int zone, const char *again)
{
    struct bytes in = bytes_of_text(text);
    struct imap_date_time when;
    struct buf buf = buf_create(100);
    struct err err = { 0 };

    CHECK(imap_read_date_time(&in, &when, &err));
    CHECK_EQ_U64(in.len, 0);
    CHECK_EQ_I64(when.usec, usec);
    CHECK_EQ_I64(when.zone_minutes, zone);
    imap_write_date_time(&buf, when);
    CHECK_BYTES(buf_bytes(&buf), bytes_of_text(again));
    buf_free(&buf);
}

TEST(a_date_time_keeps_its_zone)
{
    check_round("\" 1-Jan-1970 00:00:00 +0000\"", 0, 0, "\"01-Jan-1970 00:00:00 +0000\"");
    check_round("\"01-Feb-2020 10:30:00 +0545\"", 1580532300000000, 345,
                "\"01-Feb-2020 10:30:00 +0545\"");
    check_round("\"1-feb-2020 00:00:00 -1130\"", 1580556600000000, -690,
                "\"01-Feb-2020 00:00:00 -1130\"");
    check_round("\"31-DEC-1969 23:59:59 -0000\"", -1000000, 0, "\"31-Dec-1969 23:59:59 +0000\"");
}

TEST(wrong_date_times_are_refused_and_nothing_is_consumed)
{
    static const char *const wrong[] = {
        "",
        "1-Feb-2020 00:00:00 +0000",
        "\"30-Feb-2020 00:00:00 +0000\"",
        "\"1-Foo-2020 00:00:00 +0000\"",
        "\"1-Feb-20 00:00:00 +0000\"",
        "\"1-Feb-2020 24:00:00 +0000\"",
        "\"1-Feb-2020 00:00:00 +0060\"",
        "\"1-Feb-2020 00:00:00 0000\"",
        "\"1-Feb-2020 00:00:00 +0000",
        "\"1-Feb-0000 00:00:00 +0000\"",
        "\"  1-Feb-2020 00:00:00 +0000\"",
    };

    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct bytes in = bytes_of_text(wrong[i]);
        struct imap_date_time when;
        struct err err = { 0 };

        CHECK(!imap_read_date_time(&in, &when, &err));
        CHECK_EQ_U64(in.len, strlen(wrong[i]));
    }
}

TEST(times_beyond_four_digit_years_are_kept_within_them)
{
    struct buf buf = buf_create(100);

    imap_write_date_time(&buf, (struct imap_date_time){ INT64_MAX, 60 });
    CHECK_BYTES(buf_bytes(&buf), BYTES("\"31-Dec-9999 23:59:59 +0100\""));
    buf_reset(&buf, 0);
    imap_write_date_time(&buf, (struct imap_date_time){ INT64_MIN, INT16_MIN });
    CHECK(bytes_start_with(buf_bytes(&buf), BYTES("\"01-Jan-0001 00:00:00 -")));
    buf_reset(&buf, 0);
    imap_write_date(&buf, INT64_MAX);
    CHECK_BYTES(buf_bytes(&buf), BYTES("31-Dec-9999"));
    buf_free(&buf);
}

TEST(search_dates_come_quoted_or_not)
{
    static const char *const same[] = { "1-Feb-2020", "01-Feb-2020", "\"1-Feb-2020\"",
                                        "\" 1-Feb-2020\"", "\"01-fEB-2020\"" };
    struct err err = { 0 };
    struct bytes in = BYTES(" 1-Feb-2020");
    int64_t days;

    for (size_t i = 0; i < ARRAY_LEN(same); i++) {
        in = bytes_of_text(same[i]);
        CHECK(imap_read_date(&in, &days, &err));
        CHECK_EQ_I64(days, 18293);
        CHECK_EQ_U64(in.len, 0);
    }
    in = BYTES("\"1-Feb-2020");
    CHECK(!imap_read_date(&in, &days, &err));
}
