/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/limits.h"
#include "imap/flag.h"
#include "search/language.h"
#include "test.h"

enum {
    ARENA_BYTES = 32 << 20,
    TEXT_BYTES = 1 << 20
};

static struct arena *arena;

static struct search_query *parse(const char *text)
{
    struct search_query *query = NULL;
    struct search_mistake mistake;
    struct err err = { 0 };

    arena_free(&arena);
    arena = arena_create(ARENA_BYTES);
    if (!search_parse_query(bytes_of_text(text), arena, &query, &mistake, &err))
        test_fail(__FILE__, __LINE__, "%s: %s", text, err.text);
    return query;
}

static void check_means(const char *text, const char *spelling)
{
    struct buf out = buf_create(TEXT_BYTES);

    search_write_query(parse(text), &out);
    CHECK_BYTES(buf_bytes(&out), bytes_of_text(spelling));
    buf_free(&out);
    arena_free(&arena);
}

static void check_mistake(const char *text, size_t column, const char *part)
{
    struct search_query *query = NULL;
    struct search_mistake mistake = { 0 };
    struct err err = { 0 };

    arena_free(&arena);
    arena = arena_create(ARENA_BYTES);
    CHECK(!search_parse_query(bytes_of_text(text), arena, &query, &mistake, &err));
    CHECK(query == NULL);
    CHECK_EQ_U64(err.code, ERR_SYNTAX);
    CHECK_EQ_U64(mistake.column, column);
    if (strstr(mistake.text, part) == NULL)
        test_fail(__FILE__, __LINE__, "'%s' does not say '%s'", mistake.text, part);
    CHECK(strstr(err.text, part) != NULL);
    arena_free(&arena);
}

/* A tree as a LISP would write it. */
static void write_key(struct buf *out, const struct imap_search_key *key)
{
    static const char *const names[] = {
        [IMAP_SEARCH_AND] = "and",
        [IMAP_SEARCH_OR] = "or",
        [IMAP_SEARCH_NOT] = "not",
        [IMAP_SEARCH_ALL] = "all",
        [IMAP_SEARCH_FLAG] = "flag",
        [IMAP_SEARCH_KEYWORD] = "keyword",
        [IMAP_SEARCH_BEFORE] = "before",
        [IMAP_SEARCH_ON] = "on",
        [IMAP_SEARCH_SINCE] = "since",
        [IMAP_SEARCH_SENTBEFORE] = "sentbefore",
        [IMAP_SEARCH_SENTON] = "senton",
        [IMAP_SEARCH_SENTSINCE] = "sentsince",
        [IMAP_SEARCH_LARGER] = "larger",
        [IMAP_SEARCH_SMALLER] = "smaller",
        [IMAP_SEARCH_SUBJECT] = "subject",
        [IMAP_SEARCH_FROM] = "from",
        [IMAP_SEARCH_TO] = "to",
        [IMAP_SEARCH_CC] = "cc",
        [IMAP_SEARCH_BCC] = "bcc",
        [IMAP_SEARCH_BODY] = "body",
        [IMAP_SEARCH_TEXT] = "text",
        [IMAP_SEARCH_HEADER] = "header",
        [IMAP_SEARCH_ATTACHMENT] = "attachment",
        [IMAP_SEARCH_MESSAGE_ID] = "message-id",
        [IMAP_SEARCH_SHA256] = "sha256",
    };

    buf_byte(out, '(');
    buf_text(out, names[key->kind]);
    if (key->flag != 0) {
        buf_byte(out, ' ');
        buf_u64(out, key->flag);
    }
    if (key->kind >= IMAP_SEARCH_BEFORE && key->kind <= IMAP_SEARCH_SENTSINCE) {
        char text[CLOCK_TEXT_BYTES];

        clock_format_rfc3339(key->days * 86400 * 1000000, text);
        buf_byte(out, ' ');
        buf_append(out, bytes_slice(bytes_of_text(text), 0, 10));
    }
    if (key->number != 0) {
        buf_byte(out, ' ');
        buf_u64(out, key->number);
    }
    if (key->field.len > 0) {
        buf_byte(out, ' ');
        buf_append(out, key->field);
    }
    if (key->text.len > 0) {
        buf_byte(out, ' ');
        buf_append(out, key->text);
    }
    for (const struct imap_search_key *child = key->children; child != NULL; child = child->next)
        write_key(out, child);
    buf_byte(out, ')');
}

