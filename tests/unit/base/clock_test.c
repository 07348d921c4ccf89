/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "test.h"

TEST(every_day_of_four_centuries_converts_there_and_back)
{
    int64_t days = civil_to_days(1799, 12, 31);

    for (int i = 0; i < 146097 + 400; i++, days++) {
        struct civil c = civil_from_usec(days * INT64_C(86400000000));

        CHECK_EQ_I64(civil_to_days(c.year, c.month, c.day), days);
        CHECK(civil_is_valid(&c));
    }
}

TEST(known_days_have_known_numbers)
{
    CHECK_EQ_I64(civil_to_days(1970, 1, 1), 0);
    CHECK_EQ_I64(civil_to_days(2000, 2, 29), 11016);
    CHECK_EQ_I64(civil_to_days(1969, 12, 31), -1);
}

TEST(impossible_dates_are_refused)
{
    CHECK(!civil_is_valid(&(struct civil){ .year = 2001, .month = 2, .day = 29 }));
    CHECK(civil_is_valid(&(struct civil){ .year = 2000, .month = 2, .day = 29 }));
    CHECK(!civil_is_valid(&(struct civil){ .year = 1900, .month = 2, .day = 29 }));
    CHECK(!civil_is_valid(&(struct civil){ .year = 2001, .month = 13, .day = 1 }));
    CHECK(!civil_is_valid(&(struct civil){ .year = 2001, .month = 1, .day = 1, .hour = 24 }));
}

TEST(times_before_1970_round_down)
{
    struct civil c = civil_from_usec(-1);
    char text[CLOCK_TEXT_BYTES];

    CHECK_EQ_I64(c.year, 1969);
    CHECK_EQ_U64(c.second, 59);
    clock_format_rfc3339(-1, text);
    CHECK_STR(text, "1969-12-31T23:59:59.999999Z");
}

TEST(a_deadline_passes_and_never_does_not)
{
    CHECK(deadline_has_passed(deadline_after_ms(-1)));
    CHECK(!deadline_has_passed(deadline_after_ms(60000)));
    CHECK(!deadline_has_passed(deadline_never()));
    CHECK_EQ_I64(deadline_poll_ms(deadline_never()), -1);
    CHECK_EQ_I64(deadline_poll_ms(deadline_after_ms(-5)), 0);
}
