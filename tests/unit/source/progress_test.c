/* SPDX-License-Identifier: Apache-2.0 */
#include "source/lease.h"
#include "source/progress.h"
#include "test.h"

TEST(counters_are_read_back_as_they_were_written)
{
    CLEANUP(buf_free) struct buf json = buf_create(2048);
    struct source_progress progress = { .mailboxes = 3, .fetched = 7, .odd_responses = UINT32_MAX };
    struct source_progress back;
    struct err err = { 0 };

    source_write_progress(&json, &progress);
    CHECK(source_read_progress(buf_bytes(&json), &back, &err));
    CHECK(memcmp(&progress, &back, sizeof back) == 0);
}

TEST(blanks_and_unknown_members_and_missing_ones_are_fine)
{
    struct source_progress progress;
    struct err err = { 0 };

    CHECK(source_read_progress(BYTES("{ \"fetched\" : 12 , \"later\": 5}"), &progress, &err));
    CHECK_EQ_U64(progress.fetched, 12);
    CHECK_EQ_U64(progress.mailboxes, 0);
    CHECK(source_read_progress(BYTES("{}"), &progress, &err));
    CHECK_EQ_U64(progress.fetched, 0);
}

TEST(anything_but_an_object_of_counters_is_refused)
{
    static const char *const wrong[] = { "",         "[]",        "{\"a\"}", "{\"a\":\"b\"}",
                                         "{\"a\":1", "{\"a\":-1}" };

    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct source_progress progress;
        struct err err = { 0 };

        CHECK(!source_read_progress(bytes_of_text(wrong[i]), &progress, &err));
        CHECK_EQ_U64(err.code, ERR_SYNTAX);
    }
}

TEST(a_secret_is_bound_to_its_account)
{
    char text[SOURCE_AAD_BYTES];

    CHECK_BYTES(source_secret_aad(7, text), BYTES("account 7 secret"));
    CHECK_BYTES(source_secret_aad(INT64_MAX, text), BYTES("account 9223372036854775807 secret"));
}
