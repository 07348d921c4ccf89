/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/append.h"
#include "audit/writer.h"
#include "base/fd.h"
#include "db/test_server.h"

#include <pthread.h>

static struct log quiet = { .fd = -1, .level = LOG_ERROR, .process = "test" };

static struct audit_writer *open_writer(const struct db_target *target)
{
    struct audit_writer *writer = NULL;
    struct err err = { 0 };

    CHECK(audit_create_writer(target, &quiet, &writer, &err));
    return writer;
}

static int64_t count_rows(struct db *owner)
{
    CLEANUP(db_result_free) struct db_result *rows = NULL;
    struct err err = { 0 };

    CHECK(db_run_assembled(owner, "SELECT count(*) FROM audit_event", DB_NO_ARGS, &rows, &err));
    return db_i64(rows, 0, 0);
}

TEST(a_ticket_comes_true_when_the_row_is_there)
{
    CLEANUP(db_close) struct db *owner = test_db(DB_ROLE_OWNER);
    struct db_target target;
    struct audit_ticket ticket;
    struct err err = { 0 };

    if (!test_target(DB_ROLE_READER, &target))
        return;
    test_sql(owner, "TRUNCATE audit_event");
    CLEANUP(audit_free_writer) struct audit_writer *writer = open_writer(&target);
    for (int i = 1; i <= 3; i++) {
        CHECK(audit_submit(writer, &(struct audit_event){ .kind = AUDIT_FETCH, .account_id = i },
                           &ticket, &err));
        CHECK(audit_wait(writer, ticket, deadline_after_ms(10000), &err));
        CHECK_EQ_I64(count_rows(owner), i);
    }
    CHECK_EQ_U64(audit_get_counts(writer).committed, 3);
}

enum {
    THREADS = 16,
    EVENTS_EACH = 50
};

struct session {
    struct audit_writer *writer;
    int done;
};

static void *act(void *context)
{
    struct session *session = context;

    for (int i = 0; i < EVENTS_EACH; i++) {
        struct audit_ticket ticket;
        struct err err = { 0 };
        struct audit_event event = { .kind = AUDIT_FETCH,
                                     .fields = AUDIT_FIELDS(AUDIT_I64("messages", i)) };

        if (audit_submit(session->writer, &event, &ticket, &err) &&
            audit_wait(session->writer, ticket, deadline_after_ms(10000), &err))
            session->done++;
    }
    return NULL;
}

TEST(many_sessions_share_commits_and_none_is_lost)
{
    CLEANUP(db_close) struct db *owner = test_db(DB_ROLE_OWNER);
    struct db_target target;
    pthread_t threads[THREADS];
    struct session sessions[THREADS];

    if (!test_target(DB_ROLE_READER, &target))
        return;
    test_sql(owner, "TRUNCATE audit_event");
    CLEANUP(audit_free_writer) struct audit_writer *writer = open_writer(&target);
    for (int i = 0; i < THREADS; i++) {
        sessions[i] = (struct session){ .writer = writer };
        CHECK(pthread_create(&threads[i], NULL, act, &sessions[i]) == 0);
    }
    for (int i = 0; i < THREADS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
        CHECK_EQ_I64(sessions[i].done, EVENTS_EACH);
    }
    CHECK_EQ_I64(count_rows(owner), THREADS * EVENTS_EACH);
    CHECK(audit_get_counts(writer).commits < THREADS * EVENTS_EACH);
}

TEST(what_was_submitted_is_committed_before_the_writer_ends_in_order)
{
    CLEANUP(db_close) struct db *owner = test_db(DB_ROLE_OWNER);
    CLEANUP(arena_free) struct arena *arena = arena_create(1 << 20);
    const struct audit_row *rows;
    struct db_target target;
    struct err err = { 0 };
    size_t count;

    if (!test_target(DB_ROLE_READER, &target))
        return;
    test_sql(owner, "TRUNCATE audit_event");
    struct audit_writer *writer = open_writer(&target);
    for (int i = 1; i <= 500; i++)
        CHECK(audit_submit(writer, &(struct audit_event){ .kind = AUDIT_LOGOUT, .account_id = i },
                           NULL, &err));
    audit_free_writer(&writer);
    CHECK(writer == NULL);
    CHECK(audit_list(owner, &(struct audit_query){ 0 }, arena, &rows, &count, &err));
    CHECK_EQ_U64(count, 500);
    for (size_t i = 0; i < count; i++)
        CHECK_EQ_I64(rows[i].account_id, (int64_t)i + 1);
}

