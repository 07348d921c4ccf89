/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/auth/office.h - a database with two accounts, and auditors as a test wants them.
 */
#pragma once

#include "audit/append.h"
#include "auth/auditor.h"
#include "auth/session.h"
#include "db/test_server.h"

struct office {
    struct db *owner; /* NULL: PostgreSQL is not installed */
    struct arena *arena;
};

TEST_UNUSED static void close_office(struct office *office)
{
    db_close(&office->owner);
    arena_free(&office->arena);
}

/* Accounts 1 "sales" and 2 "legal"; nothing else. */
TEST_UNUSED static struct office open_office(void)
{
    struct office office = { .owner = test_db(DB_ROLE_OWNER) };

    if (office.owner == NULL)
        return office;
    office.arena = arena_create(1 << 20);
    test_sql(office.owner, "TRUNCATE account, account_name, auditor, login_session, login_failure, "
                           "audit_event, job RESTART IDENTITY CASCADE");
    test_sql(office.owner, "INSERT INTO account (host, port, login, tls) SELECT 'h', 993, 'l', "
                           "'implicit' FROM generate_series(1, 2)");
    test_sql(office.owner, "INSERT INTO account_name VALUES ('sales', 1), ('legal', 2)");
    return office;
}

TEST_UNUSED static struct secret *secret_of(const char *text)
{
    struct secret *secret = NULL;
    struct err err = { 0 };

    CHECK(secret_create(bytes_of_text(text), &secret, &err));
    return secret;
}

TEST_UNUSED static int64_t add_auditor(struct office *office, const char *name,
                                       const char *password)
{
    CLEANUP(secret_free) struct secret *secret = secret_of(password);
    struct auth_new_auditor auditor = { .name = bytes_of_text(name), .password = secret };
    struct err err = { 0 };
    int64_t id = 0;

    if (!auth_add_auditor(office->owner, &auditor, &id, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
    return id;
}

TEST_UNUSED static void grant(struct office *office, const char *name, const char *account)
{
    struct auth_grant_request request = { .auditor = bytes_of_text(name),
                                          .account = bytes_of_text(account),
                                          .is_all = account[0] == '\0' };
    struct err err = { 0 };
    int64_t id;

    if (!auth_grant(office->owner, &request, &id, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
}

TEST_UNUSED static int64_t ask_number(struct office *office, const char *sql)
{
    CLEANUP(db_result_free) struct db_result *rows = NULL;
    struct err err = { 0 };

    if (!db_run_assembled(office->owner, sql, DB_NO_ARGS, &rows, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
    return db_is_null(rows, 0, 0) ? -1 : db_i64(rows, 0, 0);
}

TEST_UNUSED static struct db_pool *pool_as(enum db_role role)
{
    struct db_target target;
    struct db_pool *pool = NULL;
    struct err err = { 0 };

    CHECK(test_target(role, &target));
    CHECK(db_pool_create(&target, 4, &pool, &err));
    return pool;
}

/* How many audit events of this kind, and the detail of the last one. */
TEST_UNUSED static size_t count_events(struct office *office, const char *kind,
                                       struct bytes *detail)
{
    struct audit_query query = { .event = bytes_of_text(kind) };
    const struct audit_row *rows;
    struct err err = { 0 };
    size_t count;

    CHECK(audit_list(office->owner, &query, office->arena, &rows, &count, &err));
    if (count > 0 && detail != NULL)
        *detail = rows[count - 1].detail;
    return count;
}
