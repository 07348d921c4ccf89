/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/rebuild_lines.h"

#include <stdlib.h>

enum {
    LINES_ARENA_BYTES = 3 * STORE_LINE_BYTES,
    COLUMNS_ARENA_BYTES = 16 << 20,
};

/* The statement of each type: one argument, then an array for each field. */
// clang-format off
static const struct {
    bool is_known, is_installation;
    enum db_statement statement;
} rows[STORE_LINE_TYPES] = {
    [STORE_LINE_ACCOUNT]   = { true, true,  DB_REBUILD_LINE_ACCOUNT },
    [STORE_LINE_SCOPE]     = { true, false, DB_REBUILD_LINE_SCOPE },
    [STORE_LINE_MAILBOX]   = { true, false, DB_REBUILD_LINE_MAILBOX },
    [STORE_LINE_FORMER]    = { true, false, DB_REBUILD_LINE_FORMER },
    [STORE_LINE_EPOCH]     = { true, false, DB_REBUILD_LINE_EPOCH },
    [STORE_LINE_MESSAGE]   = { true, false, DB_REBUILD_LINE_MESSAGE },
    [STORE_LINE_PLACEMENT] = { true, false, DB_REBUILD_LINE_PLACEMENT },
    [STORE_LINE_EVENT]     = { true, false, DB_REBUILD_LINE_EVENT },
    [STORE_LINE_SOURCE]    = { true, false, DB_REBUILD_LINE_SOURCE },
    [STORE_LINE_UID]       = { true, false, DB_REBUILD_LINE_UID },
    [STORE_LINE_IDENTITY]  = { true, false, DB_REBUILD_LINE_IDENTITY },
    [STORE_LINE_FILE]      = { true, false, DB_REBUILD_LINE_FILE },
    [STORE_LINE_SECRET]    = { true, true,  DB_REBUILD_LINE_SECRET },
    [STORE_LINE_KEY]       = { true, true,  DB_REBUILD_LINE_KEY },
    [STORE_LINE_AUDITOR]   = { true, true,  DB_REBUILD_LINE_AUDITOR },
    [STORE_LINE_VERIFIER]  = { true, true,  DB_REBUILD_LINE_VERIFIER },
    [STORE_LINE_MATTER]    = { true, true,  DB_REBUILD_LINE_MATTER },
    [STORE_LINE_GRANT]     = { true, true,  DB_REBUILD_LINE_GRANT },
    [STORE_LINE_HOLD]      = { true, true,  DB_REBUILD_LINE_HOLD },
    [STORE_LINE_RETENTION] = { true, true,  DB_REBUILD_LINE_RETENTION },
    [STORE_LINE_CREDENTIAL] = { true, true, DB_REBUILD_LINE_CREDENTIAL },
    [STORE_LINE_AUDIT]     = { true, true,  DB_REBUILD_LINE_AUDIT },
};
// clang-format on

void vault_open_lines(struct vault_lines *lines, struct db *db)
{
    *lines = (struct vault_lines){
        .db = db,
        .is_newer = true,
        .is_state_wanted = true,
        .arena = arena_create(LINES_ARENA_BYTES),
        .waiting = calloc(VAULT_LINES_AT_ONCE, sizeof(struct store_line)),
        .columns = arena_create(COLUMNS_ARENA_BYTES),
    };
    assert(lines->waiting != NULL);
}

void vault_close_lines(struct vault_lines *lines)
{
    arena_free(&lines->arena);
    arena_free(&lines->columns);
    free(lines->waiting);
    lines->waiting = NULL;
}

/* ---- columns ------------------------------------------------------------------------------------------- */

static struct db_value make_numbers(const struct vault_lines *lines, size_t field,
                                    enum store_kind kind, const bool *nulls)
{
    int64_t *numbers = arena_new_array(lines->columns, int64_t, lines->count);

    for (size_t i = 0; i < lines->count; i++)
        numbers[i] = nulls[i] ? 0 : lines->waiting[i].values[field].number;
    if (kind == STORE_TIME)
        return db_with_nulls(DB_TIMES(numbers, lines->count), nulls);
    if (kind == STORE_DATE)
        return db_with_nulls(DB_DATES(numbers, lines->count), nulls);
    return db_with_nulls(DB_I64S(numbers, lines->count), nulls);
}

static struct db_value make_bools(const struct vault_lines *lines, size_t field, const bool *nulls)
{
    bool *bools = arena_new_array(lines->columns, bool, lines->count);

    for (size_t i = 0; i < lines->count; i++)
        bools[i] = lines->waiting[i].values[field].number != 0;
    return db_with_nulls(DB_BOOLS(bools, lines->count), nulls);
}

static struct db_value make_octets(const struct vault_lines *lines, size_t field,
                                   enum store_kind kind)
{
    struct bytes *octets = arena_new_array(lines->columns, struct bytes, lines->count);

    for (size_t i = 0; i < lines->count; i++) {
        const struct store_value *value = &lines->waiting[i].values[field];

        if (!value->is_null)
            octets[i] = value->octets.len > 0 ? value->octets : bytes_of("", 0);
    }
    if (kind == STORE_HEX || kind == STORE_HASH)
        return DB_BYTEAS(octets, lines->count);
    return DB_TEXTS(octets, lines->count);
}

static struct db_value make_column(const struct vault_lines *lines, size_t field)
{
    enum store_kind kind = store_line_format(lines->type)->fields[field].kind;
    bool *nulls = arena_new_array(lines->columns, bool, lines->count);

