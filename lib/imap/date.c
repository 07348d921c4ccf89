/* SPDX-License-Identifier: Apache-2.0 */
#include "imap/date.h"

#include "base/clock.h"

#define USEC_PER_SECOND INT64_C(1000000)

static const struct bytes months[12] = {
    BYTES_INIT("Jan"), BYTES_INIT("Feb"), BYTES_INIT("Mar"), BYTES_INIT("Apr"),
    BYTES_INIT("May"), BYTES_INIT("Jun"), BYTES_INIT("Jul"), BYTES_INIT("Aug"),
    BYTES_INIT("Sep"), BYTES_INIT("Oct"), BYTES_INIT("Nov"), BYTES_INIT("Dec"),
};

/* d or dd, and " d" when it may be padded */
static bool scan_day(struct bytes *in, bool may_be_padded, uint32_t *out)
{
    if (may_be_padded && scan_byte(in, ' '))
        return scan_digits(in, 1, out);
    return scan_digits(in, 2, out) || scan_digits(in, 1, out);
}

static bool scan_month(struct bytes *in, uint32_t *out)
{
    for (uint32_t i = 0; i < 12; i++) {
        if (scan_text_nocase(in, months[i])) {
            *out = i + 1;
            return true;
        }
    }
    return false;
}

/* day "-" month "-" year */
static bool scan_date(struct bytes *in, bool may_be_padded, struct civil *out)
{
    uint32_t year;

    if (!scan_day(in, may_be_padded, &out->day) || !scan_byte(in, '-') ||
        !scan_month(in, &out->month) || !scan_byte(in, '-') || !scan_digits(in, 4, &year))
        return false;
    out->year = (int32_t)year;
    return civil_is_valid(out);
}

static bool scan_time(struct bytes *in, struct civil *out)
{
    return scan_digits(in, 2, &out->hour) && scan_byte(in, ':') &&
           scan_digits(in, 2, &out->minute) && scan_byte(in, ':') &&
           scan_digits(in, 2, &out->second);
}

static bool scan_zone(struct bytes *in, int16_t *out)
{
    bool is_west = scan_byte(in, '-');
    uint32_t hours, minutes;

    if ((!is_west && !scan_byte(in, '+')) || !scan_digits(in, 2, &hours) ||
        !scan_digits(in, 2, &minutes) || minutes > 59)
        return false;
    *out = (int16_t)(hours * 60 + minutes);
    if (is_west)
        *out = (int16_t) - *out;
    return true;
}

bool imap_read_date_time(struct bytes *in, struct imap_date_time *out, struct err *err)
{
    struct bytes rest = *in;
    struct civil civil = { 0 };
    struct imap_date_time when;

    if (!scan_byte(&rest, '"') || !scan_date(&rest, true, &civil) || !scan_byte(&rest, ' ') ||
        !scan_time(&rest, &civil) || !civil_is_valid(&civil) || !scan_byte(&rest, ' ') ||
        !scan_zone(&rest, &when.zone_minutes) || !scan_byte(&rest, '"'))
        return err_fail(err, ERR_SYNTAX, "date-time expected");
    when.usec = civil_to_usec(&civil) - when.zone_minutes * 60 * USEC_PER_SECOND;
    *in = rest;
    *out = when;
    return true;
}

/* Local times that our form can hold: 0001-01-01 to 9999-12-31. */
static int64_t local_usec(struct imap_date_time when)
{
    int64_t first = civil_to_days(1, 1, 1) * 86400 * USEC_PER_SECOND;
    int64_t last = (civil_to_days(9999, 12, 31) * 86400 + 86399) * USEC_PER_SECOND;
    int64_t shift = when.zone_minutes * 60 * USEC_PER_SECOND;

    if (when.usec < first - shift)
        return first;
    return when.usec > last - shift ? last : when.usec + shift;
}

static void write_day(struct buf *buf, const struct civil *civil)
{
    buf_u64(buf, civil->day);
    buf_byte(buf, '-');
    buf_append(buf, months[civil->month - 1]);
    buf_byte(buf, '-');
    buf_u64_padded(buf, (uint64_t)civil->year, 4);
}

void imap_write_date_time(struct buf *buf, struct imap_date_time when)
{
    struct civil civil = civil_from_usec(local_usec(when));
    int zone = when.zone_minutes < 0 ? -when.zone_minutes : when.zone_minutes;

    buf_byte(buf, '"');
    if (civil.day < 10) /* date-day-fixed allows SP too; Dovecot, our measure, writes 0 */
        buf_byte(buf, '0');
    write_day(buf, &civil);
    buf_byte(buf, ' ');
    buf_u64_padded(buf, civil.hour, 2);
    buf_byte(buf, ':');
    buf_u64_padded(buf, civil.minute, 2);
    buf_byte(buf, ':');
    buf_u64_padded(buf, civil.second, 2);
    buf_text(buf, when.zone_minutes < 0 ? " -" : " +");
    buf_u64_padded(buf, (uint64_t)(zone / 60 > 99 ? 99 : zone / 60), 2);
    buf_u64_padded(buf, (uint64_t)(zone % 60), 2);
    buf_byte(buf, '"');
}

bool imap_read_date(struct bytes *in, int64_t *out_days, struct err *err)
{
    struct bytes rest = *in;
    struct civil civil = { 0 };
    bool is_quoted = scan_byte(&rest, '"');

    if (!scan_date(&rest, is_quoted, &civil) || (is_quoted && !scan_byte(&rest, '"')))
        return err_fail(err, ERR_SYNTAX, "date expected");
    *in = rest;
    *out_days = civil_to_days(civil.year, civil.month, civil.day);
    return true;
}

void imap_write_date(struct buf *buf, int64_t days)
{
    int64_t first = civil_to_days(1, 1, 1);
    int64_t last = civil_to_days(9999, 12, 31);
    struct civil civil;

    days = days < first ? first : days > last ? last : days;
    civil = civil_from_usec(days * 86400 * USEC_PER_SECOND);
    write_day(buf, &civil);
}
