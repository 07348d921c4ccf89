/* SPDX-License-Identifier: Apache-2.0 */
#include "base/limits.h"
#include "fixture.h"
#include "vault/write.h"

TEST(message_is_stored_once_listed_and_read_back)
{
    struct fixture f;
    struct vault_counts counts;
    struct vault_placement_page page;
    struct bytes mail;

    if (!fixture_open(&f))
        return;
    mail = fixture_mail(&f, 20000, 1);
    fixture_begin(&f);
    MUST(fixture_try_put(&f, 17, mail, FIXTURE_DATE, VAULT_FLAG_SEEN, "$Forwarded"));
    CHECK_EQ_U64(vault_batch_messages(f.writer), 1);
    counts = fixture_commit(&f);
    CHECK_EQ_U64(counts.messages, 1);
    CHECK_EQ_U64(counts.placed, 1);
    CHECK_EQ_U64(counts.new_messages, 1);
    CHECK_EQ_U64(counts.new_octets, 20000);
    CHECK(counts.stored_octets > 0 && counts.stored_octets < 21000);
    CHECK_EQ_U64(vault_batch_messages(f.writer), 0);

    page = fixture_page(&f, f.mailbox_id);
    CHECK_EQ_U64(page.count, 1);
    CHECK_EQ_U64(page.rows[0].uid, 1);
    CHECK_EQ_U64(page.rows[0].flags, VAULT_FLAG_SEEN);
    CHECK(vault_has_keyword(&page.rows[0], 0));
    CHECK_EQ_I64(page.rows[0].internal_usec, FIXTURE_DATE);
    CHECK_EQ_I64(page.rows[0].internal_zone, 60);
    CHECK_EQ_U64(page.rows[0].size_bytes, 20000);
    CHECK_EQ_U64(page.rows[0].modseq, 2);
    CHECK_EQ_U64(page.rows[0].appeared_modseq, 2);
    CHECK(fixture_reads_as(&f, &page.rows[0].octets, 0, UINT64_MAX, mail));
    MUST(vault_verify_octets(f.reader, &page.rows[0].octets, &page.rows[0].sha256, ERR));
    CHECK_EQ_I64(fixture_number(&f, OF_MAILBOX("uidnext")), 2);
    CHECK_EQ_I64(fixture_number(&f, OF_MAILBOX("messages")), 1);
    CHECK_EQ_I64(fixture_number(&f, OF_MAILBOX("unseen")), 0);
    CHECK_EQ_I64(fixture_number(&f, OF_MAILBOX("octets")), 20000);
    fixture_close(&f);
}

TEST(source_uid_that_is_stored_never_gets_a_second_placement)
{
    struct fixture f;
    struct vault_counts counts;

    if (!fixture_open(&f))
        return;
    fixture_begin(&f);
    fixture_put(&f, 5, fixture_mail(&f, 1000, 1));
    fixture_put(&f, 6, fixture_mail(&f, 1000, 2));
    fixture_put(&f, 6, fixture_mail(&f, 1000, 2)); /* a source that answers twice */
    counts = fixture_commit(&f);
    CHECK_EQ_U64(counts.placed, 2);
    CHECK_EQ_U64(counts.repeated, 1);

    /* The answer to the COMMIT was lost: the same is fetched again, with one more. */
    fixture_put(&f, 5, fixture_mail(&f, 1000, 1));
    fixture_put(&f, 6, fixture_mail(&f, 1000, 2));
    fixture_put(&f, 7, fixture_mail(&f, 1000, 3));
    counts = fixture_commit(&f);
    CHECK_EQ_U64(counts.placed, 1);
    CHECK_EQ_U64(counts.repeated, 2);
    CHECK_EQ_U64(counts.new_messages, 1);
    CHECK_EQ_I64(fixture_number(&f, COUNT_OF("placement")), 3);
    CHECK_EQ_I64(fixture_number(&f, COUNT_OF("message")), 3);
    CHECK_EQ_I64(fixture_number(&f, COUNT_OF("locator")), 3);
    CHECK_EQ_I64(fixture_number(&f, OF_MAILBOX("uidnext")), 4);
    fixture_close(&f);
}

TEST(pending_source_uid_becomes_stored_and_its_error_is_forgotten)
{
    struct fixture f;

    if (!fixture_open(&f))
        return;
    CHECK_EQ_I64(fixture_number(&f, "INSERT INTO source_uid (account_id, mailbox_id, epoch, uid, "
                                    "state, attempts, error) VALUES ($1::bigint, $2::bigint, 1, 9, "
                                    "'pending', 3, 'time-out') RETURNING uid"),
                 9);
    fixture_begin(&f);
    fixture_put(&f, 9, fixture_mail(&f, 100, 1));
    CHECK_EQ_U64(fixture_commit(&f).placed, 1);
    CHECK_EQ_I64(fixture_number(&f, "SELECT count(*) FROM source_uid WHERE account_id = $1::bigint "
                                    "AND mailbox_id = $2::bigint AND state = 'stored' AND "
                                    "placement_uid = 1 AND error IS NULL"),
                 1);
    fixture_close(&f);
}

