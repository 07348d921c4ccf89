/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "imap/mailbox.h"
#include "ingest/outcome.h"
#include "test.h"

#include <string.h>

TEST(a_complete_run_says_what_it_brought)
{
    char text[INGEST_OUTCOME_BYTES];
    struct source_progress progress = { .mailboxes = 12, .fetched = 3412, .gone = 1 };

    ingest_write_complete(text, BYTES("alice"), &progress);
    CHECK_STR(text, "account alice: complete: 12 mailboxes, 3,412 new messages, "
                    "1 gone at the source");
    progress = (struct source_progress){ .mailboxes = 1 };
    ingest_write_complete(text, BYTES("alice"), &progress);
    CHECK_STR(text, "account alice: complete: 1 mailbox, nothing new");
}

TEST(a_run_with_something_left_is_never_called_complete)
{
    char text[INGEST_OUTCOME_BYTES];
    struct source_progress progress = { .mailboxes = 12, .pending = 2, .mailboxes_failed = 1 };

    ingest_write_incomplete(text, BYTES("alice"), &progress, "Shared/x: EXAMINE is refused");
    CHECK_STR(text, "account alice: not complete: 2 messages could not be fetched yet (holdfast "
                    "failures shows why); 1 of 12 mailboxes could not be read, the first: "
                    "Shared/x: EXAMINE is refused; tried again at the next run; so far 12 "
                    "mailboxes, nothing new");
}

TEST(a_reason_that_was_cut_within_a_character_holds_whole_ones)
{
    char text[INGEST_OUTCOME_BYTES];
    struct err err = { .code = ERR_DENIED };

    for (size_t i = 0; i + 2 < sizeof err.text; i += 2) {
        err.text[i] = '\xc3';
        err.text[i + 1] = '\xa4';
    }
    err.text[sizeof err.text - 2] = '\xc3';
    ingest_write_reason(text, &err);
    CHECK(imap_is_utf8(bytes_of_text(text)));
    CHECK_EQ_U64(strlen(text), sizeof err.text - 1);
}

TEST(a_test_says_what_would_be_archived)
{
    char text[INGEST_OUTCOME_BYTES];
    struct ingest_left_out left_out = { .counts = { 0 } };

    const struct bytes unmatched = BYTES("\\Junk");

    ingest_write_test(text, BYTES("alice"), 12, 3412, true, &left_out, NULL);
    CHECK_STR(text, "account alice: login ok, 12 mailboxes, 3,412 messages");
    left_out.counts[SOURCE_LEFT_OUT_BY_PATTERN] = 2;
    left_out.firsts[SOURCE_LEFT_OUT_BY_PATTERN] = BYTES("Spam");
    left_out.counts[SOURCE_LEFT_OUT_SHARED] = 1;
    left_out.firsts[SOURCE_LEFT_OUT_SHARED] = BYTES("Shared/Team");
    ingest_write_test(text, BYTES("alice"), 1, 1000007, false, &left_out, &unmatched);
    CHECK_STR(text, "account alice: login ok, 1 mailbox, at least 1,000,007 messages; left out by "
                    "--include and --exclude: 2 mailboxes, the first Spam; left out as shared "
                    "(--namespace shared): 1 mailbox, Shared/Team; no mailbox matches the pattern "
                    "\\Junk");
}

TEST(a_mailbox_as_full_as_its_server_shows_is_told)
{
    char text[INGEST_OUTCOME_BYTES] = "account alice: complete: 1 mailbox, nothing new";

    ingest_warn_of_view(text, "Yahoo", BYTES("INBOX"), 10000, 1);
    CHECK_STR(text,
              "account alice: complete: 1 mailbox, nothing new; possibly truncated: INBOX shows "
              "exactly 10,000 messages, the most that Yahoo may show of one (1 other mailbox "
              "too)");
}

TEST(a_failure_is_one_line_that_names_the_account)
{
    char text[INGEST_OUTCOME_BYTES];
    struct err err = { ERR_RETRY, "host name x.invalid cannot be resolved" };

    ingest_write_failure(text, BYTES("alice"), &err);
    CHECK_STR(text, "account alice: host name x.invalid cannot be resolved");
}