    for (size_t i = 0; i < lines->count; i++)
        nulls[i] = lines->waiting[i].values[field].is_null;
    switch (kind) {
    case STORE_NUMBER:
    case STORE_SECONDS:
    case STORE_FLAGS:
    case STORE_TIME:
    case STORE_DATE:
        return make_numbers(lines, field, kind, nulls);
    case STORE_BOOL:
        return make_bools(lines, field, nulls);
    case STORE_TEXT:
    case STORE_HEX:
    case STORE_HASH:
    case STORE_TEXTS:
    case STORE_RANGES:
    case STORE_OBJECT:
        return make_octets(lines, field, kind);
    }
    UNREACHABLE();
}

/* ---- statements ------------------------------------------------------------------------------------------ */

/* The fields "mailbox" and "keywords" of a placement or an event. */
static bool add_keywords(struct vault_lines *lines, const struct db_value *values, struct err *err)
{
    size_t field = lines->type == STORE_LINE_PLACEMENT ? 7 : 5;
    bool has_any = false;

    if (lines->type != STORE_LINE_PLACEMENT && lines->type != STORE_LINE_EVENT)
        return true;
    assert(strcmp(store_line_format(lines->type)->fields[field].name, "keywords") == 0);
    for (size_t i = 0; i < lines->count && !has_any; i++)
        has_any = lines->waiting[i].values[field].octets.len > 2;
    return !has_any ||
           db_run_ok(lines->db, DB_REBUILD_KEYWORD_ADD,
                     DB_ARGS(DB_I64(lines->account_id), values[1], values[1 + field]), err);
}

/* A path may have been another mailbox's in an earlier pack, which has another one in this. */
static bool free_paths(struct vault_lines *lines, const struct db_value *values, struct err *err)
{
    if (lines->type != STORE_LINE_MAILBOX)
        return true;
    assert(strcmp(store_line_format(lines->type)->fields[1].name, "path") == 0);
    return db_run_ok(lines->db, DB_REBUILD_PATHS_FREE,
                     DB_ARGS(DB_I64(lines->account_id), values[1], values[2]), err);
}

/* Of SELECT count(*): that; of others the rows affected. */
static bool run_statement(struct vault_lines *lines, const struct db_value *values, size_t count,
                          struct err *err)
{
    CLEANUP(db_result_free) struct db_result *result = NULL;
    struct db_args args = { values, count };
    bool is_select = lines->type == STORE_LINE_MAILBOX || lines->type == STORE_LINE_EVENT ||
                     lines->type == STORE_LINE_SOURCE;

    if (!db_run(lines->db, rows[lines->type].statement, args, &result, err))
        return false;
    lines->stored[lines->type] += is_select ? (uint64_t)db_i64(result, 0, 0) : db_affected(result);
    return true;
}

bool vault_flush_lines(struct vault_lines *lines, struct err *err)
{
    struct db_value values[STORE_FIELDS_MAX + 2];
    size_t count = 0;
    bool is_done;

    if (lines->count == 0)
        return true;
    values[count++] =
        DB_I64(lines->type == STORE_LINE_ACCOUNT ? (lines->is_newer ? 1 : 0) : lines->account_id);
    for (size_t i = 0; i < store_count_fields(lines->type); i++)
        values[count++] = make_column(lines, i);
    if (lines->type == STORE_LINE_MESSAGE)
        values[count++] = DB_I64(lines->run_id);
    is_done = add_keywords(lines, values, err) && free_paths(lines, values, err) &&
              run_statement(lines, values, count, err);
    lines->given[lines->type] += lines->count;
    lines->count = 0;
    lines->octets = 0;
    arena_reset(lines->arena);
    arena_reset(lines->columns);
    return is_done || err_wrap(err, "lines \"%s\" up to line %ju",
                               store_line_format(lines->type)->name, (uintmax_t)lines->number);
}

static size_t measure(const struct store_line *line)
{
    size_t total = 0;

    for (size_t i = 0; i < STORE_FIELDS_MAX; i++)
        total += line->values[i].octets.len;
    return total;
}

/* Is it one that belongs here? */
static bool belongs(const struct vault_lines *lines, const struct store_line *line, struct err *err)
{
    bool is_installation = lines->account_id == 0;

    if (line->type == STORE_LINE_ACCOUNT && !is_installation &&
        line->values[0].number != lines->account_id)
        return err_fail(err, ERR_SYNTAX, "line %ju is of another account",
                        (uintmax_t)lines->number);
    return line->type == STORE_LINE_ACCOUNT ||
           rows[line->type].is_installation == is_installation ||
           err_fail(err, ERR_SYNTAX, "line %ju does not belong into this catalogue",
                    (uintmax_t)lines->number);
}

bool vault_take_line(void *context, struct bytes line, struct err *err)
{
    struct vault_lines *lines = context;
    struct store_line read;

    lines->number++;
    if (!store_read_line(line, lines->arena, &read, err))
        return err_wrap(err, "line %ju", (uintmax_t)lines->number);
    if (!rows[read.type].is_known || (!lines->is_state_wanted && read.type != STORE_LINE_AUDIT)) {
        if (lines->count == 0)
            arena_reset(lines->arena);
        return true;
    }
    if (!belongs(lines, &read, err))
        return false;
    if (lines->count > 0 && read.type != lines->type) {
        /* What was read lies in the arena that the flush empties: read it again. */
        lines->number--;
        return vault_flush_lines(lines, err) && vault_take_line(context, line, err);
    }
    lines->type = read.type;
    lines->waiting[lines->count++] = read;
    lines->octets += measure(&read);
    if (lines->count < VAULT_LINES_AT_ONCE && lines->octets < VAULT_LINES_BYTES)
        return true;
    return vault_flush_lines(lines, err);
}