TEST(batch_that_changes_nothing_leaves_the_modseq)
{
    struct fixture f;

    if (!fixture_open(&f))
        return;
    fixture_begin(&f);
    fixture_put(&f, 5, fixture_mail(&f, 1000, 1));
    fixture_commit(&f);
    fixture_put(&f, 5, fixture_mail(&f, 1000, 1));
    CHECK_EQ_U64(fixture_commit(&f).repeated, 1);
    CHECK_EQ_I64(fixture_number(&f, OF_MAILBOX("highestmodseq")), 2);
    CHECK_EQ_U64(fixture_commit(&f).messages, 0); /* an empty batch */
    fixture_close(&f);
}

TEST(identical_octets_are_stored_once_and_listed_wherever_they_are)
{
    struct fixture f;
    struct vault_counts counts;
    struct vault_placement_page here, there;
    struct bytes mail;
    int64_t other;

    if (!fixture_open(&f))
        return;
    mail = fixture_mail(&f, 5000, 1);
    fixture_begin(&f);
    fixture_put(&f, 1, mail);
    fixture_put(&f, 2, fixture_mail(&f, 6000, 2));
    fixture_put(&f, 3, mail); /* two identical copies are two placements */
    counts = fixture_commit(&f);
    CHECK_EQ_U64(counts.placed, 3);
    CHECK_EQ_U64(counts.new_messages, 2);

    other = fixture_open_mailbox(&f, "Archive");
    fixture_open_epoch(&f, other, 1);
    MUST(vault_begin_batch(f.writer, other, 1, ERR));
    fixture_put(&f, 1, mail);
    counts = fixture_commit(&f);
    CHECK_EQ_U64(counts.placed, 1);
    CHECK_EQ_U64(counts.new_messages, 0);
    CHECK_EQ_U64(counts.stored_octets, 0);
    CHECK_EQ_I64(fixture_number(&f, COUNT_OF("message")), 2);

    here = fixture_page(&f, f.mailbox_id);
    there = fixture_page(&f, other);
    CHECK_EQ_U64(here.count, 3);
    CHECK_EQ_U64(there.count, 1);
    CHECK_EQ_I64(here.rows[0].message_id, here.rows[2].message_id);
    CHECK_EQ_I64(here.rows[0].message_id, there.rows[0].message_id);
    CHECK(fixture_reads_as(&f, &there.rows[0].octets, 0, 5000, mail));
    fixture_close(&f);
}

TEST(aborted_message_is_forgotten_and_earlier_ones_stay)
{
    struct fixture f;
    struct vault_placement_page page;
    struct bytes first, second;

    if (!fixture_open(&f))
        return;
    first = fixture_mail(&f, 3000, 1);
    second = fixture_mail(&f, 3001, 2);
    fixture_begin(&f);
    fixture_put(&f, 1, first);
    MUST(vault_begin_message(f.writer, 500, ERR));
    MUST(vault_write_message(f.writer, BYTES("cut sho"), ERR));
    vault_abort_message(f.writer);
    vault_abort_message(f.writer); /* nothing to forget */
    fixture_put(&f, 3, second);
    CHECK_EQ_U64(fixture_commit(&f).placed, 2);
    page = fixture_page(&f, f.mailbox_id);
    CHECK(fixture_reads_as(&f, &page.rows[0].octets, 0, UINT64_MAX, first));
    CHECK(fixture_reads_as(&f, &page.rows[1].octets, 0, UINT64_MAX, second));
    fixture_close(&f);
}

TEST(message_of_another_length_than_announced_is_refused)
{
    struct vault_arrival arrival = { .source_uid = 1, .internal_usec = FIXTURE_DATE };
    struct fixture f;

    if (!fixture_open(&f))
        return;
    fixture_begin(&f);
    MUST(vault_begin_message(f.writer, 5, ERR));
    CHECK(!vault_write_message(f.writer, BYTES("123456"), ERR));
    CHECK_EQ_U64(fixture_err.code, ERR_LIMIT);
    vault_abort_message(f.writer);

    MUST(vault_begin_message(f.writer, 5, ERR));
    MUST(vault_write_message(f.writer, BYTES("1234"), ERR));
    CHECK(!vault_end_message(f.writer, &arrival, ERR));
    CHECK_EQ_U64(fixture_err.code, ERR_SYNTAX);

    CHECK(!vault_begin_message(f.writer, LIMIT_MESSAGE_BYTES + 1, ERR));
    CHECK_EQ_U64(fixture_err.code, ERR_LIMIT);
    fixture_put(&f, 2, BYTES("")); /* of no octets: fine */
    CHECK_EQ_U64(fixture_commit(&f).placed, 1);
    CHECK(fixture_reads_as(&f, &fixture_page(&f, f.mailbox_id).rows[0].octets, 0, 9, BYTES("")));
    fixture_close(&f);
}