static void check_tree_at(const char *text, const char *account, const char *path, const char *tree)
{
    struct search_query *query = parse(text);
    struct search_place place = { bytes_of_text(account), bytes_of_text(path) };
    const struct imap_search_key *key = search_query_key_for(query, &place, arena);
    struct buf out = buf_create(TEXT_BYTES);

    if (key != NULL)
        write_key(&out, key);
    else
        buf_text(&out, "never");
    if (!bytes_equal(buf_bytes(&out), bytes_of_text(tree)))
        test_fail(__FILE__, __LINE__, "%s: %.*s, not %s", text, (int)out.len, (const char *)out.ptr,
                  tree);
    buf_free(&out);
    arena_free(&arena);
}

static void check_tree(const char *text, const char *tree)
{
    check_tree_at(text, "alice", "INBOX", tree);
}

static bool is_in(const char *text, const char *path)
{
    struct search_place place = { BYTES("alice"), bytes_of_text(path) };
    struct search_query *query = parse(text);
    bool is_there = search_query_key_for(query, &place, arena) != NULL;

    arena_free(&arena);
    return is_there;
}

TEST(every_field_becomes_its_key)
{
    check_tree("from:alice", "(and(from alice))");
    check_tree("to:bob", "(and(to bob))");
    check_tree("cc:bob", "(and(cc bob))");
    check_tree("bcc:bob", "(and(bcc bob))");
    check_tree("subject:\"q3 forecast\"", "(and(subject q3 forecast))");
    check_tree("body:x", "(and(body x))");
    check_tree("text:x", "(and(text x))");
    check_tree("header:X-Foo=bar", "(and(header X-Foo bar))");
    check_tree("header:X-Foo=\"a b\"", "(and(header X-Foo a b))");
    check_tree("header:X-Foo", "(and(header X-Foo))");
    check_tree("header:X-Foo=a=b", "(and(header X-Foo a=b))");
    check_tree("id:<1@x.org>", "(and(or(header Message-ID 1@x.org)(message-id 1@x.org)))");
    check_tree("id:1@x.org", "(and(or(header Message-ID 1@x.org)(message-id 1@x.org)))");
    check_tree("sha256:00FFaa", "(and(sha256 00ffaa))");
    check_tree("has:attachment", "(and(attachment))");
    check_tree("keyword:$Junk", "(and(keyword $Junk))");
    check_tree("*", "(and(all))");
    check_tree("FROM:alice", "(and(from alice))");
}

TEST(bare_words_and_phrases_are_text_and_all_must_be_there)
{
    check_tree("forecast", "(and(text forecast))");
    check_tree("\"q3 forecast\" now", "(and(text q3 forecast)(text now))");
    check_tree("a AND b", "(and(text a)(text b))");
    check_tree("\"a \\\"b\\\" \\\\ \\c\"", "(and(text a \"b\" \\ \\c))");
    check_tree("\xe6\x9d\xb1\xe4\xba\xac", "(and(text \xe6\x9d\xb1\xe4\xba\xac))");
}

TEST(days_are_whole_days_months_or_years)
{
    check_tree("after:2001-05-01", "(and(since 2001-05-01))");
    check_tree("after:2001-05", "(and(since 2001-05-01))");
    check_tree("after:2001", "(and(since 2001-01-01))");
    check_tree("before:2001-05-01", "(and(before 2001-05-01))");
    check_tree("before:2001", "(and(before 2001-01-01))");
    check_tree("on:2000-02-29", "(and(on 2000-02-29))");
    check_tree("on:2001-12", "(and(since 2001-12-01)(before 2002-01-01))");
    check_tree("on:2001", "(and(since 2001-01-01)(before 2002-01-01))");
    check_tree("sent-after:2001", "(and(sentsince 2001-01-01))");
    check_tree("sent-before:2001-02", "(and(sentbefore 2001-02-01))");
    check_tree("sent-on:2001-02-03", "(and(senton 2001-02-03))");
    check_tree("sent-on:2001-02", "(and(sentsince 2001-02-01)(sentbefore 2001-03-01))");
    check_tree("-on:2001", "(and(not(and(since 2001-01-01)(before 2002-01-01))))");
}