TEST(when_the_rows_cannot_be_written_the_waiting_are_told_at_once_and_later_it_goes_on)
{
    CLEANUP(db_close) struct db *owner = test_db(DB_ROLE_OWNER);
    struct db_target target;
    struct audit_event event = { .kind = AUDIT_FETCH };
    struct audit_ticket refused, later;
    struct err err = { 0 };
    struct deadline patience = deadline_after_ms(20000);

    if (!test_target(DB_ROLE_READER, &target))
        return;
    test_sql(owner, "TRUNCATE audit_event");
    test_sql(owner, "ALTER TABLE audit_event RENAME TO audit_event_away");
    CLEANUP(audit_free_writer) struct audit_writer *writer = open_writer(&target);
    CHECK(audit_submit(writer, &event, &refused, &err));
    CHECK(!audit_wait(writer, refused, deadline_after_ms(10000), &err));
    CHECK_EQ_U64(err.code, ERR_RETRY);

    test_sql(owner, "ALTER TABLE audit_event_away RENAME TO audit_event");
    bool is_written = false;
    while (!is_written && !deadline_has_passed(patience)) {
        err_clear(&err);
        CHECK(audit_submit(writer, &event, &later, &err));
        is_written = audit_wait(writer, later, deadline_after_ms(10000), &err);
    }
    CHECK(is_written);
    CHECK(audit_wait(writer, refused, deadline_after_ms(0), &err)); /* it was kept */
    CHECK_EQ_I64(count_rows(owner), (int64_t)audit_get_counts(writer).committed);
}

TEST(a_lost_connection_is_replaced)
{
    CLEANUP(db_close) struct db *owner = test_db(DB_ROLE_OWNER);
    struct db_target target;
    struct audit_event event = { .kind = AUDIT_FETCH };
    struct deadline patience = deadline_after_ms(20000);
    struct audit_ticket ticket;
    struct err err = { 0 };
    bool is_written = false;

    if (!test_target(DB_ROLE_READER, &target))
        return;
    target.application_name = "audit-writer-test";
    CLEANUP(audit_free_writer) struct audit_writer *writer = open_writer(&target);
    CHECK(audit_submit(writer, &event, &ticket, &err));
    CHECK(audit_wait(writer, ticket, deadline_after_ms(10000), &err));
    test_sql(owner, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE application_name = 'audit-writer-test'");
    while (!is_written && !deadline_has_passed(patience)) {
        err_clear(&err);
        CHECK(audit_submit(writer, &event, &ticket, &err));
        is_written = audit_wait(writer, ticket, deadline_after_ms(10000), &err);
    }
    CHECK(is_written);
}

TEST(the_queue_has_an_end_and_a_wait_its_deadline)
{
    struct db_target target = { .socket_dir = "/nonexistent", .database = "none", .role = "none" };
    CLEANUP(audit_free_writer) struct audit_writer *writer = open_writer(&target);
    struct audit_event event = { .kind = AUDIT_FETCH };
    struct audit_ticket ticket = { 0 };
    struct err err = { 0 };
    size_t submitted = 0;

    while (submitted <= AUDIT_QUEUE_EVENTS && audit_submit(writer, &event, &ticket, &err))
        submitted++;
    CHECK_EQ_U64(submitted, AUDIT_QUEUE_EVENTS);
    CHECK_EQ_U64(err.code, ERR_RETRY);
    err_clear(&err);
    ticket.number++; /* of an event yet to come: nothing settles it */
    CHECK(!audit_wait(writer, ticket, deadline_after_ms(20), &err));
    CHECK_EQ_U64(err.code, ERR_RETRY);
}
