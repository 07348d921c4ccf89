/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/placement.c - pages of placements, and placements by hash.
 */
#include "vault/internal.h"

/* Columns of vault_placement_*, in vault_read.sql. */
enum {
    COL_UID,
    COL_FLAGS,
    COL_INTERNAL_AT,
    COL_INTERNAL_ZONE,
    COL_ARCHIVED_AT,
    COL_GONE_AT,
    COL_MODSEQ,
    COL_APPEARED_MODSEQ,
    COL_KEYWORDS,
    COL_MESSAGE_ID,
    COL_SIZE_BYTES,
    COL_SHA256,
    COL_RUN_ID,
    COL_RAW_OFFSET,
    COL_ACCOUNT_ID, /* from here on: by hash only */
    COL_MAILBOX_ID,
    COL_ACCOUNT_NAME,
    COL_PATH,
    COL_PARSER_VERSION = COL_RAW_OFFSET + 1, /* in vault_placement_page_index */
    COL_ENVELOPE,
    COL_BODYSTRUCTURE,
    COL_STRUCTURE,
};

static bool read_sha256(const struct db_result *rows, size_t row, size_t col,
                        struct crypto_sha256 *out, struct err *err)
{
    struct bytes octets = db_bytes(rows, row, col);

    if (octets.len != sizeof out->octets)
        return err_fail(err, ERR_CORRUPT, "SHA-256 of %zu octets", octets.len);
    memcpy(out->octets, octets.ptr, octets.len);
    return true;
}

/* Values that are missing stay { NULL, 0 }. */
static bool read_index(const struct db_result *rows, size_t row, struct arena *arena,
                       struct vault_index_row *out, struct err *err)
{
    if (db_is_null(rows, row, COL_PARSER_VERSION))
        return true;
    out->parser_version = db_i32(rows, row, COL_PARSER_VERSION);
    return (db_is_null(rows, row, COL_ENVELOPE) ||
            vault_copy_column(rows, row, COL_ENVELOPE, arena, &out->envelope, err)) &&
           (db_is_null(rows, row, COL_BODYSTRUCTURE) ||
            vault_copy_column(rows, row, COL_BODYSTRUCTURE, arena, &out->bodystructure, err)) &&
           (db_is_null(rows, row, COL_STRUCTURE) ||
            vault_copy_column(rows, row, COL_STRUCTURE, arena, &out->structure, err));
}

bool vault_read_placement_row(const struct db_result *rows, size_t row, unsigned columns,
                              int64_t account_id, struct arena *arena, struct vault_placement *out,
                              struct err *err)
{
    struct vault_placement placement = { .uid = (uint32_t)db_i64(rows, row, COL_UID),
                                         .flags = (uint8_t)db_i16(rows, row, COL_FLAGS),
                                         .is_gone = !db_is_null(rows, row, COL_GONE_AT),
                                         .internal_zone = db_i16(rows, row, COL_INTERNAL_ZONE),
                                         .internal_usec = db_time_usec(rows, row, COL_INTERNAL_AT),
                                         .archived_usec = db_time_usec(rows, row, COL_ARCHIVED_AT),
                                         .modseq = (uint64_t)db_i64(rows, row, COL_MODSEQ),
                                         .appeared_modseq =
                                             (uint64_t)db_i64(rows, row, COL_APPEARED_MODSEQ),
                                         .message_id = db_i64(rows, row, COL_MESSAGE_ID) };