TEST(what_was_cut_within_a_character_is_still_text_of_the_database)
{
    char text[INGEST_OUTCOME_BYTES];
    CLEANUP(buf_free) struct buf name = buf_create(2000);
    struct err err = { ERR_RETRY, "caf\xc3: \x1b[2J\xc2\x9b"
                                  "1m \xe2\x82\xac \xff" };

    ingest_write_failure(text, BYTES("alice"), &err);
    CHECK_STR(text, "account alice: caf?: ?[2J??1m \xe2\x82\xac ?");
    for (size_t length = INGEST_OUTCOME_BYTES - 100; length < INGEST_OUTCOME_BYTES + 20; length++) {
        buf_reset(&name, 2000);
        for (size_t i = 0; i < length; i++)
            buf_text(&name, "\xc3\xa9");
        ingest_write_failure(text, bytes_slice(buf_bytes(&name), 0, length), &err);
        CHECK(imap_is_utf8(bytes_of_text(text)));
    }
}

TEST(waiting_doubles_up_to_an_hour_with_jitter_below)
{
    const struct err retry = { ERR_RETRY, "cannot connect" };
    const struct err denied = { ERR_DENIED, "wrong password" };

    for (int32_t attempts = 0; attempts < 40; attempts++)
        for (uint64_t jitter = 0; jitter < 3000; jitter += 97) {
            int64_t seconds = ingest_retry_seconds(&retry, attempts, jitter);

            CHECK(seconds >= 22 && seconds <= INGEST_RETRY_MAX_SECONDS);
        }
    CHECK(ingest_retry_seconds(&retry, 0, 0) <= 30);
    CHECK(ingest_retry_seconds(&retry, 3, 0) >= 180);
    CHECK(ingest_retry_seconds(&denied, 0, 0) >= 2700);
}

TEST(whoever_asks_to_be_left_alone_is_left_alone_as_long)
{
    const struct err throttled = {
        ERR_RETRY, "UID FETCH is refused for now: Request is throttled. Suggested Backoff Time: "
                   "299961 milliseconds"
    };
    char text[INGEST_OUTCOME_BYTES];

    CHECK_EQ_I64(ingest_retry_seconds(&throttled, 0, 0), 300);
    CHECK(ingest_retry_seconds(&throttled, 20, 0) >= 2700); /* its failures count as well */
    ingest_write_failure(text, BYTES("alice"),
                         &(struct err){ ERR_RETRY, "[OVERQUOTA] Account exceeded limits" });
    CHECK_STR(text,
              "account alice: [OVERQUOTA] Account exceeded limits; the provider's daily limit "
              "for this account is used up, also by other programs");
}

TEST(the_next_run_is_moved_by_at_most_a_twentieth)
{
    CHECK_EQ_I64(ingest_next_seconds(300, 0), 285);
    CHECK_EQ_I64(ingest_next_seconds(300, 30), 315);
    CHECK_EQ_I64(ingest_next_seconds(1, 12345), 1);
    for (uint64_t jitter = 0; jitter < 1000; jitter++) {
        CHECK(ingest_next_seconds(3600, jitter) >= 3420);
        CHECK(ingest_next_seconds(3600, jitter) <= 3780);
    }
}

TEST(a_spent_budget_waits_for_the_next_day_and_up_to_ten_minutes_more)
{
    const int64_t noon = 12 * 60 * 60;

    CHECK_EQ_I64(ingest_next_day_seconds(noon, 0), 12 * 60 * 60);
    CHECK_EQ_I64(ingest_next_day_seconds(noon, 599), 12 * 60 * 60 + 599);
    CHECK_EQ_I64(ingest_next_day_seconds(noon, 600), 12 * 60 * 60);
}

TEST(a_spent_budget_is_told_with_what_was_fetched)
{
    char text[INGEST_OUTCOME_BYTES];
    struct source_progress progress = { .mailboxes = 2, .fetched = 1200 };

    ingest_write_budget(text, BYTES("alice"), &progress, UINT64_C(2000000000));
    CHECK_STR(text,
              "account alice: the day's budget of 2,000 MB is spent (holdfast account edit "
              "--daily-bytes); goes on tomorrow (UTC); so far 2 mailboxes, 1,200 new messages");
}
