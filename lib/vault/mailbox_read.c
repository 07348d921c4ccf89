/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/mailbox_read.c - accounts and mailboxes as a reader sees them.
 */
#include "vault/internal.h"

/* Columns of vault_mailbox_*, in vault_read.sql; a poll ends before COL_ACCOUNT_NAME. */
enum {
    COL_ACCOUNT_ID,
    COL_MAILBOX_ID,
    COL_UIDVALIDITY,
    COL_UIDNEXT,
    COL_HIGHESTMODSEQ,
    COL_MESSAGES,
    COL_UNSEEN,
    COL_DELETED,
    COL_OCTETS,
    COL_IS_NOSELECT,
    COL_IS_GONE,
    COL_ACCOUNT_NAME,
    COL_PATH,
    COL_SOURCE_NAME,
    COL_SPECIAL_USE,
};

static void read_counters(const struct db_result *rows, size_t row, struct vault_mailbox_row *out)
{
    *out =
        (struct vault_mailbox_row){ .account_id = db_i64(rows, row, COL_ACCOUNT_ID),
                                    .mailbox_id = db_i64(rows, row, COL_MAILBOX_ID),
                                    .uidvalidity = (uint32_t)db_i64(rows, row, COL_UIDVALIDITY),
                                    .uidnext = (uint64_t)db_i64(rows, row, COL_UIDNEXT),
                                    .highestmodseq = (uint64_t)db_i64(rows, row, COL_HIGHESTMODSEQ),
                                    .messages = (uint64_t)db_i64(rows, row, COL_MESSAGES),
                                    .unseen = (uint64_t)db_i64(rows, row, COL_UNSEEN),
                                    .deleted = (uint64_t)db_i64(rows, row, COL_DELETED),
                                    .octets = (uint64_t)db_i64(rows, row, COL_OCTETS),
                                    .is_noselect = db_bool(rows, row, COL_IS_NOSELECT),
                                    .is_gone = db_bool(rows, row, COL_IS_GONE) };
}

static bool read_row(const struct db_result *rows, size_t row, struct arena *arena,
                     struct vault_mailbox_row *out, struct err *err)
{
    struct vault_mailbox_row mailbox;

    read_counters(rows, row, &mailbox);
    if (!vault_copy_column(rows, row, COL_ACCOUNT_NAME, arena, &mailbox.account_name, err) ||
        !vault_copy_column(rows, row, COL_PATH, arena, &mailbox.path, err) ||
        !vault_copy_column(rows, row, COL_SOURCE_NAME, arena, &mailbox.source_name, err) ||
        !vault_copy_column(rows, row, COL_SPECIAL_USE, arena, &mailbox.special_use, err))
        return false;
    *out = mailbox;
    return true;
}

static bool is_page(size_t limit)
{
    return limit >= 1 && limit <= LIMIT_PAGE_ROWS;
}

bool vault_list_accounts(struct vault_reader *reader, struct bytes after, size_t limit,
                         struct arena *arena, const struct vault_account **rows, size_t *count,
                         struct err *err)
{
    CLEANUP(db_result_free) struct db_result *result = NULL;
    struct vault_account *accounts;
    void *room;

    assert(is_page(limit));
    if (!vault_run_queries(
            reader,
            &(struct vault_query){ DB_VAULT_ACCOUNT_LIST,
                                   DB_ARGS(DB_TEXT(vault_not_null(after)), DB_I64(limit)) },
            1, &result, err) ||
        !arena_try_alloc(arena, db_rows(result), sizeof *accounts, &room, err))
        return false;
    accounts = room;
    for (size_t i = 0; i < db_rows(result); i++) {
        accounts[i].account_id = db_i64(result, i, 0);
        if (!vault_copy_column(result, i, 1, arena, &accounts[i].name, err))
            return false;
    }
    *rows = accounts;
    *count = db_rows(result);
    return true;
}

