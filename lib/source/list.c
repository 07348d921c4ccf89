/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accounts, mailboxes and failures as rows for the operator.
 */
#include "base/limits.h"
#include "db/db.h"
#include "source/account.h"
#include "source/internal.h"

enum {
    COLUMN_BYTES = 1 << 20, /* of one text: a CA file is the longest */
};

bool source_copy_column(const struct db_result *rows, size_t row, size_t col, struct arena *arena,
                        struct bytes *out, struct err *err)
{
    return arena_try_copy(arena, db_bytes(rows, row, col), COLUMN_BYTES, out, err);
}

int64_t source_time(const struct db_result *rows, size_t row, size_t col)
{
    return db_is_null(rows, row, col) ? 0 : db_time_usec(rows, row, col);
}

bool source_copy_texts(const struct db_result *rows, size_t row, size_t col, struct arena *arena,
                       const struct bytes **out, size_t *count, struct err *err)
{
    const struct bytes *borrowed;
    struct bytes *copies;
    size_t found;

    if (!db_bytes_array(rows, row, col, arena, &borrowed, &found, err))
        return false;
    copies = arena_new_array(arena, struct bytes, found);
    for (size_t i = 0; i < found; i++)
        if (!arena_try_copy(arena, borrowed[i], COLUMN_BYTES, &copies[i], err))
            return false;
    *out = copies;
    *count = found;
    return true;
}

static bool read_namespaces(const struct db_result *rows, size_t row, size_t col,
                            struct arena *arena, uint32_t *out, struct err *err)
{
    const struct bytes *names;
    size_t count;

    if (!db_bytes_array(rows, row, col, arena, &names, &count, err))
        return false;
    *out = 0;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < SOURCE_NAMESPACES; k++)
            if (bytes_equal(names[i], source_namespace_name(k)))
                *out |= UINT32_C(1) << k;
    return true;
}

static enum source_tls tls_of(struct bytes name)
{
    if (bytes_equal(name, BYTES("implicit")))
        return SOURCE_TLS_IMPLICIT;
    return bytes_equal(name, BYTES("none")) ? SOURCE_TLS_NONE : SOURCE_TLS_STARTTLS;
}

bool source_read_settings(const struct db_result *rows, size_t row, size_t col, struct arena *arena,
                          struct source_account_settings *out, struct err *err)
{
    out->port = (uint16_t)db_i32(rows, row, col + 1);
    out->tls = tls_of(db_bytes(rows, row, col + 3));
    out->every_seconds = db_i32(rows, row, col + 7);
    out->is_pin_only = db_bool(rows, row, col + 10);
    if (!read_namespaces(rows, row, col + 8, arena, &out->namespaces, err))
        return false;
    return source_copy_column(rows, row, col, arena, &out->host, err) &&
           source_copy_column(rows, row, col + 2, arena, &out->login, err) &&
           source_copy_column(rows, row, col + 4, arena, &out->tls_ca, err) &&
           source_copy_texts(rows, row, col + 5, arena, &out->include, &out->include_count, err) &&
           source_copy_texts(rows, row, col + 6, arena, &out->exclude, &out->exclude_count, err) &&
           source_copy_texts(rows, row, col + 9, arena, &out->tls_pins, &out->tls_pin_count, err) &&
           source_copy_column(rows, row, col + 11, arena, &out->login_as, err);
}

static bool read_account(const struct db_result *rows, size_t row, struct arena *arena,
                         struct source_account *out, struct err *err)
{
    out->account_id = db_i64(rows, row, 0);
    out->is_paused = db_bool(rows, row, 15);
    out->has_secret = db_bool(rows, row, 16);
    out->created_usec = source_time(rows, row, 17);
    out->removed_usec = source_time(rows, row, 18);
    out->mailboxes = (uint64_t)db_i64(rows, row, 19);
    out->messages = (uint64_t)db_i64(rows, row, 20);
    out->octets = (uint64_t)db_i64(rows, row, 21);
    out->pending = (uint64_t)db_i64(rows, row, 22);
    out->enumerated_usec = source_time(rows, row, 23);
    out->longest_gap_usec = db_i64(rows, row, 24);
    return source_copy_column(rows, row, 1, arena, &out->settings.name, err) &&
           source_copy_column(rows, row, 2, arena, &out->kind, err) &&
           source_read_settings(rows, row, 3, arena, &out->settings, err) &&
           source_read_run(rows, row, 25, arena, &out->run, err);
}

