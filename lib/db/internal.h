/* SPDX-License-Identifier: Apache-2.0 */
/*
 * db/internal.h - what the files of db share.
 */
#pragma once

#include <libpq-fe.h>

#include "base/buf.h"
#include "db/db.h"
#include "db/migrate.h"

/* ---- statements.awk ------------------------------------------------------------------------ */

struct db_arg_type {
    enum db_type type;
    bool is_array;
};

struct db_statement_text {
    const char *name;
    const char *sql;
    size_t arg_count;
    const struct db_arg_type *args;
};

extern const struct db_statement_text db_statement_texts[DB_STATEMENT_COUNT];
