/* SPDX-License-Identifier: Apache-2.0 */
#include "store/line.h"

#include "base/clock.h"
#include "crypto/hash.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>

#define ID 1, INT64_MAX
#define COUNT 0, INT64_MAX
#define UID 1, UINT32_MAX
#define MODSEQ 1, INT64_C(1) << 62 /* RFC 7162 has 63 bits; a rebuild goes on above the last one */
#define ZONE_MAX (99 * 60 + 59)    /* RFC 3501, zone: four digits */

// clang-format off
static const struct store_line_format formats[STORE_LINE_TYPES] = {
    [STORE_LINE_CATALOGUE] = { "catalogue", {
        { "version", STORE_NUMBER, false, 1, 1 }, { "account", STORE_NUMBER, false, ID },
        { "previous", STORE_HASH, true, 0, 0 }, { "number", STORE_NUMBER, false, ID },
        { "sealed_at", STORE_TIME, false, 0, 0 }, { "name", STORE_TEXT, true, 0, 0 },
        { "installation", STORE_NUMBER, true, ID } } },
    [STORE_LINE_ACCOUNT] = { "account", {
        { "account", STORE_NUMBER, false, ID }, { "name", STORE_TEXT, true, 0, 0 },
        { "kind", STORE_TEXT, false, 0, 0 }, { "host", STORE_TEXT, false, 0, 0 },
        { "port", STORE_NUMBER, false, 1, 65535 }, { "login", STORE_TEXT, false, 0, 0 },
        { "tls", STORE_TEXT, false, 0, 0 }, { "tls_ca", STORE_TEXT, true, 0, 0 },
        { "include", STORE_TEXTS, false, 0, 0 }, { "exclude", STORE_TEXTS, false, 0, 0 },
        { "every_seconds", STORE_NUMBER, false, 1, INT32_MAX },
        { "is_paused", STORE_BOOL, false, 0, 0 }, { "created_at", STORE_TIME, false, 0, 0 },
        { "removed_at", STORE_TIME, true, 0, 0 }, { "namespaces", STORE_TEXTS, true, 0, 0 },
        { "tls_pins", STORE_TEXTS, true, 0, 0 }, { "tls_pin_only", STORE_BOOL, true, 0, 0 },
        { "login_as", STORE_TEXT, true, 0, 0 }, { "max_connections", STORE_NUMBER, true, 1, INT32_MAX },
        { "daily_bytes", STORE_NUMBER, true, COUNT }, { "watch", STORE_TEXTS, true, 0, 0 } } },
    [STORE_LINE_SCOPE] = { "scope", {
        { "scope", STORE_NUMBER, false, 1, INT32_MAX }, { "kind", STORE_TEXT, false, 0, 0 },
        { "host", STORE_TEXT, false, 0, 0 }, { "login", STORE_TEXT, false, 0, 0 },
        { "placed", STORE_NUMBER, false, COUNT }, { "distrusted_at", STORE_TIME, true, 0, 0 } } },
    [STORE_LINE_MAILBOX] = { "mailbox", {
        { "mailbox", STORE_NUMBER, false, ID }, { "path", STORE_TEXT, false, 0, 0 },
        { "source_name", STORE_HEX, false, 0, 0 }, { "delimiter", STORE_TEXT, true, 0, 0 },
        { "uidvalidity", STORE_NUMBER, false, UID }, { "uidnext", STORE_NUMBER, false, 1, INT64_C(1) << 32 },
        { "highestmodseq", STORE_NUMBER, false, MODSEQ },
        { "is_noselect", STORE_BOOL, false, 0, 0 }, { "special_use", STORE_TEXT, true, 0, 0 },
        { "retention_class", STORE_TEXT, true, 0, 0 }, { "created_at", STORE_TIME, false, 0, 0 },
        { "gone_at", STORE_TIME, true, 0, 0 }, { "disposed", STORE_RANGES, false, 0, 0 },
        { "skipped", STORE_RANGES, true, 0, 0 }, { "object_id", STORE_TEXT, true, 0, 0 } } },
    [STORE_LINE_FORMER] = { "former", {
        { "mailbox", STORE_NUMBER, false, ID }, { "path", STORE_TEXT, false, 0, 0 },
        { "until", STORE_TIME, false, 0, 0 } } },
    [STORE_LINE_EPOCH] = { "epoch", {
        { "mailbox", STORE_NUMBER, false, ID }, { "epoch", STORE_NUMBER, false, 1, INT32_MAX },
        { "uidvalidity", STORE_NUMBER, true, COUNT }, { "uidnext", STORE_NUMBER, false, COUNT },
        { "highestmodseq", STORE_NUMBER, false, COUNT }, { "messages", STORE_NUMBER, false, COUNT },
        { "opened_at", STORE_TIME, false, 0, 0 }, { "closed_at", STORE_TIME, true, 0, 0 },
        { "enumerated_at", STORE_TIME, true, 0, 0 }, { "longest_gap", STORE_SECONDS, false, 0, 0 },
        { "listed_at", STORE_TIME, true, 0, 0 }, { "identity_scope", STORE_NUMBER, true, 1, INT32_MAX },
        { "recognises", STORE_BOOL, true, 0, 0 }, { "refuted_at", STORE_TIME, true, 0, 0 } } },
    [STORE_LINE_MESSAGE] = { "message", {
        { "sha256", STORE_HASH, false, 0, 0 }, { "size", STORE_NUMBER, false, COUNT },
        { "offset", STORE_NUMBER, false, COUNT }, { "archived_at", STORE_TIME, false, 0, 0 } } },
    [STORE_LINE_PLACEMENT] = { "placement", {
        { "mailbox", STORE_NUMBER, false, ID }, { "uid", STORE_NUMBER, false, UID },
        { "sha256", STORE_HASH, false, 0, 0 }, { "internal_at", STORE_TIME, false, 0, 0 },
        { "internal_zone", STORE_NUMBER, false, -ZONE_MAX, ZONE_MAX },
        { "internal_day", STORE_DATE, false, 0, 0 }, { "flags", STORE_FLAGS, false, 0, 0 },
        { "keywords", STORE_TEXTS, false, 0, 0 }, { "modseq", STORE_NUMBER, false, MODSEQ },
        { "appeared_modseq", STORE_NUMBER, false, MODSEQ }, { "archived_at", STORE_TIME, false, 0, 0 },
        { "gone_at", STORE_TIME, true, 0, 0 } } },
    [STORE_LINE_EVENT] = { "event", {
        { "mailbox", STORE_NUMBER, false, ID }, { "uid", STORE_NUMBER, false, UID },
        { "modseq", STORE_NUMBER, false, MODSEQ }, { "at", STORE_TIME, false, 0, 0 },
        { "flags", STORE_FLAGS, false, 0, 0 }, { "keywords", STORE_TEXTS, false, 0, 0 },
        { "is_gone", STORE_BOOL, false, 0, 0 } } },
    [STORE_LINE_SOURCE] = { "source", {
        { "mailbox", STORE_NUMBER, false, ID }, { "epoch", STORE_NUMBER, false, 1, INT32_MAX },
        { "uid", STORE_NUMBER, false, UID }, { "placement", STORE_NUMBER, false, UID },
        { "recognised", STORE_TEXT, true, 0, 0 } } },
    [STORE_LINE_UID] = { "uid", {
        { "mailbox", STORE_NUMBER, false, ID }, { "epoch", STORE_NUMBER, false, 1, INT32_MAX },
        { "uid", STORE_NUMBER, false, UID }, { "state", STORE_TEXT, false, 0, 0 },
        { "doubt", STORE_TEXT, true, 0, 0 }, { "placement", STORE_NUMBER, true, UID },
        { "substitute", STORE_NUMBER, true, UID }, { "attempts", STORE_NUMBER, false, 0, INT32_MAX },
        { "error", STORE_TEXT, true, 0, 0 }, { "next_try_at", STORE_TIME, true, 0, 0 },
        { "first_seen_at", STORE_TIME, false, 0, 0 }, { "gone_at", STORE_TIME, true, 0, 0 },
        { "recognised", STORE_TEXT, true, 0, 0 } } },
    [STORE_LINE_IDENTITY] = { "identity", {
        { "scope", STORE_NUMBER, false, 1, INT32_MAX }, { "identity", STORE_TEXT, false, 0, 0 },
        { "sha256", STORE_HASH, false, 0, 0 }, { "thread", STORE_TEXT, true, 0, 0 },
        { "labels", STORE_TEXTS, true, 0, 0 } } },
    [STORE_LINE_FILE] = { "file", {
        { "mailbox", STORE_NUMBER, true, ID }, { "epoch", STORE_NUMBER, true, 1, INT32_MAX },
        { "uid", STORE_NUMBER, true, UID }, { "name", STORE_HEX, false, 0, 0 },
        { "path", STORE_HEX, false, 0, 0 }, { "size", STORE_NUMBER, false, COUNT },
        { "modified_ns", STORE_NUMBER, false, INT64_MIN, INT64_MAX },
        { "state", STORE_TEXT, false, 0, 0 }, { "note", STORE_TEXT, true, 0, 0 },
        { "noted_at", STORE_TIME, false, 0, 0 } } },
    [STORE_LINE_INSTALLATION] = { "installation", {
        { "version", STORE_NUMBER, false, 1, 1 }, { "account", STORE_NUMBER, true, 0, 0 },
        { "previous", STORE_HASH, true, 0, 0 }, { "number", STORE_NUMBER, false, ID },
        { "sealed_at", STORE_TIME, false, 0, 0 } } },
    [STORE_LINE_SECRET] = { "secret", {
        { "account", STORE_NUMBER, false, ID }, { "kind", STORE_TEXT, false, 0, 0 },
        { "sealed", STORE_HEX, false, 0, 0 }, { "key", STORE_NUMBER, false, ID },
        { "updated_at", STORE_TIME, false, 0, 0 }, { "credential", STORE_NUMBER, true, ID } } },
    [STORE_LINE_CREDENTIAL] = { "credential", {
        { "credential", STORE_NUMBER, false, ID }, { "name", STORE_TEXT, false, 0, 0 },
        { "sealed", STORE_HEX, false, 0, 0 }, { "key", STORE_NUMBER, false, ID },
        { "created_at", STORE_TIME, false, 0, 0 }, { "updated_at", STORE_TIME, false, 0, 0 } } },
    [STORE_LINE_KEY] = { "key", {
        { "account", STORE_NUMBER, false, ID }, { "key", STORE_NUMBER, false, ID },
        { "wrapped", STORE_HEX, true, 0, 0 }, { "created_at", STORE_TIME, false, 0, 0 },
        { "destroyed_at", STORE_TIME, true, 0, 0 } } },
    [STORE_LINE_AUDITOR] = { "auditor", {
        { "auditor", STORE_NUMBER, false, ID }, { "name", STORE_TEXT, false, 0, 0 },
        { "expires_at", STORE_TIME, true, 0, 0 }, { "allowed_networks", STORE_TEXTS, false, 0, 0 },
        { "disabled_at", STORE_TIME, true, 0, 0 }, { "created_at", STORE_TIME, false, 0, 0 } } },
    [STORE_LINE_VERIFIER] = { "verifier", {
        { "auditor", STORE_NUMBER, false, ID }, { "verifier", STORE_TEXT, false, 0, 0 },
        { "updated_at", STORE_TIME, false, 0, 0 } } },
    [STORE_LINE_MATTER] = { "matter", {
        { "matter", STORE_NUMBER, false, ID }, { "name", STORE_TEXT, false, 0, 0 },
        { "created_at", STORE_TIME, false, 0, 0 }, { "closed_at", STORE_TIME, true, 0, 0 } } },
    [STORE_LINE_GRANT] = { "grant", {
        { "grant", STORE_NUMBER, false, ID }, { "auditor", STORE_NUMBER, false, ID },
        { "account", STORE_NUMBER, true, ID }, { "matter", STORE_NUMBER, true, ID },
        { "since", STORE_DATE, true, 0, 0 }, { "until", STORE_DATE, true, 0, 0 },
        { "query", STORE_TEXT, true, 0, 0 }, { "created_at", STORE_TIME, false, 0, 0 },
        { "revoked_at", STORE_TIME, true, 0, 0 } } },
    [STORE_LINE_HOLD] = { "hold", {
        { "hold", STORE_NUMBER, false, ID }, { "matter", STORE_NUMBER, false, ID },
        { "query", STORE_TEXT, false, 0, 0 }, { "placed_at", STORE_TIME, false, 0, 0 },
        { "placed_by", STORE_TEXT, false, 0, 0 }, { "released_at", STORE_TIME, true, 0, 0 },
        { "released_by", STORE_TEXT, true, 0, 0 } } },
    [STORE_LINE_RETENTION] = { "retention", {
        { "rule", STORE_NUMBER, false, ID }, { "class", STORE_TEXT, false, 0, 0 },
        { "keep_for", STORE_TEXT, false, 0, 0 }, { "created_at", STORE_TIME, false, 0, 0 },
        { "approved_at", STORE_TIME, true, 0, 0 }, { "ended_at", STORE_TIME, true, 0, 0 } } },
    [STORE_LINE_AUDIT] = { "audit", {
        { "event", STORE_NUMBER, false, ID }, { "at", STORE_TIME, false, 0, 0 },
        { "process", STORE_TEXT, false, 0, 0 }, { "session", STORE_NUMBER, true, ID },
        { "auditor", STORE_NUMBER, true, ID }, { "kind", STORE_TEXT, false, 0, 0 },
        { "account", STORE_NUMBER, true, COUNT }, { "mailbox", STORE_NUMBER, true, COUNT },
        { "detail", STORE_OBJECT, false, 0, 0 } } },
};
// clang-format on

