/* SPDX-License-Identifier: Apache-2.0 */
/*
 * search/language_field.c - the fields of the query language, and what their values mean.
 *
 * To add a field: its row here, its line in README.md, a test; if it means something new, a kind in
 * imap/search_args.h and its row in key.c.
 */
#include "base/checked.h"
#include "base/clock.h"
#include "base/limits.h"
#include "imap/flag.h"
#include "search/language_internal.h"

enum {
    HASH_DIGITS_MIN = 4,
    HASH_DIGITS_MAX = 64,
};

// clang-format off
static const struct search_field fields[] = {
    { BYTES_INIT("from"),        SEARCH_VALUE_TEXT,    IMAP_SEARCH_FROM },
    { BYTES_INIT("to"),          SEARCH_VALUE_TEXT,    IMAP_SEARCH_TO },
    { BYTES_INIT("cc"),          SEARCH_VALUE_TEXT,    IMAP_SEARCH_CC },
    { BYTES_INIT("bcc"),         SEARCH_VALUE_TEXT,    IMAP_SEARCH_BCC },
    { BYTES_INIT("subject"),     SEARCH_VALUE_TEXT,    IMAP_SEARCH_SUBJECT },
    { BYTES_INIT("body"),        SEARCH_VALUE_TEXT,    IMAP_SEARCH_BODY },
    { BYTES_INIT("text"),        SEARCH_VALUE_TEXT,    IMAP_SEARCH_TEXT },
    { BYTES_INIT("header"),      SEARCH_VALUE_HEADER,  IMAP_SEARCH_HEADER },
    { BYTES_INIT("id"),          SEARCH_VALUE_ID,      IMAP_SEARCH_OR },
    { BYTES_INIT("sha256"),      SEARCH_VALUE_HASH,    IMAP_SEARCH_SHA256 },
    { BYTES_INIT("before"),      SEARCH_VALUE_DAY,     IMAP_SEARCH_BEFORE },
    { BYTES_INIT("after"),       SEARCH_VALUE_DAY,     IMAP_SEARCH_SINCE },
    { BYTES_INIT("on"),          SEARCH_VALUE_DAY,     IMAP_SEARCH_ON },
    { BYTES_INIT("sent-before"), SEARCH_VALUE_DAY,     IMAP_SEARCH_SENTBEFORE },
    { BYTES_INIT("sent-after"),  SEARCH_VALUE_DAY,     IMAP_SEARCH_SENTSINCE },
    { BYTES_INIT("sent-on"),     SEARCH_VALUE_DAY,     IMAP_SEARCH_SENTON },
    { BYTES_INIT("larger"),      SEARCH_VALUE_SIZE,    IMAP_SEARCH_LARGER },
    { BYTES_INIT("smaller"),     SEARCH_VALUE_SIZE,    IMAP_SEARCH_SMALLER },
    { BYTES_INIT("has"),         SEARCH_VALUE_HAS,     IMAP_SEARCH_ATTACHMENT },
    { BYTES_INIT("is"),          SEARCH_VALUE_STATE,   IMAP_SEARCH_FLAG },
    { BYTES_INIT("keyword"),     SEARCH_VALUE_TEXT,    IMAP_SEARCH_KEYWORD },
    { BYTES_INIT("account"),     SEARCH_VALUE_ACCOUNT, IMAP_SEARCH_ALL },
    { BYTES_INIT("in"),          SEARCH_VALUE_LEVELS,  IMAP_SEARCH_ALL },
    { BYTES_INIT("mailbox"),     SEARCH_VALUE_PATH,    IMAP_SEARCH_ALL },
};

/* Values of is:. The captured \Deleted is shown as a keyword (lib/search/README.md). */
static const struct state {
    struct bytes name;
    bool is_negated;
    uint8_t flag; /* 0: the keyword */
    struct bytes keyword;
} states[] = {
    { BYTES_INIT("read"),       false, IMAP_FLAG_SEEN,     BYTES_INIT("") },
    { BYTES_INIT("unread"),     true,  IMAP_FLAG_SEEN,     BYTES_INIT("") },
    { BYTES_INIT("answered"),   false, IMAP_FLAG_ANSWERED, BYTES_INIT("") },
    { BYTES_INIT("unanswered"), true,  IMAP_FLAG_ANSWERED, BYTES_INIT("") },
    { BYTES_INIT("flagged"),    false, IMAP_FLAG_FLAGGED,  BYTES_INIT("") },
    { BYTES_INIT("unflagged"),  true,  IMAP_FLAG_FLAGGED,  BYTES_INIT("") },
    { BYTES_INIT("draft"),      false, IMAP_FLAG_DRAFT,    BYTES_INIT("") },
    { BYTES_INIT("deleted"),    false, 0,                  BYTES_INIT(IMAP_KEYWORD_SOURCE_DELETED) },
    { BYTES_INIT("gone"),       false, 0,                  BYTES_INIT(IMAP_KEYWORD_GONE_AT_SOURCE) },
};