    if (placement.is_gone)
        placement.gone_usec = db_time_usec(rows, row, COL_GONE_AT);
    if (!vault_copy_column(rows, row, COL_KEYWORDS, arena, &placement.keywords, err))
        return false;
    if ((columns & VAULT_WITH_SIZE) != 0) {
        placement.size_bytes = (uint64_t)db_i64(rows, row, COL_SIZE_BYTES);
        if (!read_sha256(rows, row, COL_SHA256, &placement.sha256, err))
            return false;
    }
    if ((columns & VAULT_WITH_LOCATOR) == VAULT_WITH_LOCATOR)
        placement.octets =
            (struct vault_octets){ .account_id = account_id,
                                   .run_id = db_i64(rows, row, COL_RUN_ID),
                                   .message_id = placement.message_id,
                                   .raw_offset = (uint64_t)db_i64(rows, row, COL_RAW_OFFSET),
                                   .size_bytes = placement.size_bytes };
    if ((columns & VAULT_WITH_INDEX) == VAULT_WITH_INDEX &&
        !read_index(rows, row, arena, &placement.index, err))
        return false;
    *out = placement;
    return true;
}

/* Columns of vault_placement_flags, _sizes and _envelopes. */
enum {
    BRIEF_UID,
    BRIEF_FLAGS,
    BRIEF_IS_GONE,
    BRIEF_KEYWORDS,
    BRIEF_INTERNAL_AT, /* from here on: _sizes */
    BRIEF_INTERNAL_ZONE,
    BRIEF_MESSAGE_ID,
    BRIEF_SIZE_BYTES,
    BRIEF_PARSER_VERSION, /* from here on: _envelopes */
    BRIEF_ENVELOPE,
    BRIEF_BODYSTRUCTURE,
};

static bool read_brief_index(const struct db_result *rows, size_t row, struct arena *arena,
                             struct vault_index_row *out, struct err *err)
{
    if (db_is_null(rows, row, BRIEF_PARSER_VERSION))
        return true;
    out->parser_version = db_i32(rows, row, BRIEF_PARSER_VERSION);
    return (db_is_null(rows, row, BRIEF_ENVELOPE) ||
            vault_copy_column(rows, row, BRIEF_ENVELOPE, arena, &out->envelope, err)) &&
           (db_is_null(rows, row, BRIEF_BODYSTRUCTURE) ||
            vault_copy_column(rows, row, BRIEF_BODYSTRUCTURE, arena, &out->bodystructure, err));
}

static bool read_brief_row(const struct db_result *rows, size_t row, unsigned columns,
                           int64_t account_id, struct arena *arena, struct vault_placement *out,
                           struct err *err)
{
    struct vault_placement placement = { .uid = (uint32_t)db_i64(rows, row, BRIEF_UID),
                                         .flags = (uint8_t)db_i16(rows, row, BRIEF_FLAGS),
                                         .is_gone = db_bool(rows, row, BRIEF_IS_GONE) };

    if (!vault_copy_column(rows, row, BRIEF_KEYWORDS, arena, &placement.keywords, err))
        return false;
    if ((columns & VAULT_WITH_SIZE) != 0) {
        placement.internal_usec = db_time_usec(rows, row, BRIEF_INTERNAL_AT);
        placement.internal_zone = db_i16(rows, row, BRIEF_INTERNAL_ZONE);
        placement.message_id = db_i64(rows, row, BRIEF_MESSAGE_ID);
        placement.size_bytes = (uint64_t)db_i64(rows, row, BRIEF_SIZE_BYTES);
        placement.octets = (struct vault_octets){ .account_id = account_id,
                                                  .message_id = placement.message_id,
                                                  .size_bytes = placement.size_bytes };
    }
    if (columns == VAULT_WITH_INDEX && !read_brief_index(rows, row, arena, &placement.index, err))
        return false;
    *out = placement;
    return true;
}

/* ---- pages --------------------------------------------------------------------------------- */

/* What of the ranges one statement is asked for: see vault_placement_page. */
struct ask {
    size_t count;
    int64_t firsts[LIMIT_PAGE_ROWS], lasts[LIMIT_PAGE_ROWS];
    bool is_bounded_by_limit; /* one range, wider than a page */
    bool is_rest;             /* nothing is left behind it */
};

