/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/append.h"
#include "db/test_server.h"

#define NO_TOKEN "0000000000000000000000000000000000000000000000000000000000000000"

static size_t list(struct db *db, struct arena *arena, const struct audit_query *query,
                   const struct audit_row **rows)
{
    struct err err = { 0 };
    size_t count = 0;

    CHECK(audit_list(db, query, arena, rows, &count, &err));
    return count;
}

TEST(events_are_listed_as_they_were_appended_with_the_role_that_spoke)
{
    CLEANUP(db_close) struct db *owner = test_db(DB_ROLE_OWNER);
    CLEANUP(db_close) struct db *reader = test_db(DB_ROLE_READER);
    CLEANUP(arena_free) struct arena *arena = arena_create(1 << 20);
    const struct audit_row *rows;
    struct err err = { 0 };

    if (owner == NULL)
        return;
    test_sql(owner, "TRUNCATE audit_event");
    struct audit_event events[] = {
        { .kind = AUDIT_FETCH,
          .account_id = 7,
          .mailbox_id = 31,
          .fields = AUDIT_FIELDS(AUDIT_TEXT("uids", BYTES("1:500")), AUDIT_I64("messages", 500)) },
        { .kind = AUDIT_REFUSED_WRITE },
    };
    CHECK(audit_append_many(reader, events, 2, &err));
    CHECK_EQ_U64(list(owner, arena, &(struct audit_query){ 0 }, &rows), 2);
    CHECK_BYTES(rows[0].event, BYTES("fetch"));
    CHECK_BYTES(rows[0].process, BYTES("holdfast_reader"));
    CHECK_BYTES(rows[0].detail, BYTES("{\"uids\": \"1:500\", \"messages\": 500}"));
    CHECK_EQ_I64(rows[0].account_id, 7);
    CHECK_EQ_I64(rows[0].mailbox_id, 31);
    CHECK_EQ_I64(rows[0].session_id, 0);
    CHECK_BYTES(rows[1].event, BYTES("refused_write"));
    CHECK_EQ_I64(rows[1].account_id, 0);
    CHECK(rows[1].event_id > rows[0].event_id);
}

TEST(a_page_continues_after_its_last_event_and_conditions_narrow_it)
{
    CLEANUP(db_close) struct db *owner = test_db(DB_ROLE_OWNER);
    CLEANUP(arena_free) struct arena *arena = arena_create(1 << 20);
    struct audit_query query = { .max_rows = 2 };
    const struct audit_row *rows;
    struct err err = { 0 };

    if (owner == NULL)
        return;
    test_sql(owner, "TRUNCATE audit_event");
    for (int i = 1; i <= 3; i++)
        CHECK(audit_append_one(owner, &(struct audit_event){ .kind = AUDIT_SHOW, .account_id = i },
                               &err));
    CHECK_EQ_U64(list(owner, arena, &query, &rows), 2);
    query.after_event_id = rows[1].event_id;
    CHECK_EQ_U64(list(owner, arena, &query, &rows), 1);
    CHECK_EQ_I64(rows[0].account_id, 3);
    int64_t at_usec = rows[0].at_usec;
    CHECK_EQ_U64(list(owner, arena, &(struct audit_query){ .account_id = 2 }, &rows), 1);
    CHECK_EQ_U64(list(owner, arena, &(struct audit_query){ .event = BYTES("login") }, &rows), 0);
    CHECK_EQ_U64(list(owner, arena, &(struct audit_query){ .event = BYTES("show") }, &rows), 3);
    CHECK_EQ_U64(list(owner, arena, &(struct audit_query){ .since_usec = at_usec }, &rows), 1);
    CHECK_EQ_U64(list(owner, arena, &(struct audit_query){ .until_usec = at_usec }, &rows), 2);
    CHECK_EQ_U64(list(owner, arena, &(struct audit_query){ .auditor_name = BYTES("x") }, &rows), 0);
}

TEST(a_token_names_its_session_and_one_that_no_session_has_names_nobody)
{
    CLEANUP(db_close) struct db *owner = test_db(DB_ROLE_OWNER);
    CLEANUP(arena_free) struct arena *arena = arena_create(1 << 20);
    const struct audit_row *rows;
    struct err err = { 0 };

    if (owner == NULL)
        return;
    test_sql(owner, "TRUNCATE audit_event");
    test_sql(owner, "INSERT INTO auditor (name) VALUES ('teresa')");
    test_sql(owner, "INSERT INTO login_session (token_hash, auditor_id, expires_at) "
                    "SELECT sha256(repeat('a', 64)::bytea), auditor_id, now() FROM auditor");
    uint8_t token[AUDIT_TOKEN_BYTES];
    memset(token, 'a', sizeof token);
    struct audit_event events[] = {
        { .kind = AUDIT_LOGOUT, .token = bytes_of(token, sizeof token) }, /* also after its end */
        { .kind = AUDIT_LOGOUT, .token = BYTES(NO_TOKEN) },
    };
    CHECK(audit_append_many(owner, events, 2, &err));
    CHECK_EQ_U64(list(owner, arena, &(struct audit_query){ 0 }, &rows), 2);
    CHECK(rows[0].session_id > 0);
    CHECK_BYTES(rows[0].auditor_name, BYTES("teresa"));
    CHECK_EQ_I64(rows[1].session_id, 0);
    CHECK_EQ_I64(rows[1].auditor_id, 0);
    CHECK_EQ_U64(
        list(owner, arena, &(struct audit_query){ .auditor_name = BYTES("teresa") }, &rows), 1);
    test_sql(owner, "TRUNCATE login_session, auditor CASCADE");
}

TEST(what_is_not_a_token_or_too_many_events_never_reach_the_database)
{
    CLEANUP(db_close) struct db *owner = test_db(DB_ROLE_OWNER);
    static struct audit_event events[AUDIT_APPEND_MAX + 1];
    struct err err = { 0 };

    if (owner == NULL)
        return;
    CHECK(!audit_append_one(
        owner, &(struct audit_event){ .kind = AUDIT_LOGIN, .token = BYTES("a") }, &err));
    CHECK_EQ_U64(err.code, ERR_SYNTAX);
    CHECK(audit_append_many(owner, events, AUDIT_APPEND_MAX, &err));
    CHECK(!audit_append_many(owner, events, AUDIT_APPEND_MAX + 1, &err));
    CHECK_EQ_U64(err.code, ERR_LIMIT);
    CHECK(audit_append_many(owner, events, 0, &err));
}

TEST(an_event_of_a_transaction_that_is_rolled_back_leaves_nothing)
{
    CLEANUP(db_close) struct db *owner = test_db(DB_ROLE_OWNER);
    CLEANUP(arena_free) struct arena *arena = arena_create(1 << 20);
    struct db_tx tx = { 0 };
    const struct audit_row *rows;
    struct err err = { 0 };

    if (owner == NULL)
        return;
    test_sql(owner, "TRUNCATE audit_event");
    CHECK(db_begin(owner, DB_READ_COMMITTED, &tx, &err));
    CHECK(audit_append_one(owner, &(struct audit_event){ .kind = AUDIT_GRANT }, &err));
    db_rollback(&tx);
    CHECK_EQ_U64(list(owner, arena, &(struct audit_query){ 0 }, &rows), 0);
}