TEST(arrival_that_cannot_be_stored_is_refused_and_the_batch_stays)
{
    struct fixture f;

    if (!fixture_open(&f))
        return;
    fixture_begin(&f);
    fixture_put(&f, 1, BYTES("good"));
    CHECK(!fixture_try_put(&f, 0, BYTES("no UID"), FIXTURE_DATE, 0, NULL));
    CHECK_EQ_U64(fixture_err.code, ERR_SYNTAX);
    CHECK(!fixture_try_put(&f, 2, BYTES("no date"), INT64_MIN, 0, NULL));
    CHECK(!fixture_try_put(&f, 2, BYTES("no date"), INT64_MAX, 0, NULL));
    CHECK_EQ_U64(fixture_commit(&f).placed, 1);
    fixture_close(&f);
}

TEST(date_as_written_is_kept_beside_the_instant)
{
    struct fixture f;

    if (!fixture_open(&f))
        return;
    fixture_begin(&f);
    /* 1969-12-31 23:30 UTC is 1970-01-01 00:30 in the zone +0100. */
    MUST(fixture_try_put(&f, 1, BYTES("a"), INT64_C(-1800) * 1000000, 0, NULL));
    MUST(fixture_try_put(&f, 2, BYTES("b"), INT64_C(-86400) * 1000000, 0, NULL));
    fixture_commit(&f);
    CHECK_EQ_I64(fixture_number(&f, "SELECT count(*) FROM placement WHERE account_id = $1::bigint "
                                    "AND mailbox_id = $2::bigint AND internal_zone = 60 AND "
                                    "internal_day = CASE uid WHEN 1 THEN date '1970-01-01' ELSE "
                                    "date '1969-12-31' END"),
                 2);
    fixture_close(&f);
}

TEST(lost_lease_writes_nothing)
{
    struct vault_change change = { .uid = 1, .flags = VAULT_FLAG_SEEN };
    struct vault_listed listed = { .source_name = BYTES("X"), .path = BYTES("X") };
    struct vault_counts counts;
    struct fixture f;
    int64_t id = 0;

    if (!fixture_open(&f))
        return;
    fixture_begin(&f);
    fixture_put(&f, 1, BYTES("before"));
    fixture_commit(&f);
    fixture_put(&f, 2, BYTES("after"));
    fixture_claim(&f); /* somebody else */
    CHECK(!vault_commit_batch(f.writer, &counts, ERR));
    CHECK_EQ_U64(fixture_err.code, ERR_DENIED);
    CHECK(strstr(fixture_err.text, "lease lost") != NULL);
    CHECK(!vault_record_changes(f.writer, f.mailbox_id, &change, 1, NULL, ERR));
    CHECK_EQ_U64(fixture_err.code, ERR_DENIED);
    CHECK(!vault_open_mailbox(f.writer, &listed, &id, ERR));
    CHECK_EQ_U64(fixture_err.code, ERR_DENIED);
    CHECK(!vault_mark_unlisted(f.writer, NULL, 0, NULL, ERR));
    CHECK_EQ_U64(fixture_err.code, ERR_DENIED);
    CHECK(!vault_begin_message(f.writer, LIMIT_BATCH_BYTES + 1, ERR));
    CHECK_EQ_U64(fixture_err.code, ERR_DENIED);
    CHECK_EQ_I64(fixture_number(&f, COUNT_OF("message")), 1);
    CHECK_EQ_I64(fixture_number(&f, COUNT_OF("placement")), 1);
    CHECK_EQ_I64(fixture_number(&f, COUNT_OF("mailbox")), 1);
    CHECK_EQ_I64(fixture_number(&f, "SELECT count(*) FROM placement WHERE account_id = $1::bigint "
                                    "AND mailbox_id = $2::bigint AND flags <> 0"),
                 0);
    fixture_close(&f);
}

TEST(commit_that_failed_keeps_the_batch_for_another_try)
{
    struct vault_counts counts;
    struct fixture f;

    if (!fixture_open(&f))
        return;
    fixture_begin(&f);
    fixture_put(&f, 1, BYTES("kept"));
    test_sql(f.owner, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = "
                      "'holdfast_ingest'");
    CHECK(!vault_commit_batch(f.writer, &counts, ERR));
    CHECK_EQ_U64(fixture_err.code, ERR_RETRY);
    CHECK_EQ_U64(vault_batch_messages(f.writer), 1);
    MUST(db_reset_if_broken(f.ingest, ERR));
    CHECK_EQ_U64(fixture_commit(&f).placed, 1);
    fixture_close(&f);
}

