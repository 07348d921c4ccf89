/* SPDX-License-Identifier: Apache-2.0 */
/*
 * imap/date.h - INTERNALDATE and the dates of SEARCH. English months in any locale.
 *
 * Pure. RFC 9051 §9 (date-time, date).
 */
#pragma once

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

struct imap_date_time {
    int64_t usec;         /* since 1970 UTC */
    int16_t zone_minutes; /* east of UTC, as sent */
};

/* "dd-Mmm-yyyy hh:mm:ss +zzzz" in double quotes; the day may have one digit, padded or not. */
MUST_USE bool imap_read_date_time(struct bytes *in, struct imap_date_time *out, struct err *err);

/* With quotes, in its own zone, the day with a leading zero (as Dovecot writes it). The year is
 * kept within 1 … 9999. */
void imap_write_date_time(struct buf *buf, struct imap_date_time when);

/* 1-Feb-2020 or "1-Feb-2020" (a space-padded day within the quotes too): days since 1970-01-01. */
MUST_USE bool imap_read_date(struct bytes *in, int64_t *out_days, struct err *err);

/* 1-Feb-2020 */
void imap_write_date(struct buf *buf, int64_t days);
