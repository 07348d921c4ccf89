/* SPDX-License-Identifier: Apache-2.0 */
#include "imap/set.h"
#include "test.h"

static void check_set(const char *sent, uint32_t star, const char *want)
{
    struct arena *arena = arena_create(100000);
    struct bytes in = bytes_of_text(sent);
    struct imap_sequence_set sequence;
    struct imap_set set;
    struct buf buf = buf_create(1000);
    struct err err = { 0 };

    CHECK(imap_read_set(&in, 1000, arena, &sequence, &err));
    CHECK_EQ_U64(in.len, 0);
    set = imap_resolve_set(&sequence, star, arena);
    if (set.count > 0)
        imap_write_set(&buf, &set);
    CHECK_BYTES(buf_bytes(&buf), bytes_of_text(want));
    buf_free(&buf);
    arena_free(&arena);
}

TEST(sets_are_sorted_merged_and_written_compactly)
{
    check_set("1", 9, "1");
    check_set("5:2", 9, "2:5");
    check_set("1,3,2:4,2", 9, "1:4");
    check_set("9,7,5", 9, "5,7,9");
    check_set("1:3,4:6,8", 9, "1:6,8");
    check_set("4294967295,4294967294", 9, "4294967294:4294967295");
    check_set("1:4294967295,7", 9, "1:4294967295");
}

TEST(star_is_the_largest_number_in_use)
{
    check_set("*", 9, "9");
    check_set("7:*", 9, "7:9");
    check_set("*:7", 9, "7:9");
    check_set("99999:*", 9, "9:99999");
    check_set("*:*", 9, "9");
}

TEST(star_in_an_empty_mailbox_is_nothing)
{
    check_set("*", 0, "");
    check_set("1:*", 0, "");
    check_set("3,1:*", 0, "3");
}

TEST(wrong_sets_are_refused_and_nothing_is_consumed)
{
    static const char *const wrong[] = { "",           "0", "1,", "1:",   ":1", "1:0",
                                         "4294967296", "a", ",1", "1::2", "-1" };

    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct arena *arena = arena_create(100000);
        struct bytes in = bytes_of_text(wrong[i]);
        struct imap_sequence_set sequence;
        struct err err = { 0 };

        CHECK(!imap_read_set(&in, 1000, arena, &sequence, &err));
        CHECK_EQ_U64(err.code, ERR_SYNTAX);
        CHECK_EQ_U64(in.len, strlen(wrong[i]));
        arena_free(&arena);
    }
}

TEST(more_ranges_than_the_limit_are_refused)
{
    struct arena *arena = arena_create(100000);
    struct bytes at = BYTES("1,2,3");
    struct bytes over = BYTES("1,2,3,4");
    struct imap_sequence_set sequence;
    struct err err = { 0 };

    CHECK(imap_read_set(&at, 3, arena, &sequence, &err));
    CHECK(!imap_read_set(&over, 3, arena, &sequence, &err));
    CHECK_EQ_U64(err.code, ERR_LIMIT);
    arena_free(&arena);
}

TEST(the_saved_result_is_recognised)
{
    struct arena *arena = arena_create(100);
    struct bytes in = BYTES("$ FLAGS");
    struct imap_sequence_set sequence;
    struct err err = { 0 };

    CHECK(imap_read_set(&in, 3, arena, &sequence, &err));
    CHECK(sequence.is_saved_result);
    CHECK_BYTES(in, BYTES(" FLAGS"));
    arena_free(&arena);
}

TEST(membership_and_iteration_agree)
{
    struct imap_range ranges[] = { { 20, 22 }, { 3, 3 }, { 5, 9 }, { UINT32_MAX, UINT32_MAX } };
    struct imap_set set = imap_normalise_ranges(ranges, ARRAY_LEN(ranges));
    uint64_t count = 0;
    uint32_t last = 0;

    for (uint32_t n = 0; (n = imap_set_next(&set, n)) != 0; count++) {
        CHECK(n > last && imap_set_has(&set, n));
        last = n;
    }
    CHECK_EQ_U64(count, imap_set_size(&set));
    CHECK_EQ_U64(count, 10);
    CHECK_EQ_U64(imap_set_max(&set), UINT32_MAX);
    CHECK(!imap_set_has(&set, 4) && !imap_set_has(&set, 0) && !imap_set_has(&set, 23));
}
