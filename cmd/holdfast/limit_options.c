/* SPDX-License-Identifier: Apache-2.0 */
#include "holdfast/limit_options.h"

#include "base/checked.h"

#include <stdio.h>
#include <string.h>

enum {
    CONNECTIONS_MAX = 1000
};

static bool is_default(const char *value)
{
    return strcmp(value, "default") == 0;
}

static bool read_connections(struct cli *cli, const char *value, int32_t *out)
{
    struct bytes rest = bytes_of_text(value);
    uint32_t number = 0;

    if (is_default(value)) {
        *out = SOURCE_LIMIT_BY_PROVIDER;
        return true;
    }
    if (!scan_u32(&rest, &number) || rest.len > 0 || number == 0 || number > CONNECTIONS_MAX)
        return err_fail(&cli->err, ERR_SYNTAX,
                        "--max-connections %s: a number from 1 to %d, or \"default\"", value,
                        CONNECTIONS_MAX);
    *out = (int32_t)number;
    return true;
}

/* "500M", "2G", "1500000000"; decimal, as providers count. */
static bool read_bytes(struct cli *cli, const char *value, int64_t *out)
{
    static const struct {
        uint8_t letter;
        uint64_t factor;
    } units[] = { { 'k', 1000 }, { 'M', 1000000 }, { 'G', 1000000000 } };
    struct bytes rest = bytes_of_text(value);
    uint64_t number = 0;

    if (is_default(value)) {
        *out = SOURCE_LIMIT_BY_PROVIDER;
        return true;
    }
    if (strcmp(value, "none") == 0) {
        *out = 0;
        return true;
    }
    if (scan_u64(&rest, &number)) {
        bool has_fitted = true;

        for (size_t i = 0; i < ARRAY_LEN(units); i++)
            if (scan_byte(&rest, units[i].letter))
                has_fitted = checked_mul(number, units[i].factor, &number);
        if (rest.len == 0 && has_fitted && number > 0 && number <= INT64_MAX) {
            *out = (int64_t)number;
            return true;
        }
    }
    return err_fail(&cli->err, ERR_SYNTAX,
                    "--daily-bytes %s: a size as 500M or 2G, \"none\" or \"default\"", value);
}

bool limit_take_option(struct cli *cli, struct limit_options *options, int option,
                       const char *value, bool *is_known)
{
    struct source_limits *limits = &options->limits;

    *is_known = true;
    switch (option) {
    case LIMIT_CONNECTIONS:
        limits->sets_connections = true;
        return read_connections(cli, value, &limits->max_connections);
    case LIMIT_DAILY_BYTES:
        limits->sets_bytes = true;
        return read_bytes(cli, value, &limits->daily_bytes);
    case LIMIT_WATCH:
        limits->sets_watch = true;
        return cli_add_item(cli, &options->watch, value);
    case LIMIT_NO_WATCH:
        limits->sets_watch = true;
        return true;
    default:
        *is_known = false;
        return true;
    }
}

bool limit_is_given(const struct limit_options *options)
{
    const struct source_limits *limits = &options->limits;

    return limits->sets_connections || limits->sets_bytes || limits->sets_watch;
}

bool limit_apply(struct cli *cli, struct limit_options *options, int64_t account_id)
{
    options->limits.watch = options->watch.items;
    options->limits.watch_count = options->watch.count;
    return !limit_is_given(options) ||
           source_set_limits(cli->session.db, account_id, &options->limits, &cli->err);
}

bool limit_print(struct cli *cli, int64_t account_id)
{
    struct source_limit_facts facts;
    char text[CLI_TEXT_BYTES];

    if (!source_show_limits(cli->session.db, account_id, &facts, &cli->err))
        return false;
    (void)printf("connections:    %d now, at most %d%s\n", facts.connections, facts.max_connections,
                 facts.is_own ? "" : " (the default for its provider)");
    (void)printf("today:          %s", cli_write_size(facts.today_bytes, text));
    if (facts.daily_bytes > 0)
        (void)printf(" of %s", cli_write_size((uint64_t)facts.daily_bytes, text));
    (void)puts(facts.daily_bytes == SOURCE_LIMIT_BY_PROVIDER ? " (as the provider bears)" : "");
    return true;
}

bool limit_add_json(struct cli *cli, int64_t account_id, json_t *object)
{
    struct source_limit_facts facts;

    if (!source_show_limits(cli->session.db, account_id, &facts, &cli->err))
        return false;
    (void)json_object_set_new(object, "connections", json_integer(facts.connections));
    (void)json_object_set_new(object, "max_connections", json_integer(facts.max_connections));
    (void)json_object_set_new(object, "today_bytes", json_integer((json_int_t)facts.today_bytes));
    (void)json_object_set_new(object, "daily_bytes",
                              facts.daily_bytes == SOURCE_LIMIT_BY_PROVIDER
                                  ? json_null()
                                  : json_integer((json_int_t)facts.daily_bytes));
    return true;
}