/* Sizes are decimal, as the listings print them; with an "i" they are powers of 1,024. */
static const struct unit {
    struct bytes name;
    uint64_t octets;
} units[] = {
    { BYTES_INIT(""),    1 },                 { BYTES_INIT("b"),   1 },
    { BYTES_INIT("k"),   1000 },              { BYTES_INIT("kb"),  1000 },
    { BYTES_INIT("m"),   1000000 },           { BYTES_INIT("mb"),  1000000 },
    { BYTES_INIT("g"),   1000000000 },        { BYTES_INIT("gb"),  1000000000 },
    { BYTES_INIT("kib"), UINT64_C(1) << 10 }, { BYTES_INIT("mib"), UINT64_C(1) << 20 },
    { BYTES_INIT("gib"), UINT64_C(1) << 30 },
};
// clang-format on

const struct search_field *search_find_field(struct bytes name)
{
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        if (bytes_equal_nocase(fields[i].name, name))
            return &fields[i];
    }
    return NULL;
}

const struct search_field *search_text_field(void)
{
    return search_find_field(BYTES("text"));
}

void search_write_field_names(struct buf *out)
{
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        if (i > 0)
            buf_text(out, ", ");
        buf_append(out, fields[i].name);
    }
}

/* ---- days ----------------------------------------------------------------------------------- */

/* The days from first up to, not with, next. */
struct period {
    int64_t first, next;
};

static bool read_period(struct bytes text, struct period *out)
{
    struct civil from = { .month = 1, .day = 1 };
    struct civil next;
    uint32_t year;

    if (!scan_digits(&text, 4, &year))
        return false;
    from.year = (int32_t)year;
    next = from;
    if (text.len == 0) {
        next.year++;
    } else {
        if (!scan_byte(&text, '-') || !scan_digits(&text, 2, &from.month))
            return false;
        next.year += from.month == 12 ? 1 : 0;
        next.month = from.month % 12 + 1;
    }
    if (text.len == 0) {
        if (!civil_is_valid(&from))
            return false;
        /* Day 1 of the next month, of the year 10000 too: arithmetic on the last day. */
        out->first = civil_to_days(from.year, from.month, 1);
        out->next = next.year > 9999 ? civil_to_days(9999, 12, 31) + 1
                                     : civil_to_days(next.year, next.month, 1);
        return true;
    }
    if (!scan_byte(&text, '-') || !scan_digits(&text, 2, &from.day) || text.len > 0 ||
        !civil_is_valid(&from))
        return false;
    out->first = civil_to_days(from.year, from.month, from.day);
    out->next = out->first + 1;
    return true;
}

/* on:2001-05 is SINCE 1-May-2001 BEFORE 1-Jun-2001. */
static void set_period(struct imap_search_key *key, struct period period, bool is_sent,
                       struct arena *arena)
{
    struct imap_search_key *since = arena_new(arena, struct imap_search_key);
    struct imap_search_key *before = arena_new(arena, struct imap_search_key);

    since->kind = is_sent ? IMAP_SEARCH_SENTSINCE : IMAP_SEARCH_SINCE;
    since->days = period.first;
    since->next = before;
    before->kind = is_sent ? IMAP_SEARCH_SENTBEFORE : IMAP_SEARCH_BEFORE;
    before->days = period.next;
    *key = (struct imap_search_key){ .kind = IMAP_SEARCH_AND, .children = since };
}

static bool make_day(enum imap_search_kind kind, struct bytes value, struct arena *arena,
                     struct imap_search_key *key, const char **mistake)
{
    struct period period;
    bool is_on = kind == IMAP_SEARCH_ON || kind == IMAP_SEARCH_SENTON;

    if (!read_period(value, &period)) {
        *mistake = "a day is expected: YYYY-MM-DD, YYYY-MM or YYYY";
        return false;
    }
    if (is_on && period.next > period.first + 1) {
        set_period(key, period, kind == IMAP_SEARCH_SENTON, arena);
        return true;
    }
    key->kind = kind;
    key->days = period.first;
    return true;
}

/* ---- other values ----------------------------------------------------------------------------- */

