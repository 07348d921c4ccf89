/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known of each UID of a source epoch.
 */
#include "base/buf.h"
#include "base/limits.h"
#include "db/db.h"
#include "source/internal.h"
#include "source/mailbox.h"

#include <stdlib.h>

enum {
    WINDOW_FIRST_ROWS = 256,
    KEYWORDS_BYTES = LIMIT_KEYWORDS_PER_MAILBOX / 8,
};

/* ---- the window ---- */

struct window_builder {
    struct arena *arena;
    struct source_known *rows;
    size_t count, cap;
};

static enum source_uid_state state_of(struct bytes name)
{
    switch (name.len == 0 ? 0 : name.ptr[0]) {
    case 's':
        return name.len == 6 ? SOURCE_UID_STORED : SOURCE_UID_SKIPPED; /* "stored", "skipped" */
    case 'g':
        return SOURCE_UID_GONE;
    default:
        return SOURCE_UID_PENDING;
    }
}

static bool grow_window(struct window_builder *builder, struct err *err)
{
    size_t cap = builder->cap == 0 ? WINDOW_FIRST_ROWS : builder->cap * 2;
    void *rows;

    if (!arena_try_alloc(builder->arena, cap, sizeof *builder->rows, &rows, err))
        return false;
    if (builder->count > 0)
        memcpy(rows, builder->rows, builder->count * sizeof *builder->rows);
    builder->rows = rows;
    builder->cap = cap;
    return true;
}

static bool add_known(void *context, const struct db_result *row, struct err *err)
{
    struct window_builder *builder = context;
    struct source_known *known;

    if (builder->count == builder->cap && !grow_window(builder, err))
        return false;
    known = &builder->rows[builder->count];
    *known = (struct source_known){
        .uid = (uint32_t)db_i64(row, 0, 0),
        .state = state_of(db_bytes(row, 0, 1)),
        .is_gone = db_bool(row, 0, 2),
        .is_due = db_bool(row, 0, 3),
        .attempts = db_i32(row, 0, 4),
    };
    if (!db_is_null(row, 0, 5)) {
        known->placement_uid = (uint32_t)db_i64(row, 0, 5);
        known->flags = (uint8_t)db_i16(row, 0, 6);
        known->internal_usec = db_time_usec(row, 0, 8);
        if (db_bytes(row, 0, 7).len > 0 && !arena_try_copy(builder->arena, db_bytes(row, 0, 7),
                                                           KEYWORDS_BYTES, &known->keywords, err))
            return false;
    }
    builder->count++;
    return true;
}

bool source_load_window(struct db *db, const struct source_lease *lease, int64_t mailbox_id,
                        int32_t epoch, uint32_t first, uint32_t last, size_t max,
                        struct arena *arena, struct source_window *out, struct err *err)
{
    struct window_builder builder = { .arena = arena };

    if (!db_stream(db, DB_SOURCE_WINDOW,
                   DB_ARGS(DB_I64(lease->account_id), DB_I64(mailbox_id), DB_I32(epoch),
                           DB_I64(first), DB_I64(last), DB_I64(max)),
                   add_known, &builder, err))
        return false;
    *out = (struct source_window){ builder.rows, builder.count };
    return true;
}

/* ---- lists of UIDs ---- */

static bool load_uids(struct db *db, enum db_statement statement, struct db_args args,
                      struct arena *arena, const uint32_t **uids, size_t *count, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *rows = NULL;
    void *numbers;

    if (!db_run(db, statement, args, &rows, err) ||
        !arena_try_alloc(arena, db_rows(rows), sizeof(uint32_t), &numbers, err))
        return false;
    for (size_t i = 0; i < db_rows(rows); i++)
        ((uint32_t *)numbers)[i] = (uint32_t)db_i64(rows, i, 0);
    *uids = numbers;
    *count = db_rows(rows);
    return true;
}

bool source_load_sample(struct db *db, const struct source_lease *lease, int64_t mailbox_id,
                        int32_t epoch, struct source_sample *out, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *rows = NULL;

    if (!db_run(db, DB_SOURCE_SAMPLE,
                DB_ARGS(DB_I64(lease->account_id), DB_I64(mailbox_id), DB_I32(epoch),
                        DB_I64(SOURCE_SAMPLE_MAX)),
                &rows, err))
        return false;
    out->count = 0;
    for (size_t row = 0; row < db_rows(rows) && out->count < SOURCE_SAMPLE_MAX; row++) {
        out->uids[out->count] = (uint32_t)db_i64(rows, row, 0);
        out->internal_usec[out->count] = db_time_usec(rows, row, 1);
        out->size_bytes[out->count++] = (uint64_t)db_i64(rows, row, 2);
    }
    return true;
}

bool source_load_pending(struct db *db, const struct source_lease *lease, int64_t mailbox_id,
                         int32_t epoch, uint32_t after, size_t max, struct arena *arena,
                         const uint32_t **uids, size_t *count, struct err *err)
{
    return load_uids(db, DB_SOURCE_PENDING,
                     DB_ARGS(DB_I64(lease->account_id), DB_I64(mailbox_id), DB_I32(epoch),
                             DB_I64(after), DB_I64(max)),
                     arena, uids, count, err);
}

