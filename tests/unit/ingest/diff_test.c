/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "ingest/diff.h"
#include "test.h"

static struct ingest_names no_names;

#define SEEN(n)                                                                                    \
    {                                                                                              \
        .uid = (n), .has_flags = true, .internal_usec = INT64_MIN                                  \
    }
#define STORED(n)                                                                                  \
    {                                                                                              \
        .uid = (n), .state = SOURCE_UID_STORED, .placement_uid = (n)                               \
    }

/* As a word: S same, F fresh, V vanished, B back, C changed, R replaced. */
static void check(const struct ingest_seen *seen, size_t seen_count,
                  const struct source_known *known, size_t known_count, const char *want)
{
    struct ingest_diff diff = {
        .seen = seen, .seen_count = seen_count, .known = known, .known_count = known_count
    };
    enum ingest_difference kind;
    const struct ingest_seen *s;
    const struct source_known *k;
    char word[32] = "";
    uint32_t last = 0;

    for (size_t i = 0; ingest_next_difference(&diff, &no_names, &kind, &s, &k); i++) {
        uint32_t uid = s != NULL ? s->uid : k->uid;

        CHECK(uid > last);
        last = uid;
        word[i] = "SFVBCR"[kind];
    }
    CHECK_STR(word, want);
}

TEST(what_is_seen_and_not_known_is_fresh)
{
    const struct ingest_seen seen[] = { SEEN(1), SEEN(3) };
    const struct source_known known[] = { STORED(1) };

    check(seen, 2, known, 1, "SF");
    check(seen, 2, NULL, 0, "FF");
}

TEST(what_is_known_and_not_seen_has_vanished)
{
    const struct ingest_seen seen[] = { SEEN(2) };
    const struct source_known known[] = { STORED(1),
                                          STORED(2),
                                          { .uid = 3, .state = SOURCE_UID_PENDING } };

    check(seen, 1, known, 3, "VSV");
    check(NULL, 0, known, 3, "VVV");
}

TEST(what_vanished_before_does_not_vanish_again_but_may_come_back)
{
    const struct ingest_seen seen[] = { SEEN(2), SEEN(4) };
    const struct source_known known[] = {
        { .uid = 1, .state = SOURCE_UID_STORED, .is_gone = true },
        { .uid = 2, .state = SOURCE_UID_STORED, .is_gone = true },
        { .uid = 3, .state = SOURCE_UID_GONE, .is_gone = true },
        { .uid = 4, .state = SOURCE_UID_GONE, .is_gone = true },
    };

    check(seen, 2, known, 4, "SBSB");
}

TEST(pending_and_skipped_uids_are_left_to_others)
{
    const struct ingest_seen seen[] = { SEEN(1), SEEN(2) };
    const struct source_known known[] = { { .uid = 1, .state = SOURCE_UID_PENDING },
                                          { .uid = 2, .state = SOURCE_UID_SKIPPED } };

    check(seen, 2, known, 2, "SS");
}

TEST(flags_that_differ_are_a_change_and_missing_flags_are_none)
{
    const struct ingest_seen seen[] = {
        { .uid = 1, .has_flags = true, .flags = IMAP_FLAG_SEEN, .internal_usec = INT64_MIN },
        { .uid = 2, .internal_usec = INT64_MIN },
    };
    const struct source_known known[] = {
        STORED(1),
        { .uid = 2, .state = SOURCE_UID_STORED, .flags = IMAP_FLAG_SEEN },
    };

    check(seen, 2, known, 2, "CS");
}

TEST(another_internaldate_is_another_message)
{
    const struct ingest_seen seen[] = { { .uid = 1, .has_flags = true, .internal_usec = 5 } };
    const struct source_known known[] = {
        { .uid = 1, .state = SOURCE_UID_STORED, .internal_usec = 6 }
    };

    check(seen, 1, known, 1, "R");
}

TEST(keywords_are_compared_as_sets_of_numbers)
{
    struct arena *arena = arena_create(1 << 16);
    const struct bytes known_names[] = { BYTES_INIT("$Forwarded"), BYTES_INIT("Work") };
    const struct source_keywords keywords = { known_names, 2 };
    struct ingest_names names;
    struct err err = { 0 };
    uint16_t numbers[2];
    const uint8_t bitmap = 2; /* Work */
    struct source_known known = { .uid = 1,
                                  .state = SOURCE_UID_STORED,
                                  .keywords = { &bitmap, 1 } };
    struct ingest_seen seen = { .uid = 1,
                                .has_flags = true,
                                .keyword_count = 1,
                                .keywords = numbers,
                                .internal_usec = INT64_MIN };
    struct ingest_diff diff = { &seen, 1, 0, &known, 1, 0 };
    enum ingest_difference kind;
    const struct ingest_seen *s;
    const struct source_known *k;

    CHECK(ingest_start_names(&keywords, arena, &names, &err));
    CHECK(ingest_number_of(&names, BYTES("WORK"), &numbers[0], &err));
    CHECK_EQ_U64(numbers[0], 1);
    CHECK(ingest_next_difference(&diff, &names, &kind, &s, &k) && kind == INGEST_SAME);

    CHECK(ingest_number_of(&names, BYTES("Private"), &numbers[0], &err));
    CHECK_EQ_U64(numbers[0], 2);
    diff.seen_at = diff.known_at = 0;
    CHECK(ingest_next_difference(&diff, &names, &kind, &s, &k) && kind == INGEST_CHANGED);

    seen.keyword_count = 0;
    diff.seen_at = diff.known_at = 0;
    CHECK(ingest_next_difference(&diff, &names, &kind, &s, &k) && kind == INGEST_CHANGED);
    arena_free(&arena);
}

TEST(a_keyword_that_is_not_utf8_is_taken_as_latin1)
{
    CLEANUP(buf_free) struct buf out = buf_create(600);

    ingest_write_keyword(&out, BYTES("caf\xe9"));
    CHECK_BYTES(buf_bytes(&out), BYTES("caf\xc3\xa9"));
    buf_reset(&out, 0);
    ingest_write_keyword(&out, BYTES("caf\xc3\xa9"));
    CHECK_BYTES(buf_bytes(&out), BYTES("caf\xc3\xa9"));
}

TEST(doubles_and_disorder_are_put_right)
{
    struct ingest_seen seen[] = { SEEN(5), SEEN(2), SEEN(5) };

    seen[2].flags = IMAP_FLAG_SEEN;
    CHECK_EQ_U64(ingest_sort_seen(seen, 3), 2);
    CHECK_EQ_U64(seen[0].uid, 2);
    CHECK_EQ_U64(seen[1].uid, 5);
}
