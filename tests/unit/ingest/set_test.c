/* SPDX-License-Identifier: Apache-2.0 */
#include "ingest/set.h"
#include "test.h"

static size_t write_some(const uint32_t *uids, size_t count, size_t max, const char *want)
{
    CLEANUP(buf_free) struct buf set = buf_create(4096);
    size_t taken = ingest_write_set(&set, uids, count, max);

    if (want != NULL)
        CHECK_BYTES(buf_bytes(&set), bytes_of_text(want));
    CHECK(set.len <= INGEST_SET_BYTES);
    return taken;
}

TEST(neighbours_become_ranges)
{
    const uint32_t uids[] = { 1, 2, 3, 7, 9, 10 };

    CHECK_EQ_U64(write_some(uids, 6, 100, "1:3,7,9:10"), 6);
}

TEST(a_set_holds_at_most_so_many_uids)
{
    const uint32_t uids[] = { 1, 2, 3, 4 };

    CHECK_EQ_U64(write_some(uids, 4, 3, "1:3"), 3);
    CHECK_EQ_U64(write_some(uids, 4, 1, "1"), 1);
}

TEST(a_set_stays_under_its_octets_and_the_rest_follows)
{
    uint32_t uids[1000];
    size_t at = 0;
    size_t sets = 0;

    for (size_t i = 0; i < 1000; i++)
        uids[i] = (uint32_t)(UINT32_MAX - 2000 + 2 * i);
    while (at < 1000) {
        size_t taken = write_some(uids + at, 1000 - at, SIZE_MAX, NULL);

        CHECK(taken > 0);
        at += taken;
        sets++;
    }
    CHECK(sets > 10 && sets < 20);
}

TEST(no_uids_make_no_set)
{
    CHECK_EQ_U64(write_some(NULL, 0, 10, ""), 0);
}

TEST(uids_are_found_by_halving)
{
    const uint32_t uids[] = { 1, 3, 9 };

    CHECK_EQ_U64(ingest_find_uid(uids, 3, 3), 1);
    CHECK_EQ_U64(ingest_find_uid(uids, 3, 4), SIZE_MAX);
}
