/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/rebuild_lines.h - lines of a catalogue into rows, many to a statement.
 */
#pragma once

#include "db/db.h"
#include "store/line.h"

enum {
    VAULT_LINES_AT_ONCE = 1000,
    VAULT_LINES_BYTES = 1 << 20, /* of their values; a longer line goes alone */
};

struct vault_lines {
    struct db *db;        /* borrowed; its transaction is the caller's */
    int64_t account_id;   /* 0: of the installation */
    int64_t run_id;       /* of the pack */
    bool is_newer;        /* accounts as told here replace those that are there */
    bool is_state_wanted; /* of an installation: false: audit events alone */
    uint64_t given[STORE_LINE_TYPES], stored[STORE_LINE_TYPES];
    uint64_t number;           /* of the line, for messages */
    enum store_line_type type; /* of those that wait */
    size_t count;
    size_t octets;
    struct arena *arena; /* of those that wait */
    struct store_line *waiting;
    struct arena *columns;
};

void vault_open_lines(struct vault_lines *lines, struct db *db);
void vault_close_lines(struct vault_lines *lines);

/* store_line_fn; context: struct vault_lines. ERR_SYNTAX: a line that is not as it must be. */
MUST_USE bool vault_take_line(void *context, struct bytes line, struct err *err);

/* Those that wait. */
MUST_USE bool vault_flush_lines(struct vault_lines *lines, struct err *err);
