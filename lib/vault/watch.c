/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/watch.c - see watch.h. The channel is written by vault_mailbox_grow (db/sql/vault_write.sql).
 */
#include "vault/watch.h"

#include "db/pool.h"
#include "vault/internal.h"

#include <stdlib.h>

static const char channel[] = "holdfast_mailbox";

enum {
    CONNECT_MS = 5000
};

struct vault_watch {
    struct db_pool *pool; /* of one connection; copies the target */
    struct db_loan loan;  /* db NULL: not connected */
};

bool vault_create_watch(const struct db_target *target, struct vault_watch **out, struct err *err)
{
    struct vault_watch *watch = calloc(1, sizeof *watch);

    if (watch == NULL)
        return err_errno(err, "watch");
    if (!db_pool_create(target, 1, &watch->pool, err)) {
        free(watch);
        return false;
    }
    *out = watch;
    return true;
}

void vault_free_watch(struct vault_watch **watch)
{
    if (*watch == NULL)
        return;
    db_pool_return(&(*watch)->loan);
    db_pool_free(&(*watch)->pool);
    free(*watch);
    *watch = NULL;
}

/* A broken connection is closed by giving it back. */
static void drop_if_broken(struct vault_watch *watch)
{
    if (watch->loan.db != NULL && db_is_broken(watch->loan.db))
        db_pool_return(&watch->loan);
}

bool vault_connect_watch(struct vault_watch *watch, bool *is_new, struct err *err)
{
    *is_new = false;
    drop_if_broken(watch);
    if (watch->loan.db != NULL)
        return true;
    if (!db_pool_borrow(watch->pool, deadline_after_ms(CONNECT_MS), &watch->loan, err))
        return err_wrap(err, "watch");
    if (!db_listen(watch->loan.db, channel, err)) {
        db_pool_return(&watch->loan);
        return err_wrap(err, "watch");
    }
    *is_new = true;
    return true;
}

int vault_watch_fd(const struct vault_watch *watch)
{
    return watch->loan.db == NULL ? -1 : db_fd(watch->loan.db);
}

bool vault_read_hint(struct bytes payload, struct vault_hint *out)
{
    uint64_t account;
    uint64_t mailbox;

    if (!scan_u64(&payload, &account) || !scan_byte(&payload, ' ') ||
        !scan_u64(&payload, &mailbox) || payload.len > 0 || account > INT64_MAX ||
        mailbox > INT64_MAX)
        return false;
    *out = (struct vault_hint){ (int64_t)account, (int64_t)mailbox };
    return true;
}

bool vault_take_hint(struct vault_watch *watch, struct vault_hint *out, bool *has_one,
                     struct err *err)
{
    struct db_notice notice;

    *has_one = false;
    while (watch->loan.db != NULL) {
        bool has_notice = false;

        if (!db_take_notice(watch->loan.db, &notice, &has_notice, err)) {
            drop_if_broken(watch);
            return err_wrap(err, "watch");
        }
        if (!has_notice)
            return true;
        *has_one = vault_read_hint(bytes_of_text(notice.payload), out);
        if (*has_one)
            return true;
    }
    return true;
}

/* The arrays of the statement, in one piece of memory. */
struct columns {
    struct bytes *tokens;
    int64_t *account_ids, *mailbox_ids, *uidnexts, *modseqs, *messages;
};

static bool make_columns(const struct vault_waiting *items, size_t count, struct columns *out,
                         struct err *err)
{
    int64_t *numbers;

    out->tokens = malloc(count * (sizeof *out->tokens + 5 * sizeof *numbers));
    if (out->tokens == NULL)
        return err_errno(err, "watch");
    numbers = (int64_t *)(void *)(out->tokens + count);
    out->account_ids = numbers;
    out->mailbox_ids = numbers + count;
    out->uidnexts = numbers + 2 * count;
    out->modseqs = numbers + 3 * count;
    out->messages = numbers + 4 * count;
    for (size_t i = 0; i < count; i++) {
        out->tokens[i] = items[i].token;
        out->account_ids[i] = items[i].account_id;
        out->mailbox_ids[i] = items[i].mailbox_id;
        out->uidnexts[i] = (int64_t)items[i].uidnext;
        out->modseqs[i] = (int64_t)items[i].highestmodseq;
        out->messages[i] = (int64_t)items[i].messages;
    }
    return true;
}

static bool run(struct vault_watch *watch, const struct columns *c, size_t count,
                struct db_result **rows, struct err *err)
{
    bool is_ok = db_run(watch->loan.db, DB_VAULT_WATCH_POLL,
                        DB_ARGS(DB_TEXTS(c->tokens, count), DB_I64S(c->account_ids, count),
                                DB_I64S(c->mailbox_ids, count), DB_I64S(c->uidnexts, count),
                                DB_I64S(c->modseqs, count), DB_I64S(c->messages, count)),
                        rows, err);

    drop_if_broken(watch);
    return is_ok || err_wrap(err, "watch");
}

bool vault_poll_waiting(struct vault_watch *watch, const struct vault_waiting *items, size_t count,
                        struct vault_news *news, size_t *news_count, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *rows = NULL;
    struct columns columns;
    bool is_new;
    bool is_ok;

    assert(count <= VAULT_WAITING_MAX);
    *news_count = 0;
    if (count == 0)
        return true;
    if (!vault_connect_watch(watch, &is_new, err) || !make_columns(items, count, &columns, err))
        return false;
    is_ok = run(watch, &columns, count, &rows, err);
    free(columns.tokens);
    if (!is_ok)
        return false;
    for (size_t i = 0; i < db_rows(rows); i++) {
        uint64_t place = (uint64_t)db_i64(rows, i, 0);

        assert(place >= 1 && place <= count);
        news[i] =
            (struct vault_news){ .index = (size_t)place - 1, .is_over = !db_bool(rows, i, 1) };
    }
    *news_count = db_rows(rows);
    return true;
}
