/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/reindex.h"

#include "db/pool.h"
#include "vault/internal.h"

#include <stdlib.h>

enum {
    PAGE_MESSAGES = 200,
    BORROW_MS = 15000,
};

/* Columns of vault_reindex_page. */
enum {
    COL_MESSAGE_ID,
    COL_SIZE_BYTES,
    COL_RUN_ID,
    COL_RAW_OFFSET,
    COL_SHA256,
};

struct reindexing {
    const struct vault_reindex *order;
    struct vault_reader *reader;
    struct vault_writer *writer; /* of which only what statements of a maker need is set */
    struct vault_reindexed done;
};

static void close_reindexing(struct reindexing *r)
{
    vault_close_reader(&r->reader);
    if (r->writer != NULL) {
        arena_free(&r->writer->arena);
        vault_free_maker(&r->writer->maker);
    }
    free(r->writer);
}

/* vault_sink_fn */
static bool feed(void *context, struct bytes octets, struct err *err)
{
    const struct vault_deriver *deriver = context;

    (void)err;
    deriver->octets(deriver->context, octets);
    return true;
}

/* Damage is told and passed over. */
static bool renew(struct reindexing *r, const struct vault_octets *octets, size_t entry,
                  const struct crypto_sha256 *sha256, struct err *err)
{
    const struct vault_deriver *deriver = r->order->deriver;
    struct err why = { 0 };

    deriver->begin(deriver->context);
    if (!vault_stream_octets(r->reader, octets, 0, octets->size_bytes, feed,
                             (void *)(uintptr_t)deriver, &why)) {
        if (why.code != ERR_CORRUPT && why.code != ERR_ABSENT) {
            *err = why;
            return false;
        }
        r->done.damaged++;
        r->order->on_damage(r->order->context, octets->account_id, sha256, &why);
        return true;
    }
    r->done.renewed++;
    return vault_derive(r->writer->maker, entry, sha256, err);
}

static bool renew_all(struct reindexing *r, const struct vault_octets *octets,
                      const struct crypto_sha256 *hashes, size_t count, struct err *err)
{
    vault_expect_octets(r->reader, octets, count);
    for (size_t i = 0; i < count; i++)
        if (!renew(r, &octets[i], i, &hashes[i], err))
            return false;
    return vault_send_rows(r->writer->maker, err) && vault_send_blocks(r->writer->maker, err);
}

static bool renew_page(struct reindexing *r, const struct vault_octets *octets,
                       const struct crypto_sha256 *hashes, size_t count, struct err *err)
{
    CLEANUP(db_pool_return) struct db_loan loan = { 0 };
    CLEANUP(db_rollback) struct db_tx tx = { 0 };
    CLEANUP(db_result_free) struct db_result *run = NULL;
    int64_t message_ids[PAGE_MESSAGES];

    for (size_t i = 0; i < count; i++)
        message_ids[i] = octets[i].message_id;
    if (!db_pool_borrow(r->order->pool, deadline_after_ms(BORROW_MS), &loan, err) ||
        !db_run_one(loan.db, DB_VAULT_RUN_NEXT, DB_NO_ARGS, &run, err))
        return false;
    r->writer->run_id = db_i64(run, 0, 0); /* of text alone: it has no frames */
    r->writer->db = loan.db;
    r->writer->lease.account_id = octets[0].account_id;
    r->writer->message_ids = message_ids;
    r->writer->next_block = 0;
    arena_reset(r->writer->arena);
    vault_begin_making(r->writer->maker, vault_into_statements(r->writer));
    if (!db_pipeline_begin(loan.db, err) || !db_begin(loan.db, DB_READ_COMMITTED, &tx, err) ||
        !db_queue(loan.db, DB_SESSION_SET_TOKEN, DB_ARGS(DB_TEXT(secret_bytes(r->order->token))),
                  err) ||
        !renew_all(r, octets, hashes, count, err) || !db_commit(&tx, err) ||
        !db_pipeline_end(loan.db, NULL, 0, err)) {
        db_pipeline_cancel(loan.db);
        return false;
    }
    r->order->on_page(r->order->context, r->done.renewed);
    return true;
}

static bool read_page(struct reindexing *r, int64_t account_id, int64_t after,
                      struct vault_octets *octets, struct crypto_sha256 *hashes, size_t *count,
                      struct err *err)
{
    struct db_result *rows = NULL;
    struct vault_query query = {
        DB_VAULT_REINDEX_PAGE,
        DB_ARGS(DB_I64(account_id), DB_I64(after), DB_I32(r->order->parser_version),
                DB_I64(PAGE_MESSAGES)),
    };

    if (!vault_run_queries(r->reader, &query, 1, &rows, err))
        return false;
    *count = db_rows(rows);
    for (size_t i = 0; i < *count; i++) {
        struct bytes hash = db_bytes(rows, i, COL_SHA256);

        octets[i] = (struct vault_octets){
            .account_id = account_id,
            .message_id = db_i64(rows, i, COL_MESSAGE_ID),
            .run_id = db_i64(rows, i, COL_RUN_ID),
            .raw_offset = (uint64_t)db_i64(rows, i, COL_RAW_OFFSET),
            .size_bytes = (uint64_t)db_i64(rows, i, COL_SIZE_BYTES),
        };
        assert(hash.len == sizeof hashes[i].octets); /* the column's CHECK */
        memcpy(hashes[i].octets, hash.ptr, hash.len);
    }
    db_result_free(&rows);
    return true;
}

static bool reindex_account(struct reindexing *r, int64_t account_id, struct err *err)
{
    struct vault_octets octets[PAGE_MESSAGES];
    struct crypto_sha256 hashes[PAGE_MESSAGES];
    int64_t after = 0;
    size_t count;

    do {
        if (!read_page(r, account_id, after, octets, hashes, &count, err))
            return false;
        if (count == 0)
            return true;
        if (!renew_page(r, octets, hashes, count, err))
            return false;
        after = octets[count - 1].message_id;
        vault_trim_reader(r->reader);
    } while (count == PAGE_MESSAGES);
    return true;
}

bool vault_reindex(const struct vault_reindex *order, struct vault_reindexed *out, struct err *err)
{
    CLEANUP(close_reindexing)
    struct reindexing r = { .order = order, .writer = calloc(1, sizeof(struct vault_writer)) };
    struct db_result *accounts = NULL;
    struct vault_query query = { DB_VAULT_REINDEX_ACCOUNTS, DB_NO_ARGS };
    bool is_done = true;

    if (r.writer == NULL)
        return err_errno(err, "reindex");
    r.writer->arena = arena_create(SIZE_MAX);
    r.writer->maker = vault_create_maker(order->deriver);
    if (!vault_open_reader(order->pool, order->token, order->opener, &r.reader, err) ||
        !vault_run_queries(r.reader, &query, 1, &accounts, err))
        return false;
    for (size_t i = 0; i < db_rows(accounts) && is_done; i++) {
        if (order->deriver->use_account != NULL)
            order->deriver->use_account(order->deriver->context, db_bool(accounts, i, 1));
        is_done = reindex_account(&r, db_i64(accounts, i, 0), err) ||
                  err_wrap(err, "account %jd", (intmax_t)db_i64(accounts, i, 0));
    }
    db_result_free(&accounts);
    *out = r.done;
    return is_done;
}
