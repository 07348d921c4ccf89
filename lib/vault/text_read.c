/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/text_read.c - records of search text out of their blocks; see text.h.
 *
 * Rows of blocks come page by page, by their greatest message id, with their signatures where the query
 * has needles; blocks that hold a wanted message, and may hold a needle, are fetched, from the spool some MiB at a time, from segments one by one. Whatever is wrong with a block
 * makes its messages ones without a record.
 */
#include "base/fd.h"
#include "mime/parser.h"
#include "text/signature.h"
#include "vault/internal.h"
#include "vault/text.h"
#include "vault/text_internal.h"

#include <stdlib.h>

enum {
    PAGE_BLOCKS = 256,
    PAGE_ARENA_BYTES = 1 << 20,
    FETCH_BYTES = 4 << 20, /* stored octets that one round trip brings; one block more at most */
    /* Blocks of two jobs of an account may interleave in their ids, and those of a batch do: so many
     * are looked at behind the last id that is wanted. */
    SLACK_BLOCKS = 64,
};

/* Columns of vault_text_page, in vault_read.sql. */
enum {
    COL_RUN_ID,
    COL_ORDINAL,
    COL_FIRST,
    COL_LAST,
    COL_MESSAGE_IDS,
    COL_PARSER_VERSION,
    COL_RAW_BYTES,
    COL_STORED_BYTES,
    COL_STORED_SHA256,
    COL_KEY_ID,
    COL_WEEK,
    COL_PACK_ID,
    COL_SEGMENT_OFFSET,
    COL_PACK_SHA256,
    COL_SIGNATURE,
};

/* Where the pages have come to. */
struct position {
    int64_t message_id, run_id;
    int32_t ordinal;
};

struct scan {
    struct vault_reader *reader;
    struct vault_text_cache *cache;
    const struct vault_text_query *query;
    uint8_t *found; /* a bit for each id */
    size_t left;    /* not found yet */
    bool asks_signatures;
    vault_text_fn *fn;
    void *context;
    struct arena *arena; /* of a page */
    struct vault_text_place *places;
    size_t place_count;        /* blocks of this page that are to be opened */
    struct db_result *fetched; /* octets of places fetched_from … fetched_to - 1 */
    size_t fetched_from, fetched_to;
    struct position at;
    size_t beyond; /* rows behind the last id */
    bool is_over;
};

static void end_scan(struct scan *scan)
{
    free(scan->found);
    free(scan->places);
    arena_free(&scan->arena);
    db_result_free(&scan->fetched);
}

/* ---- wanted ids ---------------------------------------------------------------------------------- */