TEST(what_is_no_day_is_told)
{
    check_mistake("after:yesterday", 6, "YYYY-MM-DD");
    check_mistake("after:2001-13", 6, "YYYY-MM-DD");
    check_mistake("after:2001-02-29", 6, "YYYY-MM-DD");
    check_mistake("after:0000", 6, "YYYY-MM-DD");
    check_mistake("after:2001-05-01T10", 6, "YYYY-MM-DD");
    check_mistake("after:01/05/2001", 6, "YYYY-MM-DD");
    check_means("on:9999", "on:9999");
    check_means("on:9999-12", "on:9999-12");
}

TEST(sizes_are_decimal_unless_they_say_otherwise)
{
    check_tree("larger:500", "(and(larger 500))");
    check_tree("larger:10k", "(and(larger 10000))");
    check_tree("smaller:2M", "(and(smaller 2000000))");
    check_tree("smaller:2MB", "(and(smaller 2000000))");
    check_tree("larger:1GiB", "(and(larger 1073741824))");
    check_mistake("larger:ten", 7, "a size");
    check_mistake("larger:1.5M", 7, "a size");
    check_mistake("larger:9223372036854775807k", 7, "too large");
}

TEST(states_are_flags_and_our_keywords)
{
    check_tree("is:read", "(and(flag 1))");
    check_tree("is:unread", "(and(not(flag 1)))");
    check_tree("is:answered", "(and(flag 2))");
    check_tree("is:flagged", "(and(flag 4))");
    check_tree("is:draft", "(and(flag 16))");
    check_tree("is:deleted", "(and(keyword $SourceDeleted))");
    check_tree("is:gone", "(and(keyword $GoneAtSource))");
    check_mistake("is:new", 3, "read, unread");
    check_mistake("has:star", 4, "attachment");
}

TEST(not_or_and_parentheses_nest)
{
    check_tree("-a", "(and(not(text a)))");
    check_tree("NOT a", "(and(not(text a)))");
    check_tree("NOT NOT a", "(and(not(not(text a))))");
    check_tree("-(a b)", "(and(not(and(text a)(text b))))");
    check_tree("a OR b", "(and(or(text a)(text b)))");
    check_tree("a OR b OR c", "(and(or(or(text a)(text b))(text c)))");
    check_tree("a (b OR c)", "(and(text a)(or(text b)(text c)))");
    check_tree("a b OR c", "(and(or(and(text a)(text b))(text c)))");
    check_tree("-\"a b\"", "(and(not(text a b)))");
    check_tree("-from:a", "(and(not(from a)))");
    check_tree("(((a)))", "(and(text a))");
    check_tree("(a)(b)", "(and(text a)(text b))");
}

TEST(a_field_may_have_several_values)
{
    check_tree("from:(alice OR bob)", "(and(or(from alice)(from bob)))");
    check_tree("subject:(a -\"b c\")", "(and(subject a)(not(subject b c)))");
    check_tree("header:X-A=(b OR c) d", "(and(or(header X-A b)(header X-A c))(text d))");
    check_tree("from:(a OR (b c)) d", "(and(or(from a)(and(from b)(from c)))(text d))");
    check_tree("subject:(re: x)", "(and(subject re:)(subject x))");
    check_mistake("from:(to:a)", 6, "no other field");
    check_mistake("from:()", 6, "before this parenthesis");
}

TEST(the_one_spelling_is_read_again_as_itself)
{
    check_means("FROM:alice   AND (b)", "from:alice b");
    check_means("a b OR c", "(a b) OR c");
    check_means("a (b c)", "a (b c)");
    check_means("NOT NOT a", "NOT -a");
    check_means("NOT (a OR b)", "-(a OR b)");
    check_means("from:(a OR b) \"or\"", "(from:a OR from:b) \"or\"");
    check_means("\"-a\" \"a:b\" \"*\" subject:\"-x\"", "\"-a\" \"a:b\" \"*\" subject:\"-x\"");
    check_means("header:X-Foo=\"a b\" header:X-Y", "header:X-Foo=\"a b\" header:X-Y");
    check_means("in:sent*", "in:\"sent*\"");
    check_means("\"a \\\"b\\\" \\\\\"", "\"a \\\"b\\\" \\\\\"");
}

