/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holdfast/limit_options.h - the options that say what an account may use and what is watched, for account
 * add and edit.
 */
#pragma once

#include "holdfast/cli.h"
#include "source/limits.h"

enum { /* values of options; above those of login_options.h */
    LIMIT_CONNECTIONS = 400,
    LIMIT_DAILY_BYTES,
    LIMIT_WATCH,
    LIMIT_NO_WATCH,
};

#define LIMIT_OPTIONS                                                                              \
    { "max-connections", required_argument, NULL, LIMIT_CONNECTIONS },                             \
        { "daily-bytes", required_argument, NULL, LIMIT_DAILY_BYTES },                             \
        { "watch", required_argument, NULL, LIMIT_WATCH },                                         \
    {                                                                                              \
        "no-watch", no_argument, NULL, LIMIT_NO_WATCH                                              \
    }

struct limit_options {
    struct source_limits limits;
    struct cli_list watch;
};

/* *is_known false: not one of these options. False: cli->err is set. */
MUST_USE bool limit_take_option(struct cli *cli, struct limit_options *options, int option,
                                const char *value, bool *is_known);
bool limit_is_given(const struct limit_options *options);

/* What it may use, for account show: as lines, or as members of the object. With the database. */
MUST_USE bool limit_print(struct cli *cli, int64_t account_id);
MUST_USE bool limit_add_json(struct cli *cli, int64_t account_id, json_t *object);

/* With the database; nothing when nothing was given. */
MUST_USE bool limit_apply(struct cli *cli, struct limit_options *options, int64_t account_id);
