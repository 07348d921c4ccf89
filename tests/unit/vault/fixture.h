/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/vault/fixture.h - an account with a claimed job, a mailbox, a writer and a reader, on
 * the private PostgreSQL of db/test_server.h. Only for tests; static on purpose.
 */
#pragma once

#include "db/db.h"
#include "db/pool.h"
#include "db/test_server.h"
#include "vault/read.h"
#include "vault/write.h"

struct fixture {
    struct db *owner, *ingest;
    int64_t account_id, job_id, fence, mailbox_id;
    struct vault_writer *writer;
    struct db_pool *pool; /* of readers */
    struct secret *token;
    struct vault_reader *reader;
    struct arena *arena;
};

TEST_UNUSED static struct err fixture_err;

/* Fails the test with the error's text. */
#define MUST(call)                                                                                 \
    do {                                                                                           \
        err_clear(&fixture_err);                                                                   \
        if (!(call))                                                                               \
            test_fail(__FILE__, __LINE__, "%s: %s", #call, fixture_err.text);                      \
    } while (0)
#define ERR (&fixture_err)

/* The first column of the first row. */
TEST_UNUSED static int64_t fixture_number(struct fixture *f, const char *sql)
{
    CLEANUP(db_result_free) struct db_result *result = NULL;

    MUST(db_run_assembled(f->owner, sql, DB_ARGS(DB_I64(f->account_id), DB_I64(f->mailbox_id)),
                          &result, ERR));
    if (db_rows(result) != 1)
        test_fail(__FILE__, __LINE__, "%s gives %zu rows", sql, db_rows(result));
    return db_i64(result, 0, 0);
}

/* $1::bigint and $2::bigint must both be used, or neither could be typed. */
#define COUNT_OF(table)                                                                            \
    "SELECT count(*) FROM " table " WHERE account_id = $1::bigint AND $2::bigint IS NOT NULL"
#define OF_MAILBOX(column)                                                                         \
    "SELECT " column " FROM mailbox WHERE account_id = $1::bigint AND mailbox_id = $2::bigint"

TEST_UNUSED static void fixture_claim(struct fixture *f)
{
    f->fence = fixture_number(f, "UPDATE job SET fence = fence + 1, lease_owner = 'test', "
                                 "due_at = now() + interval '1 hour' WHERE account_id = $1::bigint "
                                 "AND $2::bigint IS NOT NULL RETURNING fence");
    f->job_id = fixture_number(f, "SELECT job_id FROM job WHERE account_id = $1::bigint AND "
                                  "$2::bigint IS NOT NULL");
}

TEST_UNUSED static void fixture_open_writer(struct fixture *f)
{
    struct vault_lease lease = { f->account_id, f->job_id, f->fence, 60000 };

    MUST(vault_open_writer(f->ingest, &lease, NULL, &f->writer, ERR));
}

TEST_UNUSED static int64_t fixture_open_mailbox(struct fixture *f, const char *path)
{
    struct vault_listed listed = { .source_name = bytes_of_text(path),
                                   .delimiter = BYTES("/"),
                                   .path = bytes_of_text(path) };
    int64_t id = 0;

    MUST(vault_open_mailbox(f->writer, &listed, &id, ERR));
    return id;
}

TEST_UNUSED static void fixture_open_epoch(struct fixture *f, int64_t mailbox_id, int32_t epoch)
{
    CLEANUP(db_result_free) struct db_result *result = NULL;

    MUST(db_run_assembled(f->owner,
                          "INSERT INTO source_epoch (account_id, mailbox_id, epoch, uidvalidity) "
                          "VALUES ($1, $2, $3, 77)",
                          DB_ARGS(DB_I64(f->account_id), DB_I64(mailbox_id), DB_I32(epoch)),
                          &result, ERR));
}

TEST_UNUSED static void fixture_open_reader(struct fixture *f,
                                            const struct vault_pack_opener *opener)
{
    CLEANUP(db_result_free) struct db_result *result = NULL;
    struct db_target target;
    struct crypto_sha256 hash;
    char text[64];
    int64_t scope[] = { f->account_id };

    /* Text, as lib/auth makes it. */
    (void)snprintf(text, sizeof text, "token of account %jd", (intmax_t)f->account_id);
    hash = crypto_hash(bytes_of_text(text));
    MUST(secret_create(bytes_of_text(text), &f->token, ERR));
    MUST(db_run_assembled(f->owner,
                          "INSERT INTO login_session (token_hash, account_scope, expires_at) "
                          "VALUES ($1, $2, now() + interval '1 hour')",
                          DB_ARGS(DB_BYTEA(crypto_sha256_bytes(&hash)), DB_I64S(scope, 1)), &result,
                          ERR));
    CHECK(test_target(DB_ROLE_READER, &target));
    MUST(db_pool_create(&target, 2, &f->pool, ERR));
    MUST(vault_open_reader(f->pool, f->token, opener, &f->reader, ERR));
}

/* False: PostgreSQL is not installed. */
TEST_UNUSED static bool fixture_open(struct fixture *f)
{
    CLEANUP(db_result_free) struct db_result *account = NULL;
    CLEANUP(db_result_free) struct db_result *job = NULL;
    CLEANUP(db_result_free) struct db_result *name = NULL;

    *f = (struct fixture){ .owner = test_db(DB_ROLE_OWNER) };
    if (f->owner == NULL)
        return false;
    f->ingest = test_db(DB_ROLE_INGEST);
    f->arena = arena_create((size_t)16 << 20);
    MUST(db_run_assembled(f->owner,
                          "INSERT INTO account (host, port, login, tls) VALUES ('h', 993, 'l', "
                          "'implicit') RETURNING account_id",
                          DB_NO_ARGS, &account, ERR));
    f->account_id = db_i64(account, 0, 0);
    MUST(db_run_assembled(f->owner,
                          "INSERT INTO account_name VALUES ('account ' || $1::bigint, $1)",
                          DB_ARGS(DB_I64(f->account_id)), &name, ERR));
    MUST(db_run_assembled(f->owner, "INSERT INTO job (account_id, kind) VALUES ($1, 'sync')",
                          DB_ARGS(DB_I64(f->account_id)), &job, ERR));
    fixture_claim(f);
    fixture_open_writer(f);
    f->mailbox_id = fixture_open_mailbox(f, "INBOX");
    fixture_open_epoch(f, f->mailbox_id, 1);
    fixture_open_reader(f, NULL);
    return true;
}

TEST_UNUSED static void fixture_close(struct fixture *f)
{
    vault_close_writer(&f->writer);
    vault_close_reader(&f->reader);
    db_pool_free(&f->pool);
    secret_free(&f->token);
    db_close(&f->ingest);
    db_close(&f->owner);
    arena_free(&f->arena);
}

/* Text-like octets, the same for the same seed. */
TEST_UNUSED static void fixture_fill(uint8_t *mail, size_t len, uint32_t seed)
{
    seed = seed * 2654435761u + 1;
    for (size_t i = 0; i < len; i++) {
        seed = seed * 1664525u + 1013904223u;
        mail[i] = i % 72 == 71 ? (uint8_t)'\n' : (uint8_t)('a' + (seed >> 24) % 24);
    }
}

TEST_UNUSED static struct bytes fixture_mail(struct fixture *f, size_t len, uint32_t seed)
{
    uint8_t *mail = arena_alloc(f->arena, len + 1);

    fixture_fill(mail, len, seed);
    return bytes_of(mail, len);
}

#define FIXTURE_DATE (INT64_C(1700000000) * 1000000)

TEST_UNUSED static bool fixture_try_put(struct fixture *f, uint32_t source_uid, struct bytes mail,
                                        int64_t internal_usec, uint8_t flags, const char *keyword)
{
    struct bytes keywords[] = { bytes_of_text(keyword == NULL ? "" : keyword) };
    struct vault_arrival arrival = { .source_uid = source_uid,
                                     .internal_usec = internal_usec,
                                     .internal_zone = 60,
                                     .flags = flags,
                                     .keywords = keywords,
                                     .keyword_count = keyword == NULL ? 0 : 1 };

    err_clear(&fixture_err);
    if (!vault_begin_message(f->writer, mail.len, ERR))
        return false;
    for (size_t at = 0; at < mail.len; at += 60000) {
        if (!vault_write_message(f->writer, bytes_slice(mail, at, 60000), ERR)) {
            vault_abort_message(f->writer);
            return false;
        }
    }
    return vault_end_message(f->writer, &arrival, ERR);
}

TEST_UNUSED static void fixture_put(struct fixture *f, uint32_t source_uid, struct bytes mail)
{
    MUST(fixture_try_put(f, source_uid, mail, FIXTURE_DATE, 0, NULL));
}

TEST_UNUSED static struct vault_counts fixture_commit(struct fixture *f)
{
    struct vault_counts counts = { 0 };

    MUST(vault_commit_batch(f->writer, &counts, ERR));
    return counts;
}

TEST_UNUSED static void fixture_begin(struct fixture *f)
{
    MUST(vault_begin_batch(f->writer, f->mailbox_id, 1, ERR));
}

/* From now on a COMMIT that adds placements fails, as of a serialization failure. */
TEST_UNUSED static void fixture_refuse_commits(struct fixture *f)
{
    test_sql(f->owner, "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
                       "'BEGIN RAISE serialization_failure; END'");
    test_sql(f->owner, "CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON placement DEFERRABLE "
                       "INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()");
}

TEST_UNUSED static void fixture_accept_commits(struct fixture *f)
{
    test_sql(f->owner, "DROP FUNCTION refuse() CASCADE");
}

TEST_UNUSED static struct vault_placement_page fixture_page(struct fixture *f, int64_t mailbox_id)
{
    static const struct vault_uid_range all = { 1, UINT32_MAX };
    struct vault_placement_query query = { .account_id = f->account_id,
                                           .mailbox_id = mailbox_id,
                                           .ranges = &all,
                                           .range_count = 1,
                                           .columns = VAULT_WITH_LOCATOR,
                                           .limit = LIMIT_PAGE_ROWS };
    struct vault_placement_page page;

    MUST(vault_read_placements(f->reader, &query, f->arena, &page, ERR));
    return page;
}

struct fixture_sink {
    struct buf octets;
    size_t calls;
};

TEST_UNUSED static bool fixture_gather(void *context, struct bytes octets, struct err *err)
{
    struct fixture_sink *sink = context;

    (void)err;
    sink->calls++;
    buf_append(&sink->octets, octets);
    return true;
}

/* True: exactly these octets came. */
TEST_UNUSED static bool fixture_reads_as(struct fixture *f, const struct vault_octets *octets,
                                         uint64_t offset, uint64_t length, struct bytes want)
{
    struct fixture_sink sink = { .octets = buf_create((size_t)64 << 20) };
    bool is_same;

    MUST(vault_stream_octets(f->reader, octets, offset, length, fixture_gather, &sink, ERR));
    is_same = bytes_equal(buf_bytes(&sink.octets), want);
    buf_free(&sink.octets);
    return is_same;
}