TEST(a_query_that_mixes_and_with_or_says_so)
{
    CHECK(search_query_is_mixed(parse("a b OR c")));
    CHECK(search_query_is_mixed(parse("x (a OR b c)")));
    CHECK(!search_query_is_mixed(parse("(a b) OR c")));
    CHECK(!search_query_is_mixed(parse("a (b OR c) d")));
    arena_free(&arena);
}

TEST(a_mailbox_is_named_by_levels_of_its_path)
{
    CHECK(is_in("in:trash", "Trash"));
    CHECK(is_in("in:trash", "INBOX/TRASH"));
    CHECK(is_in("in:trash", "Trash/2001"));
    CHECK(!is_in("in:trash", "Trashed"));
    CHECK(!is_in("in:trash", "My Trash"));
    CHECK(is_in("in:*trash*", "My Trashed"));
    CHECK(is_in("in:projects/alpha", "Old/Projects/Alpha/mail"));
    CHECK(!is_in("in:projects/alpha", "Projects/Old/Alpha"));
    CHECK(!is_in("in:projects/alpha", "Projects"));
    CHECK(!is_in("in:a*b", "a/b"));
    CHECK(is_in("in:/trash", "Trash/2001"));
    CHECK(!is_in("in:/trash", "INBOX/Trash"));
    CHECK(is_in("in:/projects/", "Projects"));
    CHECK(is_in("in:\"sent items\"", "Sent Items"));
    CHECK(is_in("mailbox:trash", "Trash"));
    CHECK(!is_in("mailbox:trash", "Trash/2001"));
    CHECK(is_in("mailbox:trash*", "Trash/2001"));
    CHECK(!is_in("-in:trash", "Trash"));
    CHECK(is_in("-in:trash", "INBOX"));
}

TEST(names_are_compared_without_case_or_composition)
{
    CHECK(is_in("in:ENTW\xc3\x9cRFE", "entw\xc3\xbcrfe"));
    CHECK(is_in("in:entwu\xcc\x88rfe", "Entw\xc3\xbcrfe"));
    CHECK(is_in("in:strasse", "Stra\xc3\x9f"
                              "e"));
    CHECK(!is_in("in:x", "\xff\xfe"));
}

TEST(what_the_mailbox_decides_is_not_in_its_tree)
{
    check_tree_at("in:trash a", "alice", "Trash", "(and(text a))");
    check_tree_at("in:trash a", "alice", "INBOX", "never");
    check_tree_at("-in:trash a", "alice", "INBOX", "(and(text a))");
    check_tree_at("in:trash OR a", "alice", "Trash", "(and(all))");
    check_tree_at("in:trash OR a", "alice", "INBOX", "(and(text a))");
    check_tree_at("(in:trash a) OR (account:alice b c)", "alice", "INBOX", "(and(text b)(text c))");
    check_tree_at("-(in:trash a)", "alice", "Trash", "(and(not(text a)))");
    check_tree_at("account:ALICE", "alice", "INBOX", "(and(all))");
    check_tree_at("account:ali", "alice", "INBOX", "never");
    check_tree_at("account:ali*", "alice", "INBOX", "(and(all))");
    check_tree_at("-*", "alice", "INBOX", "never");
}

TEST(accounts_that_cannot_match_are_left_out)
{
    struct search_query *query = parse("account:(alice OR bob) in:trash x");

    CHECK(search_query_may_match_account(query, BYTES("Alice")));
    CHECK(!search_query_may_match_account(query, BYTES("carol")));
    query = parse("-account:alice");
    CHECK(!search_query_may_match_account(query, BYTES("alice")));
    CHECK(search_query_may_match_account(query, BYTES("bob")));
    query = parse("in:trash");
    CHECK(search_query_may_match_account(query, BYTES("bob")));
    query = parse("x");
    CHECK(search_query_may_match_account(query, BYTES("bob")));
    query = parse("-*");
    CHECK(!search_query_may_match_account(query, BYTES("bob")));
    arena_free(&arena);
}