TEST(keywords_are_numbered_once_whatever_their_case_and_unstorable_ones_are_counted)
{
    struct fixture f;
    struct vault_counts counts;
    struct vault_mailbox mailbox;
    struct vault_placement_page page;
    char too_long[LIMIT_KEYWORD_BYTES + 2];

    if (!fixture_open(&f))
        return;
    memset(too_long, 'k', sizeof too_long);
    too_long[sizeof too_long - 1] = '\0';
    fixture_begin(&f);
    MUST(fixture_try_put(&f, 1, BYTES("1"), FIXTURE_DATE, 0, "Work"));
    MUST(fixture_try_put(&f, 2, BYTES("2"), FIXTURE_DATE, 0, "WORK"));
    fixture_commit(&f);
    MUST(fixture_try_put(&f, 3, BYTES("3"), FIXTURE_DATE, 0, "home"));
    MUST(fixture_try_put(&f, 4, BYTES("4"), FIXTURE_DATE, 0, "work"));
    MUST(fixture_try_put(&f, 5, BYTES("5"), FIXTURE_DATE, 0, "\xc3\x28"));
    MUST(fixture_try_put(&f, 6, BYTES("6"), FIXTURE_DATE, 0, too_long));
    counts = fixture_commit(&f);
    CHECK_EQ_U64(counts.placed, 4);
    CHECK_EQ_U64(counts.keywords_dropped, 2);

    MUST(vault_load_mailbox(f.reader, f.account_id, f.mailbox_id, f.arena, &mailbox, ERR));
    CHECK_EQ_U64(mailbox.keyword_count, 2);
    CHECK_BYTES(mailbox.keywords[0], BYTES("Work"));
    CHECK_BYTES(mailbox.keywords[1], BYTES("home"));
    page = fixture_page(&f, f.mailbox_id);
    CHECK(vault_has_keyword(&page.rows[1], 0) && !vault_has_keyword(&page.rows[1], 1));
    CHECK(!vault_has_keyword(&page.rows[2], 0) && vault_has_keyword(&page.rows[2], 1));
    CHECK(vault_has_keyword(&page.rows[3], 0));
    CHECK_EQ_U64(page.rows[4].keywords.len, 0);
    fixture_close(&f);
}

TEST(keyword_beyond_the_last_number_is_dropped_and_the_message_stored)
{
    struct fixture f;
    struct vault_arrival arrival = { .source_uid = 1, .internal_usec = FIXTURE_DATE };
    struct bytes *names;
    struct vault_counts counts;

    if (!fixture_open(&f))
        return;
    names = arena_new_array(f.arena, struct bytes, LIMIT_KEYWORDS_PER_MAILBOX);
    for (size_t i = 0; i < LIMIT_KEYWORDS_PER_MAILBOX; i++) {
        char name[16];

        (void)snprintf(name, sizeof name, "k%zu", i);
        names[i] = bytes_of_text(arena_text(f.arena, name));
    }
    arrival.keywords = names;
    arrival.keyword_count = LIMIT_KEYWORDS_PER_MAILBOX;
    fixture_begin(&f);
    MUST(vault_begin_message(f.writer, 1, ERR));
    MUST(vault_write_message(f.writer, BYTES("m"), ERR));
    MUST(vault_end_message(f.writer, &arrival, ERR));
    CHECK_EQ_U64(fixture_commit(&f).keywords_dropped, 0);
    CHECK(vault_has_keyword(&fixture_page(&f, f.mailbox_id).rows[0], 4095));
    MUST(fixture_try_put(&f, 2, BYTES("n"), FIXTURE_DATE, 0, "one more"));
    counts = fixture_commit(&f);
    CHECK_EQ_U64(counts.keywords_dropped, 1);
    CHECK_EQ_U64(counts.placed, 1);
    fixture_close(&f);
}

TEST(batch_beyond_its_bytes_or_messages_is_committed_on_the_way)
{
    struct fixture f;
    struct vault_counts counts;

    if (!fixture_open(&f))
        return;
    fixture_begin(&f);
    for (uint32_t i = 0; i < LIMIT_BATCH_MESSAGES; i++) {
        CHECK(!vault_batch_is_full(f.writer));
        fixture_put(&f, i + 1, fixture_mail(&f, 10, i));
    }
    CHECK(vault_batch_is_full(f.writer));
    fixture_put(&f, 501, fixture_mail(&f, LIMIT_BATCH_TARGET_BYTES - 1, 1000));
    CHECK(!vault_batch_is_full(f.writer));
    fixture_put(&f, 502, fixture_mail(&f, 1, 1001)); /* fits to the octet */
    CHECK(vault_batch_is_full(f.writer));
    fixture_put(&f, 503, fixture_mail(&f, LIMIT_BATCH_BYTES, 1002)); /* has one alone */
    CHECK(vault_batch_is_full(f.writer));
    counts = fixture_commit(&f);
    CHECK_EQ_U64(counts.messages, 503);
    CHECK_EQ_U64(counts.placed, 503);
    CHECK_EQ_I64(fixture_number(&f, OF_MAILBOX("messages")), 503);
    CHECK_EQ_I64(fixture_number(&f, "SELECT count(DISTINCT run_id) FROM frame WHERE account_id = "
                                    "$1::bigint AND $2::bigint IS NOT NULL"),
                 3);
    fixture_close(&f);
}

