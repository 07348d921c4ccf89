/* SPDX-License-Identifier: Apache-2.0 */
#include "db/test_server.h"
#include "keep/spool.h"

static int64_t count_weeks(struct db *owner)
{
    CLEANUP(db_result_free) struct db_result *rows = NULL;
    struct err err = { 0 };

    CHECK(db_run_assembled(owner,
                           "SELECT count(*) FROM pg_inherits "
                           "WHERE inhparent = 'holdfast.spool'::regclass",
                           DB_NO_ARGS, &rows, &err));
    return db_i64(rows, 0, 0);
}

/* Weeks that are over: made as the owner, since spool_add_week takes any day. */
static void add_past_weeks(struct db *owner)
{
    test_sql(owner, "SELECT spool_add_week((now() - n * interval '1 week')::date) "
                    "FROM generate_series(1, 2) AS n");
}

static struct keep_spool_work keep(struct db *keeper)
{
    struct keep_spool_work work = { 9, 9, 9 };
    struct err err = { 0 };

    if (!keep_spool_weeks(keeper, &work, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
    return work;
}

TEST(this_week_and_the_next_two_are_ready)
{
    CLEANUP(db_close) struct db *owner = test_db(DB_ROLE_OWNER);
    CLEANUP(db_close) struct db *keeper = test_db(DB_ROLE_KEEPER);

    if (owner == NULL)
        return;
    CHECK_EQ_I64(count_weeks(owner), 3); /* the migration made them */
    CHECK_EQ_U64(keep(keeper).added, 0);
    test_sql(owner, "DO $$ DECLARE t text; BEGIN FOR t IN SELECT inhrelid::regclass::text FROM "
                    "pg_inherits WHERE inhparent = 'spool'::regclass LOOP EXECUTE 'DROP TABLE ' "
                    "|| t; END LOOP; END $$");
    CHECK_EQ_U64(keep(keeper).added, 3);
    CHECK_EQ_U64(keep(keeper).added, 0);
    CHECK_EQ_I64(count_weeks(owner), 3);
}

TEST(a_finished_week_is_dropped_once_no_frame_lies_in_it)
{
    CLEANUP(db_close) struct db *owner = test_db(DB_ROLE_OWNER);
    CLEANUP(db_close) struct db *keeper = test_db(DB_ROLE_KEEPER);
    struct keep_spool_work work;

    if (owner == NULL)
        return;
    add_past_weeks(owner);
    test_sql(owner,
             "INSERT INTO account (host, port, login, tls) VALUES ('h', 993, 'l', 'implicit')");
    test_sql(owner,
             "INSERT INTO frame (account_id, run_id, ordinal, raw_start, raw_bytes, "
             "stored_bytes, stored_sha256, week) SELECT account_id, 1, 0, 0, 1, 1, "
             "sha256('x'), (date_trunc('week', now()) - interval '1 week')::date FROM account");
    work = keep(keeper);
    CHECK_EQ_U64(work.dropped, 1);
    CHECK_EQ_U64(work.waiting, 1);
    CHECK_EQ_I64(count_weeks(owner), 4);
    test_sql(owner, "DELETE FROM frame");
    work = keep(keeper);
    CHECK_EQ_U64(work.dropped, 1);
    CHECK_EQ_U64(work.waiting, 0);
    CHECK_EQ_I64(count_weeks(owner), 3);
}

TEST(text_of_a_finished_week_stays_until_no_block_lies_in_it)
{
    CLEANUP(db_close) struct db *owner = test_db(DB_ROLE_OWNER);
    CLEANUP(db_close) struct db *keeper = test_db(DB_ROLE_KEEPER);
    struct keep_spool_work work;

    if (owner == NULL)
        return;
    add_past_weeks(owner);
    test_sql(owner,
             "INSERT INTO account (host, port, login, tls) VALUES ('h', 993, 'l', 'implicit')");
    test_sql(owner,
             "INSERT INTO text_block (account_id, run_id, ordinal, first_message_id, "
             "last_message_id, message_ids, parser_version, raw_bytes, stored_bytes, "
             "stored_sha256, week) SELECT account_id, 1, 0, 1, 1, '{1}', 1, 1, 1, "
             "sha256('x'), (date_trunc('week', now()) - interval '1 week')::date FROM account");
    work = keep(keeper);
    CHECK_EQ_U64(work.dropped, 1);
    CHECK_EQ_U64(work.waiting, 1); /* the text */
    CHECK_EQ_I64(count_weeks(owner), 3);
    work = keep(keeper);
    CHECK_EQ_U64(work.dropped, 0);
    CHECK_EQ_U64(work.waiting, 1);
    test_sql(owner, "DELETE FROM text_block");
    CHECK_EQ_U64(keep(keeper).dropped, 1);
    CHECK_EQ_U64(keep(keeper).waiting, 0);
}

TEST(a_week_that_somebody_reads_is_left_for_the_next_time)
{
    CLEANUP(db_close) struct db *owner = test_db(DB_ROLE_OWNER);
    CLEANUP(db_close) struct db *keeper = test_db(DB_ROLE_KEEPER);
    CLEANUP(db_close) struct db *reader = test_db(DB_ROLE_READER);
    struct db_tx tx = { 0 };
    struct keep_spool_work work;
    struct err err = { 0 };

    if (owner == NULL)
        return;
    add_past_weeks(owner);
    CHECK(db_begin(reader, DB_READ_COMMITTED, &tx, &err));
    test_sql(reader, "SELECT count(*) FROM spool");
    work = keep(keeper);
    CHECK_EQ_U64(work.dropped, 0);
    CHECK_EQ_U64(work.waiting, 2);
    db_rollback(&tx);
    CHECK_EQ_U64(keep(keeper).dropped, 2);
}
