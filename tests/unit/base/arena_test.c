/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"
#include "test.h"

#include <stdint.h>

TEST(arena_memory_is_zeroed_also_after_a_reset)
{
    CLEANUP(arena_free) struct arena *arena = arena_create(1 << 20);

    for (int round = 0; round < 3; round++) {
        uint8_t *p = arena_alloc(arena, 100);

        for (int i = 0; i < 100; i++)
            CHECK_EQ_U64(p[i], 0);
        memset(p, 0xff, 100);
        arena_reset(arena);
    }
}

TEST(sizes_from_outside_stop_at_the_ceiling)
{
    CLEANUP(arena_free) struct arena *arena = arena_create(1000);
    struct err err = { 0 };
    void *out = NULL;

    CHECK(arena_try_alloc(arena, 10, 100, &out, &err));
    CHECK(!arena_try_alloc(arena, 1, 1, &out, &err));
    CHECK(err.code == ERR_LIMIT);
    CHECK(!arena_try_alloc(arena, SIZE_MAX, SIZE_MAX, &out, &err));
    arena_reset(arena);
    CHECK(arena_try_alloc(arena, 1, 1000, &out, &err));
}

TEST(a_copy_longer_than_asked_for_is_refused)
{
    CLEANUP(arena_free) struct arena *arena = arena_create(1000);
    struct err err = { 0 };
    struct bytes out = BYTES("untouched");

    CHECK(!arena_try_copy(arena, BYTES("abcd"), 3, &out, &err));
    CHECK_BYTES(out, BYTES("untouched"));
    CHECK(arena_try_copy(arena, BYTES("abc"), 3, &out, &err));
    CHECK_BYTES(out, BYTES("abc"));
}

TEST(an_impossible_size_is_refused_whatever_the_ceiling)
{
    CLEANUP(arena_free) struct arena *arena = arena_create(SIZE_MAX);
    struct err err = { 0 };
    void *out = NULL;

    CHECK(!arena_try_alloc(arena, SIZE_MAX, 2, &out, &err));
    CHECK(err.code == ERR_LIMIT);
}

TEST(what_was_copied_stays_when_more_comes)
{
    CLEANUP(arena_free) struct arena *arena = arena_create(0);
    const char *none = arena_copy(arena, NULL, 0);
    const char *first = arena_copy(arena, "first", 5);
    uint8_t *zeroed = arena_alloc(arena, 5);

    (void)arena_copy(arena, "second", 6);
    CHECK(none != NULL);
    CHECK_BYTES(bytes_of(first, 5), BYTES("first"));
    CHECK_EQ_U64(zeroed[4], 0);
}

TEST(blocks_larger_than_the_standard_are_given)
{
    CLEANUP(arena_free) struct arena *arena = arena_create(1 << 30);
    uint8_t *p = arena_alloc(arena, 1 << 20);

    p[(1 << 20) - 1] = 1;
    CHECK((uintptr_t)arena_alloc(arena, 1) % 16 == 0);
}
