/* SPDX-License-Identifier: Apache-2.0 */
#include "source/import.h"

#include "base/buf.h"
#include "db/db.h"
#include "source/internal.h"

#include <limits.h>
#include <stdio.h>
#include <unistd.h>

enum {
    ARRAYS_BYTES = 16 << 20,
    PROGRESS_BYTES = 2048,
};

/* An item of an array that is not NULL. */
static struct bytes not_null(struct bytes octets)
{
    return octets.ptr == NULL ? BYTES("") : octets;
}

struct bytes source_import_owner(int pid, char text[SOURCE_IMPORT_OWNER_BYTES])
{
    char host[HOST_NAME_MAX + 1] = "";
    int len;

    (void)gethostname(host, HOST_NAME_MAX);
    len = snprintf(text, SOURCE_IMPORT_OWNER_BYTES, "%s import %d", host, pid);
    return bytes_of(text, (size_t)len);
}

bool source_claim_import(struct db *db, int64_t job_id, struct bytes owner,
                         struct source_lease *out, bool *is_held, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *row = NULL;

    if (!db_run_ok(db, DB_SOURCE_GO_BY_KEYS, DB_NO_ARGS, err) ||
        !db_run(db, DB_IMPORT_CLAIM,
                DB_ARGS(DB_I64(job_id), DB_TEXT(owner), DB_I64(SOURCE_LEASE_SECONDS)), &row, err))
        return false;
    *is_held = db_rows(row) > 0;
    if (*is_held)
        *out = (struct source_lease){
            .job_id = job_id,
            .account_id = db_i64(row, 0, 0),
            .fence = db_i64(row, 0, 1),
            .kind = SOURCE_JOB_IMPORT,
        };
    return true;
}

static bool open_epoch(struct db *db, const struct source_lease *lease, int64_t mailbox_id,
                       int32_t *epoch, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *row = NULL;

    if (!source_run_leased(db, lease, DB_IMPORT_EPOCH_OPEN,
                           DB_ARGS(SOURCE_LEASE_ARGS(lease), DB_NULL, DB_I64(lease->account_id),
                                   DB_I64(mailbox_id)),
                           &row, err))
        return false;
    *epoch = db_i32(row, 0, 1);
    return true;
}

/* ---- files that are one message ------------------------------------------------------------------ */

bool source_open_folder(struct db *db, const struct source_lease *lease, int64_t mailbox_id,
                        int32_t *epoch, uint32_t *next_uid, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *row = NULL;

    if (!db_run(db, DB_IMPORT_FOLDER_FIND, DB_ARGS(DB_I64(lease->account_id), DB_I64(mailbox_id)),
                &row, err))
        return false;
    if (db_rows(row) == 0) {
        *next_uid = 1;
        return open_epoch(db, lease, mailbox_id, epoch, err);
    }
    if (db_i64(row, 0, 1) > UINT32_MAX)
        return err_fail(err, ERR_LIMIT, "no UID is left in mailbox %jd", (intmax_t)mailbox_id);
    *epoch = db_i32(row, 0, 0);
    *next_uid = (uint32_t)db_i64(row, 0, 1);
    return true;
}

static bool read_known(const struct db_result *rows, size_t row, struct arena *arena,
                       struct source_known_file *out, struct err *err)
{
    out->uid = (uint32_t)db_i64(rows, row, 1);
    out->file_id = db_i64(rows, row, 2);
    out->size_bytes = (uint64_t)db_i64(rows, row, 3);
    out->modified_ns = db_i64(rows, row, 4);
    out->is_stored = db_bool(rows, row, 5);
    out->placement_uid = (uint32_t)db_i64(rows, row, 7);
    return source_copy_column(rows, row, 0, arena, &out->name, err) &&
           source_copy_column(rows, row, 6, arena, &out->sha256, err);
}

