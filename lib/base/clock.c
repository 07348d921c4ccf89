/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include "base/cleanup.h"

#include <limits.h>
#include <stdio.h>
#include <time.h>

enum {
    USEC_PER_SECOND = 1000000,
    USEC_PER_MS = 1000,
    SECONDS_PER_DAY = 86400
};

static int64_t read_clock(clockid_t clock)
{
    struct timespec ts;
    int status = clock_gettime(clock, &ts);

    assert(status == 0);
    return (int64_t)ts.tv_sec * USEC_PER_SECOND + ts.tv_nsec / 1000;
}

int64_t clock_now_usec(void)
{
    return read_clock(CLOCK_REALTIME);
}

struct deadline deadline_after_ms(int64_t ms)
{
    return (struct deadline){ read_clock(CLOCK_MONOTONIC) + ms * USEC_PER_MS };
}

struct deadline deadline_never(void)
{
    return (struct deadline){ INT64_MAX };
}

bool deadline_has_passed(struct deadline deadline)
{
    return deadline.at_usec != INT64_MAX && read_clock(CLOCK_MONOTONIC) >= deadline.at_usec;
}

int deadline_poll_ms(struct deadline deadline)
{
    int64_t left;

    if (deadline.at_usec == INT64_MAX)
        return -1;
    left = deadline.at_usec - read_clock(CLOCK_MONOTONIC);
    if (left <= 0)
        return 0;
    left = (left + USEC_PER_MS - 1) / USEC_PER_MS;
    return left > INT_MAX ? INT_MAX : (int)left;
}

struct deadline deadline_earlier(struct deadline a, struct deadline b)
{
    return a.at_usec < b.at_usec ? a : b;
}

/* Years are counted from March, so that the day that a leap year adds is the last of its year. */
int64_t civil_to_days(int32_t year, uint32_t month, uint32_t day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * ((int64_t)month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
           719468;
}

bool civil_is_valid(const struct civil *civil)
{
    static const uint8_t days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool is_leap = civil->year % 4 == 0 && (civil->year % 100 != 0 || civil->year % 400 == 0);
    uint32_t last;

    if (civil->year < 1 || civil->year > 9999 || civil->month < 1 || civil->month > 12)
        return false;
    last = days[civil->month - 1] + (civil->month == 2 && is_leap ? 1u : 0u);
    return civil->day >= 1 && civil->day <= last && civil->hour < 24 && civil->minute < 60 &&
           civil->second <= 60;
}

int64_t civil_to_usec(const struct civil *civil)
{
    int64_t seconds = civil_to_days(civil->year, civil->month, civil->day) * SECONDS_PER_DAY +
                      (int64_t)civil->hour * 3600 + (int64_t)civil->minute * 60 + civil->second;

    return seconds * USEC_PER_SECOND;
}

struct civil civil_from_usec(int64_t usec)
{
    int64_t seconds = usec / USEC_PER_SECOND - (usec % USEC_PER_SECOND < 0 ? 1 : 0);
    int64_t days = seconds / SECONDS_PER_DAY - (seconds % SECONDS_PER_DAY < 0 ? 1 : 0);
    int64_t second_of_day = seconds - days * SECONDS_PER_DAY;
    int64_t shifted = days + 719468;
    int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    int64_t day_of_era = shifted - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t march_month = (5 * day_of_year + 2) / 153;
    int64_t month = march_month < 10 ? march_month + 3 : march_month - 9;

    return (struct civil){
        .year = (int32_t)(year_of_era + era * 400 + (month <= 2 ? 1 : 0)),
        .month = (uint32_t)month,
        .day = (uint32_t)(day_of_year - (153 * march_month + 2) / 5 + 1),
        .hour = (uint32_t)(second_of_day / 3600),
        .minute = (uint32_t)(second_of_day / 60 % 60),
        .second = (uint32_t)(second_of_day % 60),
    };
}

void clock_format_rfc3339(int64_t usec, char text[CLOCK_TEXT_BYTES])
{
    struct civil c = civil_from_usec(usec);
    int64_t fraction = usec % USEC_PER_SECOND;

    if (fraction < 0)
        fraction += USEC_PER_SECOND;
    (void)snprintf(text, CLOCK_TEXT_BYTES, "%04d-%02u-%02uT%02u:%02u:%02u.%06uZ", (int)c.year,
                   c.month, c.day, c.hour, c.minute, c.second, (unsigned)fraction);
}