TEST(batch_takes_two_round_trips_once_its_statements_are_prepared)
{
    struct fixture f;
    uint64_t before;

    if (!fixture_open(&f))
        return;
    fixture_begin(&f);
    fixture_put(&f, 1, fixture_mail(&f, 1000, 1));
    fixture_commit(&f);
    for (uint32_t i = 2; i < 14; i++)
        fixture_put(&f, i, fixture_mail(&f, 20000, i));
    before = db_round_trips(f.ingest);
    fixture_commit(&f);
    CHECK_EQ_U64(db_round_trips(f.ingest) - before, 2);
    for (uint32_t first = 100; first <= 200; first += 100) {
        for (uint32_t i = first; i < first + 100; i++)
            fixture_put(&f, i, fixture_mail(&f, 20000, i));
        before = db_round_trips(f.ingest);
        fixture_commit(&f);
    }
    CHECK_EQ_U64(db_round_trips(f.ingest) - before, 3); /* one asks what is new, ahead */
    fixture_close(&f);
}

/* ---- mailboxes ----------------------------------------------------------------------------- */

TEST(mailboxes_are_found_again_by_path_and_marked_when_no_longer_listed)
{
    struct vault_listed listed[] = {
        { .source_name = BYTES("INBOX"), .delimiter = BYTES("."), .path = BYTES("INBOX") },
        { .source_name = BYTES("Sent"),
          .path = BYTES("Sent"),
          .special_use = BYTES("\\Sent"),
          .is_noselect = false },
        { .source_name = BYTES("Top"), .path = BYTES("Top"), .is_noselect = true },
    };
    struct vault_mailbox_row row;
    struct fixture f;
    int64_t ids[3] = { 0 }, again[3] = { 0 };
    uint64_t gone = 99;
    char name[40];

    if (!fixture_open(&f))
        return;
    (void)snprintf(name, sizeof name, "account %jd", (intmax_t)f.account_id);
    MUST(vault_open_mailboxes(f.writer, listed, 3, ids, ERR));
    CHECK_EQ_I64(ids[0], f.mailbox_id);
    CHECK(ids[1] != ids[2] && ids[1] > 0 && ids[2] > 0);
    MUST(vault_open_mailboxes(f.writer, listed, 3, again, ERR));
    CHECK(memcmp(ids, again, sizeof ids) == 0);
    MUST(vault_find_mailbox(f.reader, bytes_of_text(name), BYTES("Sent"), f.arena, &row, ERR));
    CHECK_BYTES(row.special_use, BYTES("\\Sent"));
    CHECK_BYTES(row.path, BYTES("Sent"));
    CHECK(!row.is_gone && !row.is_noselect);
    CHECK_EQ_I64(fixture_number(&f, "SELECT count(DISTINCT uidvalidity) FROM mailbox WHERE "
                                    "account_id = $1::bigint AND $2::bigint IS NOT NULL"),
                 3);

    MUST(vault_mark_unlisted(f.writer, ids, 2, &gone, ERR));
    CHECK_EQ_U64(gone, 1);
    MUST(vault_mark_unlisted(f.writer, ids, 2, &gone, ERR));
    CHECK_EQ_U64(gone, 0);
    MUST(vault_find_mailbox(f.reader, bytes_of_text(name), BYTES("Top"), f.arena, &row, ERR));
    CHECK(row.is_gone && row.is_noselect);
    listed[2].is_noselect = false;
    MUST(vault_open_mailboxes(f.writer, listed, 3, again, ERR));
    CHECK_EQ_I64(again[2], ids[2]);
    MUST(vault_find_mailbox(f.reader, bytes_of_text(name), BYTES("Top"), f.arena, &row, ERR));
    CHECK(!row.is_gone && !row.is_noselect);
    fixture_close(&f);
}

/* ---- changes ------------------------------------------------------------------------------- */