/* The first that is not less. */
static size_t lower_bound(const struct scan *scan, int64_t id)
{
    size_t low = 0, high = scan->query->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (scan->query->message_ids[middle] < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_found(const struct scan *scan, size_t i)
{
    return (scan->found[i / 8] >> (i % 8) & 1) != 0;
}

/* True: it is wanted and was not given yet. */
static bool is_wanted(const struct scan *scan, int64_t id, size_t *at)
{
    *at = lower_bound(scan, id);
    return *at < scan->query->count && scan->query->message_ids[*at] == id && !is_found(scan, *at);
}

static bool give(struct scan *scan, size_t at, struct bytes record, struct err *err)
{
    scan->found[at / 8] |= (uint8_t)(1u << (at % 8));
    scan->left--;
    return scan->fn(scan->context, scan->query->message_ids[at], record, err);
}

/* ---- a page of rows ------------------------------------------------------------------------------ */

static bool copy_hash(struct bytes octets, struct crypto_sha256 *out)
{
    if (octets.len != sizeof out->octets)
        return false;
    memcpy(out->octets, octets.ptr, octets.len);
    return true;
}

/* False: nothing that this program could read. */
static bool read_place(const struct db_result *rows, size_t row, struct arena *arena,
                       struct vault_text_place *out)
{
    struct err ignored = { 0 };
    bool is_packed = !db_is_null(rows, row, COL_PACK_ID);

    if (db_i32(rows, row, COL_PARSER_VERSION) != MIME_PARSER_VERSION ||
        db_i64(rows, row, COL_KEY_ID) != 0)
        return false;
    *out = (struct vault_text_place){
        .run_id = db_i64(rows, row, COL_RUN_ID),
        .ordinal = db_i32(rows, row, COL_ORDINAL),
        .facts.raw_bytes = (uint32_t)db_i32(rows, row, COL_RAW_BYTES),
        .facts.stored_bytes = (uint32_t)db_i32(rows, row, COL_STORED_BYTES),
        .week = is_packed ? 0 : db_date_days(rows, row, COL_WEEK),
        .pack_id = is_packed ? db_i64(rows, row, COL_PACK_ID) : 0,
        .offset = is_packed ? (uint64_t)db_i64(rows, row, COL_SEGMENT_OFFSET) : 0,
    };
    return copy_hash(db_bytes(rows, row, COL_STORED_SHA256), &out->facts.stored_sha256) &&
           (!is_packed || copy_hash(db_bytes(rows, row, COL_PACK_SHA256), &out->pack_sha256)) &&
           db_i64_array(rows, row, COL_MESSAGE_IDS, arena, &out->ids, &out->id_count, &ignored);
}

static bool holds_wanted(const struct scan *scan, const struct vault_text_place *place)
{
    size_t at;

    for (size_t i = 0; i < place->id_count; i++)
        if (is_wanted(scan, place->ids[i], &at))
            return true;
    return false;
}

/* Only where every needle can be ruled out is a signature worth having. */
static bool asks_signatures(const struct vault_text_query *query)
{
    for (size_t i = 0; i < query->needle_count; i++)
        if (query->needles[i].len < TEXT_GRAM_BYTES)
            return false;
    return query->needle_count > 0;
}

/* NULL, as of a row without one, rules nothing out. */
static bool rules_out(const struct vault_text_query *query, struct bytes signature)
{
    for (size_t i = 0; i < query->needle_count; i++)
        if (text_may_hold(signature, query->needles[i]))
            return false;
    return query->needle_count > 0;
}

/* Empty records in the place of those of a block that needs not be opened. */
static bool give_empty(struct scan *scan, const struct vault_text_place *place, struct err *err)
{
    size_t at;

    scan->cache->notes = 0;
    for (size_t i = 0; i < place->id_count; i++)
        if (is_wanted(scan, place->ids[i], &at) && !give(scan, at, BYTES(""), err))
            return false;
    return true;
}

/* One block: among the places of the page, if it has to be opened. */
static bool take_row(struct scan *scan, const struct db_result *rows, size_t row, int64_t last_id,
                     struct err *err)
{
    struct vault_text_place *place = &scan->places[scan->place_count];

    scan->beyond += db_i64(rows, row, COL_LAST) >= last_id ? 1 : 0;
    if (db_i64(rows, row, COL_FIRST) > last_id || !read_place(rows, row, scan->arena, place) ||
        !holds_wanted(scan, place))
        return true;
    if (rules_out(scan->query, db_bytes(rows, row, COL_SIGNATURE)))
        return give_empty(scan, place, err);
    scan->place_count++;
    return true;
}

/* Behind the last row; and on to the next id that is wanted, if that is further. */
static void move_on(struct scan *scan, const struct db_result *rows)
{
    size_t last = db_rows(rows) - 1;
    size_t next;

    scan->at = (struct position){ db_i64(rows, last, COL_LAST), db_i64(rows, last, COL_RUN_ID),
                                  db_i32(rows, last, COL_ORDINAL) };
    next = lower_bound(scan, scan->at.message_id);
    while (next < scan->query->count && is_found(scan, next))
        next++;
    if (next < scan->query->count && scan->query->message_ids[next] - 1 > scan->at.message_id)
        scan->at = (struct position){ scan->query->message_ids[next] - 1, INT64_MAX, INT32_MAX };
}

static bool read_page(struct scan *scan, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *rows = NULL;
    int64_t last_id = scan->query->message_ids[scan->query->count - 1];
    /* A few ids lie in a few blocks. */
    size_t count = scan->query->count;
    size_t page = count < PAGE_BLOCKS - SLACK_BLOCKS ? count + SLACK_BLOCKS : PAGE_BLOCKS;

    arena_reset(scan->arena);
    scan->place_count = 0;
    if (!vault_run_queries(
            scan->reader,
            &(struct vault_query){ DB_VAULT_TEXT_PAGE,
                                   DB_ARGS(DB_I64(scan->query->account_id),
                                           DB_I64(scan->at.message_id), DB_I64(scan->at.run_id),
                                           DB_I32(scan->at.ordinal), DB_I64(page),
                                           DB_I64(scan->asks_signatures ? last_id : -1)) },
            1, &rows, err))
        return false;
    for (size_t i = 0; i < db_rows(rows); i++)
        if (!take_row(scan, rows, i, last_id, err))
            return false;
    scan->is_over = db_rows(rows) < page || scan->beyond > SLACK_BLOCKS;
    if (!scan->is_over)
        move_on(scan, rows);
    return true;
}

/* ---- octets ---------------------------------------------------------------------------------------- */

/* Fetches those of the spool from this one on, as far as there is room. */
static bool fetch(struct scan *scan, size_t from, struct err *err)
{
    int64_t *run_ids = arena_new_array(scan->arena, int64_t, scan->place_count - from);
    int64_t *weeks = arena_new_array(scan->arena, int64_t, scan->place_count - from);
    int32_t *ordinals = arena_new_array(scan->arena, int32_t, scan->place_count - from);
    uint64_t total = 0;
    size_t count = 0;

    while (from + count < scan->place_count && total < FETCH_BYTES) {
        const struct vault_text_place *place = &scan->places[from + count];

        if (place->pack_id != 0)
            break;
        run_ids[count] = place->run_id;
        ordinals[count] = place->ordinal;
        weeks[count++] = place->week;
        total += place->facts.stored_bytes;
    }
    db_result_free(&scan->fetched);
    scan->fetched_from = from;
    scan->fetched_to = from + count;
    return vault_run_queries(
        scan->reader,
        &(struct vault_query){ DB_VAULT_TEXT_OCTETS,
                               DB_ARGS(DB_I64(scan->query->account_id), DB_I64S(run_ids, count),
                                       DB_I32S(ordinals, count), DB_DATES(weeks, count)) },
        1, &scan->fetched, err);
}

/* ptr NULL: it is not there. */
static struct bytes find_fetched(const struct scan *scan, size_t number)
{
    size_t rows = db_rows(scan->fetched);
    int64_t position = (int64_t)(number - scan->fetched_from) + 1;
    size_t row = (size_t)position <= rows ? (size_t)position - 1 : rows;

    /* In its place, or before it when some are missing. */
    while (row > 0 && (row == rows || db_i64(scan->fetched, row, 0) > position))
        row--;
    if (row < rows && db_i64(scan->fetched, row, 0) == position)
        return db_bytes(scan->fetched, row, 1);
    return bytes_of(NULL, 0);
}

/* *stored ptr NULL: not to be had. */
static bool get_stored(struct scan *scan, size_t number, struct bytes *stored, struct err *err)
{
    const struct vault_text_place *place = &scan->places[number];

    if (place->pack_id != 0) {
        *stored = vault_read_segment(scan->reader, scan->query->account_id, place);
        return true;
    }
    if ((scan->fetched == NULL || number < scan->fetched_from || number >= scan->fetched_to) &&
        !fetch(scan, number, err))
        return false;
    *stored = find_fetched(scan, number);
    return true;
}

/* *out NULL: no whole block. */
static bool open_block(struct scan *scan, size_t number, const struct store_text_block **out,
                       struct err *err)
{
    const struct vault_text_place *place = &scan->places[number];
    struct vault_text_cache *cache = scan->cache;
    struct store_checked_frame checked;
    struct err damage = { 0 };
    struct bytes stored;

    *out = cache->has_block && memcmp(cache->sha256.octets, place->facts.stored_sha256.octets,
                                      sizeof cache->sha256.octets) == 0
               ? &cache->block
               : NULL;
    if (*out != NULL)
        return true;
    if (!get_stored(scan, number, &stored, err))
        return false;
    cache->has_block = stored.ptr != NULL &&
                       store_check_frame(&place->facts, stored, &checked, &damage) &&
                       store_open_text(cache->opener, checked, &cache->block, &damage);
    cache->sha256 = place->facts.stored_sha256;
    *out = cache->has_block ? &cache->block : NULL;
    return true;
}

static bool give_block(struct scan *scan, size_t number, struct err *err)
{
    const struct vault_text_place *place = &scan->places[number];
    const struct store_text_block *block;
    size_t at;

    if (!holds_wanted(scan, place)) /* given from another one of this page */
        return true;
    if (!open_block(scan, number, &block, err))
        return false;
    if (block == NULL || block->count != place->id_count ||
        block->parser_version != MIME_PARSER_VERSION)
        return true;
    for (size_t i = 0; i < block->count; i++) {
        if (!is_wanted(scan, place->ids[i], &at))
            continue;
        scan->cache->notes = block->records[i].notes;
        if (!give(scan, at, vault_not_null(block->records[i].octets), err))
            return false;
    }
    return true;
}

/* ---- all ------------------------------------------------------------------------------------------ */

static bool give_missing(struct scan *scan, struct err *err)
{
    scan->cache->notes = 0;
    for (size_t i = 0; i < scan->query->count && scan->left > 0; i++)
        if (!is_found(scan, i) && !give(scan, i, bytes_of(NULL, 0), err))
            return false;
    return true;
}

static bool run_scan(struct scan *scan, struct err *err)
{
    while (scan->left > 0 && !scan->is_over) {
        db_result_free(&scan->fetched);
        if (!read_page(scan, err))
            return false;
        for (size_t i = 0; i < scan->place_count; i++)
            if (!give_block(scan, i, err))
                return false;
    }
    db_result_free(&scan->fetched);
    return give_missing(scan, err);
}

uint32_t vault_text_notes(const struct vault_reader *reader)
{
    return reader->text != NULL ? reader->text->notes : 0;
}

bool vault_read_texts(struct vault_reader *reader, const struct vault_text_query *query,
                      vault_text_fn *fn, void *context, struct err *err)
{
    CLEANUP(end_scan)
    struct scan scan = {
        .reader = reader,
        .query = query,
        .asks_signatures = asks_signatures(query),
        .left = query->count,
        .fn = fn,
        .context = context,
    };

    if (query->count == 0)
        return true;
    scan.cache = vault_need_text_cache(reader);
    scan.arena = arena_create(PAGE_ARENA_BYTES);
    scan.found = calloc(query->count / 8 + 1, 1);
    scan.places = calloc(PAGE_BLOCKS, sizeof *scan.places);
    if (scan.found == NULL || scan.places == NULL)
        return err_errno(err, "memory for a scan of %zu messages", query->count);
    scan.at = (struct position){ query->message_ids[0] - 1, INT64_MAX, INT32_MAX };
    return run_scan(&scan, err);
}
