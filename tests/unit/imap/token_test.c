/* SPDX-License-Identifier: Apache-2.0 */
#include "imap/token.h"
#include "test.h"

TEST(quoted_strings_escape_only_quote_and_backslash)
{
    struct arena *arena = arena_create(1000);
    struct bytes in = BYTES("\"a\\\"b\\\\c\" rest");
    struct bytes out;
    struct err err = { 0 };

    CHECK(imap_read_quoted(&in, arena, &out, &err));
    CHECK_BYTES(out, BYTES("a\"b\\c"));
    CHECK_BYTES(in, BYTES(" rest"));
    arena_free(&arena);
}

TEST(wrong_quoted_strings_are_refused)
{
    static const struct bytes wrong[] = {
        BYTES_INIT("\"a"),     BYTES_INIT("\"a\\"),  BYTES_INIT("\"a\\\""),
        BYTES_INIT("\"\\n\""), BYTES_INIT("\"\r\""), BYTES_INIT("\"\n\""),
        BYTES_INIT("\"\0\""),  BYTES_INIT("a\""),    BYTES_INIT(""),
    };
    struct arena *arena = arena_create(1000);

    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct bytes in = wrong[i];
        struct bytes out;
        struct err err = { 0 };

        CHECK(!imap_read_quoted(&in, arena, &out, &err));
        CHECK_EQ_U64(err.code, ERR_SYNTAX);
        CHECK_EQ_U64(in.len, wrong[i].len);
    }
    arena_free(&arena);
}

TEST(an_astring_is_atom_quoted_or_literal)
{
    struct arena *arena = arena_create(1000);
    struct bytes in = BYTES("a]b \"x y\" {3}\r\n(\r\n {2+}\r\nok");
    struct bytes out;
    struct err err = { 0 };

    CHECK(imap_read_astring(&in, arena, &out, &err));
    CHECK_BYTES(out, BYTES("a]b"));
    CHECK(imap_read_space(&in, &err) && imap_read_astring(&in, arena, &out, &err));
    CHECK_BYTES(out, BYTES("x y"));
    CHECK(imap_read_space(&in, &err) && imap_read_astring(&in, arena, &out, &err));
    CHECK_BYTES(out, BYTES("(\r\n"));
    CHECK(imap_read_space(&in, &err) && imap_read_astring(&in, arena, &out, &err));
    CHECK_BYTES(out, BYTES("ok"));
    CHECK_EQ_U64(in.len, 0);
    arena_free(&arena);
}

TEST(a_literal_cut_short_or_with_nul_is_refused)
{
    struct arena *arena = arena_create(1000);
    struct bytes cut = BYTES("{4}\r\nabc");
    struct bytes nul = BYTES("{1}\r\n\0");
    struct bytes eight = BYTES("~{1}\r\na");
    struct bytes out;
    struct err err = { 0 };

    CHECK(!imap_read_astring(&cut, arena, &out, &err));
    CHECK(!imap_read_astring(&nul, arena, &out, &err));
    CHECK(!imap_read_string(&eight, arena, &out, &err));
    arena_free(&arena);
}

TEST(list_patterns_hold_wildcards_where_atoms_do_not)
{
    struct arena *arena = arena_create(1000);
    struct bytes in = BYTES("a/%*]");
    struct bytes atom = BYTES("a%");
    struct bytes out;
    struct err err = { 0 };

    CHECK(imap_read_list_mailbox(&in, arena, &out, &err));
    CHECK_BYTES(out, BYTES("a/%*]"));
    CHECK(imap_read_atom(&atom, &out, &err));
    CHECK_BYTES(atom, BYTES("%"));
    arena_free(&arena);
}

TEST(nil_is_nothing_only_where_it_may_be)
{
    struct arena *arena = arena_create(1000);
    struct bytes in = BYTES("nil");
    struct bytes longer = BYTES("NILS");
    struct bytes out;
    struct err err = { 0 };
    bool is_nil = false;

    CHECK(imap_read_nstring(&in, arena, &out, &is_nil, &err) && is_nil);
    CHECK(!imap_read_nstring(&longer, arena, &out, &is_nil, &err));
    in = BYTES("NIL");
    CHECK(imap_read_astring(&in, arena, &out, &err));
    CHECK_BYTES(out, BYTES("NIL"));
    arena_free(&arena);
}

TEST(tags_hold_no_plus_and_end_at_128_octets)
{
    struct bytes in = BYTES("A1.b] NOOP");
    struct bytes out;
    uint8_t octets[129];
    struct err err = { 0 };

    CHECK(imap_read_tag(&in, &out, &err));
    CHECK_BYTES(out, BYTES("A1.b]"));
    in = BYTES("+a");
    CHECK(!imap_read_tag(&in, &out, &err));
    memset(octets, 'a', sizeof octets);
    in = bytes_of(octets, 128);
    CHECK(imap_read_tag(&in, &out, &err));
    in = bytes_of(octets, 129);
    CHECK(!imap_read_tag(&in, &out, &err));
    CHECK_EQ_U64(err.code, ERR_LIMIT);
}

TEST(numbers_end_at_their_types)
{
    struct bytes max = BYTES("4294967295");
    struct bytes over = BYTES("4294967296");
    struct bytes zero = BYTES("0");
    struct bytes wide = BYTES("9223372036854775807");
    struct bytes wider = BYTES("9223372036854775808");
    uint32_t n;
    uint64_t n64;
    struct err err = { 0 };

    CHECK(imap_read_number(&max, &n, &err) && n == UINT32_MAX);
    CHECK(!imap_read_number(&over, &n, &err) && over.len == 10);
    CHECK(!imap_read_nz_number(&zero, &n, &err) && zero.len == 1);
    CHECK(imap_read_number64(&wide, &n64, &err) && n64 == INT64_MAX);
    CHECK(!imap_read_number64(&wider, &n64, &err));
}