static bool run_list(struct vault_reader *reader, struct bytes account,
                     const struct vault_mailbox_row *after, size_t limit, struct db_result **result,
                     struct err *err)
{
    struct db_value after_account = DB_TEXT(BYTES(""));
    struct db_value after_path = DB_TEXT(BYTES(""));
    struct db_value page = DB_I64(limit);

    if (after != NULL) {
        after_account = DB_TEXT(after->account_name);
        after_path = DB_TEXT(after->path);
    }
    if (account.len > 0)
        return vault_run_queries(
            reader,
            &(struct vault_query){ DB_VAULT_MAILBOX_LIST_ACCOUNT,
                                   DB_ARGS(DB_TEXT(account), after_path, page) },
            1, result, err);
    return vault_run_queries(
        reader,
        &(struct vault_query){ DB_VAULT_MAILBOX_LIST, DB_ARGS(after_account, after_path, page) }, 1,
        result, err);
}

bool vault_list_mailboxes(struct vault_reader *reader, struct bytes account,
                          const struct vault_mailbox_row *after, size_t limit, struct arena *arena,
                          const struct vault_mailbox_row **rows, size_t *count, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *result = NULL;
    struct vault_mailbox_row *mailboxes;
    void *room;

    assert(is_page(limit));
    if (!run_list(reader, account, after, limit, &result, err) ||
        !arena_try_alloc(arena, db_rows(result), sizeof *mailboxes, &room, err))
        return false;
    mailboxes = room;
    for (size_t i = 0; i < db_rows(result); i++)
        if (!read_row(result, i, arena, &mailboxes[i], err))
            return false;
    *rows = mailboxes;
    *count = db_rows(result);
    return true;
}

bool vault_find_mailbox(struct vault_reader *reader, struct bytes account, struct bytes path,
                        struct arena *arena, struct vault_mailbox_row *out, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *result = NULL;

    if (!vault_run_queries(
            reader,
            &(struct vault_query){ DB_VAULT_MAILBOX_FIND, DB_ARGS(DB_TEXT(vault_not_null(account)),
                                                                  DB_TEXT(vault_not_null(path))) },
            1, &result, err))
        return false;
    if (db_rows(result) == 0)
        return err_fail(err, ERR_ABSENT, "no such mailbox");
    return read_row(result, 0, arena, out, err);
}

static bool read_keywords(const struct db_result *rows, struct arena *arena,
                          struct vault_mailbox *out, struct err *err)
{
    size_t count = db_rows(rows) == 0 ? 0 : (size_t)db_i32(rows, db_rows(rows) - 1, 0) + 1;
    struct bytes *names;
    void *room;

    if (!arena_try_alloc(arena, count, sizeof *names, &room, err))
        return false;
    names = room;
    for (size_t i = 0; i < count; i++)
        names[i] = BYTES("");
    for (size_t i = 0; i < db_rows(rows); i++)
        if (!vault_copy_column(rows, i, 1, arena, &names[db_i32(rows, i, 0)], err))
            return false;
    out->keywords = names;
    out->keyword_count = count;
    return true;
}

static bool read_disposed(const struct db_result *rows, struct arena *arena,
                          struct vault_mailbox *out, struct err *err)
{
    struct vault_uid_range *ranges, *skipped;
    void *room;

    if (!arena_try_alloc(arena, 2 * db_rows(rows), sizeof *ranges, &room, err))
        return false;
    ranges = room;
    skipped = ranges + db_rows(rows);
    out->disposed = ranges;
    out->disposed_count = db_rows(rows);
    out->skipped = skipped;
    out->skipped_count = 0;
    for (size_t i = 0; i < db_rows(rows); i++) {
        ranges[i] =
            (struct vault_uid_range){ (uint32_t)db_i64(rows, i, 0), (uint32_t)db_i64(rows, i, 1) };
        if (db_bool(rows, i, 2))
            skipped[out->skipped_count++] = ranges[i];
    }
    return true;
}

