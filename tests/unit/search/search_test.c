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
static struct search *opened;

static void close_search(void)
{
    search_close(&opened);
    arena_free(&arena);
}

/* Opens a search for the text of a SEARCH command; NULL: *err says why not. */
static struct search *open_search(const char *text, bool shows_all_seen, struct err *err)
{
    struct search_scope scope = { .mailbox = &mailbox, .shows_all_seen = shows_all_seen };
    const struct imap_search_key *key;
    struct imap_command command;

    close_search();
    arena = arena_create(1 << 20);
    if (!imap_parse_command(bytes_of_text(text), arena, &command, err) ||
        !search_convert_key(&command.search.key, command.search.charset, arena, &key, err) ||
        !search_open(&scope, key, arena, &opened, err))
        return NULL;
    return opened;
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
    close_search();
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

static bool nobody_waits(void *context)
{
    (void)context;
    return false;
}

TEST(a_long_search_by_sets_ends_in_steps_and_when_nobody_waits)
{
    static const struct vault_mailbox huge = {
        .row = { .account_id = 7, .mailbox_id = 32, .uidnext = UINT32_MAX },
    };
    struct err err = { 0 };
    struct search *search = open_search("t SEARCH DELETED", false, &err);
    uint32_t uids[SEARCH_PAGE_HITS];
    bool is_last = true;
    size_t count = 1;

    CHECK(search != NULL && search->is_pure);
    search->scope.mailbox = &huge;
    search->through_uid = UINT32_MAX - 1;
    CHECK(search_next(search, uids, &count, &is_last, &err));
    CHECK(count == 0 && !is_last);
    search->scope.goes_on = nobody_waits;
    CHECK(!search_next(search, uids, &count, &is_last, &err));
    CHECK_EQ_U64(err.code, ERR_RETRY);
    close_search();
}

TEST(what_every_hit_must_be_in_narrows_the_uids_to_look_at)
{
    struct err err = { 0 };
    struct search *search = open_search("t SEARCH SEEN UID 2:8 OR UID 1 UID 10", false, &err);

    CHECK(search != NULL && !search->is_pure);
    CHECK_EQ_U64(search->after_uid, 1);
    CHECK_EQ_U64(search->through_uid, 8);
    close_search();
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
    close_search();
}

TEST(flags_at_a_position_come_from_the_history)
{
    struct search_scope scope = { .mailbox = &mailbox, .as_of_modseq = 99 };
    struct imap_search_key key = { .kind = IMAP_SEARCH_FLAG, .flag = VAULT_FLAG_FLAGGED };
    struct err err = { 0 };

    close_search();
    arena = arena_create(1 << 20);
    CHECK(search_open(&scope, &key, arena, &opened, &err));
    CHECK(!opened->is_pure && strstr(opened->sql, "v.modseq <= $5 AND q.modseq > $6") != NULL);
    CHECK(opened->values[4].number == 99 && opened->values[5].number == 99);
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
    close_search();
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
    close_search();
}

TEST(the_empty_text_is_in_every_message_and_the_empty_name_of_no_field)
{
    check_hits("t SEARCH BODY \"\" UID 1", " 1");
    check_hits("t SEARCH NOT TEXT \"\"", "");
    check_hits("t SEARCH HEADER \"\" x", "");
    check_hits("t SEARCH NOT HEADER \"\" \"\" UID 2", " 2");
}

TEST(what_sql_cannot_know_is_left_over)
{
    struct err err = { 0 };
    struct search *search = open_search("t SEARCH SEEN OR BODY x FLAGGED NOT TEXT y", false, &err);

    CHECK(search != NULL && !search->is_pure && search_asks_text(search));
    CHECK_STR(search->sql,
              "SELECT p.uid, p.message_id, '' || coalesce(((p.flags & $5) <> 0)::int::text, '2')"
              " || coalesce(((p.flags & $6) <> 0)::int::text, '2') FROM placement p WHERE "
              "p.account_id = $1 AND p.mailbox_id = $2 AND p.uid > $3 AND p.uid <= $4 AND "
              "((p.flags & $7) <> 0 AND ((NULL::boolean OR (p.flags & $8) <> 0)) IS NOT FALSE AND "
              "((NOT NULL::boolean)) IS NOT FALSE) ORDER BY p.uid LIMIT 16384");
    CHECK_EQ_U64(search->bit_count, 2);
    CHECK_EQ_U64(search->text_count, 2);
    close_search();
}

TEST(the_index_is_looked_up_once_whatever_the_keys)
{
    struct err err = { 0 };
    struct search *search =
        open_search("t SEARCH SUBJECT {3}\r\nA\xcc\x88 OR FROM b SENTON 1-Feb-2020", false, &err);

    CHECK(search != NULL);
    CHECK(strstr(search->sql, "LEFT JOIN LATERAL (SELECT * FROM message_index x WHERE") != NULL);
    CHECK(strstr(strstr(search->sql, "LATERAL") + 1, "LATERAL") == NULL);
    CHECK_BYTES(search->values[5].octets, BYTES("a\xcc\x88"));
    CHECK_EQ_U64(search->bit_count, 3);
    close_search();
}

TEST(a_page_of_many_leaves_has_fewer_rows)
{
    struct buf text = buf_create(100000);
    struct err err = { 0 };
    struct search *search;

    buf_text(&text, "t SEARCH BODY x");
    for (int i = 0; i < 900; i++)
        buf_text(&text, " SUBJECT a");
    buf_byte(&text, 0);
    search = open_search((const char *)text.ptr, false, &err);
    CHECK(search != NULL);
    CHECK_EQ_U64(search->page_rows, (1 << 20) / 900);
    buf_free(&text);
    close_search();
}

TEST(texts_are_read_in_their_charset)
{
    struct err err = { 0 };
    struct search *search =
        open_search("t SEARCH CHARSET ISO-8859-1 SUBJECT {3}\r\n\xe9t\xc9", false, &err);

    CHECK(search != NULL);
    CHECK_BYTES(search->values[5].octets, BYTES("e\xcc\x81te\xcc\x81"));
    search = open_search("t SEARCH SUBJECT {2}\r\n\xc3\xa9", false, &err);
    CHECK(search != NULL);
    CHECK_BYTES(search->values[5].octets, BYTES("e\xcc\x81"));
    CHECK(open_search("t SEARCH CHARSET UTF-8 NOT BODY {1}\r\n\xe9", false, &err) == NULL);
    CHECK_EQ_U64(err.code, ERR_SYNTAX);
    err_clear(&err);
    CHECK(open_search("t SEARCH CHARSET KLINGON SEEN", false, &err) == NULL);
    CHECK_EQ_U64(err.code, ERR_ABSENT);
    close_search();
}

/* ---- three values ------------------------------------------------------------------------------- */

static enum search_truth answers[2];

static enum search_truth ask(void *context, const struct search_node *node)
{
    (void)context;
    return answers[node->text];
}

TEST(a_tree_is_decided_as_soon_as_its_known_leaves_do)
{
    static const enum search_truth values[] = { SEARCH_NO, SEARCH_YES, SEARCH_ASK };
    struct err err = { 0 };
    struct search *both = open_search("t SEARCH BODY x BODY y", false, &err);
    struct search_facts facts = { .scope = &both->scope, .uid = 1, .ask = ask };

    for (size_t a = 0; a < 3; a++)
        for (size_t b = 0; b < 3; b++) {
            enum search_truth want = a == 0 || b == 0   ? SEARCH_NO
                                     : a == 1 && b == 1 ? SEARCH_YES
                                                        : SEARCH_ASK;

            answers[0] = values[a];
            answers[1] = values[b];
            CHECK_EQ_U64(search_decide(&facts, both->root), want);
        }
    both = open_search("t SEARCH NOT OR BODY x SEEN", false, &err);
    facts = (struct search_facts){ .scope = &both->scope, .uid = 1, .bits = (const uint8_t *)"1" };
    CHECK_EQ_U64(search_decide(&facts, both->root), SEARCH_NO);
    facts.bits = (const uint8_t *)"0";
    CHECK_EQ_U64(search_decide(&facts, both->root), SEARCH_ASK);
    facts.ask = ask;
    answers[0] = SEARCH_NO;
    CHECK_EQ_U64(search_decide(&facts, both->root), SEARCH_YES);
    close_search();
}

/* ---- columns ------------------------------------------------------------------------------------ */

static bool column_has(const char *query, const struct mime_summary *summary)
{
    static const struct mime_part root = { 0 };
    struct err err = { 0 };
    struct search *search = open_search(query, false, &err);

    CHECK(search != NULL);
    CHECK_EQ_U64(search->text_count, 1);
    return search_column_has(search->texts[0], &root, summary);
}

TEST(a_message_without_a_row_is_asked_what_the_row_would_say)
{
    struct mime_summary summary = { .subject = BYTES("A \t  B"), .to = BYTES("") };

    CHECK(column_has("t SEARCH SUBJECT \"a b\"", &summary));
    CHECK(column_has("t SEARCH SUBJECT \"A   B\"", &summary));
    CHECK(!column_has("t SEARCH SUBJECT \"b \"", &summary));
    CHECK(column_has("t SEARCH SUBJECT \"\"", &summary));
    CHECK(column_has("t SEARCH TO \"\"", &summary));
    CHECK(!column_has("t SEARCH TO a", &summary));
    CHECK(!column_has("t SEARCH CC \"\"", &summary));
    CHECK(column_has("t SEARCH SENTON 1-Jan-1970", &summary));
    CHECK(column_has("t SEARCH SENTBEFORE 2-Jan-1970", &summary));
    CHECK(!column_has("t SEARCH SENTSINCE 2-Jan-1970", &summary));
    CHECK(mime_read_date(BYTES("1 Feb 2020 23:00:00 -0500"), &summary.date));
    summary.has_date = true;
    CHECK(column_has("t SEARCH SENTON 1-Feb-2020", &summary));
    CHECK(column_has("t SEARCH SENTSINCE 1-Feb-2020", &summary));
    CHECK(!column_has("t SEARCH SENTBEFORE 1-Feb-2020", &summary));
    close_search();
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
    close_search();
}
