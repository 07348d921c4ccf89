/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Batches that were sent with their COMMIT while the next one fills.
 */
#include "base/limits.h"
#include "fixture.h"

TEST(batch_in_flight_that_failed_is_kept_and_stored_once)
{
    struct vault_counts counts;
    struct fixture f;

    if (!fixture_open(&f))
        return;
    fixture_begin(&f);
    for (uint32_t i = 1; i <= LIMIT_BATCH_MESSAGES + 1; i++)
        fixture_put(&f, i, fixture_mail(&f, 10, i)); /* the last one sends those before it */
    test_sql(f.owner, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = "
                      "'holdfast_ingest'");
    CHECK(!vault_commit_batch(f.writer, &counts, ERR));
    CHECK_EQ_U64(fixture_err.code, ERR_RETRY);
    CHECK_EQ_U64(vault_batch_messages(f.writer), LIMIT_BATCH_MESSAGES + 1);
    MUST(db_reset_if_broken(f.ingest, ERR));
    counts = fixture_commit(&f);
    CHECK_EQ_U64(counts.messages, LIMIT_BATCH_MESSAGES + 1);
    CHECK_EQ_U64(counts.placed + counts.repeated, LIMIT_BATCH_MESSAGES + 1);
    CHECK_EQ_I64(fixture_number(&f, COUNT_OF("placement")), LIMIT_BATCH_MESSAGES + 1);
    fixture_close(&f);
}

TEST(batch_in_flight_when_the_writer_closes_is_in_the_archive)
{
    struct fixture f;

    if (!fixture_open(&f))
        return;
    fixture_begin(&f);
    for (uint32_t i = 1; i <= LIMIT_BATCH_MESSAGES + 1; i++)
        fixture_put(&f, i, fixture_mail(&f, 10, i));
    vault_close_writer(&f.writer);
    CHECK_EQ_I64(fixture_number(&f, COUNT_OF("placement")), LIMIT_BATCH_MESSAGES);
    fixture_close(&f);
}

TEST(failed_commit_in_flight_is_told_by_what_comes_next_and_made_good_by_another_try)
{
    struct vault_counts counts;
    struct fixture f;

    if (!fixture_open(&f))
        return;
    fixture_begin(&f);
    fixture_refuse_commits(&f);
    for (uint32_t i = 1; i <= LIMIT_BATCH_MESSAGES + 1; i++)
        fixture_put(&f, i, fixture_mail(&f, 10, i)); /* the last one sends those before it */
    CHECK(!vault_settle_batch(f.writer, ERR));
    CHECK_EQ_U64(fixture_err.code, ERR_RETRY);
    CHECK(!vault_settle_batch(f.writer, ERR)); /* tried again, and refused again */
    CHECK_EQ_U64(vault_batch_messages(f.writer), LIMIT_BATCH_MESSAGES + 1);
    CHECK_EQ_I64(fixture_number(&f, COUNT_OF("placement")), 0);
    CHECK_EQ_I64(fixture_number(&f, COUNT_OF("message")), 0);
    fixture_accept_commits(&f);
    counts = fixture_commit(&f);
    CHECK_EQ_U64(counts.placed, LIMIT_BATCH_MESSAGES + 1);
    CHECK_EQ_U64(counts.repeated, 0);
    CHECK_EQ_I64(fixture_number(&f, COUNT_OF("placement")), LIMIT_BATCH_MESSAGES + 1);
    fixture_close(&f);
}

TEST(settled_batch_leaves_the_connection_to_others_within_a_message)
{
    struct vault_arrival arrival = { .source_uid = 900, .internal_usec = FIXTURE_DATE };
    struct fixture f;

    if (!fixture_open(&f))
        return;
    fixture_begin(&f);
    for (uint32_t i = 1; i <= LIMIT_BATCH_MESSAGES; i++)
        fixture_put(&f, i, fixture_mail(&f, 10, i));
    MUST(vault_begin_message(f.writer, 10, ERR)); /* sends what is full */
    MUST(vault_write_message(f.writer, BYTES("01234"), ERR));
    MUST(vault_settle_batch(f.writer, ERR));
    MUST(db_run_ok(f.ingest, DB_SESSION_NOW, DB_NO_ARGS, ERR));
    CHECK_EQ_U64(vault_batch_messages(f.writer), 0);
    CHECK_EQ_I64(fixture_number(&f, COUNT_OF("placement")), LIMIT_BATCH_MESSAGES);
    MUST(vault_write_message(f.writer, BYTES("56789"), ERR));
    MUST(vault_end_message(f.writer, &arrival, ERR));
    CHECK_EQ_U64(fixture_commit(&f).placed, LIMIT_BATCH_MESSAGES + 1);
    fixture_close(&f);
}

TEST(large_message_whose_commit_failed_is_forgotten_whole)
{
    struct vault_arrival arrival = { .source_uid = 2, .internal_usec = FIXTURE_DATE };
    struct fixture f;
    struct bytes large;

    if (!fixture_open(&f))
        return;
    large = fixture_mail(&f, LIMIT_BATCH_BYTES + 1, 2);
    fixture_begin(&f);
    fixture_put(&f, 1, BYTES("before"));
    MUST(vault_begin_message(f.writer, large.len, ERR)); /* commits what was before */
    MUST(vault_write_message(f.writer, large, ERR));
    fixture_refuse_commits(&f);
    CHECK(!vault_end_message(f.writer, &arrival, ERR));
    CHECK_EQ_U64(fixture_err.code, ERR_RETRY);
    fixture_accept_commits(&f);
    CHECK_EQ_U64(vault_batch_messages(f.writer), 0);
    CHECK_EQ_U64(fixture_commit(&f).placed, 1); /* its octets are gone: nothing to try again with */
    CHECK_EQ_I64(fixture_number(&f, COUNT_OF("message")), 1);
    fixture_put(&f, 2, large);
    CHECK_EQ_U64(fixture_commit(&f).placed, 1);
    CHECK_EQ_I64(fixture_number(&f, COUNT_OF("message")), 2);
    fixture_close(&f);
}
