/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mime/date.h - the Date field.
 *
 * Lenient: the forms of RFC 5322 with its obsolete ones (years of two digits, zone names, comments,
 * no seconds), any order of commas and blanks, and the order of ctime(3). Pure. RFC 5322 §3.3, §4.3.
 */
#pragma once

#include "base/bytes.h"

struct mime_date {
    int64_t usec;         /* since 1970 UTC */
    int16_t zone_minutes; /* east of UTC, as written; 0 when it is missing or unknown */
    bool has_zone;
};

/* False: no date is to be made of it; *out is untouched. */
MUST_USE bool mime_read_date(struct bytes value, struct mime_date *out);

/* The date as it is written, in days since 1970: what SENTSINCE compares (RFC 3501 §6.4.4). */
int64_t mime_date_day(const struct mime_date *date);
