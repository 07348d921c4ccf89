/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mailboxes, keywords and epochs; the UIDs are in uid.c.
 */
#include "source/mailbox.h"

#include "base/limits.h"
#include "db/db.h"
#include "source/internal.h"

static bool read_mailbox(const struct db_result *rows, size_t row, struct arena *arena,
                         struct source_mailbox *out, struct err *err)
{
    out->mailbox_id = db_i64(rows, row, 0);
    out->is_noselect = db_bool(rows, row, 3);
    out->is_gone = db_bool(rows, row, 4);
    out->epoch = (struct source_epoch){
        .number = db_i32(rows, row, 5),
        .uidvalidity = (uint32_t)db_i64(rows, row, 6),
        .uidnext = (uint64_t)db_i64(rows, row, 7),
        .highestmodseq = (uint64_t)db_i64(rows, row, 8),
        .exists = (uint64_t)db_i64(rows, row, 9),
        .enumerated_usec = source_time(rows, row, 10),
        .is_doubtful = db_bool(rows, row, 14),
        .recognises = db_bool(rows, row, 15),
        .is_settled = db_bool(rows, row, 18),
        .is_refuted = db_bool(rows, row, 19),
        .enumerated_in_usec = source_time(rows, row, 20),
    };
    out->pending = (uint64_t)db_i64(rows, row, 11);
    out->pending_due = (uint64_t)db_i64(rows, row, 12);
    out->denied = (uint64_t)db_i64(rows, row, 16);
    out->epoch.listed_usec = source_time(rows, row, 13);
    return source_copy_column(rows, row, 1, arena, &out->wire_name, err) &&
           source_copy_column(rows, row, 2, arena, &out->path, err) &&
           source_copy_column(rows, row, 17, arena, &out->object_id, err);
}

bool source_load_mailboxes(struct db *db, const struct source_lease *lease, struct arena *arena,
                           struct source_mailbox_list *out, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *rows = NULL;
    struct source_mailbox *mailboxes;

    if (!db_run(db, DB_SOURCE_MAILBOXES, DB_ARGS(DB_I64(lease->account_id)), &rows, err))
        return false;
    mailboxes = arena_new_array(arena, struct source_mailbox, db_rows(rows));
    for (size_t i = 0; i < db_rows(rows); i++)
        if (!read_mailbox(rows, i, arena, &mailboxes[i], err))
            return false;
    *out = (struct source_mailbox_list){ mailboxes, db_rows(rows) };
    return true;
}

bool source_record_left_out(struct db *db, const struct source_lease *lease,
                            const struct source_left_out_mailbox *mailboxes, size_t count,
                            struct arena *arena, struct err *err)
{
    struct bytes *paths = arena_new_array(arena, struct bytes, count);
    struct bytes *reasons = arena_new_array(arena, struct bytes, count);
    struct bytes *rules = arena_new_array(arena, struct bytes, count);

    for (size_t i = 0; i < count; i++) {
        paths[i] = mailboxes[i].path;
        reasons[i] = source_left_out_name(mailboxes[i].reason);
        rules[i] = mailboxes[i].rule;
    }
    return source_run_leased(db, lease, DB_SOURCE_LEFT_OUT,
                             DB_ARGS(SOURCE_LEASE_ARGS(lease), DB_NULL, DB_I64(lease->account_id),
                                     DB_TEXTS(paths, count), DB_TEXTS(reasons, count),
                                     DB_TEXTS(rules, count)),
                             NULL, err);
}

bool source_load_keywords(struct db *db, const struct source_lease *lease, int64_t mailbox_id,
                          struct arena *arena, struct source_keywords *out, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *rows = NULL;
    struct bytes *names;
    size_t count;

    if (!db_run(db, DB_SOURCE_KEYWORDS, DB_ARGS(DB_I64(lease->account_id), DB_I64(mailbox_id)),
                &rows, err))
        return false;
    count = db_rows(rows) == 0 ? 0 : (size_t)db_i32(rows, db_rows(rows) - 1, 0) + 1;
    names = arena_new_array(arena, struct bytes, count);
    for (size_t i = 0; i < db_rows(rows); i++)
        if (!source_copy_column(rows, i, 1, arena, &names[db_i32(rows, i, 0)], err))
            return false;
    *out = (struct source_keywords){ names, count };
    return true;
}

/* A step at a time: no statement may take longer than statement_timeout_ms allows, and each prolongs the
 * lease. Nothing is lost where it ends in between: the epoch that ends is still open then. */
static bool abandon_pending(struct db *db, const struct source_lease *lease, int64_t mailbox_id,
                            struct bytes error, struct err *err)
{
    struct db_value mailbox = DB_I64(mailbox_id), max = DB_I64(SOURCE_STEP_UIDS);
    struct db_value why = DB_TEXT(error);
    int64_t left;

