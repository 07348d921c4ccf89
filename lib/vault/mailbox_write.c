/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/mailbox_write.c - mailboxes as the source lists them.
 */
#include "vault/line.h"

/* Columns of vault_listed_find. */
enum {
    COL_ID,
    COL_PATH,
    COL_SPECIAL_USE,
    COL_IS_NOSELECT,
    COL_IS_GONE,
    COL_IS_IMPORTED,
    COL_OBJECT_ID,
};

/* The rows come in the order of bytes_compare. */
static ssize_t find_path(const struct db_result *rows, struct bytes path)
{
    size_t low = 0, high = db_rows(rows);

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = bytes_compare(db_bytes(rows, middle, COL_PATH), path);

        if (order == 0)
            return (ssize_t)middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}

struct work {
    struct vault_writer *writer;
    const struct vault_listed *listed;
    size_t count;
    struct bytes *paths;
    int64_t *ids;
    /* Those to be added, or to be changed: arrays as the statements take them. */
    struct bytes *new_names, *new_delimiters, *new_paths, *new_uses, *new_object_ids;
    struct bytes *changed_uses, *changed_object_ids;
    bool *new_noselect, *changed_noselect;
    int64_t *changed_ids;
    size_t new_count, changed_count;
};

static void make_room(struct work *work)
{
    struct arena *arena = work->writer->arena;
    size_t count = work->count;

    work->paths = arena_new_array(arena, struct bytes, count);
    work->ids = arena_new_array(arena, int64_t, count);
    work->new_names = arena_new_array(arena, struct bytes, count);
    work->new_delimiters = arena_new_array(arena, struct bytes, count);
    work->new_paths = arena_new_array(arena, struct bytes, count);
    work->new_uses = arena_new_array(arena, struct bytes, count);
    work->new_object_ids = arena_new_array(arena, struct bytes, count);
    work->new_noselect = arena_new_array(arena, bool, count);
    work->changed_ids = arena_new_array(arena, int64_t, count);
    work->changed_uses = arena_new_array(arena, struct bytes, count);
    work->changed_object_ids = arena_new_array(arena, struct bytes, count);
    work->changed_noselect = arena_new_array(arena, bool, count);
    for (size_t i = 0; i < count; i++)
        work->paths[i] = vault_not_null(work->listed[i].path);
}

/* NULL in the table: none. */
static struct bytes null_if_empty(struct bytes text)
{
    return text.len > 0 ? text : bytes_of(NULL, 0);
}

/* NULL: not told, or nothing that can be one. */
static struct bytes object_id_of(const struct vault_listed *listed)
{
    return vault_is_identity(listed->object_id) ? listed->object_id : bytes_of(NULL, 0);
}

static bool is_unchanged(const struct vault_listed *listed, const struct db_result *rows,
                         size_t row)
{
    struct bytes object_id = object_id_of(listed);

    return !db_bool(rows, row, COL_IS_GONE) &&
           db_bool(rows, row, COL_IS_NOSELECT) == listed->is_noselect &&
           bytes_equal(db_bytes(rows, row, COL_SPECIAL_USE), listed->special_use) &&
           (object_id.ptr == NULL || bytes_equal(db_bytes(rows, row, COL_OBJECT_ID), object_id));
}

/* What files were imported into is never a source's mailbox too: their UIDs would mix. */
static bool is_of_another_kind(const struct vault_listed *listed, const struct db_result *rows,
                               size_t row)
{
    return db_bool(rows, row, COL_IS_IMPORTED) != (listed->source_name.len == 0);
}

static void compare(struct work *work, const struct db_result *rows)
{
    for (size_t i = 0; i < work->count; i++) {
        const struct vault_listed *listed = &work->listed[i];
        ssize_t row = find_path(rows, listed->path);

        if (row < 0) {
            size_t at = work->new_count++;

            work->new_names[at] = vault_not_null(listed->source_name);
            work->new_delimiters[at] = null_if_empty(listed->delimiter);
            work->new_paths[at] = work->paths[i];
            work->new_uses[at] = null_if_empty(listed->special_use);
            work->new_object_ids[at] = object_id_of(listed);
            work->new_noselect[at] = listed->is_noselect;
            continue;
        }
        if (is_of_another_kind(listed, rows, (size_t)row))
            continue;
        work->ids[i] = db_i64(rows, (size_t)row, COL_ID);
        if (!is_unchanged(listed, rows, (size_t)row)) {
            size_t at = work->changed_count++;

            work->changed_ids[at] = work->ids[i];
            work->changed_uses[at] = null_if_empty(listed->special_use);
            work->changed_object_ids[at] = object_id_of(listed);
            work->changed_noselect[at] = listed->is_noselect;
        }
    }
}

static bool write_listed(struct work *work, struct err *err)
{
    struct db *db = work->writer->db;
    struct db_value account = DB_I64(work->writer->lease.account_id);
    size_t n = work->new_count, c = work->changed_count;

    return (n == 0 ||
            db_run_ok(db, DB_VAULT_LISTED_ADD,
                      DB_ARGS(account, DB_BYTEAS(work->new_names, n),
                              DB_TEXTS(work->new_delimiters, n), DB_TEXTS(work->new_paths, n),
                              DB_TEXTS(work->new_uses, n), DB_BOOLS(work->new_noselect, n),
                              DB_TEXTS(work->new_object_ids, n)),
                      err)) &&
           (c == 0 ||
            db_run_ok(db, DB_VAULT_LISTED_CHANGE,
                      DB_ARGS(account, DB_I64S(work->changed_ids, c),
                              DB_TEXTS(work->changed_uses, c), DB_BOOLS(work->changed_noselect, c),
                              DB_TEXTS(work->changed_object_ids, c)),
                      err));
}

