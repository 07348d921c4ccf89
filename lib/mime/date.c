/* SPDX-License-Identifier: Apache-2.0 */
#include "mime/date.h"

#include "base/clock.h"
#include "mime/internal.h"

enum {
    WORD_MAX_BYTES = 64,
    WORDS_MAX = 64, /* a date has six; the rest of a long value is not looked at */
    YEAR_PIVOT = 50,
    USEC_PER_MINUTE = 60 * 1000000,
    DAY_MINUTES = 24 * 60,
};

struct parts {
    struct civil civil;
    bool has_day, has_month, has_year, has_time;
    int16_t zone_minutes;
    bool has_zone;
};

static const struct {
    struct bytes name;
    int16_t minutes;
} zones[] = {
    { BYTES_INIT("ut"), 0 },        { BYTES_INIT("utc"), 0 },       { BYTES_INIT("gmt"), 0 },
    { BYTES_INIT("z"), 0 },         { BYTES_INIT("est"), -5 * 60 }, { BYTES_INIT("edt"), -4 * 60 },
    { BYTES_INIT("cst"), -6 * 60 }, { BYTES_INIT("cdt"), -5 * 60 }, { BYTES_INIT("mst"), -7 * 60 },
    { BYTES_INIT("mdt"), -6 * 60 }, { BYTES_INIT("pst"), -8 * 60 }, { BYTES_INIT("pdt"), -7 * 60 },
    { BYTES_INIT("bst"), 60 },      { BYTES_INIT("wet"), 0 },       { BYTES_INIT("west"), 60 },
    { BYTES_INIT("cet"), 60 },      { BYTES_INIT("cest"), 2 * 60 }, { BYTES_INIT("met"), 60 },
    { BYTES_INIT("eet"), 2 * 60 },  { BYTES_INIT("eest"), 3 * 60 }, { BYTES_INIT("msk"), 3 * 60 },
    { BYTES_INIT("jst"), 9 * 60 },  { BYTES_INIT("kst"), 9 * 60 },
};

static bool is_separator(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == ',' || c == '(';
}

/* A word: up to a blank, comma or comment, or between "-" of 1-Jan-2001. */
static bool take_word(struct mime_lexer *lex, struct bytes *out)
{
    const uint8_t *start;

    while (lex->at < lex->end && is_separator(*lex->at)) {
        if (*lex->at == ',')
            lex->at++;
        else if (mime_skip_cfws(lex) != MIME_SCAN_MORE)
            return false;
    }
    start = lex->at;
    while (lex->at < lex->end && !is_separator(*lex->at) && (*lex->at != '-' || lex->at == start))
        lex->at++;
    *out = bytes_of(start, (size_t)(lex->at - start));
    if (mime_lexer_is_at(lex, '-') && out->len > 0 && !bytes_equal(*out, BYTES("GMT")) &&
        !bytes_equal(*out, BYTES("UTC")))
        lex->at++;
    return out->len > 0 && out->len <= WORD_MAX_BYTES;
}

static bool read_month(struct bytes word, uint32_t *out)
{
    static const char names[] = "janfebmaraprmayjunjulaugsepoctnovdec";

    for (uint32_t month = 0; month < 12 && word.len >= 3; month++)
        if (bytes_equal_nocase(bytes_slice(word, 0, 3), bytes_of(names + 3 * month, 3))) {
            *out = month + 1;
            return true;
        }
    return false;
}

/* 10:00, 10:00:00, 10.00.00; fractions are not looked at. */
static bool read_time(struct bytes word, struct civil *out)
{
    uint32_t hour, minute;
    uint32_t second = 0;

    if (!scan_u32(&word, &hour) || (!scan_byte(&word, ':') && !scan_byte(&word, '.')) ||
        !scan_u32(&word, &minute))
        return false;
    if ((scan_byte(&word, ':') || scan_byte(&word, '.')) && !scan_u32(&word, &second))
        return false;
    out->hour = hour;
    out->minute = minute;
    out->second = second;
    return hour < 24 && minute < 60 && second <= 60;
}

/* +0200, -0500; names. A name that we do not know is UTC, as RFC 5322 §4.3 has it. */
static bool read_zone(struct bytes word, struct parts *parts)
{
    bool is_west = word.ptr[0] == '-';
    struct bytes rest = bytes_slice(word, 1, SIZE_MAX);
    uint32_t hours, minutes;

    if ((word.ptr[0] == '+' || is_west) && scan_digits(&rest, 2, &hours)) {
        if (scan_byte(&rest, ':')) { /* +02:00 */
        }
        if (!scan_digits(&rest, 2, &minutes) || hours > 24 || minutes > 59)
            return false;
        parts->zone_minutes = (int16_t)(hours * 60 + minutes);
        if (is_west)
            parts->zone_minutes = (int16_t)-parts->zone_minutes;
        parts->has_zone = true;
        return true;
    }
    for (size_t i = 0; i < ARRAY_LEN(zones); i++)
        if (bytes_equal_nocase(word, zones[i].name)) {
            parts->zone_minutes = zones[i].minutes;
            parts->has_zone = true;
            return true;
        }
    return false;
}

static void read_number_word(struct bytes word, struct parts *parts)
{
    size_t digits = word.len;
    uint32_t number;

    if (!scan_u32(&word, &number) || word.len > 0)
        return;
    if (!parts->has_day && digits <= 2) {
        parts->civil.day = number;
        parts->has_day = true;
    } else if (parts->has_month && !parts->has_year && digits >= 2 && digits <= 4) {
        if (digits == 2 && number < YEAR_PIVOT)
            number += 2000;
        else if (digits <= 3)
            number += 1900;
        parts->civil.year = (int32_t)number;
        parts->has_year = true;
    }
}

static void read_word(struct bytes word, struct parts *parts)
{
    if (!parts->has_month && read_month(word, &parts->civil.month))
        parts->has_month = true;
    else if (parts->has_day && !parts->has_time && read_time(word, &parts->civil))
        parts->has_time = true;
    else if (!parts->has_time || parts->has_zone || !read_zone(word, parts))
        read_number_word(word, parts);
}

bool mime_read_date(struct bytes value, struct mime_date *out)
{
    struct mime_lexer lex = mime_lex(value);
    struct parts parts = { 0 };
    struct bytes word;

    for (unsigned i = 0; i < WORDS_MAX && take_word(&lex, &word); i++)
        read_word(word, &parts);
    if (!parts.has_day || !parts.has_month || !parts.has_year || !civil_is_valid(&parts.civil))
        return false;
    *out = (struct mime_date){
        .usec = civil_to_usec(&parts.civil) - (int64_t)parts.zone_minutes * USEC_PER_MINUTE,
        .zone_minutes = parts.zone_minutes,
        .has_zone = parts.has_zone,
    };
    return true;
}

int64_t mime_date_day(const struct mime_date *date)
{
    int64_t usec = date->usec + (int64_t)date->zone_minutes * USEC_PER_MINUTE;
    int64_t day = usec / ((int64_t)DAY_MINUTES * USEC_PER_MINUTE);

    return usec < day * DAY_MINUTES * USEC_PER_MINUTE ? day - 1 : day;
}
