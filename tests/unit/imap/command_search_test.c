/* SPDX-License-Identifier: Apache-2.0 */
#include "base/limits.h"
#include "imap/command.h"
#include "test.h"

static const char *const kind_names[] = {
    [IMAP_SEARCH_AND] = "and",         [IMAP_SEARCH_OR] = "or",
    [IMAP_SEARCH_NOT] = "not",         [IMAP_SEARCH_ALL] = "all",
    [IMAP_SEARCH_SEQ_SET] = "seq",     [IMAP_SEARCH_UID_SET] = "uid",
    [IMAP_SEARCH_FLAG] = "flag",       [IMAP_SEARCH_KEYWORD] = "kw",
    [IMAP_SEARCH_RECENT] = "recent",   [IMAP_SEARCH_BEFORE] = "before",
    [IMAP_SEARCH_ON] = "on",           [IMAP_SEARCH_SINCE] = "since",
    [IMAP_SEARCH_SENTBEFORE] = "sb",   [IMAP_SEARCH_SENTON] = "so",
    [IMAP_SEARCH_SENTSINCE] = "ss",    [IMAP_SEARCH_LARGER] = "larger",
    [IMAP_SEARCH_SMALLER] = "smaller", [IMAP_SEARCH_OLDER] = "older",
    [IMAP_SEARCH_YOUNGER] = "younger", [IMAP_SEARCH_SUBJECT] = "subject",
    [IMAP_SEARCH_FROM] = "from",       [IMAP_SEARCH_TO] = "to",
    [IMAP_SEARCH_CC] = "cc",           [IMAP_SEARCH_BCC] = "bcc",
    [IMAP_SEARCH_BODY] = "body",       [IMAP_SEARCH_TEXT] = "text",
    [IMAP_SEARCH_HEADER] = "header",   [IMAP_SEARCH_MODSEQ] = "modseq",
};

/* and(flag=1 not(text='x')) */
static void write_tree(struct buf *buf, const struct imap_search_key *key)
{
    const char *separator = "";

    buf_text(buf, kind_names[key->kind]);
    if (key->flag != 0)
        buf_u64(buf, key->flag);
    if (key->number != 0)
        buf_u64(buf, key->number);
    if (key->days != 0)
        buf_i64(buf, key->days);
    for (size_t i = 0; i < key->set.count; i++) {
        buf_byte(buf, '#');
        buf_u64(buf, key->set.ranges[i].first);
        buf_byte(buf, ':');
        buf_u64(buf, key->set.ranges[i].last);
    }
    if (key->set.is_saved_result)
        buf_byte(buf, '$');
    if (key->field.len > 0) {
        buf_byte(buf, '~');
        buf_append(buf, key->field);
    }
    if (key->text.len > 0) {
        buf_byte(buf, '=');
        buf_append(buf, key->text);
    }
    if (key->children == NULL)
        return;
    buf_byte(buf, '(');
    for (const struct imap_search_key *child = key->children; child != NULL; child = child->next) {
        buf_text(buf, separator);
        write_tree(buf, child);
        separator = " ";
    }
    buf_byte(buf, ')');
}

static void check_tree(const char *keys, const char *want)
{
    struct arena *arena = arena_create(1u << 20);
    struct buf text = buf_create(10000);
    struct buf tree = buf_create(10000);
    struct imap_command command;
    struct err err = { 0 };

    buf_text(&text, "a SEARCH ");
    buf_text(&text, keys);
    if (!imap_parse_command(buf_bytes(&text), arena, &command, &err))
        CHECK_STR(err.text, keys);
    write_tree(&tree, &command.search.key);
    CHECK_BYTES(buf_bytes(&tree), bytes_of_text(want));
    buf_free(&tree);
    buf_free(&text);
    arena_free(&arena);
}

TEST(search_keys_make_a_tree)
{
    check_tree("ALL", "and(all)");
    check_tree("answered unseen", "and(flag2 not(flag1))");
    check_tree("NEW OLD RECENT", "and(and(recent not(flag1)) not(recent) recent)");
    check_tree("OR SEEN NOT DELETED", "and(or(flag1 not(flag8)))");
    check_tree("OR (FROM a TO b) OR CC c BCC d", "and(or(and(from=a to=b) or(cc=c bcc=d)))");
    check_tree("1,5:* UID 7:* $", "and(seq#1:1#5:0 uid#7:0 seq$)");
    check_tree("SINCE 1-Feb-2020 BEFORE \"2-Feb-2020\" ON 3-Feb-2020",
               "and(since18293 before18294 on18295)");
    check_tree("SENTSINCE 1-Feb-2020 SENTBEFORE 2-Feb-2020 SENTON 3-Feb-2020",
               "and(ss18293 sb18294 so18295)");
    check_tree("LARGER 5 SMALLER 9999999999 OLDER 3 YOUNGER 4",
               "and(larger5 smaller9999999999 older3 younger4)");
    check_tree("MODSEQ 7 NOT MODSEQ \"/flags/\\\\Seen\" all 9223372036854775807",
               "and(modseq7 not(modseq9223372036854775807))");
    check_tree("KEYWORD $Forwarded UNKEYWORD Junk]", "and(kw=$Forwarded not(kw=Junk]))");
    check_tree("HEADER Message-ID \"\" HEADER X {1}\r\n(", "and(header~Message-ID header~X=()");
}

