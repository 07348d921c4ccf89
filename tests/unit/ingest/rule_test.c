/* SPDX-License-Identifier: Apache-2.0 */
#include "imap/response.h"
#include "ingest/rule.h"
#include "test.h"

static bool is_wanted(const struct source_account_settings *account, const char *path,
                      uint32_t attributes)
{
    struct bytes rule;

    return ingest_is_wanted(account, bytes_of_text(path), attributes, &rule);
}

TEST(patterns_choose_by_archive_path_and_exclude_is_stronger)
{
    const struct bytes include[] = { BYTES_INIT("INBOX"), BYTES_INIT("Work/*") };
    const struct bytes exclude[] = { BYTES_INIT("Work/Private*") };
    const struct source_account_settings everything = { .include_count = 0 };
    const struct source_account_settings some = {
        .include = include, .include_count = 2, .exclude = exclude, .exclude_count = 1
    };
    struct bytes rule;

    CHECK(is_wanted(&some, "INBOX", 0));
    CHECK(is_wanted(&some, "Work/a/b", 0));
    CHECK(!ingest_is_wanted(&some, BYTES("Work/Private/x"), 0, &rule));
    CHECK_BYTES(rule, BYTES("Work/Private*"));
    CHECK(!ingest_is_wanted(&some, BYTES("Trash"), 0, &rule));
    CHECK_EQ_U64(rule.len, 0);
    CHECK(is_wanted(&everything, "Trash", 0));
}

TEST(a_special_use_is_matched_whatever_the_name_and_in_any_case)
{
    const struct bytes exclude[] = { BYTES_INIT("\\junk"), BYTES_INIT("\\Trash") };
    const struct source_account_settings some = { .exclude = exclude, .exclude_count = 2 };

    CHECK(!is_wanted(&some, "Courrier ind\xc3\xa9sirable", IMAP_MAILBOX_JUNK));
    CHECK(!is_wanted(&some, "x", IMAP_MAILBOX_ARCHIVE | IMAP_MAILBOX_TRASH));
    CHECK(is_wanted(&some, "Junk", 0));
    CHECK(is_wanted(&some, "\\Junk", 0)); /* a name, not a use */
}

TEST(one_level_is_not_crossed_by_a_percent_sign_and_octets_must_be_equal)
{
    CHECK(ingest_pattern_matches(BYTES("B\xc3\xbcro/%"), BYTES("B\xc3\xbcro/\xe6\x97\xa5"), 0));
    CHECK(!ingest_pattern_matches(BYTES("B\xc3\xbcro/%"), BYTES("B\xc3\xbcro/a/b"), 0));
    CHECK(ingest_pattern_matches(BYTES("*ro*"), BYTES("B\xc3\xbcro/a/b"), 0));
    CHECK(!ingest_pattern_matches(BYTES("b\xc3\xbcro"), BYTES("B\xc3\xbcro"), 0));
    CHECK(!ingest_pattern_matches(BYTES("Work"), BYTES("Work/a"), 0));
}

TEST(inbox_is_matched_in_any_case)
{
    CHECK(ingest_pattern_matches(BYTES("inbox"), BYTES("INBOX"), 0));
    CHECK(ingest_pattern_matches(BYTES("Inbox/%"), BYTES("INBOX/a"), 0));
    CHECK(!ingest_pattern_matches(BYTES("inbox"), BYTES("Inboxes"), 0));
}

TEST(a_use_that_there_is_not_is_refused)
{
    struct err err = { 0 };

    CHECK(ingest_check_pattern(BYTES("\\SENT"), &err));
    CHECK(ingest_check_pattern(BYTES("Spam"), &err));
    CHECK(!ingest_check_pattern(BYTES("\\Spam"), &err));
    CHECK_EQ_U64(err.code, ERR_SYNTAX);
}

TEST(all_special_uses_of_a_mailbox_are_written)
{
    struct buf text = buf_create(100);

    ingest_write_special_uses(&text, IMAP_MAILBOX_TRASH | IMAP_MAILBOX_ALL | IMAP_MAILBOX_NOSELECT);
    CHECK_BYTES(buf_bytes(&text), BYTES("\\All \\Trash"));
    buf_free(&text);
}