/* The last row says how far the others go. */
bool source_load_orphans(struct db *db, const struct source_lease *lease, int64_t mailbox_id,
                         int32_t epoch, uint32_t after, size_t max, struct arena *arena,
                         struct source_orphans *out, struct err *err)
{
    const uint32_t *uids;
    size_t count;

    if (!load_uids(db, DB_SOURCE_ORPHANS,
                   DB_ARGS(DB_I64(lease->account_id), DB_I64(mailbox_id), DB_I32(epoch),
                           DB_I64(after), DB_I64(max)),
                   arena, &uids, &count, err))
        return false;
    *out = (struct source_orphans){ uids, 0, 0 };
    if (count > 0)
        *out = (struct source_orphans){ uids, count - 1, uids[count - 1] };
    return true;
}

/* As bigint, which is what the column is. The caller frees it. */
static bool widen(const uint32_t *uids, size_t count, int64_t **out, struct err *err)
{
    int64_t *wide = malloc((count + 1) * sizeof *wide);

    if (wide == NULL)
        return err_errno(err, "%zu UIDs", count);
    for (size_t i = 0; i < count; i++)
        wide[i] = uids[i];
    *out = wide;
    return true;
}

bool source_load_known(struct db *db, const struct source_lease *lease, int64_t mailbox_id,
                       int32_t epoch, const uint32_t *uids, size_t count, struct arena *arena,
                       struct source_window *out, struct err *err)
{
    struct window_builder builder = { .arena = arena };
    int64_t *wide = NULL;
    bool is_done;

    if (!widen(uids, count, &wide, err))
        return false;
    is_done = db_stream(
        db, DB_SOURCE_KNOWN,
        DB_ARGS(DB_I64(lease->account_id), DB_I64(mailbox_id), DB_I32(epoch), DB_I64S(wide, count)),
        add_known, &builder, err);
    free(wide);
    if (is_done)
        *out = (struct source_window){ builder.rows, builder.count };
    return is_done;
}

bool source_load_present(struct db *db, const struct source_lease *lease, int64_t mailbox_id,
                         int32_t epoch, const struct source_uid_range *ranges, size_t range_count,
                         uint32_t after, size_t max, struct arena *arena,
                         struct source_present *out, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *rows = NULL;
    int64_t *firsts = arena_new_array(arena, int64_t, range_count);
    int64_t *lasts = arena_new_array(arena, int64_t, range_count);
    uint32_t *uids;
    uint32_t *placement_uids;

    for (size_t i = 0; i < range_count; i++) {
        firsts[i] = ranges[i].first;
        lasts[i] = ranges[i].last;
    }
    if (!db_run(db, DB_SOURCE_PRESENT,
                DB_ARGS(DB_I64(lease->account_id), DB_I64(mailbox_id), DB_I32(epoch),
                        DB_I64S(firsts, range_count), DB_I64S(lasts, range_count), DB_I64(after),
                        DB_I64(max)),
                &rows, err))
        return false;
    uids = arena_new_array(arena, uint32_t, db_rows(rows));
    placement_uids = arena_new_array(arena, uint32_t, db_rows(rows));
    for (size_t i = 0; i < db_rows(rows); i++) {
        uids[i] = (uint32_t)db_i64(rows, i, 0);
        placement_uids[i] = (uint32_t)db_i64(rows, i, 1);
    }
    *out = (struct source_present){ uids, placement_uids, db_rows(rows) };
    return true;
}

bool source_count_present(struct db *db, const struct source_lease *lease, int64_t mailbox_id,
                          int32_t epoch, uint64_t *out, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *row = NULL;

    if (!db_run(db, DB_SOURCE_PRESENT_COUNT,
                DB_ARGS(DB_I64(lease->account_id), DB_I64(mailbox_id), DB_I32(epoch)), &row, err))
        return false;
    *out = (uint64_t)db_i64(row, 0, 0);
    return true;
}

bool source_load_superseded(struct db *db, const struct source_lease *lease, int64_t mailbox_id,
                            struct arena *arena, const uint32_t **uids, size_t *count,
                            struct err *err)
{
    return load_uids(db, DB_SOURCE_SUPERSEDED,
                     DB_ARGS(DB_I64(lease->account_id), DB_I64(mailbox_id)), arena, uids, count,
                     err);
}

bool source_load_failed_alike(struct db *db, const struct source_lease *lease, int64_t mailbox_id,
                              int32_t epoch, const uint32_t *uids, size_t count, struct bytes error,
                              struct arena *arena, const uint32_t **alike, size_t *alike_count,
                              struct err *err)
{
    int64_t *wide = NULL;
    bool is_done;

    if (!widen(uids, count, &wide, err))
        return false;
    is_done = load_uids(db, DB_SOURCE_FAILED_ALIKE,
                        DB_ARGS(DB_I64(lease->account_id), DB_I64(mailbox_id), DB_I32(epoch),
                                DB_I64S(wide, count), DB_TEXT(error)),
                        arena, alike, alike_count, err);
    free(wide);
    return is_done;
}