bool source_find_files(struct db *db, const struct source_lease *lease, int64_t mailbox_id,
                       const struct bytes *names, size_t count, struct arena *arena,
                       struct source_known_files *out, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *rows = NULL;
    struct source_known_file *known;
    void *room;

    if (!db_run(db, DB_IMPORT_KNOWN,
                DB_ARGS(DB_I64(lease->account_id), DB_I64(mailbox_id), DB_BYTEAS(names, count)),
                &rows, err) ||
        !arena_try_alloc(arena, db_rows(rows), sizeof *known, &room, err))
        return false;
    known = room;
    for (size_t i = 0; i < db_rows(rows); i++)
        if (!read_known(rows, i, arena, &known[i], err))
            return false;
    *out = (struct source_known_files){ known, db_rows(rows) };
    return true;
}

static struct db_value progress_value(const struct source_progress *progress, struct buf *json)
{
    if (progress == NULL)
        return DB_NULL;
    source_write_progress(json, progress);
    return DB_TEXT(buf_bytes(json));
}

bool source_announce_files(struct db *db, const struct source_lease *lease, int64_t mailbox_id,
                           int32_t epoch, const struct source_file *files, size_t count,
                           const struct source_progress *progress, struct err *err)
{
    CLEANUP(buf_free) struct buf json = buf_create(PROGRESS_BYTES);
    CLEANUP(arena_free) struct arena *arena = arena_create(ARRAYS_BYTES);
    int64_t *uids = arena_new_array(arena, int64_t, count);
    int64_t *sizes = arena_new_array(arena, int64_t, count);
    int64_t *modified = arena_new_array(arena, int64_t, count);
    struct bytes *names = arena_new_array(arena, struct bytes, count);
    struct bytes *paths = arena_new_array(arena, struct bytes, count);

    for (size_t i = 0; i < count; i++) {
        uids[i] = files[i].uid;
        sizes[i] = (int64_t)files[i].size_bytes;
        modified[i] = files[i].modified_ns;
        names[i] = not_null(files[i].name);
        paths[i] = not_null(files[i].path);
    }
    return source_run_leased(db, lease, DB_IMPORT_ANNOUNCE_FILES,
                             DB_ARGS(SOURCE_LEASE_ARGS(lease), progress_value(progress, &json),
                                     DB_I64(lease->account_id), DB_I64(mailbox_id), DB_I32(epoch),
                                     DB_I64S(uids, count), DB_BYTEAS(names, count),
                                     DB_BYTEAS(paths, count), DB_I64S(sizes, count),
                                     DB_I64S(modified, count)),
                             NULL, err);
}

bool source_touch_file(struct db *db, const struct source_lease *lease, int64_t file_id,
                       uint64_t size_bytes, int64_t modified_ns, struct err *err)
{
    return source_run_leased(db, lease, DB_IMPORT_TOUCH,
                             DB_ARGS(SOURCE_LEASE_ARGS(lease), DB_NULL, DB_I64(lease->account_id),
                                     DB_I64(file_id), DB_I64((int64_t)size_bytes),
                                     DB_I64(modified_ns)),
                             NULL, err);
}

/* ---- mboxes -------------------------------------------------------------------------------------- */

static bool open_version(struct db *db, const struct source_lease *lease, int64_t mailbox_id,
                         const struct source_file *file, struct source_mbox *out, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *row = NULL;

    *out = (struct source_mbox){ 0 };
    if (!open_epoch(db, lease, mailbox_id, &out->epoch, err) ||
        !source_run_leased(db, lease, DB_IMPORT_MBOX_OPEN,
                           DB_ARGS(SOURCE_LEASE_ARGS(lease), DB_NULL, DB_I64(lease->account_id),
                                   DB_I64(mailbox_id), DB_I32(out->epoch), DB_BYTEA(file->name),
                                   DB_BYTEA(file->path), DB_I64((int64_t)file->size_bytes),
                                   DB_I64(file->modified_ns), DB_TEXT(file->mbox_format),
                                   DB_TEXT(BYTES("the file has changed since, and was read anew"))),
                           &row, err))
        return false;
    out->file_id = db_i64(row, 0, 1);
    return true;
}

