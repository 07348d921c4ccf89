/* SPDX-License-Identifier: Apache-2.0 */
#include "base/limits.h"
#include "imap/flag.h"
#include "test.h"

TEST(system_flags_become_bits_and_others_keywords)
{
    struct arena *arena = arena_create(10000);
    struct bytes in = BYTES("(\\seen $Forwarded \\FLAGGED  Junk] \\Recent junk] \\X \\*) x");
    struct imap_flags flags;
    struct buf buf = buf_create(1000);
    struct err err = { 0 };

    CHECK(imap_read_flags(&in, arena, &flags, &err));
    CHECK_BYTES(in, BYTES(" x"));
    CHECK_EQ_U64(flags.system, IMAP_FLAG_SEEN | IMAP_FLAG_FLAGGED);
    CHECK(flags.has_recent && flags.has_wildcard);
    CHECK_EQ_U64(flags.keyword_count, 3);
    imap_write_flags(&buf, &flags);
    CHECK_BYTES(buf_bytes(&buf), BYTES("(\\Flagged \\Seen \\Recent $Forwarded Junk] \\X \\*)"));
    buf_free(&buf);
    arena_free(&arena);
}

TEST(the_empty_list_is_a_list)
{
    struct arena *arena = arena_create(10000);
    struct bytes in = BYTES("()");
    struct imap_flags flags;
    struct buf buf = buf_create(1000);
    struct err err = { 0 };

    CHECK(imap_read_flags(&in, arena, &flags, &err));
    imap_write_flags(&buf, &flags);
    CHECK_BYTES(buf_bytes(&buf), BYTES("()"));
    buf_free(&buf);
    arena_free(&arena);
}

TEST(a_keyword_that_no_atom_can_hold_is_written_harmlessly)
{
    struct bytes keyword = BYTES("a\303b\"c");
    struct imap_flags flags = { .keywords = &keyword, .keyword_count = 1 };
    struct buf buf = buf_create(1000);

    imap_write_flags(&buf, &flags);
    CHECK_BYTES(buf_bytes(&buf), BYTES("(a_b_c)"));
    buf_free(&buf);
}

TEST(unclosed_lists_are_refused_and_over_long_keywords_passed_over)
{
    struct arena *arena = arena_create(10000);
    struct bytes open = BYTES("(\\Seen");
    struct bytes line = BYTES("(a\r\n)");
    struct buf big = buf_create(1000);
    struct bytes in;
    struct imap_flags flags;
    struct err err = { 0 };

    CHECK(!imap_read_flags(&open, arena, &flags, &err));
    CHECK(!imap_read_flags(&line, arena, &flags, &err));
    buf_text(&big, "(a ");
    for (unsigned i = 0; i <= LIMIT_KEYWORD_BYTES; i++)
        buf_byte(&big, 'k');
    buf_text(&big, " \\Seen)");
    in = buf_bytes(&big);
    CHECK(imap_read_flags(&in, arena, &flags, &err));
    CHECK_EQ_U64(in.len, 0);
    CHECK_EQ_U64(flags.keyword_count, 1);
    CHECK_EQ_U64(flags.dropped, 1);
    CHECK_EQ_U64(flags.system, IMAP_FLAG_SEEN);
    buf_free(&big);
    arena_free(&arena);
}

TEST(reserved_keywords_of_a_source_are_escaped_reversibly)
{
    static const char *const keywords[] = { "$GoneAtSource",
                                            "$goneatsource",
                                            "_$SourceDeleted",
                                            "__$GONEATSOURCE",
                                            "$Forwarded",
                                            "_x",
                                            "",
                                            "_" };

    for (size_t i = 0; i < ARRAY_LEN(keywords); i++) {
        struct bytes keyword = bytes_of_text(keywords[i]);
        struct buf shown = buf_create(100);

        imap_escape_keyword(keyword, &shown);
        CHECK(!imap_keyword_is_reserved(buf_bytes(&shown)));
        CHECK_BYTES(imap_unescape_keyword(buf_bytes(&shown)), keyword);
        buf_free(&shown);
    }
    CHECK(imap_keyword_is_reserved(BYTES("$SOURCEdeleted")));
}

TEST(keywords_beyond_the_limit_are_passed_over)
{
    struct arena *arena = arena_create(1 << 20);
    struct buf many = buf_create(1 << 20);
    struct bytes in;
    struct imap_flags flags;
    struct err err = { 0 };

    for (unsigned i = 0; i < LIMIT_KEYWORDS_PER_MAILBOX + 3; i++) {
        buf_text(&many, i == 0 ? "(k" : " k");
        buf_u64(&many, i);
    }
    buf_text(&many, " \\Flagged)");
    in = buf_bytes(&many);
    CHECK(imap_read_flags(&in, arena, &flags, &err));
    CHECK_EQ_U64(flags.keyword_count, LIMIT_KEYWORDS_PER_MAILBOX);
    CHECK_EQ_U64(flags.dropped, 3);
    CHECK_EQ_U64(flags.system, IMAP_FLAG_FLAGGED);
    buf_free(&many);
    arena_free(&arena);
}