TEST(a_mistake_is_told_where_it_is)
{
    check_mistake("", 0, "means every message");
    check_mistake("   ", 3, "means every message");
    check_mistake("frm:alice", 0, "Fields: from, to");
    check_mistake("a 10:30", 2, "no such field");
    check_mistake("from: alice", 5, "without a space");
    check_mistake("from:", 5, "without a space");
    check_mistake("(a b", 0, "not closed");
    check_mistake("a (b (c)", 2, "not closed");
    check_mistake("a b)", 3, "not opened");
    check_mistake("a OR", 4, "a term is expected");
    check_mistake("OR a", 0, "OR stands between");
    check_mistake("a OR OR b", 5, "OR stands between");
    check_mistake("a AND", 5, "a term is expected");
    check_mistake("a AND )", 6, "before this parenthesis");
    check_mistake("NOT", 3, "a term is expected");
    check_mistake("- a", 0, "right before");
    check_mistake("--a", 0, "right before");
    check_mistake("a \"b c", 2, "not closed");
    check_mistake("a \"b c\\", 2, "not closed");
    check_mistake("a \"b c\\\"", 2, "not closed");
    check_mistake("\"\"", 0, "nothing stands between");
    check_mistake("subject:\"\"", 8, "nothing stands between");
    check_mistake("a\"b\"", 1, "a space is expected");
    check_mistake("\"a\"b", 3, "behind the quotation mark");
    check_mistake("a(b)", 1, "a space is expected");
    check_mistake("fore* x", 4, "no asterisk is needed");
    check_mistake("from:a*", 6, "no asterisk is needed");
    check_mistake(":x", 0, "no such field");
    check_mistake("header:=x", 7, "the name of a header field");
    check_mistake("header:X-\xc3\xbc=x", 9, "cannot be in the name");
    check_mistake("header:\"X-Foo\"", 7, "the name of a header field");
    check_mistake("header:X-Foo(a)", 12, "\"=\" is expected");
    check_mistake("sha256:xyz", 7, "hexadecimal");
    check_mistake("id:<>", 3, "Message-ID");
}

TEST(small_operators_and_signs_of_word_processors_are_not_taken_for_text)
{
    check_mistake("alice or bob", 6, "in capitals");
    check_mistake("alice And bob", 6, "in capitals");
    check_mistake("not alice", 0, "in capitals");
    check_mistake("\xe2\x80\x9cq3 forecast\xe2\x80\x9d", 0, "plain \"");
    check_mistake("subject:\xe2\x80\x9eq3\xe2\x80\x9c", 8, "plain \"");
    check_mistake("a \xe2\x80\x93"
                  "b",
                  2, "plain -");
    check_tree("\"or\" subject:or", "(and(text or)(subject or))");
}

TEST(columns_count_characters)
{
    check_mistake("\xc3\xbc\xc3\xbc \xe6\x9d\xb1 frm:x", 5, "no such field");
    check_mistake("\xc3\xbc \xff", 2, "not UTF-8");
    check_mistake("a \x1b[2J", 2, "a control character");
    check_mistake("a \xc2\x9b", 2, "a control character");
    check_mistake("\"a\tb\"", 2, "a tab or line end");
}

TEST(the_caret_stands_under_the_place)
{
    struct buf out = buf_create(TEXT_BYTES);
    struct search_mistake mistake = { .offset = 4, .column = 2, .text = "here" };

    /* The first character is two columns wide. */
    search_write_mistake(BYTES("\xe6\x9d\xb1 frm:x\x1b"), &mistake, &out);
    CHECK_BYTES(buf_bytes(&out), BYTES("\xe6\x9d\xb1 frm:x \n   ^\nhere\n"));
    buf_reset(&out, 0);
    mistake = (struct search_mistake){ .offset = 60, .column = 60, .text = "here" };
    search_write_mistake(
        BYTES("0123456789012345678901234567890123456789012345678901234567890123456789"
              "0123456789012345678901234567890"),
        &mistake, &out);
    CHECK_BYTES(buf_bytes(&out),
                BYTES("...0123456789012345678901234567890123456789012345678901234567890123456789"
                      "01234...\n                                                     ^\nhere\n"));
    buf_free(&out);
}