static bool list_accounts(struct db *db, int64_t account_id, bool with_removed, struct arena *arena,
                          struct source_account_list *out, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *rows = NULL;
    struct source_account *accounts;

    if (!db_run(db, DB_SOURCE_ACCOUNT_LIST, DB_ARGS(DB_I64(account_id), DB_BOOL(with_removed)),
                &rows, err))
        return false;
    accounts = arena_new_array(arena, struct source_account, db_rows(rows));
    for (size_t i = 0; i < db_rows(rows); i++)
        if (!read_account(rows, i, arena, &accounts[i], err))
            return false;
    *out = (struct source_account_list){ accounts, db_rows(rows) };
    return true;
}

bool source_list_accounts(struct db *db, bool with_removed, struct arena *arena,
                          struct source_account_list *out, struct err *err)
{
    return list_accounts(db, 0, with_removed, arena, out, err);
}

bool source_show_account(struct db *db, int64_t account_id, struct arena *arena,
                         struct source_account *out, struct err *err)
{
    struct source_account_list found;

    if (!list_accounts(db, account_id, true, arena, &found, err))
        return false;
    if (found.count == 0)
        return err_fail(err, ERR_ABSENT, "no account with id %jd", (intmax_t)account_id);
    *out = found.rows[0];
    return true;
}

static bool read_facts(const struct db_result *rows, size_t row, struct arena *arena,
                       struct source_mailbox_facts *out, struct err *err)
{
    out->mailbox_id = db_i64(rows, row, 0);
    out->is_noselect = db_bool(rows, row, 2);
    out->gone_usec = source_time(rows, row, 3);
    out->messages = (uint64_t)db_i64(rows, row, 4);
    out->octets = (uint64_t)db_i64(rows, row, 5);
    out->epoch = db_i32(rows, row, 6);
    out->uidvalidity = (uint32_t)db_i64(rows, row, 7);
    out->exists = (uint64_t)db_i64(rows, row, 8);
    out->stored = (uint64_t)db_i64(rows, row, 9);
    out->pending = (uint64_t)db_i64(rows, row, 10);
    out->gone = (uint64_t)db_i64(rows, row, 11);
    out->skipped = (uint64_t)db_i64(rows, row, 12);
    out->stored_gone = (uint64_t)db_i64(rows, row, 13);
    out->enumerated_usec = source_time(rows, row, 14);
    out->longest_gap_usec = db_i64(rows, row, 15);
    out->recognised = (uint64_t)db_i64(rows, row, 16);
    return source_copy_column(rows, row, 1, arena, &out->path, err) &&
           source_copy_column(rows, row, 17, arena, &out->former_path, err);
}

bool source_list_mailbox_facts(struct db *db, int64_t account_id, struct arena *arena,
                               struct source_mailbox_facts_list *out, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *rows = NULL;
    struct source_mailbox_facts *facts;

    if (!db_run(db, DB_SOURCE_FACTS_LIST, DB_ARGS(DB_I64(account_id)), &rows, err))
        return false;
    facts = arena_new_array(arena, struct source_mailbox_facts, db_rows(rows));
    for (size_t i = 0; i < db_rows(rows); i++)
        if (!read_facts(rows, i, arena, &facts[i], err))
            return false;
    *out = (struct source_mailbox_facts_list){ facts, db_rows(rows) };
    return true;
}

static const struct bytes left_out_names[SOURCE_LEFT_OUT_REASONS] = {
    [SOURCE_LEFT_OUT_BY_PATTERN] = BYTES_INIT("pattern"),
    [SOURCE_LEFT_OUT_OTHERS] = BYTES_INIT("others"),
    [SOURCE_LEFT_OUT_SHARED] = BYTES_INIT("shared"),
};