static bool make_size(enum imap_search_kind kind, struct bytes value, struct imap_search_key *key,
                      const char **mistake)
{
    uint64_t count;

    if (scan_u64(&value, &count)) {
        for (size_t i = 0; i < ARRAY_LEN(units); i++) {
            if (!bytes_equal_nocase(units[i].name, value))
                continue;
            key->kind = kind;
            if (checked_mul(count, units[i].octets, &key->number) && key->number <= INT64_MAX)
                return true;
            *mistake = "this size is too large";
            return false;
        }
    }
    *mistake = "a size is expected: a whole number of octets, or with k, M, G (thousands), "
               "KiB, MiB, GiB";
    return false;
}

static bool make_state(struct bytes value, struct arena *arena, struct imap_search_key *key,
                       const char **mistake)
{
    for (size_t i = 0; i < ARRAY_LEN(states); i++) {
        const struct state *state = &states[i];

        if (!bytes_equal_nocase(state->name, value))
            continue;
        *key = (struct imap_search_key){
            .kind = state->flag != 0 ? IMAP_SEARCH_FLAG : IMAP_SEARCH_KEYWORD,
            .flag = state->flag,
            .text = state->keyword,
        };
        if (state->is_negated) {
            struct imap_search_key *child = arena_new(arena, struct imap_search_key);

            *child = *key;
            *key = (struct imap_search_key){ .kind = IMAP_SEARCH_NOT, .children = child };
        }
        return true;
    }
    *mistake = "expected behind is: one of read, unread, answered, unanswered, flagged, unflagged, "
               "draft, deleted, gone";
    return false;
}

/* In the header; or, of a journal report, in that of the message in it. */
static bool make_id(struct bytes value, struct arena *arena, struct imap_search_key *key,
                    const char **mistake)
{
    struct imap_search_key *header, *reported;

    if (value.len > 0 && value.ptr[0] == '<')
        value = bytes_slice(value, 1, SIZE_MAX);
    if (value.len > 0 && value.ptr[value.len - 1] == '>')
        value.len--;
    if (value.len == 0) {
        *mistake = "a Message-ID is expected";
        return false;
    }
    header = arena_new(arena, struct imap_search_key);
    reported = arena_new(arena, struct imap_search_key);
    *header = (struct imap_search_key){
        .kind = IMAP_SEARCH_HEADER, .field = BYTES("Message-ID"), .text = value, .next = reported
    };
    *reported = (struct imap_search_key){ .kind = IMAP_SEARCH_MESSAGE_ID, .text = value };
    *key = (struct imap_search_key){ .kind = IMAP_SEARCH_OR, .children = header };
    return true;
}

static bool make_hash(struct bytes value, struct arena *arena, struct imap_search_key *key,
                      const char **mistake)
{
    uint8_t *digits = arena_alloc(arena, value.len + 1);

    for (size_t i = 0; i < value.len; i++) {
        digits[i] = ascii_lower(value.ptr[i]);
        if (!ascii_is_digit(digits[i]) && (digits[i] < 'a' || digits[i] > 'f'))
            value.len = 0;
    }
    if (value.len < HASH_DIGITS_MIN || value.len > HASH_DIGITS_MAX) {
        *mistake = "a SHA-256 is expected: 4 to 64 hexadecimal digits, the first of it";
        return false;
    }
    key->kind = IMAP_SEARCH_SHA256;
    key->text = bytes_of(digits, value.len);
    return true;
}

bool search_make_key(const struct search_field *field, struct bytes name, struct bytes value,
                     struct arena *arena, struct imap_search_key *key, const char **mistake)
{
    *key = (struct imap_search_key){ .kind = field->kind };
    switch (field->value) {
    case SEARCH_VALUE_TEXT:
    case SEARCH_VALUE_HEADER:
        key->field = name;
        key->text = value;
        return true;
    case SEARCH_VALUE_ID:
        return make_id(value, arena, key, mistake);
    case SEARCH_VALUE_HASH:
        return make_hash(value, arena, key, mistake);
    case SEARCH_VALUE_DAY:
        return make_day(field->kind, value, arena, key, mistake);
    case SEARCH_VALUE_SIZE:
        return make_size(field->kind, value, key, mistake);
    case SEARCH_VALUE_STATE:
        return make_state(value, arena, key, mistake);
    case SEARCH_VALUE_HAS:
        if (bytes_equal_nocase(value, BYTES("attachment")))
            return true;
        *mistake = "expected behind has: attachment";
        return false;
    case SEARCH_VALUE_ACCOUNT:
    case SEARCH_VALUE_LEVELS:
    case SEARCH_VALUE_PATH:
        return true;
    }
    UNREACHABLE();
}
