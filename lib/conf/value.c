/* SPDX-License-Identifier: Apache-2.0 */
/* Values: what each type accepts, how it is stored in struct conf, and back to text. */
#include "base/checked.h"
#include "conf/internal.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    ACCEPTED_TEXT_BYTES = 256,
    HOST_MAX_BYTES = 255
};

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit size_units[] = {
    { "GiB", UINT64_C(1) << 30 },
    { "MiB", UINT64_C(1) << 20 },
    { "KiB", UINT64_C(1) << 10 },
    { "G", UINT64_C(1) << 30 },
    { "M", UINT64_C(1) << 20 },
    { "K", UINT64_C(1) << 10 },
    { "B", 1 },
    { "", 1 },
};

/* Milliseconds. A number alone would be ambiguous, but for 0. */
static const struct unit duration_units[] = {
    { "d", 86400000 }, { "h", 3600000 }, { "m", 60000 }, { "s", 1000 }, { "ms", 1 },
};

static void *field_of(struct conf *conf, const struct conf_setting *setting)
{
    return (char *)conf + setting->offset;
}

static const void *const_field_of(const struct conf *conf, const struct conf_setting *setting)
{
    return (const char *)conf + setting->offset;
}

/* ---- what is accepted ---- */

static void write_with_unit(struct buf *out, uint64_t value, const struct unit *units, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (value % units[i].factor != 0)
            continue;
        buf_u64(out, value / units[i].factor);
        buf_text(out, units[i].name);
        return;
    }
}

static void write_number(const struct conf_setting *setting, uint64_t value, struct buf *out)
{
    if (setting->type == CONF_SIZE && value > 0)
        write_with_unit(out, value, size_units, ARRAY_LEN(size_units));
    else if (setting->type == CONF_DURATION && value > 0)
        write_with_unit(out, value, duration_units, ARRAY_LEN(duration_units));
    else
        buf_u64(out, value);
}

static void describe_range(const struct conf_setting *setting, const char *what, struct buf *out)
{
    buf_text(out, what);
    buf_text(out, " from ");
    write_number(setting, setting->min, out);
    buf_text(out, " to ");
    write_number(setting, setting->max, out);
}

static void describe_choices(const struct conf_setting *setting, struct buf *out)
{
    for (size_t i = 0; setting->choices[i] != NULL; i++) {
        if (i > 0)
            buf_text(out, setting->choices[i + 1] == NULL ? " or " : ", ");
        buf_text(out, setting->choices[i]);
    }
}

void conf_describe_type(const struct conf_setting *setting, struct buf *out)
{
    switch (setting->type) {
    case CONF_TEXT:
        buf_text(out, "text");
        return;
    case CONF_PATH:
        buf_text(out, "an absolute path, or one that begins with ~/");
        return;
    case CONF_COUNT:
        describe_range(setting, "a number", out);
        return;
    case CONF_SIZE:
        describe_range(setting, "a size such as 64MiB,", out);
        return;
    case CONF_DURATION:
        describe_range(setting, "a duration such as 5m,", out);
        return;
    case CONF_BOOL:
        buf_text(out, "on or off");
        return;
    case CONF_CHOICE:
        describe_choices(setting, out);
        return;
    case CONF_ADDRESSES:
        buf_text(out, "addresses as HOST:PORT, [IPV6]:PORT or *:PORT, separated by commas");
        return;
    }
    UNREACHABLE();
}

static bool refuse(const struct conf_setting *setting, struct err *err)
{
    CLEANUP(buf_free) struct buf accepted = buf_create(ACCEPTED_TEXT_BYTES);

    conf_describe_type(setting, &accepted);
    return err_fail(err, ERR_SYNTAX, "expected %.*s", (int)accepted.len,
                    (const char *)accepted.ptr);
}

/* ---- reading ---- */

static const char *keep_text(struct conf *conf, struct bytes text)
{
    char *copy = arena_alloc(conf->arena, text.len + 1);

    if (text.len > 0)
        memcpy(copy, text.ptr, text.len);
    return copy;
}

static bool set_path(struct conf *conf, const struct conf_setting *setting, struct bytes text,
                     struct err *err)
{
    const char **field = field_of(conf, setting);
    const char *home = getenv("HOME");