bool source_open_mbox(struct db *db, const struct source_lease *lease, int64_t mailbox_id,
                      const struct source_file *file, struct source_mbox *out, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *row = NULL;

    if (!db_run(db, DB_IMPORT_MBOX_FIND,
                DB_ARGS(DB_I64(lease->account_id), DB_I64(mailbox_id), DB_BYTEA(file->name),
                        DB_I64((int64_t)file->size_bytes), DB_I64(file->modified_ns),
                        DB_TEXT(file->mbox_format)),
                &row, err))
        return false;
    if (db_rows(row) == 0)
        return open_version(db, lease, mailbox_id, file, out, err);
    *out = (struct source_mbox){
        .file_id = db_i64(row, 0, 0),
        .epoch = db_i32(row, 0, 1),
        .is_read = db_bool(row, 0, 2),
    };
    return source_run_leased(db, lease, DB_IMPORT_MBOX_REVIVE,
                             DB_ARGS(SOURCE_LEASE_ARGS(lease), DB_NULL, DB_I64(lease->account_id),
                                     DB_I64(mailbox_id), DB_I32(out->epoch)),
                             NULL, err);
}

struct span_columns {
    int64_t *uids, *offsets, *bytes, *sizes, *dates;
    int16_t *zones;
    bool *undated;
};

static struct span_columns make_columns(const struct source_span *spans, size_t count,
                                        struct arena *arena)
{
    struct span_columns columns = {
        .uids = arena_new_array(arena, int64_t, count),
        .offsets = arena_new_array(arena, int64_t, count),
        .bytes = arena_new_array(arena, int64_t, count),
        .sizes = arena_new_array(arena, int64_t, count),
        .dates = arena_new_array(arena, int64_t, count),
        .zones = arena_new_array(arena, int16_t, count),
        .undated = arena_new_array(arena, bool, count),
    };

    for (size_t i = 0; i < count; i++) {
        columns.uids[i] = spans[i].uid;
        columns.offsets[i] = (int64_t)spans[i].offset;
        columns.bytes[i] = (int64_t)spans[i].bytes;
        columns.sizes[i] = (int64_t)spans[i].size_bytes;
        columns.dates[i] = spans[i].internal_usec;
        columns.zones[i] = spans[i].internal_zone;
        columns.undated[i] = !spans[i].has_date;
    }
    return columns;
}

bool source_announce_spans(struct db *db, const struct source_lease *lease, int64_t mailbox_id,
                           const struct source_mbox *mbox, const struct source_span *spans,
                           size_t count, const struct source_progress *progress, struct err *err)
{
    CLEANUP(buf_free) struct buf json = buf_create(PROGRESS_BYTES);
    CLEANUP(arena_free) struct arena *arena = arena_create(ARRAYS_BYTES);
    struct span_columns c = make_columns(spans, count, arena);

    return source_run_leased(
        db, lease, DB_IMPORT_ANNOUNCE_SPANS,
        DB_ARGS(SOURCE_LEASE_ARGS(lease), progress_value(progress, &json),
                DB_I64(lease->account_id), DB_I64(mailbox_id), DB_I32(mbox->epoch),
                DB_I64(mbox->file_id), DB_I64S(c.uids, count), DB_I64S(c.offsets, count),
                DB_I64S(c.bytes, count), DB_I64S(c.sizes, count),
                db_with_nulls(DB_TIMES(c.dates, count), c.undated), DB_I16S(c.zones, count)),
        NULL, err);
}