const struct store_line_format *store_line_format(enum store_line_type type)
{
    return type == STORE_LINE_UNKNOWN ? NULL : &formats[type];
}

size_t store_count_fields(enum store_line_type type)
{
    size_t count = 0;

    while (count < STORE_FIELDS_MAX && formats[type].fields[count].name != NULL)
        count++;
    return count;
}

/* ---- one value --------------------------------------------------------------------------------------- */

static bool read_hex(const json_t *json, struct arena *arena, struct bytes *out)
{
    const char *text = json_string_value(json);
    size_t len = json_string_length(json);
    uint8_t *octets;

    if (len % 2 != 0)
        return false;
    octets = arena_alloc(arena, len / 2 + 1);
    for (size_t i = 0; i < len; i++) {
        uint8_t c = (uint8_t)text[i], digit;

        if (ascii_is_digit(c))
            digit = (uint8_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            digit = (uint8_t)(c - 'a' + 10);
        else
            return false;
        octets[i / 2] = (uint8_t)(i % 2 == 0 ? digit << 4 : octets[i / 2] | digit);
    }
    *out = bytes_of(octets, len / 2);
    return true;
}

/* Years have four digits or more: INTERNALDATE ends with 9999, in a zone up to four days west. */
static bool scan_year(struct bytes *in, int32_t *out)
{
    size_t digits = 0;
    uint32_t year;

    while (digits < in->len && ascii_is_digit(in->ptr[digits]))
        digits++;
    if (digits < 4 || digits > 6 || !scan_digits(in, digits, &year))
        return false;
    *out = (int32_t)year;
    return true;
}

static bool scan_day(struct bytes *in, struct civil *out)
{
    struct civil day = { .day = 0 };

    if (!scan_year(in, &day.year) || !scan_byte(in, '-') || !scan_digits(in, 2, &day.month) ||
        !scan_byte(in, '-') || !scan_digits(in, 2, &day.day))
        return false;
    *out = day;
    return true;
}

/* Takes " BC" from the end, which PostgreSQL writes behind what is before the year 1: 1 BC is year 0. */
static bool scan_era(struct bytes *in, struct civil *civil)
{
    struct civil like = *civil;
    bool is_bc = in->len >= 3 && bytes_equal(bytes_slice(*in, in->len - 3, in->len), BYTES(" BC"));

    if (civil->year == 0)
        return false;
    if (is_bc) {
        *in = bytes_slice(*in, 0, in->len - 3);
        civil->year = 1 - civil->year;
    }
    like.year = 400 + (civil->year % 400 + 400) % 400; /* with the same days */
    return civil_is_valid(&like);
}

/* The digits behind the seconds, one to six of them. */
static bool scan_fraction(struct bytes *in, int64_t *usec)
{
    int64_t worth = 100000;

    *usec = 0;
    if (!scan_byte(in, '.'))
        return true;
    while (in->len > 0 && ascii_is_digit(in->ptr[0]) && worth > 0) {
        *usec += worth * (in->ptr[0] - '0');
        worth /= 10;
        *in = bytes_slice(*in, 1, in->len);
    }
    return worth < 100000;
}

static bool read_time(struct bytes in, int64_t *out)
{
    struct civil civil;
    int64_t usec;

    if (!scan_day(&in, &civil) || !scan_byte(&in, 'T') || !scan_digits(&in, 2, &civil.hour) ||
        !scan_byte(&in, ':') || !scan_digits(&in, 2, &civil.minute) || !scan_byte(&in, ':') ||
        !scan_digits(&in, 2, &civil.second) || !scan_fraction(&in, &usec) ||
        !scan_era(&in, &civil) ||
        (!bytes_equal(in, BYTES("+00:00")) && !bytes_equal(in, BYTES("Z"))))
        return false;
    *out = civil_to_usec(&civil) + usec;
    return true;
}

static bool read_date(struct bytes in, int64_t *out)
{
    struct civil day;

    if (!scan_day(&in, &day) || !scan_era(&in, &day) || in.len > 0)
        return false;
    *out = civil_to_days(day.year, day.month, day.day);
    return true;
}

static bool read_flags(const json_t *json, int64_t *out)
{
    static const char *const names[] = { "\\Seen", "\\Answered", "\\Flagged", "\\Deleted",
                                         "\\Draft" };
    int64_t flags = 0;

    for (size_t i = 0; i < json_array_size(json); i++) {
        const char *name = json_string_value(json_array_get(json, i));
        size_t bit = 0;

        while (name != NULL && bit < ARRAY_LEN(names) && strcmp(name, names[bit]) != 0)
            bit++;
        if (name == NULL || bit == ARRAY_LEN(names))
            return false;
        flags |= INT64_C(1) << bit;
    }
    *out = flags;
    return json_is_array(json);
}

static bool are_texts(const json_t *json)
{
    for (size_t i = 0; i < json_array_size(json); i++)
        if (!json_is_string(json_array_get(json, i)))
            return false;
    return json_is_array(json);
}

static bool is_uid(const json_t *json)
{
    return json_is_integer(json) && json_integer_value(json) > 0 &&
           json_integer_value(json) <= (json_int_t)UINT32_MAX;
}

static bool are_ranges(const json_t *json)
{
    for (size_t i = 0; i < json_array_size(json); i++) {
        const json_t *pair = json_array_get(json, i);
        const json_t *first = json_array_get(pair, 0), *last = json_array_get(pair, 1);

        if (json_array_size(pair) != 2 || !is_uid(first) || !is_uid(last) ||
            json_integer_value(first) > json_integer_value(last))
            return false;
    }
    return json_is_array(json);
}

static bool keep_json(const json_t *json, struct arena *arena, struct bytes *out, struct err *err)
{
    char *text = json_dumps(json, JSON_COMPACT);
    bool is_kept;

    if (text == NULL)
        return err_fail(err, ERR_SYNTAX, "cannot be written again");
    is_kept = arena_try_copy(arena, bytes_of_text(text), STORE_LINE_BYTES, out, err);
    free(text);
    return is_kept;
}

static bool read_seconds(const json_t *json, int64_t *out)
{
    double seconds = json_number_value(json);

    if (!json_is_number(json) || !(seconds >= 0) || seconds > 1e12)
        return false;
    *out = (int64_t)llround(seconds * 1e6);
    return true;
}

/* False with err untouched: not of its kind. */
static bool read_value(const struct store_field *field, const json_t *json, struct arena *arena,
                       struct store_value *out, struct err *err)
{
    struct bytes text = json_is_string(json)
                            ? bytes_of(json_string_value(json), json_string_length(json))
                            : BYTES("");

    switch (field->kind) {
    case STORE_NUMBER:
        out->number = json_integer_value(json);
        return json_is_integer(json) && out->number >= field->min && out->number <= field->max;
    case STORE_SECONDS:
        return read_seconds(json, &out->number);
    case STORE_BOOL:
        out->number = json_is_true(json) ? 1 : 0;
        return json_is_boolean(json);
    case STORE_TEXT:
        return json_is_string(json) && arena_try_copy(arena, text, text.len, &out->octets, err);
    case STORE_HEX:
        return json_is_string(json) && read_hex(json, arena, &out->octets);
    case STORE_HASH:
        return json_is_string(json) && read_hex(json, arena, &out->octets) &&
               out->octets.len == CRYPTO_SHA256_BYTES;
    case STORE_TIME:
        return json_is_string(json) && read_time(text, &out->number);
    case STORE_DATE:
        return json_is_string(json) && read_date(text, &out->number);
    case STORE_FLAGS:
        return read_flags(json, &out->number);
    case STORE_TEXTS:
        return are_texts(json) && keep_json(json, arena, &out->octets, err);
    case STORE_RANGES:
        return are_ranges(json) && keep_json(json, arena, &out->octets, err);
    case STORE_OBJECT:
        return json_is_object(json) && keep_json(json, arena, &out->octets, err);
    }
    UNREACHABLE();
}

/* ---- one line ---------------------------------------------------------------------------------------- */

static enum store_line_type find_type(const char *name)
{
    for (int type = STORE_LINE_CATALOGUE; type < STORE_LINE_TYPES; type++)
        if (strcmp(formats[type].name, name) == 0)
            return (enum store_line_type)type;
    return STORE_LINE_UNKNOWN;
}

static bool read_fields(const json_t *json, struct arena *arena, struct store_line *out,
                        struct err *err)
{
    const struct store_line_format *format = &formats[out->type];

    for (size_t i = 0; i < store_count_fields(out->type); i++) {
        const struct store_field *field = &format->fields[i];
        const json_t *value = json_object_get(json, field->name);
        struct err why = { 0 };

        out->values[i].is_null = value == NULL || json_is_null(value);
        if (out->values[i].is_null && field->is_nullable)
            continue;
        if (out->values[i].is_null || !read_value(field, value, arena, &out->values[i], &why)) {
            if (why.code == ERR_NONE)
                return err_fail(err, ERR_SYNTAX, "\"%s\" of a line \"%s\" is not as it must be",
                                field->name, format->name);
            *err = why;
            return err_wrap(err, "\"%s\" of a line \"%s\"", field->name, format->name);
        }
    }
    return true;
}

bool store_read_line(struct bytes line, struct arena *arena, struct store_line *out,
                     struct err *err)
{
    struct store_line read = { STORE_LINE_UNKNOWN, { { 0 } } };
    json_error_t where;
    const char *type;
    json_t *json;
    bool is_read;

    if (line.len > STORE_LINE_BYTES)
        return err_fail(err, ERR_LIMIT, "a line of %zu bytes", line.len);
    json = json_loadb((const char *)line.ptr, line.len, JSON_REJECT_DUPLICATES, &where);
    if (json == NULL)
        return err_fail(err, ERR_SYNTAX, "a line is not JSON: %.80s", where.text);
    type = json_string_value(json_object_get(json, "type"));
    if (type == NULL) {
        json_decref(json);
        return err_fail(err, ERR_SYNTAX, "a line without a type");
    }
    read.type = find_type(type);
    is_read = read.type == STORE_LINE_UNKNOWN || read_fields(json, arena, &read, err);
    json_decref(json);
    if (is_read)
        *out = read;
    return is_read;
}

/* ---- lines from octets ------------------------------------------------------------------------------- */

struct store_splitter store_create_splitter(store_line_fn *visit, void *context)
{
    return (struct store_splitter){ buf_create(STORE_LINE_BYTES), visit, context };
}

void store_free_splitter(struct store_splitter *splitter)
{
    buf_free(&splitter->rest);
}

bool store_split_lines(struct store_splitter *splitter, struct bytes octets, struct err *err)
{
    while (octets.len > 0) {
        struct bytes part = octets, line;
        bool is_whole = scan_until_byte(&octets, '\n', &part);

        if (!is_whole)
            octets = BYTES("");
        else
            octets = bytes_slice(octets, 1, octets.len);
        line = part;
        if (splitter->rest.len > 0 || !is_whole) {
            buf_append(&splitter->rest, part);
            line = buf_bytes(&splitter->rest);
        }
        if (splitter->rest.has_failed || line.len > STORE_LINE_BYTES)
            return err_fail(err, ERR_LIMIT, "a line over %d bytes", STORE_LINE_BYTES);
        if (!is_whole)
            return true;
        if (!splitter->visit(splitter->context, line, err))
            return false;
        buf_reset(&splitter->rest, 64 << 10);
    }
    return true;
}

bool store_end_lines(const struct store_splitter *splitter, struct err *err)
{
    return splitter->rest.len == 0 || err_fail(err, ERR_SYNTAX, "the last line is not complete");
}