    do {
        CLEANUP(db_result_free) struct db_result *row = NULL;

        if (!source_run_leased(
                db, lease, DB_SOURCE_MAILBOX_SETTLE,
                DB_ARGS(SOURCE_LEASE_ARGS(lease), DB_NULL, DB_I64(lease->account_id), mailbox, max),
                &row, err))
            return false;
        left = db_i64(row, 0, 1);
    } while (left > 0);
    do {
        CLEANUP(db_result_free) struct db_result *row = NULL;

        if (!source_run_leased(db, lease, DB_SOURCE_MAILBOX_ABANDON,
                               DB_ARGS(SOURCE_LEASE_ARGS(lease), DB_NULL, DB_I64(lease->account_id),
                                       mailbox, max, why),
                               &row, err))
            return false;
        left = db_i64(row, 0, 1);
    } while (left == SOURCE_STEP_UIDS);
    return true;
}

bool source_abandon_mailbox(struct db *db, const struct source_lease *lease, int64_t mailbox_id,
                            struct err *err)
{
    return abandon_pending(
        db, lease, mailbox_id,
        BYTES("its mailbox was at the source no more, before this one was fetched"), err);
}

bool source_open_epoch(struct db *db, const struct source_lease *lease, int64_t mailbox_id,
                       uint32_t uidvalidity, struct source_epoch *out, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *row = NULL;

    if (!abandon_pending(
            db, lease, mailbox_id,
            BYTES("the source numbered its messages anew (UIDVALIDITY) before this one was "
                  "fetched"),
            err) ||
        !source_run_leased(db, lease, DB_SOURCE_EPOCH_OPEN,
                           DB_ARGS(SOURCE_LEASE_ARGS(lease), DB_NULL, DB_I64(lease->account_id),
                                   DB_I64(mailbox_id),
                                   db_null_unless(uidvalidity != 0, DB_I64(uidvalidity))),
                           &row, err))
        return false;
    *out = (struct source_epoch){
        .number = db_i32(row, 0, 1),
        .uidvalidity = uidvalidity,
        .uidnext = 1,
        .recognises = db_bool(row, 0, 2),
    };
    return true;
}

static bool run_on_epoch(struct db *db, const struct source_lease *lease,
                         enum db_statement statement, int64_t mailbox_id, int32_t epoch,
                         struct err *err)
{
    return source_run_leased(db, lease, statement,
                             DB_ARGS(SOURCE_LEASE_ARGS(lease), DB_NULL, DB_I64(lease->account_id),
                                     DB_I64(mailbox_id), DB_I32(epoch)),
                             NULL, err);
}

bool source_expect_octets(struct db *db, const struct source_lease *lease, int64_t mailbox_id,
                          int32_t epoch, struct err *err)
{
    return run_on_epoch(db, lease, DB_SOURCE_EPOCH_OCTETS, mailbox_id, epoch, err);
}

bool source_note_whole(struct db *db, const struct source_lease *lease, int64_t mailbox_id,
                       int32_t epoch, struct err *err)
{
    return run_on_epoch(db, lease, DB_SOURCE_EPOCH_WHOLE, mailbox_id, epoch, err);
}

bool source_refute_epoch(struct db *db, const struct source_lease *lease, int64_t mailbox_id,
                         int32_t epoch, struct err *err)
{
    int64_t denied;

    do {
        CLEANUP(db_result_free) struct db_result *row = NULL;

        if (!source_run_leased(db, lease, DB_SOURCE_EPOCH_REFUTE,
                               DB_ARGS(SOURCE_LEASE_ARGS(lease), DB_NULL, DB_I64(lease->account_id),
                                       DB_I64(mailbox_id), DB_I32(epoch), DB_I64(SOURCE_STEP_UIDS)),
                               &row, err))
            return false;
        denied = db_i64(row, 0, 1);
    } while (denied > 0);
    return true;
}

bool source_finish_enumeration(struct db *db, const struct source_lease *lease, int64_t mailbox_id,
                               int32_t epoch, const struct source_enumeration *enumeration,
                               struct err *err)
{
    return source_run_leased(
        db, lease, DB_SOURCE_EPOCH_ENUMERATED,
        DB_ARGS(SOURCE_LEASE_ARGS(lease), DB_NULL, DB_I64(lease->account_id), DB_I64(mailbox_id),
                DB_I32(epoch), DB_I64(enumeration->uidnext), DB_I64(enumeration->exists),
                DB_I64(enumeration->highestmodseq), DB_BOOL(enumeration->is_listed)),
        NULL, err);
}

bool source_finish_unchanged(struct db *db, const struct source_lease *lease,
                             const int64_t *mailbox_ids, size_t count, struct err *err)
{
    return source_run_leased(db, lease, DB_SOURCE_EPOCH_UNCHANGED,
                             DB_ARGS(SOURCE_LEASE_ARGS(lease), DB_NULL, DB_I64(lease->account_id),
                                     DB_I64S(mailbox_ids, count)),
                             NULL, err);
}