static void choose_ranges(const struct vault_placement_query *query, struct ask *ask)
{
    uint64_t room = query->limit;
    size_t i = 0;

    ask->count = 0;
    ask->is_bounded_by_limit = false;
    for (; i < query->range_count && room > 0 && ask->count < ARRAY_LEN(ask->firsts); i++) {
        int64_t first = query->ranges[i].first, last = query->ranges[i].last;
        uint64_t wide;

        if (last <= query->after_uid)
            continue;
        if (first <= query->after_uid)
            first = (int64_t)query->after_uid + 1;
        wide = (uint64_t)(last - first) + 1;
        if (wide > room && ask->count == 0) {
            ask->firsts[0] = first;
            ask->lasts[0] = last;
            ask->count = 1;
            ask->is_bounded_by_limit = true;
            i++;
            break;
        }
        if (wide > room) {
            last = first + (int64_t)room - 1;
            wide = room;
        }
        ask->firsts[ask->count] = first;
        ask->lasts[ask->count++] = last;
        room -= wide;
        if (last < (int64_t)query->ranges[i].last)
            break;
    }
    ask->is_rest = i >= query->range_count;
}

static enum db_statement page_statement(unsigned columns)
{
    if ((columns & VAULT_WITH_LOCATOR) == VAULT_WITH_LOCATOR)
        return DB_VAULT_PLACEMENT_PAGE_LOCATOR;
    return (columns & VAULT_WITH_SIZE) != 0 ? DB_VAULT_PLACEMENT_PAGE_SIZE
                                            : DB_VAULT_PLACEMENT_PAGE;
}

/* One range, of which little is wanted. */
static bool is_brief(const struct vault_placement_query *query, const struct ask *ask)
{
    return query->is_brief && ask->count == 1 && query->changed_since == 0 &&
           query->as_of_modseq == 0 && query->columns != VAULT_WITH_LOCATOR;
}

static bool run_brief_page(struct vault_reader *reader, const struct vault_placement_query *query,
                           const struct ask *ask, struct db_result **result, struct err *err)
{
    struct db_value account = DB_I64(query->account_id);
    struct db_value mailbox = DB_I64(query->mailbox_id);
    struct db_value first = DB_I64(ask->firsts[0]);
    struct db_value last = DB_I64(ask->lasts[0]);
    struct db_value page = DB_I64(query->limit);

    if (query->columns == VAULT_WITH_INDEX)
        return vault_run_queries(reader,
                                 &(struct vault_query){ DB_VAULT_PLACEMENT_ENVELOPES,
                                                        DB_ARGS(account, mailbox, first, last, page,
                                                                DB_I64(VAULT_BRIEF_INDEX_BYTES)) },
                                 1, result, err);
    return vault_run_queries(reader,
                             &(struct vault_query){ query->columns == 0 ? DB_VAULT_PLACEMENT_FLAGS
                                                                        : DB_VAULT_PLACEMENT_SIZES,
                                                    DB_ARGS(account, mailbox, first, last, page) },
                             1, result, err);
}

static bool run_page(struct vault_reader *reader, const struct vault_placement_query *query,
                     const struct ask *ask, struct db_result **result, struct err *err)
{
    struct db_value account = DB_I64(query->account_id);
    struct db_value mailbox = DB_I64(query->mailbox_id);
    struct db_value firsts = DB_I64S(ask->firsts, ask->count);
    struct db_value lasts = DB_I64S(ask->lasts, ask->count);
    struct db_value page = DB_I64(query->limit);

    if (is_brief(query, ask))
        return run_brief_page(reader, query, ask, result, err);
    if ((query->columns & VAULT_WITH_INDEX) == VAULT_WITH_INDEX)
        return vault_run_queries(
            reader,
            &(struct vault_query){
                DB_VAULT_PLACEMENT_PAGE_INDEX,
                DB_ARGS(account, mailbox, firsts, lasts, page, DB_I64(VAULT_INDEX_PAGE_BYTES)) },
            1, result, err);
    if (query->as_of_modseq > 0)
        return vault_run_queries(
            reader,
            &(struct vault_query){
                DB_VAULT_PLACEMENT_PAGE_AT,
                DB_ARGS(account, mailbox, firsts, lasts, DB_I64(query->as_of_modseq), page) },
            1, result, err);
    if (query->changed_since > 0)
        return vault_run_queries(
            reader,
            &(struct vault_query){
                DB_VAULT_PLACEMENT_PAGE_CHANGED,
                DB_ARGS(account, mailbox, firsts, lasts, DB_I64(query->changed_since), page) },
            1, result, err);
    return vault_run_queries(
        reader,
        &(struct vault_query){ page_statement(query->columns),
                               DB_ARGS(account, mailbox, firsts, lasts, page) },
        1, result, err);
}

