/* SPDX-License-Identifier: Apache-2.0 */
/*
 * auth/list.c - auditors and their grants, for the operator. Reads only.
 */
#include "auth/internal.h"

static bool copy_text(const struct db_result *rows, size_t row, size_t col, struct arena *arena,
                      struct bytes *out, struct err *err)
{
    struct bytes text = db_bytes(rows, row, col);

    return arena_try_copy(arena, text, text.len, out, err);
}

static int64_t time_or_0(const struct db_result *rows, size_t row, size_t col)
{
    return db_is_null(rows, row, col) ? 0 : db_time_usec(rows, row, col);
}

static bool read_networks(const struct db_result *rows, size_t row, size_t col, struct arena *arena,
                          struct auth_auditor *out, struct err *err)
{
    const struct bytes *borrowed;
    struct bytes *networks;
    size_t count;
    void *room;

    if (!db_bytes_array(rows, row, col, arena, &borrowed, &count, err) ||
        !arena_try_alloc(arena, count, sizeof *networks, &room, err))
        return false;
    networks = room;
    for (size_t i = 0; i < count; i++)
        if (!arena_try_copy(arena, borrowed[i], borrowed[i].len, &networks[i], err))
            return false;
    out->networks = networks;
    out->network_count = count;
    return true;
}

static bool read_auditor(const struct db_result *rows, size_t row, struct arena *arena,
                         struct auth_auditor *out, struct err *err)
{
    struct auth_auditor auditor = {
        .auditor_id = db_i64(rows, row, 0),
        .created_at_usec = db_time_usec(rows, row, 2),
        .expires_at_usec = time_or_0(rows, row, 3),
        .disabled_at_usec = time_or_0(rows, row, 4),
        .live_sessions = db_i64(rows, row, 6),
        .last_login_usec = time_or_0(rows, row, 7),
        .grant_count = db_i64(rows, row, 8),
    };

    if (!copy_text(rows, row, 1, arena, &auditor.name, err) ||
        !read_networks(rows, row, 5, arena, &auditor, err))
        return false;
    *out = auditor;
    return true;
}

bool auth_list_auditors(struct db *db, struct arena *arena, const struct auth_auditor **out,
                        size_t *count, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *rows = NULL;
    struct auth_auditor *list;
    void *room;

    if (!db_run(db, DB_AUTH_AUDITOR_LIST, DB_ARGS(DB_NULL), &rows, err) ||
        !arena_try_alloc(arena, db_rows(rows), sizeof *list, &room, err))
        return false;
    list = room;
    for (size_t i = 0; i < db_rows(rows); i++)
        if (!read_auditor(rows, i, arena, &list[i], err))
            return false;
    *out = list;
    *count = db_rows(rows);
    return true;
}

static bool read_grants(struct db *db, int64_t auditor_id, struct arena *arena,
                        const struct auth_grant_row **out, size_t *count, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *rows = NULL;
    struct auth_grant_row *grants;
    void *room;

    if (!db_run(db, DB_AUTH_GRANT_LIST, DB_ARGS(DB_I64(auditor_id)), &rows, err) ||
        !arena_try_alloc(arena, db_rows(rows), sizeof *grants, &room, err))
        return false;
    grants = room;
    for (size_t i = 0; i < db_rows(rows); i++) {
        grants[i].grant_id = db_i64(rows, i, 0);
        grants[i].account_id = db_is_null(rows, i, 1) ? 0 : db_i64(rows, i, 1);
        grants[i].created_at_usec = db_time_usec(rows, i, 4);
        if (!copy_text(rows, i, 2, arena, &grants[i].account_name, err) ||
            !copy_text(rows, i, 3, arena, &grants[i].matter_name, err))
            return false;
    }
    *out = grants;
    *count = db_rows(rows);
    return true;
}

bool auth_show_auditor(struct db *db, struct bytes name, struct arena *arena,
                       struct auth_auditor *out, const struct auth_grant_row **grants,
                       size_t *grant_count, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *rows = NULL;
    struct auth_auditor auditor;

    if (!auth_is_name(name))
        return err_fail(err, ERR_ABSENT, "there is no such auditor");
    if (!db_run(db, DB_AUTH_AUDITOR_LIST, DB_ARGS(DB_TEXT(name)), &rows, err))
        return false;
    if (db_rows(rows) == 0)
        return err_fail(err, ERR_ABSENT,
                        "there is no such auditor; 'holdfast auditor list' shows them");
    if (!read_auditor(rows, 0, arena, &auditor, err) ||
        !read_grants(db, auditor.auditor_id, arena, grants, grant_count, err))
        return false;
    *out = auditor;
    return true;
}