static bool run_on_uids(struct db *db, const struct source_lease *lease,
                        enum db_statement statement, int64_t mailbox_id, int32_t epoch,
                        const uint32_t *uids, size_t count, struct err *err)
{
    int64_t *wide = NULL;
    bool is_done;

    if (!widen(uids, count, &wide, err))
        return false;
    is_done =
        source_run_leased(db, lease, statement,
                          DB_ARGS(SOURCE_LEASE_ARGS(lease), DB_NULL, DB_I64(lease->account_id),
                                  DB_I64(mailbox_id), DB_I32(epoch), DB_I64S(wide, count)),
                          NULL, err);
    free(wide);
    return is_done;
}

/* UIDs as ranges, ascending. */
struct range_arrays {
    int64_t *firsts, *lasts;
    size_t count;
};

static struct range_arrays make_ranges(const uint32_t *uids, size_t count, struct arena *arena)
{
    struct range_arrays ranges = { .firsts = arena_new_array(arena, int64_t, count),
                                   .lasts = arena_new_array(arena, int64_t, count) };

    for (size_t i = 0; i < count; i++) {
        if (ranges.count == 0 || uids[i] != ranges.lasts[ranges.count - 1] + 1) {
            ranges.firsts[ranges.count] = uids[i];
            ranges.lasts[ranges.count++] = uids[i];
        } else {
            ranges.lasts[ranges.count - 1]++;
        }
    }
    return ranges;
}

static bool run_on_ranges(struct db *db, const struct source_lease *lease,
                          enum db_statement statement, struct db_value progress, int64_t mailbox_id,
                          int32_t epoch, const uint32_t *uids, size_t count, struct err *err)
{
    struct arena *arena = arena_create(SIZE_MAX);
    struct range_arrays ranges = make_ranges(uids, count, arena);
    bool is_done = source_run_leased(db, lease, statement,
                                     DB_ARGS(SOURCE_LEASE_ARGS(lease), progress,
                                             DB_I64(lease->account_id), DB_I64(mailbox_id),
                                             DB_I32(epoch), DB_I64S(ranges.firsts, ranges.count),
                                             DB_I64S(ranges.lasts, ranges.count)),
                                     NULL, err);

    arena_free(&arena);
    return is_done;
}

/* From now on each of these has a row. */
static bool settle(struct db *db, const struct source_lease *lease, int64_t mailbox_id,
                   int32_t epoch, const uint32_t *uids, size_t count, struct err *err)
{
    return run_on_ranges(db, lease, DB_SOURCE_UID_SETTLE, DB_NULL, mailbox_id, epoch, uids, count,
                         err);
}

bool source_announce(struct db *db, const struct source_lease *lease, int64_t mailbox_id,
                     int32_t epoch, const uint32_t *uids, size_t count,
                     const struct source_progress *progress, struct err *err)
{
    CLEANUP(buf_free) struct buf json = buf_create(2048);

    if (progress != NULL)
        source_write_progress(&json, progress);
    return run_on_ranges(db, lease, DB_SOURCE_UID_ANNOUNCE,
                         db_null_unless(progress != NULL, DB_TEXT(buf_bytes(&json))), mailbox_id,
                         epoch, uids, count, err);
}

bool source_mark_gone(struct db *db, const struct source_lease *lease, int64_t mailbox_id,
                      int32_t epoch, const uint32_t *uids, size_t count, bool is_gone,
                      struct err *err)
{
    return settle(db, lease, mailbox_id, epoch, uids, count, err) &&
           run_on_uids(db, lease, is_gone ? DB_SOURCE_UID_GONE : DB_SOURCE_UID_BACK, mailbox_id,
                       epoch, uids, count, err);
}

bool source_mark_failed(struct db *db, const struct source_lease *lease, int64_t mailbox_id,
                        int32_t epoch, const struct source_uid_failure *failures, size_t count,
                        struct err *err)
{
    struct arena *arena = arena_create(SIZE_MAX);
    uint32_t *settled = arena_new_array(arena, uint32_t, count);
    int64_t *uids = arena_new_array(arena, int64_t, count);
    int64_t *seconds = arena_new_array(arena, int64_t, count);
    struct bytes *errors = arena_new_array(arena, struct bytes, count);
    bool is_done;

    for (size_t i = 0; i < count; i++) {
        settled[i] = failures[i].uid;
        uids[i] = failures[i].uid;
        seconds[i] = failures[i].retry_in_seconds;
        errors[i] = failures[i].error;
    }
    is_done =
        settle(db, lease, mailbox_id, epoch, settled, count, err) &&
        source_run_leased(db, lease, DB_SOURCE_UID_FAILED,
                          DB_ARGS(SOURCE_LEASE_ARGS(lease), DB_NULL, DB_I64(lease->account_id),
                                  DB_I64(mailbox_id), DB_I32(epoch), DB_I64S(uids, count),
                                  DB_TEXTS(errors, count), DB_I64S(seconds, count)),
                          NULL, err);
    arena_free(&arena);
    return is_done;
}