TEST(changes_raise_the_modseq_keep_the_counters_and_are_remembered)
{
    struct bytes work[] = { BYTES("Work") };
    struct vault_change changes[] = {
        { .uid = 2, .flags = VAULT_FLAG_SEEN | VAULT_FLAG_DELETED },
        { .uid = 1, .flags = 0 }, /* as it is */
        { .uid = 3, .flags = 0, .keywords = work, .keyword_count = 1 },
        { .uid = 99, .flags = VAULT_FLAG_SEEN }, /* not there */
    };
    struct vault_placement_page page;
    struct fixture f;
    uint64_t changed = 99;

    if (!fixture_open(&f))
        return;
    fixture_begin(&f);
    for (uint32_t i = 1; i <= 3; i++)
        fixture_put(&f, i, fixture_mail(&f, 100, i));
    fixture_commit(&f);
    CHECK_EQ_I64(fixture_number(&f, OF_MAILBOX("unseen")), 3);
    MUST(vault_record_changes(f.writer, f.mailbox_id, changes, 4, &changed, ERR));
    CHECK_EQ_U64(changed, 2);
    CHECK_EQ_I64(fixture_number(&f, OF_MAILBOX("unseen")), 2);
    CHECK_EQ_I64(fixture_number(&f, OF_MAILBOX("deleted")), 1);
    CHECK_EQ_I64(fixture_number(&f, OF_MAILBOX("highestmodseq")), 3);
    page = fixture_page(&f, f.mailbox_id);
    CHECK_EQ_U64(page.rows[0].modseq, 2);
    CHECK_EQ_U64(page.rows[1].modseq, 3);
    CHECK_EQ_U64(page.rows[1].appeared_modseq, 2);
    CHECK_EQ_U64(page.rows[1].flags, VAULT_FLAG_SEEN | VAULT_FLAG_DELETED);
    CHECK(vault_has_keyword(&page.rows[2], 0));
    /* Both as they appeared, both as they are. */
    CHECK_EQ_I64(fixture_number(&f, COUNT_OF("flag_event")), 4);

    MUST(vault_record_changes(f.writer, f.mailbox_id, changes, 4, &changed, ERR));
    CHECK_EQ_U64(changed, 0);
    CHECK_EQ_I64(fixture_number(&f, OF_MAILBOX("highestmodseq")), 3);
    CHECK_EQ_I64(fixture_number(&f, COUNT_OF("flag_event")), 4);
    fixture_close(&f);
}

TEST(message_that_vanished_stays_with_its_last_flags_and_may_come_back)
{
    struct vault_change gone = { .uid = 1, .is_gone = true };
    struct vault_change back = { .uid = 1, .flags = VAULT_FLAG_SEEN };
    struct vault_placement_page page;
    struct fixture f;

    if (!fixture_open(&f))
        return;
    fixture_begin(&f);
    MUST(fixture_try_put(&f, 1, BYTES("m"), FIXTURE_DATE, VAULT_FLAG_FLAGGED, "Work"));
    fixture_commit(&f);
    MUST(vault_record_changes(f.writer, f.mailbox_id, &gone, 1, NULL, ERR));
    page = fixture_page(&f, f.mailbox_id);
    CHECK(page.rows[0].is_gone && page.rows[0].gone_usec > FIXTURE_DATE);
    CHECK_EQ_U64(page.rows[0].flags, VAULT_FLAG_FLAGGED);
    CHECK(vault_has_keyword(&page.rows[0], 0));
    CHECK_EQ_I64(fixture_number(&f, OF_MAILBOX("messages")), 1);
    MUST(vault_record_changes(f.writer, f.mailbox_id, &back, 1, NULL, ERR));
    page = fixture_page(&f, f.mailbox_id);
    CHECK(!page.rows[0].is_gone);
    CHECK_EQ_U64(page.rows[0].flags, VAULT_FLAG_SEEN);
    CHECK_EQ_U64(page.rows[0].modseq, 4);
    CHECK_EQ_I64(fixture_number(&f, COUNT_OF("flag_event")), 3);
    fixture_close(&f);
}

TEST(what_is_stored_is_announced_no_more)
{
    struct fixture f;

    if (!fixture_open(&f))
        return;
    CHECK_EQ_I64(fixture_number(&f,
                                "INSERT INTO source_announced (account_id, mailbox_id, epoch, "
                                "first_uid, last_uid) SELECT account_id, mailbox_id, 1, 1, 9 "
                                "FROM mailbox WHERE account_id = $1::bigint RETURNING 1::bigint"),
                 1);
    fixture_begin(&f);
    fixture_put(&f, 3, fixture_mail(&f, 1000, 1));
    fixture_put(&f, 12, fixture_mail(&f, 1000, 2)); /* nobody announced it */
    (void)fixture_commit(&f);
    CHECK_EQ_I64(fixture_number(&f, "SELECT sum(100 * first_uid + last_uid)::bigint FROM "
                                    "source_announced WHERE account_id = $1::bigint"),
                 102 + 409);
    CHECK_EQ_I64(fixture_number(&f, "SELECT count(*) FROM source_uid WHERE account_id = $1::bigint "
                                    "AND state = 'stored'"),
                 2);
    fixture_close(&f);
}

TEST(nothing_is_stored_in_a_mailbox_or_an_epoch_that_is_not_there)
{
    struct fixture f;
    struct vault_counts counts;

    if (!fixture_open(&f))
        return;
    for (int32_t wrong = 0; wrong < 2; wrong++) {
        MUST(vault_begin_batch(f.writer, f.mailbox_id + (wrong == 0 ? 1000 : 0), 1 + wrong, ERR));
        fixture_put(&f, 1, fixture_mail(&f, 1000, 1));
        CHECK(!vault_commit_batch(f.writer, &counts, ERR));
        CHECK_EQ_U64(fixture_err.code, ERR_ABSENT);
    }
    CHECK_EQ_I64(fixture_number(&f, COUNT_OF("message")), 0);
    fixture_close(&f);
}