bool vault_load_mailbox(struct vault_reader *reader, int64_t account_id, int64_t mailbox_id,
                        struct arena *arena, struct vault_mailbox *out, struct err *err)
{
    enum {
        ROW,
        KEYWORDS,
        DISPOSED,
        UNSEEN,
        COUNT
    };
    struct db_args args = DB_ARGS(DB_I64(account_id), DB_I64(mailbox_id));
    const struct vault_query queries[COUNT] = { [ROW] = { DB_VAULT_MAILBOX_LOAD, args },
                                                [KEYWORDS] = { DB_VAULT_KEYWORD_NUMBERS, args },
                                                [DISPOSED] = { DB_VAULT_MAILBOX_DISPOSED, args },
                                                [UNSEEN] = { DB_VAULT_MAILBOX_FIRST_UNSEEN,
                                                             args } };
    struct db_result *results[COUNT] = { NULL };
    struct vault_mailbox mailbox = { .first_unseen_uid = 0 };
    bool is_ok;

    if (!vault_run_queries(reader, queries, COUNT, results, err))
        return false;
    if (db_rows(results[ROW]) == 0)
        is_ok = err_fail(err, ERR_ABSENT, "no such mailbox");
    else
        is_ok = read_row(results[ROW], 0, arena, &mailbox.row, err) &&
                read_keywords(results[KEYWORDS], arena, &mailbox, err) &&
                read_disposed(results[DISPOSED], arena, &mailbox, err);
    if (is_ok) {
        if (db_rows(results[UNSEEN]) > 0)
            mailbox.first_unseen_uid = (uint32_t)db_i64(results[UNSEEN], 0, 0);
        *out = mailbox;
    }
    vault_free_results(results, COUNT);
    return is_ok;
}

bool vault_poll_mailbox(struct vault_reader *reader, int64_t account_id, int64_t mailbox_id,
                        struct vault_mailbox_row *out, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *result = NULL;

    if (!vault_run_queries(reader,
                           &(struct vault_query){ DB_VAULT_MAILBOX_POLL,
                                                  DB_ARGS(DB_I64(account_id), DB_I64(mailbox_id)) },
                           1, &result, err))
        return false;
    if (db_rows(result) == 0)
        return err_fail(err, ERR_ABSENT, "no such mailbox");
    read_counters(result, 0, out);
    return true;
}

/* ---- UIDs and sequence numbers ------------------------------------------------------------- */

static uint64_t width(struct vault_uid_range range)
{
    return (uint64_t)range.last - range.first + 1;
}

uint32_t vault_count_through_uid(const struct vault_mailbox *mailbox, uint32_t uid)
{
    uint64_t count = uid < mailbox->row.uidnext ? uid : mailbox->row.uidnext - 1;

    for (size_t i = 0; i < mailbox->disposed_count; i++) {
        struct vault_uid_range range = mailbox->disposed[i];

        if (range.first > uid)
            break;
        if (range.last > uid)
            range.last = uid;
        count -= width(range);
    }
    return (uint32_t)count;
}

uint32_t vault_count_messages(const struct vault_mailbox *mailbox)
{
    return vault_count_through_uid(mailbox, UINT32_MAX);
}

bool vault_uid_exists(const struct vault_mailbox *mailbox, uint32_t uid)
{
    if (uid == 0 || uid >= mailbox->row.uidnext)
        return false;
    for (size_t i = 0; i < mailbox->disposed_count; i++)
        if (uid >= mailbox->disposed[i].first && uid <= mailbox->disposed[i].last)
            return false;
    return true;
}

uint32_t vault_uid_at_seq(const struct vault_mailbox *mailbox, uint32_t seq)
{
    uint64_t uid = seq;

    if (seq == 0)
        return 0;
    for (size_t i = 0; i < mailbox->disposed_count && mailbox->disposed[i].first <= uid; i++)
        uid += width(mailbox->disposed[i]);
    return uid < mailbox->row.uidnext ? (uint32_t)uid : 0;
}
