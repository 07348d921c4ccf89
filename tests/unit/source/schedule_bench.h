/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/source/schedule_bench.h - jobs of accounts at hosts, claimed and given back, on the private PostgreSQL of
 * db/test_server.h. Only for tests; static on purpose.
 */
#pragma once

#include "db/test_server.h"
#include "source/lease.h"
#include "test.h"

enum {
    CAP = 3 /* connections of a host */
};

struct bench {
    struct db *owner, *ingest;
    struct arena *arena;
    struct err err;
    int64_t claimed; /* claim_apart */
};

#define MUST(call)                                                                                 \
    do {                                                                                           \
        if (!(call))                                                                               \
            test_fail(__FILE__, __LINE__, "%s: %s", #call, b->err.text);                           \
    } while (0)

TEST_UNUSED static void execute(struct bench *b, const char *sql, struct db_args args)
{
    CLEANUP(db_result_free) struct db_result *rows = NULL;

    MUST(db_run_assembled(b->owner, sql, args, &rows, &b->err));
}

TEST_UNUSED static int64_t number(struct bench *b, const char *sql, struct db_args args)
{
    CLEANUP(db_result_free) struct db_result *rows = NULL;

    MUST(db_run_assembled(b->owner, sql, args, &rows, &b->err));
    return db_i64(rows, 0, 0);
}

/* No job but those that the test makes. False: there is no PostgreSQL. */
TEST_UNUSED static bool begin(struct bench *b)
{
    memset(b, 0, sizeof *b);
    b->owner = test_db(DB_ROLE_OWNER);
    if (b->owner == NULL)
        return false;
    b->ingest = test_db(DB_ROLE_INGEST);
    b->arena = arena_create(1 << 20);
    execute(b, "UPDATE job SET is_active = false, lease_owner = NULL, connections = 0", DB_NO_ARGS);
    execute(b, "DELETE FROM source_host", DB_NO_ARGS);
    return true;
}

TEST_UNUSED static void end(struct bench *b)
{
    db_close(&b->owner);
    db_close(&b->ingest);
    arena_free(&b->arena);
}

/* An account at this host whose sync job is due since so many seconds. */
TEST_UNUSED static int64_t add(struct bench *b, const char *host, int64_t due_since)
{
    int64_t id = number(b,
                        "WITH a AS (INSERT INTO account (host, port, login, tls) "
                        "VALUES ($1, 993, 'x', 'implicit') RETURNING account_id), "
                        "n AS (INSERT INTO account_name (name, account_id) "
                        "SELECT 'schedule ' || account_id, account_id FROM a) "
                        "SELECT account_id FROM a",
                        DB_ARGS(DB_TEXT(bytes_of_text(host))));

    execute(b,
            "INSERT INTO job (account_id, kind, due_at) "
            "VALUES ($1, 'sync', now() - $2::bigint * interval '1 s')",
            DB_ARGS(DB_I64(id), DB_I64(due_since)));
    return id;
}

/* 0: nothing that may run. */
TEST_UNUSED static int64_t claim(struct bench *b, struct source_lease *lease)
{
    bool has_one = false;

    MUST(source_claim_job(b->ingest, BYTES("worker"), CAP, lease, &has_one, &b->err));
    return has_one ? lease->account_id : 0;
}

TEST_UNUSED static void finish(struct bench *b, const struct source_lease *lease,
                               enum source_rest rest, int64_t seconds)
{
    struct source_outcome outcome = {
        .code = rest == SOURCE_REST_NONE ? ERR_NONE : ERR_RETRY,
        .text = "as the test says",
        .next_in_seconds = seconds,
        .rest = rest,
    };

    MUST(source_finish(b->ingest, lease, &outcome, NULL, &b->err));
}
