/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/append.h"

#include "audit/internal.h"
#include "base/limits.h"

#include <stdlib.h>

/* The columns of the lines as arrays, in one piece of memory. */
struct columns {
    struct bytes tokens[AUDIT_APPEND_MAX], kinds[AUDIT_APPEND_MAX], details[AUDIT_APPEND_MAX];
    int64_t accounts[AUDIT_APPEND_MAX], mailboxes[AUDIT_APPEND_MAX];
    bool no_account[AUDIT_APPEND_MAX], no_mailbox[AUDIT_APPEND_MAX];
};

static void fill(struct columns *c, const struct audit_line *lines, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct audit_line *line = &lines[i];

        c->tokens[i] = line->token.len > 0 ? line->token : bytes_of(NULL, 0); /* NULL */
        c->kinds[i] = bytes_of_text(audit_kind_name(line->kind));
        c->details[i] = line->detail;
        c->accounts[i] = line->account_id;
        c->no_account[i] = line->account_id == 0;
        c->mailboxes[i] = line->mailbox_id;
        c->no_mailbox[i] = line->mailbox_id == 0;
    }
}

bool audit_append_lines(struct db *db, const struct audit_line *lines, size_t count,
                        struct err *err)
{
    struct columns *c;
    bool is_done;

    assert(count <= AUDIT_APPEND_MAX);
    c = malloc(sizeof *c);
    if (c == NULL)
        return err_errno(err, "audit: %zu events", count);
    fill(c, lines, count);
    is_done = db_run_ok(db, DB_AUDIT_APPEND,
                        DB_ARGS(DB_TEXTS(c->tokens, count), DB_TEXTS(c->kinds, count),
                                db_with_nulls(DB_I64S(c->accounts, count), c->no_account),
                                db_with_nulls(DB_I64S(c->mailboxes, count), c->no_mailbox),
                                DB_TEXTS(c->details, count)),
                        err);
    free(c);
    return is_done;
}

bool audit_append_many(struct db *db, const struct audit_event *events, size_t count,
                       struct err *err)
{
    CLEANUP(buf_free) struct buf details = buf_create(count * AUDIT_DETAIL_BYTES);
    struct audit_line *lines;
    size_t start = 0;
    struct bytes all;
    bool is_good = true;

    if (count == 0)
        return true;
    if (count > AUDIT_APPEND_MAX)
        return err_fail(err, ERR_LIMIT, "audit: %zu events at once, at most %d", count,
                        AUDIT_APPEND_MAX);
    lines = calloc(count, sizeof *lines);
    if (lines == NULL)
        return err_errno(err, "audit: %zu events", count);

    for (size_t i = 0; i < count && is_good; i++) {
        is_good = audit_check_token(events[i].token, err) &&
                  audit_write_detail(events[i].fields, &details, err);
        lines[i] = (struct audit_line){ .kind = events[i].kind,
                                        .token = events[i].token,
                                        .account_id = events[i].account_id,
                                        .mailbox_id = events[i].mailbox_id,
                                        .detail = { NULL, details.len - start } };
        start = details.len;
    }
    is_good = is_good && buf_done(&details, &all, err);
    start = 0;
    for (size_t i = 0; i < count && is_good; i++) { /* the buffer moves no more */
        lines[i].detail.ptr = all.ptr + start;
        start += lines[i].detail.len;
    }
    is_good = is_good && audit_append_lines(db, lines, count, err);
    free(lines);
    return is_good;
}

bool audit_append_one(struct db *db, const struct audit_event *event, struct err *err)
{
    return audit_append_many(db, event, 1, err);
}

/* ---- reading ----------------------------------------------------------------------------------- */

static bool copy_text(const struct db_result *rows, size_t row, size_t col, struct arena *arena,
                      struct bytes *out, struct err *err)
{
    struct bytes text = db_bytes(rows, row, col);

    return arena_try_copy(arena, text, text.len, out, err);
}

static int64_t number_or_0(const struct db_result *rows, size_t row, size_t col)
{
    return db_is_null(rows, row, col) ? 0 : db_i64(rows, row, col);
}

static bool read_row(const struct db_result *rows, size_t i, struct arena *arena,
                     struct audit_row *out, struct err *err)
{
    *out = (struct audit_row){
        .event_id = db_i64(rows, i, 0),
        .at_usec = db_time_usec(rows, i, 1),
        .session_id = number_or_0(rows, i, 3),
        .auditor_id = number_or_0(rows, i, 4),
        .account_id = number_or_0(rows, i, 7),
        .mailbox_id = number_or_0(rows, i, 8),
    };
    return copy_text(rows, i, 2, arena, &out->process, err) &&
           copy_text(rows, i, 5, arena, &out->auditor_name, err) &&
           copy_text(rows, i, 6, arena, &out->event, err) &&
           copy_text(rows, i, 9, arena, &out->detail, err);
}

bool audit_list(struct db *db, const struct audit_query *query, struct arena *arena,
                const struct audit_row **out, size_t *count, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *rows = NULL;
    size_t max_rows = query->max_rows == 0 || query->max_rows > LIMIT_PAGE_ROWS ? LIMIT_PAGE_ROWS
                                                                                : query->max_rows;
    struct audit_row *list;
    void *room;

    if (!db_run(db, DB_AUDIT_LIST,
                DB_ARGS(DB_I64(query->after_event_id),
                        db_null_unless(query->since_usec != 0, DB_TIME(query->since_usec)),
                        db_null_unless(query->until_usec != 0, DB_TIME(query->until_usec)),
                        db_null_unless(query->auditor_name.len > 0, DB_TEXT(query->auditor_name)),
                        db_null_unless(query->account_id != 0, DB_I64(query->account_id)),
                        db_null_unless(query->event.len > 0, DB_TEXT(query->event)),
                        DB_I64(max_rows)),
                &rows, err) ||
        !arena_try_alloc(arena, db_rows(rows), sizeof *list, &room, err))
        return false;
    list = room;
    for (size_t i = 0; i < db_rows(rows); i++)
        if (!read_row(rows, i, arena, &list[i], err))
            return false;
    *out = list;
    *count = db_rows(rows);
    return true;
}