bool source_load_spans(struct db *db, const struct source_lease *lease, int64_t mailbox_id,
                       int32_t epoch, uint32_t after, size_t max, struct arena *arena,
                       const struct source_span **spans, size_t *count, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *rows = NULL;
    struct source_span *found;
    void *room;

    if (!db_run(db, DB_IMPORT_SPANS,
                DB_ARGS(DB_I64(lease->account_id), DB_I64(mailbox_id), DB_I32(epoch), DB_I64(after),
                        DB_I64(max)),
                &rows, err) ||
        !arena_try_alloc(arena, db_rows(rows), sizeof *found, &room, err))
        return false;
    found = room;
    for (size_t i = 0; i < db_rows(rows); i++)
        found[i] = (struct source_span){
            .uid = (uint32_t)db_i64(rows, i, 0),
            .offset = (uint64_t)db_i64(rows, i, 1),
            .bytes = (uint64_t)db_i64(rows, i, 2),
            .size_bytes = (uint64_t)db_i64(rows, i, 3),
            .has_date = !db_is_null(rows, i, 4),
            .internal_usec = source_time(rows, i, 4),
            .internal_zone = db_i16(rows, i, 5),
        };
    *spans = found;
    *count = db_rows(rows);
    return true;
}

/* ---- either -------------------------------------------------------------------------------------- */

bool source_count_import(struct db *db, const struct source_lease *lease, int64_t mailbox_id,
                         int32_t epoch, int64_t file_id, struct err *err)
{
    return source_run_leased(db, lease, DB_IMPORT_COUNT,
                             DB_ARGS(SOURCE_LEASE_ARGS(lease), DB_NULL, DB_I64(lease->account_id),
                                     DB_I64(mailbox_id), DB_I32(epoch), DB_I64(file_id)),
                             NULL, err);
}

bool source_note_problem(struct db *db, const struct source_lease *lease, struct bytes path,
                         bool is_failure, struct bytes why, struct err *err)
{
    return source_run_leased(
        db, lease, DB_IMPORT_NOTE_PROBLEM,
        DB_ARGS(SOURCE_LEASE_ARGS(lease), DB_NULL, DB_I64(lease->account_id), DB_BYTEA(path),
                DB_TEXT(is_failure ? BYTES("failed") : BYTES("left_out")), DB_TEXT(why)),
        NULL, err);
}

bool source_has_problems(struct db *db, const struct source_lease *lease, bool *has,
                         struct err *err)
{
    CLEANUP(db_result_free) struct db_result *row = NULL;

    if (!db_run_one(db, DB_IMPORT_HAS_PROBLEMS, DB_ARGS(DB_I64(lease->account_id)), &row, err))
        return false;
    *has = db_bool(row, 0, 0);
    return true;
}

bool source_settle_problems(struct db *db, const struct source_lease *lease,
                            const struct bytes *paths, size_t count, struct err *err)
{
    return source_run_leased(db, lease, DB_IMPORT_SETTLE,
                             DB_ARGS(SOURCE_LEASE_ARGS(lease), DB_NULL, DB_I64(lease->account_id),
                                     DB_BYTEAS(paths, count)),
                             NULL, err);
}

/* ---- the operator's side -------------------------------------------------------------------------- */

bool source_list_problems(struct db *db, int64_t account_id, int64_t since_usec, size_t max,
                          struct arena *arena, struct source_problem_list *out, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *rows = NULL;
    struct source_problem *found;
    void *room;

    if (!db_run(db, DB_IMPORT_PROBLEMS,
                DB_ARGS(DB_I64(account_id), DB_TIME(since_usec), DB_I64(max)), &rows, err) ||
        !arena_try_alloc(arena, db_rows(rows), sizeof *found, &room, err))
        return false;
    found = room;
    for (size_t i = 0; i < db_rows(rows); i++) {
        found[i].is_failure = db_bool(rows, i, 1);
        found[i].noted_usec = source_time(rows, i, 3);
        if (!source_copy_column(rows, i, 0, arena, &found[i].path, err) ||
            !source_copy_column(rows, i, 2, arena, &found[i].why, err))
            return false;
    }
    *out = (struct source_problem_list){ found, db_rows(rows) };
    return true;
}