TEST(blanks_may_be_doubled_or_trail_as_dovecot_allows)
{
    check_tree(" ALL  ( SEEN  NOT  1 ) ", "and(all and(flag1 not(seq#1:1)))");
    check_tree("CHARSET  UTF-8  ALL", "and(all)");
}

TEST(thunderbirds_search_with_a_literal_in_parentheses_is_read)
{
    check_tree("CHARSET UTF-8 UNDELETED (OR BODY {7}\r\nq3 \303\244\r\n SUBJECT \"the\")",
               "and(not(flag8) and(or(body=q3 \303\244\r\n subject=the)))");
}

TEST(search_return_options_and_charset_are_kept)
{
    struct arena *arena = arena_create(100000);
    struct imap_command command;
    struct err err = { 0 };

    CHECK(imap_parse_command(BYTES("a UID SEARCH RETURN (MIN count) CHARSET utf-8 ALL"), arena,
                             &command, &err));
    CHECK(command.is_uid && command.search.has_return);
    CHECK_EQ_U64(command.search.returns, IMAP_RETURN_MIN | IMAP_RETURN_COUNT);
    CHECK_BYTES(command.search.charset, BYTES("utf-8"));
    CHECK(imap_parse_command(BYTES("a SEARCH RETURN () ALL"), arena, &command, &err));
    CHECK_EQ_U64(command.search.returns, IMAP_RETURN_ALL);
    CHECK(imap_parse_command(BYTES("a SEARCH ALL"), arena, &command, &err));
    CHECK(!command.search.has_return && command.search.charset.len == 0);
    arena_free(&arena);
}

TEST(wrong_searches_are_refused)
{
    static const char *const wrong[] = {
        "a SEARCH",
        "a SEARCH ",
        "a SEARCH FOO",
        "a SEARCH MODSEQ",
        "a SEARCH MODSEQ 9223372036854775808",
        "a SEARCH MODSEQ \"/flags/x\" 7",
        "a SEARCH MODSEQ \"/flags/x\" all",
        "a SEARCH ()",
        "a SEARCH (ALL",
        "a SEARCH ALL)",
        "a SEARCH NOT",
        "a SEARCH OR SEEN",
        "a SEARCH 0",
        "a SEARCH 1,",
        "a SEARCH FROM",
        "a SEARCH LARGER x",
        "a SEARCH LARGER -1",
        "a SEARCH OLDER 0",
        "a SEARCH SINCE yesterday",
        "a SEARCH UID ALL",
        "a SEARCH HEADER x",
        "a SEARCH CHARSET UTF-8",
        "a SEARCH RETURN (FOO) ALL",
        "a SEARCH RETURN (ALL",
        "a SEARCH KEYWORD \\Seen",
        "a SEARCH BODY {5}\r\nabc",
        "a SEARCH CHARSET",
    };

    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct arena *arena = arena_create(100000);
        struct imap_command command;
        struct err err = { 0 };

        if (imap_parse_command(bytes_of_text(wrong[i]), arena, &command, &err))
            CHECK_STR(wrong[i], "refused");
        CHECK_EQ_U64(err.code, ERR_SYNTAX);
        arena_free(&arena);
    }
}

static enum err_code code_of_many(const char *first, const char *each, const char *last, unsigned n)
{
    struct arena *arena = arena_create(1u << 20);
    struct buf text = buf_create(1u << 20);
    struct imap_command command;
    struct err err = { 0 };

    buf_text(&text, first);
    for (unsigned i = 0; i < n; i++)
        buf_text(&text, each);
    buf_text(&text, last);
    (void)!imap_parse_command(buf_bytes(&text), arena, &command, &err);
    buf_free(&text);
    arena_free(&arena);
    return err.code;
}

TEST(keys_and_nesting_end_at_their_limits)
{
    CHECK(code_of_many("a SEARCH ALL", " ALL", "", LIMIT_SEARCH_KEYS - 1) == ERR_NONE);
    CHECK(code_of_many("a SEARCH ALL", " ALL", "", LIMIT_SEARCH_KEYS) == ERR_LIMIT);
    CHECK(code_of_many("a SEARCH ", "NOT ", "ALL", LIMIT_COMMAND_NESTING) == ERR_NONE);
    CHECK(code_of_many("a SEARCH ", "NOT ", "ALL", LIMIT_COMMAND_NESTING + 1) == ERR_LIMIT);
    CHECK(code_of_many("a SEARCH ", "(", "ALL", LIMIT_COMMAND_NESTING + 1) == ERR_LIMIT);
    CHECK(code_of_many("a SEARCH ", "OR ALL ", "ALL", LIMIT_COMMAND_NESTING + 1) == ERR_LIMIT);
    CHECK(code_of_many("a SELECT x (Y ", "(", "", LIMIT_COMMAND_NESTING + 1) == ERR_LIMIT);
}
