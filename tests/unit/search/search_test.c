/* SPDX-License-Identifier: Apache-2.0 */
#include "imap/command.h"
#include "search/internal.h"
#include "search/search.h"
#include "test.h"

static const struct vault_uid_range disposed[] = { { 4, 6 } };
static const struct bytes keywords[] = { BYTES_INIT("$Forwarded"), BYTES_INIT(""),
                                         BYTES_INIT("$forwarded"), BYTES_INIT("$GoneAtSource") };
static const struct vault_mailbox mailbox = {
    .row = { .account_id = 7, .mailbox_id = 31, .uidnext = 11 }, /* UIDs 1-3 and 7-10 */
    .keywords = keywords,
    .keyword_count = ARRAY_LEN(keywords),
    .disposed = disposed,
    .disposed_count = 1,
};
static struct arena *arena;

/* Opens a search for the text of a SEARCH command; NULL: *err says why not. */
static struct search *open_search(const char *text, bool shows_all_seen, struct err *err)
{
    struct search_scope scope = { .mailbox = &mailbox, .shows_all_seen = shows_all_seen };
    struct imap_command command;
    struct search *search = NULL;

    arena_free(&arena);
    arena = arena_create(1 << 20);
    if (!imap_parse_command(bytes_of_text(text), arena, &command, err) ||
        !search_open(&scope, &command.search.key, arena, &search, err))
        return NULL;
    return search;
}

static void check_hits(const char *text, const char *want)
{
    struct err err = { 0 };
    struct search *search = open_search(text, false, &err);
    struct buf got = buf_create(1000);
    uint32_t uids[SEARCH_PAGE_HITS];
    bool is_last = false;
    size_t count;

    CHECK(search != NULL && search->is_pure);
    while (!is_last) {
        CHECK(search_next(search, uids, &count, &is_last, &err));
        for (size_t i = 0; i < count; i++) {
            buf_byte(&got, ' ');
            buf_u64(&got, uids[i]);
        }
    }
    CHECK_BYTES(buf_bytes(&got), bytes_of_text(want));
    buf_free(&got);
    arena_free(&arena);
}

TEST(sets_are_answered_without_the_database)
{
    check_hits("t SEARCH ALL", " 1 2 3 7 8 9 10");
    check_hits("t SEARCH 4:5", " 7 8");
    check_hits("t SEARCH 5:99", " 8 9 10");
    check_hits("t SEARCH UID 5:8", " 7 8");
    check_hits("t SEARCH UID 500:*", " 10");
    check_hits("t SEARCH NOT UID 1:3", " 7 8 9 10");
    check_hits("t SEARCH OR UID 1 UID 10", " 1 10");
    check_hits("t SEARCH UID 2:9 NOT (OR UID 3 UID 8)", " 2 7 9");
    check_hits("t SEARCH UNDELETED OLD UID 1", " 1");
    check_hits("t SEARCH DELETED", "");
    check_hits("t SEARCH RECENT", "");
    check_hits("t SEARCH UID 20:30 UID 1", "");
}

TEST(what_every_hit_must_be_in_narrows_the_uids_to_look_at)
{
    struct err err = { 0 };
    struct search *search = open_search("t SEARCH SEEN UID 2:8 OR UID 1 UID 10", false, &err);

    CHECK(search != NULL && !search->is_pure);
    CHECK_EQ_U64(search->after_uid, 1);
    CHECK_EQ_U64(search->through_uid, 8);
    arena_free(&arena);
}

TEST(the_statement_is_made_of_constants_and_numbers_only)
{
    struct err err = { 0 };
    struct search *search = open_search(
        "t SEARCH OR (FLAGGED KEYWORD \"'); DROP TABLE x; --\") NOT (SINCE 1-Feb-2020 LARGER 5)",
        false, &err);

    CHECK(search != NULL);
    CHECK_STR(search->sql,
              "SELECT p.uid FROM placement p WHERE p.account_id = $1 AND p.mailbox_id = $2 AND "
              "p.uid > $3 AND p.uid <= $4 AND ((((p.flags & $5) <> 0 AND (false)) OR (NOT "
              "(p.internal_day >= $6 AND (SELECT m.size_bytes FROM message m WHERE m.account_id = "
              "p.account_id AND m.message_id = p.message_id) > $7)))) ORDER BY p.uid LIMIT 1000");
    CHECK_EQ_U64(search->value_count, 7);
    CHECK_EQ_I64(search->values[5].number, 18293);
    arena_free(&arena);
}

TEST(keywords_are_found_by_every_number_of_their_name)
{
    struct err err = { 0 };
    struct search *search = open_search("t SEARCH KEYWORD $FORWARDED", false, &err);

    CHECK(search != NULL);
    CHECK_EQ_U64(search->value_count, 4 + 2 * 3);
    search = open_search("t SEARCH KEYWORD $GoneAtSource", false, &err);
    CHECK(search != NULL && strstr(search->sql, "p.gone_at IS NOT NULL") != NULL);
    search = open_search("t SEARCH KEYWORD _$GoneAtSource", false, &err);
    CHECK(search != NULL && search->value_count == 4 + 3);
    search = open_search("t SEARCH KEYWORD $SourceDeleted", false, &err);
    CHECK(search != NULL);
    CHECK_EQ_I64(search->values[4].number, 8);
    arena_free(&arena);
}

TEST(all_is_seen_where_it_is_shown_so)
{
    struct err err = { 0 };
    struct search *search = open_search("t SEARCH SEEN", true, &err);

    CHECK(search != NULL && search->is_pure);
    search = open_search("t SEARCH SEEN FLAGGED", true, &err);
    CHECK(search != NULL && strstr(search->sql, "(true AND (p.flags & $5) <> 0)") != NULL);
    search = open_search("t SEARCH SEEN", false, &err);
    CHECK(search != NULL && !search->is_pure);
    arena_free(&arena);
}

TEST(keys_that_are_not_offered_yet_are_told_apart_from_wrong_ones)
{
    static const char *const texts[] = { "t SEARCH SUBJECT x", "t SEARCH NOT BODY x",
                                         "t SEARCH OR SEEN TEXT x", "t SEARCH HEADER X y",
                                         "t SEARCH SENTON 1-Feb-2020" };

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct err err = { 0 };

        CHECK(open_search(texts[i], false, &err) == NULL);
        CHECK_EQ_U64(err.code, ERR_ABSENT);
    }
    arena_free(&arena);
}

TEST(the_record_of_a_search_names_keys_not_values)
{
    struct buf names = buf_create(1000);
    struct imap_command command;
    struct err err = { 0 };

    arena = arena_create(1 << 20);
    CHECK(
        imap_parse_command(BYTES("t SEARCH OR SUBJECT secret FROM bob NOT (1:3 SINCE 1-Feb-2020)"),
                           arena, &command, &err));
    search_write_key_names(&command.search.key, &names);
    CHECK_BYTES(buf_bytes(&names), BYTES("OR SUBJECT FROM NOT SEQ SINCE"));
    buf_free(&names);
    arena_free(&arena);
}
