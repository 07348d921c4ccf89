/* SPDX-License-Identifier: Apache-2.0 */
/* conf/internal.h - for the files of lib/conf alone. */
#pragma once

#include "base/arena.h"
#include "conf/conf.h"

/* ---- ini.c: one file as lines ---- */

enum conf_line_kind {
    CONF_LINE_EMPTY,
    CONF_LINE_SECTION,
    CONF_LINE_SETTING
};

struct conf_line {
    enum conf_line_kind kind;
    struct bytes name;  /* of the section or the key; never empty */
    struct bytes value; /* without surrounding blanks and quotes */
};

/*
 * Takes one line and its line end from the front of *in, which is not empty. Pure.
 * Failure: ERR_SYNTAX with the reason alone; *in then starts at the next line.
 */
MUST_USE bool conf_read_line(struct bytes *in, struct conf_line *out, struct err *err);

/* ---- settings.c: what settings there are ---- */

enum conf_type {
    CONF_TEXT,
    CONF_PATH,
    CONF_COUNT,    /* uint32_t, from min to max */
    CONF_SIZE,     /* uint64_t bytes, from min to max */
    CONF_DURATION, /* int64_t milliseconds, from min to max */
    CONF_BOOL,
    CONF_CHOICE,    /* an enum: the position in choices */
    CONF_ADDRESSES, /* struct conf_addresses */
};

struct conf_setting {
    const char *section, *key;
    enum conf_type type;
    size_t offset;              /* of the field in struct conf */
    const char *usual;          /* default, as it would be written */
    uint64_t min, max;          /* of numbers, in the unit of the field */
    const char *const *choices; /* ends with NULL */
    const char *help;
};

extern const struct conf_setting conf_settings[];
extern const size_t conf_setting_count;

/* NULL when there is none of this name. */
const struct conf_setting *conf_find_setting(struct bytes section, struct bytes key);
/* The first setting of the section; NULL: there is none of this name. */
const struct conf_setting *conf_find_section(struct bytes section);

/* The nearest name for a mistyped one, "" when none is near. key: empty for a section. */
const char *conf_suggest_section(struct bytes section);
const char *conf_suggest_key(struct bytes section, struct bytes key);

/* ---- value.c: text to field and back ---- */

/* Parses and stores. ERR_SYNTAX says what is accepted. */
MUST_USE bool conf_set_value(struct conf *conf, const struct conf_setting *setting,
                             struct bytes text, struct err *err);

/* What is accepted: "a number from 1 to 64". */
void conf_describe_type(const struct conf_setting *setting, struct buf *out);
void conf_write_value(const struct conf *conf, const struct conf_setting *setting, struct buf *out);