static bool find(struct work *work, struct db_result **rows, struct err *err)
{
    return db_run(
        work->writer->db, DB_VAULT_LISTED_FIND,
        DB_ARGS(DB_I64(work->writer->lease.account_id), DB_TEXTS(work->paths, work->count)), rows,
        err);
}

/* Another job of the account may have added it meanwhile: the second look sees that one. */
static bool find_added(struct work *work, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *rows = NULL;

    if (work->new_count == 0)
        return true;
    if (!find(work, &rows, err))
        return false;
    for (size_t i = 0; i < work->count; i++) {
        ssize_t row = find_path(rows, work->listed[i].path);

        if (row < 0)
            return err_fail(err, ERR_RETRY, "a mailbox vanished while it was added");
        if (!is_of_another_kind(&work->listed[i], rows, (size_t)row))
            work->ids[i] = db_i64(rows, (size_t)row, COL_ID);
    }
    return true;
}

/* Only where something was written: whoever had the id of a new or changed mailbox, has it no more. */
static bool settle_object_ids(struct work *work, struct err *err)
{
    struct arena *arena = work->writer->arena;
    struct bytes *object_ids = arena_new_array(arena, struct bytes, work->count);
    int64_t *ids = arena_new_array(arena, int64_t, work->count);
    size_t count = 0;

    for (size_t i = 0; i < work->count; i++)
        if (work->ids[i] != 0 && object_id_of(&work->listed[i]).ptr != NULL) {
            ids[count] = work->ids[i];
            object_ids[count++] = work->listed[i].object_id;
        }
    return count == 0 || work->new_count + work->changed_count == 0 ||
           db_run_ok(work->writer->db, DB_VAULT_OBJECT_IDS_SETTLE,
                     DB_ARGS(DB_I64(work->writer->lease.account_id), DB_I64S(ids, count),
                             DB_TEXTS(object_ids, count)),
                     err);
}

static bool open_listed(struct work *work, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *rows = NULL;

    if (!vault_begin_tx(work->writer, err) || !find(work, &rows, err))
        return false;
    compare(work, rows);
    return write_listed(work, err) && find_added(work, err) && settle_object_ids(work, err) &&
           db_commit(&work->writer->tx, err);
}

/* READ COMMITTED; may be called again after ERR_RETRY. */
bool vault_open_mailboxes(struct vault_writer *writer, const struct vault_listed *listed,
                          size_t count, int64_t *mailbox_ids, struct err *err)
{
    struct work work = { .writer = writer, .listed = listed, .count = count };
    bool is_ok;

    assert(writer->state == VAULT_CLOSED || writer->state == VAULT_FILLING);
    if (!vault_settle(writer, err)) /* until then the arena is the committer's */
        return false;
    make_room(&work);
    is_ok = open_listed(&work, err);
    if (is_ok && count > 0)
        memcpy(mailbox_ids, work.ids, count * sizeof *mailbox_ids);
    if (!is_ok)
        db_rollback(&writer->tx);
    arena_reset(writer->arena);
    return is_ok;
}

bool vault_open_mailbox(struct vault_writer *writer, const struct vault_listed *listed,
                        int64_t *mailbox_id, struct err *err)
{
    return vault_open_mailboxes(writer, listed, 1, mailbox_id, err);
}

static bool rename_listed(struct vault_writer *writer, const int64_t *ids,
                          const struct vault_listed *listed, size_t count, struct err *err)
{
    struct db_value account = DB_I64(writer->lease.account_id);
    struct bytes *names = arena_new_array(writer->arena, struct bytes, count);
    struct bytes *delimiters = arena_new_array(writer->arena, struct bytes, count);
    struct bytes *paths = arena_new_array(writer->arena, struct bytes, count);

    for (size_t i = 0; i < count; i++) {
        names[i] = vault_not_null(listed[i].source_name);
        delimiters[i] = null_if_empty(listed[i].delimiter);
        paths[i] = vault_not_null(listed[i].path);
    }
    return vault_begin_tx(writer, err) &&
           db_run_ok(writer->db, DB_VAULT_MAILBOX_UNNAME, DB_ARGS(account, DB_I64S(ids, count)),
                     err) &&
           db_run_ok(writer->db, DB_VAULT_MAILBOX_RENAME,
                     DB_ARGS(account, DB_I64S(ids, count), DB_BYTEAS(names, count),
                             DB_TEXTS(delimiters, count), DB_TEXTS(paths, count)),
                     err) &&
           db_commit(&writer->tx, err);
}

bool vault_rename_mailboxes(struct vault_writer *writer, const int64_t *ids,
                            const struct vault_listed *listed, size_t count, struct err *err)
{
    bool is_ok;

    assert(writer->state == VAULT_CLOSED || writer->state == VAULT_FILLING);
    if (!vault_settle(writer, err)) /* until then the arena is the committer's */
        return false;
    is_ok = rename_listed(writer, ids, listed, count, err);
    if (!is_ok)
        db_rollback(&writer->tx);
    arena_reset(writer->arena);
    return is_ok;
}

bool vault_mark_unlisted(struct vault_writer *writer, const int64_t *listed_ids, size_t count,
                         uint64_t *newly_gone, struct err *err)
{
    uint64_t gone = 0;

    assert(writer->state == VAULT_CLOSED || writer->state == VAULT_FILLING);
    if (!vault_begin_tx(writer, err) ||
        !db_run_count(writer->db, DB_VAULT_UNLISTED_MARK,
                      DB_ARGS(DB_I64(writer->lease.account_id), DB_I64S(listed_ids, count)), &gone,
                      err) ||
        !db_commit(&writer->tx, err)) {
        db_rollback(&writer->tx);
        return false;
    }
    if (newly_gone != NULL)
        *newly_gone = gone;
    return true;
}
