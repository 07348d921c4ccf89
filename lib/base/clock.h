/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/clock.h - time of day, deadlines, and dates without a locale.
 *
 * A time of day is int64_t microseconds since 1970 UTC. A deadline lies on the monotonic clock, so
 * that nobody's setting of the time of day ends or prolongs a wait. Any thread may call these.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int64_t clock_now_usec(void);

struct deadline {
    int64_t at_usec; /* monotonic; INT64_MAX: never */
};

struct deadline deadline_after_ms(int64_t ms);
struct deadline deadline_never(void);
bool deadline_has_passed(struct deadline deadline);

/* What is left, for poll(): rounded up, 0 when passed, -1 for never, at most INT_MAX. */
int deadline_poll_ms(struct deadline deadline);

struct deadline deadline_earlier(struct deadline a, struct deadline b);

/* A civil date and time in the proleptic Gregorian calendar. */
struct civil {
    int32_t year;                  /* 1 … 9999 */
    uint32_t month, day;           /* 1 … 12, 1 … 31 */
    uint32_t hour, minute, second; /* second may be 60 on input */
};

/* Days since 1970-01-01; the date must be valid (civil_is_valid). */
int64_t civil_to_days(int32_t year, uint32_t month, uint32_t day);
bool civil_is_valid(const struct civil *civil);

/* usec: of UTC. civil_from_usec drops the fraction of a second. */
int64_t civil_to_usec(const struct civil *civil);
struct civil civil_from_usec(int64_t usec);

/* "2026-11-22T22:17:55.123456Z"; text holds at least CLOCK_TEXT_BYTES. */
enum {
    CLOCK_TEXT_BYTES = 32
};
void clock_format_rfc3339(int64_t usec, char text[CLOCK_TEXT_BYTES]);