/* ---- a new source epoch -------------------------------------------------------------------- */

TEST(after_a_uidvalidity_change_known_copies_keep_their_placements)
{
    struct vault_change gone = { .uid = 2, .is_gone = true };
    struct vault_placement_page page;
    struct vault_counts counts;
    struct fixture f;
    struct bytes a, b;

    if (!fixture_open(&f))
        return;
    a = fixture_mail(&f, 300, 1);
    b = fixture_mail(&f, 300, 2);
    fixture_begin(&f);
    fixture_put(&f, 1, a);
    fixture_put(&f, 2, b);
    fixture_put(&f, 3, a);
    MUST(fixture_try_put(&f, 4, a, FIXTURE_DATE + 1000000, 0, NULL)); /* another date */
    fixture_commit(&f);
    MUST(vault_record_changes(f.writer, f.mailbox_id, &gone, 1, NULL, ERR));

    fixture_open_epoch(&f, f.mailbox_id, 2);
    MUST(vault_begin_batch(f.writer, f.mailbox_id, 2, ERR));
    fixture_put(&f, 100, a); /* the first copy of a */
    MUST(fixture_try_put(&f, 101, b, FIXTURE_DATE, VAULT_FLAG_SEEN, NULL));
    counts = fixture_commit(&f);
    CHECK_EQ_U64(counts.matched, 2);
    CHECK_EQ_U64(counts.placed, 0);
    page = fixture_page(&f, f.mailbox_id);
    CHECK(!page.rows[1].is_gone); /* there again, and read */
    CHECK_EQ_U64(page.rows[1].flags, VAULT_FLAG_SEEN);

    fixture_put(&f, 102, a); /* the second copy: another placement than the first */
    MUST(fixture_try_put(&f, 103, a, FIXTURE_DATE + 1000000, 0, NULL));
    fixture_put(&f, 104, a); /* one more than there was */
    fixture_put(&f, 105, fixture_mail(&f, 300, 3));
    fixture_put(&f, 100, a); /* repeated */
    counts = fixture_commit(&f);
    CHECK_EQ_U64(counts.matched, 2);
    CHECK_EQ_U64(counts.placed, 2);
    CHECK_EQ_U64(counts.repeated, 1);
    CHECK_EQ_I64(fixture_number(&f,
                                "SELECT sum(placement_uid * (uid - 99))::bigint FROM source_uid "
                                "WHERE account_id = $1::bigint AND mailbox_id = $2::bigint AND "
                                "epoch = 2"),
                 1 * 1 + 2 * 2 + 3 * 3 + 4 * 4 + 5 * 5 + 6 * 6);
    CHECK_EQ_I64(fixture_number(&f, OF_MAILBOX("messages")), 6);
    fixture_close(&f);
}

/* ---- what is derived ---------------------------------------------------------------------------- */

/* Counts, and derives the size. */
struct counting {
    int begun, ended;
    uint64_t octets;
    struct bytes envelope;
};

static void begin_deriving(void *context)
{
    struct counting *counting = context;

    counting->begun++;
    counting->octets = 0;
}

static void count_octets(void *context, struct bytes octets)
{
    struct counting *counting = context;

    counting->octets += octets.len;
}

static void end_deriving(void *context, struct vault_index *out)
{
    static const struct bytes references[] = { BYTES_INIT("a@b"), BYTES_INIT(""),
                                               BYTES_INIT("c{,}\"@d") };
    struct counting *counting = context;

    counting->ended++;
    *out = (struct vault_index){ .parser_version = 7,
                                 .header_bytes = counting->octets,
                                 .has_date = counting->octets != 301,
                                 .date_usec = counting->octets == 302 ? INT64_MAX - 5 : 1000000,
                                 .date_day = -1,
                                 .references = references,
                                 .reference_count = counting->octets % 4,
                                 .subject = BYTES("s"),
                                 .envelope = counting->envelope,
                                 .notes = BYTES("[\"x\"]"),
                                 .text_notes = counting->octets == 303 ? 5 : 0,
                                 .has_attachment = counting->octets == 304 };
}

static void reopen_with_deriver(struct fixture *f, struct counting *counting)
{
    struct vault_lease lease = { f->account_id, f->job_id, f->fence, 60000 };
    struct vault_deriver deriver = {
        .context = counting, .begin = begin_deriving, .octets = count_octets, .end = end_deriving
    };

    vault_close_writer(&f->writer);
    MUST(vault_open_writer(f->ingest, &lease, &deriver, &f->writer, ERR));
}