/* "a OR a OR …" of so many terms. */
static struct bytes many_terms(struct buf *buf, const char *between, size_t count)
{
    buf_reset(buf, 0);
    for (size_t i = 0; i < count; i++)
        buf_text(buf, i == 0 ? "a" : between);
    return buf_bytes(buf);
}

static enum err_code code_of(struct bytes text)
{
    struct search_query *query;
    struct search_mistake mistake;
    struct err err = { 0 };

    arena_free(&arena);
    arena = arena_create(ARENA_BYTES);
    if (search_parse_query(text, arena, &query, &mistake, &err))
        err.code = ERR_NONE;
    else
        CHECK(mistake.text[0] != '\0');
    return err.code;
}

static size_t depth_of(const struct imap_search_key *key)
{
    size_t depth = 0;

    for (const struct imap_search_key *child = key->children; child != NULL; child = child->next)
        depth = depth_of(child) > depth ? depth_of(child) : depth;
    return depth + 1;
}

TEST(terms_depth_and_length_are_limited)
{
    struct search_place place = { BYTES("a"), BYTES("b") };
    struct buf buf = buf_create(TEXT_BYTES);

    CHECK_EQ_U64(code_of(many_terms(&buf, " a", LIMIT_SEARCH_KEYS - 1)), ERR_NONE);
    CHECK_EQ_U64(code_of(many_terms(&buf, " a", LIMIT_SEARCH_KEYS)), ERR_LIMIT);
    CHECK_EQ_U64(code_of(many_terms(&buf, " a", SEARCH_QUERY_BYTES)), ERR_LIMIT);
    buf_byte(&buf, 0);
    (void)many_terms(&buf, " OR a", LIMIT_SEARCH_KEYS - 1);
    buf_byte(&buf, 0);
    CHECK(depth_of(search_query_key_for(parse((const char *)buf.ptr), &place, arena)) <= 12);
    buf_reset(&buf, 0);
    for (size_t i = 0; i < 64; i++)
        buf_byte(&buf, '(');
    buf_byte(&buf, 'a');
    for (size_t i = 0; i < 64; i++)
        buf_byte(&buf, ')');
    CHECK_EQ_U64(code_of(buf_bytes(&buf)), ERR_NONE);
    CHECK_EQ_U64(code_of(bytes_slice(buf_bytes(&buf), 0, 64)), ERR_SYNTAX);
    buf_byte(&buf, ')');
    buf.ptr[64] = '(';
    CHECK_EQ_U64(code_of(buf_bytes(&buf)), ERR_LIMIT);
    buf_reset(&buf, 0);
    for (size_t i = 0; i < 70; i++)
        buf_text(&buf, "NOT ");
    buf_text(&buf, "a");
    CHECK_EQ_U64(code_of(buf_bytes(&buf)), ERR_LIMIT);
    CHECK_EQ_U64(code_of(bytes_slice(buf_bytes(&buf), 70 * 4 - 62 * 4, SIZE_MAX)), ERR_NONE);
    CHECK_EQ_U64(code_of(bytes_slice(buf_bytes(&buf), 70 * 4 - 63 * 4, SIZE_MAX)), ERR_LIMIT);
    arena_free(&arena);
    buf_free(&buf);
}

TEST(words_to_show_are_those_that_a_hit_may_hold)
{
    size_t count;
    const struct search_word *words =
        search_query_words(parse("a from:b -subject:c (is:read OR body:d) header:X in:e"), &count);

    CHECK_EQ_U64(count, 3);
    CHECK_BYTES(words[0].text, BYTES("a"));
    CHECK_EQ_U64(words[0].kind, IMAP_SEARCH_TEXT);
    CHECK_BYTES(words[1].text, BYTES("b"));
    CHECK_EQ_U64(words[1].kind, IMAP_SEARCH_FROM);
    CHECK_BYTES(words[2].text, BYTES("d"));
    CHECK_EQ_U64(words[2].kind, IMAP_SEARCH_BODY);
    arena_free(&arena);
}