    while (text.len > 1 && text.ptr[text.len - 1] == '/')
        text.len--;
    if (text.len > 1 && scan_text(&text, BYTES("~/"))) {
        char *path;

        if (home == NULL || home[0] != '/')
            return err_fail(err, ERR_SYNTAX, "~/ needs $HOME");
        path = arena_alloc(conf->arena, strlen(home) + 1 + text.len + 1);
        (void)snprintf(path, strlen(home) + 1 + text.len + 1, "%s/%.*s", home, (int)text.len,
                       (const char *)text.ptr);
        *field = path;
        return true;
    }
    if (text.len > 0 && text.ptr[0] != '/')
        return refuse(setting, err);
    *field = keep_text(conf, text);
    return true;
}

static bool read_number(struct bytes text, const struct unit *units, size_t unit_count,
                        const struct conf_setting *setting, uint64_t *out)
{
    uint64_t value;

    if (!scan_u64(&text, &value))
        return false;
    while (scan_byte(&text, ' '))
        ;
    for (size_t i = 0; i < unit_count; i++) {
        uint64_t scaled;

        if (!bytes_equal_nocase(text, bytes_of_text(units[i].name)) && !(value == 0 && !text.len))
            continue;
        if (!checked_mul(value, units[i].factor, &scaled) || scaled < setting->min ||
            scaled > setting->max)
            return false;
        *out = scaled;
        return true;
    }
    return false;
}

static bool set_number(struct conf *conf, const struct conf_setting *setting, struct bytes text,
                       struct err *err)
{
    static const struct unit none[] = { { "", 1 } };
    const struct unit *units = none;
    size_t count = ARRAY_LEN(none);
    uint64_t value;

    if (setting->type == CONF_SIZE) {
        units = size_units;
        count = ARRAY_LEN(size_units);
    }
    if (setting->type == CONF_DURATION) {
        units = duration_units;
        count = ARRAY_LEN(duration_units);
    }
    if (!read_number(text, units, count, setting, &value))
        return refuse(setting, err);
    if (setting->type == CONF_COUNT)
        *(uint32_t *)field_of(conf, setting) = (uint32_t)value;
    else if (setting->type == CONF_SIZE)
        *(uint64_t *)field_of(conf, setting) = value;
    else
        *(int64_t *)field_of(conf, setting) = (int64_t)value;
    return true;
}

static bool set_bool(struct conf *conf, const struct conf_setting *setting, struct bytes text,
                     struct err *err)
{
    static const char *const words[2][4] = { { "off", "no", "false", "0" },
                                             { "on", "yes", "true", "1" } };

    for (size_t value = 0; value < 2; value++)
        for (size_t i = 0; i < ARRAY_LEN(words[0]); i++)
            if (bytes_equal_nocase(text, bytes_of_text(words[value][i]))) {
                *(bool *)field_of(conf, setting) = value == 1;
                return true;
            }
    return refuse(setting, err);
}

static bool set_choice(struct conf *conf, const struct conf_setting *setting, struct bytes text,
                       struct err *err)
{
    for (unsigned i = 0; setting->choices[i] != NULL; i++)
        if (bytes_equal_nocase(text, bytes_of_text(setting->choices[i]))) {
            *(unsigned *)field_of(conf, setting) = i; /* an enum of small values */
            return true;
        }
    return refuse(setting, err);
}

static bool scan_address(struct bytes *in, struct bytes *host, uint16_t *port)
{
    uint32_t number;

    if (scan_byte(in, '[')) {
        if (!scan_until_byte(in, ']', host) || !scan_byte(in, ']') ||
            bytes_find_byte(*host, ':') < 0)
            return false;
    } else if (!scan_until_byte(in, ':', host)) {
        return false;
    }
    for (size_t i = 0; i < host->len; i++)
        if (host->ptr[i] <= ' ' || host->ptr[i] == ',' || host->ptr[i] == '/')
            return false;
    if (host->len == 0 || host->len > HOST_MAX_BYTES || !scan_byte(in, ':') ||
        !scan_u32(in, &number) || number == 0 || number > UINT16_MAX)
        return false;
    *port = (uint16_t)number;
    return true;
}

static bool set_addresses(struct conf *conf, const struct conf_setting *setting, struct bytes text,
                          struct err *err)
{
    struct conf_addresses list = { 0 };

    while (text.len > 0) {
        struct bytes host;
        uint16_t port;

        if (!scan_address(&text, &host, &port))
            return refuse(setting, err);
        if (list.count == CONF_ADDRESSES_MAX)
            return err_fail(err, ERR_SYNTAX, "at most %d addresses", CONF_ADDRESSES_MAX);
        if (bytes_equal(host, BYTES("*")))
            host.len = 0;
        list.at[list.count++] = (struct conf_address){ keep_text(conf, host), port };
        if (text.len == 0)
            break;
        if (text.ptr[0] != ' ' && text.ptr[0] != ',')
            return refuse(setting, err);
        while (scan_byte(&text, ' ') || scan_byte(&text, ','))
            ;
    }
    *(struct conf_addresses *)field_of(conf, setting) = list;
    return true;
}