struct bytes source_left_out_name(enum source_left_out reason)
{
    return left_out_names[reason];
}

enum source_left_out source_left_out_of(struct bytes name)
{
    enum source_left_out reason = SOURCE_LEFT_OUT_BY_PATTERN;

    while (reason + 1 < SOURCE_LEFT_OUT_REASONS && !bytes_equal(name, left_out_names[reason]))
        reason++;
    return reason;
}

bool source_list_left_out(struct db *db, int64_t account_id, struct arena *arena,
                          struct source_left_out_list *out, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *rows = NULL;
    struct source_left_out_mailbox *mailboxes;

    if (!db_run(db, DB_SOURCE_LEFT_OUT_LIST, DB_ARGS(DB_I64(account_id)), &rows, err))
        return false;
    mailboxes = arena_new_array(arena, struct source_left_out_mailbox, db_rows(rows));
    for (size_t i = 0; i < db_rows(rows); i++) {
        mailboxes[i].reason = source_left_out_of(db_bytes(rows, i, 1));
        mailboxes[i].since_usec = db_time_usec(rows, i, 2);
        if (!source_copy_column(rows, i, 0, arena, &mailboxes[i].path, err) ||
            !source_copy_column(rows, i, 3, arena, &mailboxes[i].rule, err))
            return false;
    }
    *out = (struct source_left_out_list){ mailboxes, db_rows(rows) };
    return true;
}

static bool read_failure(const struct db_result *rows, size_t row, struct arena *arena,
                         struct source_failure *out, struct err *err)
{
    out->account_id = db_i64(rows, row, 0);
    out->mailbox_id = db_i64(rows, row, 1);
    out->epoch = db_i32(rows, row, 4);
    out->uid = (uint32_t)db_i64(rows, row, 5);
    out->attempts = db_i32(rows, row, 6);
    out->first_seen_usec = source_time(rows, row, 8);
    out->next_try_usec = source_time(rows, row, 9);
    return source_copy_column(rows, row, 2, arena, &out->account_name, err) &&
           source_copy_column(rows, row, 3, arena, &out->path, err) &&
           source_copy_column(rows, row, 7, arena, &out->error, err);
}

bool source_list_failures(struct db *db, int64_t account_id, size_t max, struct arena *arena,
                          struct source_failure_list *out, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *rows = NULL;
    struct source_failure *failures;

    if (!db_run(db, DB_SOURCE_FAILURE_LIST, DB_ARGS(DB_I64(account_id), DB_I64(max)), &rows, err))
        return false;
    failures = arena_new_array(arena, struct source_failure, db_rows(rows));
    for (size_t i = 0; i < db_rows(rows); i++)
        if (!read_failure(rows, i, arena, &failures[i], err))
            return false;
    *out = (struct source_failure_list){ failures, db_rows(rows) };
    return true;
}

bool source_retry_failures(struct db *db, int64_t account_id, uint64_t *affected, struct err *err)
{
    return db_run_count(db, DB_SOURCE_FAILURE_RETRY, DB_ARGS(DB_I64(account_id)), affected, err);
}

bool source_count_recognised(struct db *db, uint64_t *count, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *row = NULL;

    if (!db_run_one(db, DB_SOURCE_RECOGNISED_COUNT, DB_NO_ARGS, &row, err))
        return false;
    *count = (uint64_t)db_i64(row, 0, 0);
    return true;
}

bool source_deny_recognised(struct db *db, int64_t account_id, uint64_t *affected, struct err *err)
{
    uint64_t denied = 0;
    int64_t some;

    do {
        CLEANUP(db_result_free) struct db_result *row = NULL;

        if (!db_run_one(db, DB_SOURCE_DENY_RECOGNISED,
                        DB_ARGS(DB_I64(account_id), DB_I64(SOURCE_STEP_UIDS)), &row, err))
            return false;
        some = db_i64(row, 0, 0);
        denied += (uint64_t)some;
    } while (some > 0);
    *affected = denied;
    return true;
}