TEST(octets_that_are_new_are_derived_from_once_and_their_rows_stored)
{
    struct fixture f;
    struct counting counting = { .envelope = BYTES("(e)") };

    if (!fixture_open(&f))
        return;
    reopen_with_deriver(&f, &counting);
    fixture_begin(&f);
    for (uint32_t i = 0; i < 300; i++) /* more than one statement holds */
        fixture_put(&f, i + 1, fixture_mail(&f, 300 + i, i));
    fixture_put(&f, 400, fixture_mail(&f, 300, 0));
    (void)fixture_commit(&f);
    CHECK_EQ_I64(counting.ended, 300);
    fixture_begin(&f);
    fixture_put(&f, 401, fixture_mail(&f, 300, 0));
    (void)fixture_commit(&f);
    CHECK_EQ_I64(counting.ended, 300);
    CHECK_EQ_I64(fixture_number(&f, COUNT_OF("message_index") " AND parser_version = 7"), 300);
    CHECK_EQ_I64(fixture_number(&f,
                                "SELECT count(*) FROM message_index i JOIN message m USING "
                                "(account_id, message_id) WHERE account_id = $1::bigint AND "
                                "$2::bigint IS NOT NULL AND i.header_bytes = m.size_bytes AND "
                                "coalesce(array_length(reference_texts, 1), 0) = size_bytes % 4 "
                                "AND (reference_texts IS NULL OR reference_texts[1] = 'a@b') "
                                "AND (date_at IS NULL) = (size_bytes IN (301, 302)) "
                                "AND text_notes = CASE WHEN size_bytes = 303 THEN 5 ELSE 0 END "
                                "AND has_attachment = (size_bytes = 304) "
                                "AND coalesce(date_day, '1970-01-02') = CASE WHEN date_at IS NULL "
                                "THEN date '1970-01-02' ELSE '1969-12-31' END"),
                 300);
    CHECK_EQ_I64(fixture_number(&f, COUNT_OF("message_index") " AND reference_texts[3] = "
                                                              "'c{,}\"@d' AND notes ? 'x' AND "
                                                              "to_folded IS NULL"),
                 75);
    fixture_close(&f);
}

TEST(a_page_gives_the_index_unless_it_is_large_or_missing)
{
    struct fixture f;
    struct counting counting = { .envelope = BYTES("(e)") };
    struct vault_uid_range all = { 1, UINT32_MAX };
    struct vault_placement_query query = {
        .ranges = &all, .range_count = 1, .columns = VAULT_WITH_INDEX, .limit = 10
    };
    struct vault_placement_page page;

    if (!fixture_open(&f))
        return;
    fixture_begin(&f);
    fixture_put(&f, 1, fixture_mail(&f, 100, 1)); /* by a writer that derives nothing */
    (void)fixture_commit(&f);
    reopen_with_deriver(&f, &counting);
    fixture_begin(&f);
    fixture_put(&f, 2, fixture_mail(&f, 200, 2));
    (void)fixture_commit(&f);
    counting.envelope = fixture_mail(&f, 600000, 3); /* goes alone */
    fixture_begin(&f);
    fixture_put(&f, 3, fixture_mail(&f, 301, 3));
    fixture_put(&f, 4, fixture_mail(&f, 302, 4));
    (void)fixture_commit(&f);
    query.account_id = f.account_id;
    query.mailbox_id = f.mailbox_id;
    MUST(vault_read_placements(f.reader, &query, f.arena, &page, ERR));
    CHECK_EQ_U64(page.count, 4);
    CHECK_EQ_I64(page.rows[0].index.parser_version, 0);
    CHECK_EQ_I64(page.rows[1].index.parser_version, 7);
    CHECK(bytes_equal(page.rows[1].index.envelope, BYTES("(e)")));
    CHECK(page.rows[1].index.structure.ptr == NULL);
    CHECK_EQ_U64(page.rows[1].octets.size_bytes, 200);
    CHECK_EQ_I64(page.rows[2].index.parser_version, 0);
    CHECK_EQ_I64(fixture_number(&f, COUNT_OF("message_index") " AND length(envelope) = 600000"), 2);
    fixture_close(&f);
}

TEST(a_large_message_is_derived_from_while_it_arrives)
{
    struct fixture f;
    struct counting counting = { .envelope = BYTES("(e)") };
    struct bytes mail;

    if (!fixture_open(&f))
        return;
    mail = fixture_mail(&f, LIMIT_BATCH_BYTES + 1000, 1);
    reopen_with_deriver(&f, &counting);
    fixture_begin(&f);
    fixture_put(&f, 1, mail);
    fixture_put(&f, 2, mail); /* known by then: begun, as it had to be, and not ended */
    (void)fixture_commit(&f);
    CHECK_EQ_I64(counting.begun, 2);
    CHECK_EQ_I64(counting.ended, 1);
    CHECK_EQ_I64(fixture_number(&f, COUNT_OF("message_index") " AND header_bytes = 8389608"), 1);
    fixture_close(&f);
}