bool conf_set_value(struct conf *conf, const struct conf_setting *setting, struct bytes text,
                    struct err *err)
{
    if (bytes_find_byte(text, '\0') >= 0)
        return refuse(setting, err);
    switch (setting->type) {
    case CONF_TEXT:
        *(const char **)field_of(conf, setting) = keep_text(conf, text);
        return true;
    case CONF_PATH:
        return set_path(conf, setting, text, err);
    case CONF_COUNT:
    case CONF_SIZE:
    case CONF_DURATION:
        return set_number(conf, setting, text, err);
    case CONF_BOOL:
        return set_bool(conf, setting, text, err);
    case CONF_CHOICE:
        return set_choice(conf, setting, text, err);
    case CONF_ADDRESSES:
        return set_addresses(conf, setting, text, err);
    }
    UNREACHABLE();
}

/* ---- writing ---- */

static void write_addresses(const struct conf_addresses *list, struct buf *out)
{
    for (size_t i = 0; i < list->count; i++) {
        bool is_v6 = strchr(list->at[i].host, ':') != NULL;

        buf_text(out, i > 0 ? ", " : "");
        buf_text(out, is_v6 ? "[" : "");
        buf_text(out, list->at[i].host[0] == '\0' ? "*" : list->at[i].host);
        buf_text(out, is_v6 ? "]:" : ":");
        buf_u64(out, list->at[i].port);
    }
}

/* password=… among the parameters of a URL, or in libpq's other form with blanks around "=". */
static bool mentions_password(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++)
        if (bytes_start_with_nocase(bytes_slice(text, i, SIZE_MAX), BYTES("password")))
            return true;
    return false;
}

/* scheme://user:password@… loses its password. */
static void write_masked(const char *text, struct buf *out)
{
    struct bytes in = bytes_of_text(text);
    ssize_t scheme = bytes_find(in, BYTES("://"));
    struct bytes authority = bytes_slice(in, scheme < 0 ? in.len : (size_t)scheme + 3, SIZE_MAX);
    size_t end = 0;
    ssize_t at = -1;
    ssize_t colon;

    while (end < authority.len && authority.ptr[end] != '/' && authority.ptr[end] != '?')
        if (authority.ptr[end++] == '@')
            at = (ssize_t)end - 1;
    colon = at < 0 ? -1 : bytes_find_byte(bytes_slice(authority, 0, (size_t)at), ':');
    if (colon < 0) {
        buf_append(out, in);
        return;
    }
    buf_append(out, bytes_slice(in, 0, (size_t)scheme + 3 + (size_t)colon));
    buf_text(out, ":***");
    buf_append(out, bytes_slice(authority, (size_t)at, SIZE_MAX));
}

/* Quotes where reading would otherwise take blanks or quotes away. */
static void write_text(const char *text, bool is_masked, struct buf *out)
{
    size_t len = strlen(text);
    bool needs_quotes =
        len > 0 && (strchr(" \t\"", text[0]) != NULL || strchr(" \t\"", text[len - 1]) != NULL);

    if (is_masked && mentions_password(bytes_of_text(text))) {
        buf_text(out, "(not shown: it holds a password)");
        return;
    }
    buf_text(out, needs_quotes ? "\"" : "");
    if (is_masked)
        write_masked(text, out);
    else
        buf_text(out, text);
    buf_text(out, needs_quotes ? "\"" : "");
}

void conf_write_value(const struct conf *conf, const struct conf_setting *setting, struct buf *out)
{
    const void *field = const_field_of(conf, setting);

    switch (setting->type) {
    case CONF_TEXT:
        write_text(*(const char *const *)field, true, out);
        return;
    case CONF_PATH:
        write_text(*(const char *const *)field, false, out);
        return;
    case CONF_COUNT:
        write_number(setting, *(const uint32_t *)field, out);
        return;
    case CONF_SIZE:
        write_number(setting, *(const uint64_t *)field, out);
        return;
    case CONF_DURATION:
        write_number(setting, (uint64_t) * (const int64_t *)field, out);
        return;
    case CONF_BOOL:
        buf_text(out, *(const bool *)field ? "on" : "off");
        return;
    case CONF_CHOICE:
        buf_text(out, setting->choices[*(const unsigned *)field]);
        return;
    case CONF_ADDRESSES:
        write_addresses(field, out);
        return;
    }
    UNREACHABLE();
}