static bool read_rows(const struct vault_placement_query *query, const struct ask *ask,
                      const struct db_result *result, struct arena *arena,
                      const struct vault_placement **out, struct err *err)
{
    struct vault_placement *rows;
    bool has_few_columns = is_brief(query, ask);
    void *room;

    if (!arena_try_alloc(arena, db_rows(result), sizeof *rows, &room, err))
        return false;
    rows = room;
    for (size_t i = 0; i < db_rows(result); i++)
        if (has_few_columns ? !read_brief_row(result, i, query->columns, query->account_id, arena,
                                              &rows[i], err)
                            : !vault_read_placement_row(result, i, query->columns,
                                                        query->account_id, arena, &rows[i], err))
            return false;
    *out = rows;
    return true;
}

bool vault_read_placements(struct vault_reader *reader, const struct vault_placement_query *query,
                           struct arena *arena, struct vault_placement_page *out, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *result = NULL;
    struct vault_placement_page page = { .through_uid = UINT32_MAX, .is_last = true };
    struct ask ask;

    assert(query->limit >= 1 &&
           query->limit <= (query->is_brief && query->columns != VAULT_WITH_INDEX
                                ? LIMIT_BRIEF_ROWS
                                : LIMIT_PAGE_ROWS));
    assert(query->changed_since == 0 || (query->columns & VAULT_WITH_INDEX) != VAULT_WITH_INDEX);
    assert(query->as_of_modseq == 0 ||
           (query->columns == VAULT_WITH_LOCATOR && query->changed_since == 0));
    choose_ranges(query, &ask);
    if (ask.count == 0) {
        *out = page;
        return true;
    }
    if (!run_page(reader, query, &ask, &result, err) ||
        !read_rows(query, &ask, result, arena, &page.rows, err))
        return false;
    page.count = db_rows(result);
    page.through_uid = (uint32_t)ask.lasts[ask.count - 1];
    page.is_last = ask.is_rest;
    if (ask.is_bounded_by_limit && page.count == query->limit) {
        page.through_uid = page.rows[page.count - 1].uid;
        page.is_last = ask.is_rest && page.through_uid == ask.lasts[0];
    }
    *out = page;
    return true;
}

/* ---- by hash ------------------------------------------------------------------------------- */

/* The smallest and the largest hash that begin so. */
static bool read_prefix(struct bytes hex, struct crypto_sha256 *first, struct crypto_sha256 *last,
                        struct err *err)
{
    memset(first->octets, 0x00, sizeof first->octets);
    memset(last->octets, 0xff, sizeof last->octets);
    if (hex.len < 4 || hex.len > 2 * sizeof first->octets)
        return err_fail(err, ERR_SYNTAX, "4 to 64 hexadecimal digits expected");
    for (size_t i = 0; i < hex.len; i++) {
        unsigned value = ascii_hex_value(hex.ptr[i]);
        unsigned shift = i % 2 == 0 ? 4 : 0;

        if (value == ASCII_NO_HEX)
            return err_fail(err, ERR_SYNTAX, "4 to 64 hexadecimal digits expected");
        first->octets[i / 2] = (uint8_t)(first->octets[i / 2] | value << shift);
        last->octets[i / 2] = (uint8_t)((last->octets[i / 2] & ~(0xfu << shift)) | value << shift);
    }
    return true;
}

static bool read_found(const struct db_result *result, size_t row, struct arena *arena,
                       struct vault_found *out, struct err *err)
{
    out->account_id = db_i64(result, row, COL_ACCOUNT_ID);
    out->mailbox_id = db_i64(result, row, COL_MAILBOX_ID);
    return vault_copy_column(result, row, COL_ACCOUNT_NAME, arena, &out->account_name, err) &&
           vault_copy_column(result, row, COL_PATH, arena, &out->path, err) &&
           vault_read_placement_row(result, row, VAULT_WITH_LOCATOR, out->account_id, arena,
                                    &out->placement, err);
}

/* Runs a query with the columns of struct vault_found. */
static bool find(struct vault_reader *reader, const struct vault_query *query, struct arena *arena,
                 const struct vault_found **rows, size_t *count, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *result = NULL;
    struct vault_found *found;
    void *room;

    if (!vault_run_queries(reader, query, 1, &result, err) ||
        !arena_try_alloc(arena, db_rows(result), sizeof *found, &room, err))
        return false;
    found = room;
    for (size_t i = 0; i < db_rows(result); i++)
        if (!read_found(result, i, arena, &found[i], err))
            return false;
    *rows = found;
    *count = db_rows(result);
    return true;
}

bool vault_find_hash(struct vault_reader *reader, struct bytes hex, size_t limit,
                     struct arena *arena, const struct vault_found **rows, size_t *count,
                     struct err *err)
{
    struct crypto_sha256 first, last;

    assert(limit >= 1 && limit <= LIMIT_PAGE_ROWS);
    return read_prefix(hex, &first, &last, err) &&
           find(reader,
                &(struct vault_query){ DB_VAULT_PLACEMENT_BY_HASH,
                                       DB_ARGS(DB_BYTEA(crypto_sha256_bytes(&first)),
                                               DB_BYTEA(crypto_sha256_bytes(&last)),
                                               DB_I64(limit)) },
                arena, rows, count, err);
}

bool vault_find_message_id(struct vault_reader *reader, struct bytes message_id, size_t limit,
                           struct arena *arena, const struct vault_found **rows, size_t *count,
                           struct err *err)
{
    CLEANUP(buf_free) struct buf bracketed = buf_create(message_id.len + 2);
    struct bytes spellings[2];

    assert(limit >= 1 && limit <= LIMIT_PAGE_ROWS);
    buf_byte(&bracketed, '<');
    buf_append(&bracketed, message_id);
    buf_byte(&bracketed, '>');
    spellings[0] = vault_not_null(message_id);
    spellings[1] = buf_bytes(&bracketed);
    return find(
        reader,
        &(struct vault_query){ DB_VAULT_PLACEMENT_BY_MESSAGE_ID,
                               DB_ARGS(DB_TEXTS(spellings, ARRAY_LEN(spellings)), DB_I64(limit)) },
        arena, rows, count, err);
}

bool vault_read_notes(struct vault_reader *reader, int64_t account_id, int64_t message_id,
                      struct arena *arena, struct vault_message_notes *out, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *rows = NULL;
    struct vault_message_notes notes = { .is_parsed = false };

    if (!vault_run_queries(reader,
                           &(struct vault_query){ DB_VAULT_MESSAGE_NOTES,
                                                  DB_ARGS(DB_I64(account_id), DB_I64(message_id)) },
                           1, &rows, err))
        return false;
    if (db_rows(rows) > 0) {
        notes.is_parsed = true;
        notes.text_notes = (uint32_t)db_i32(rows, 0, 1);
        if (!vault_copy_column(rows, 0, 0, arena, &notes.names, err))
            return false;
    }
    *out = notes;
    return true;
}
