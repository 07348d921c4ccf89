/* SPDX-License-Identifier: Apache-2.0 */
#include "imap/command.h"
#include "test.h"

/* Parses "a FETCH 1:* " + items and writes the names of the answer's items. */
static void check_items(const char *items, const char *want)
{
    struct arena *arena = arena_create(1u << 20);
    struct buf text = buf_create(10000);
    struct buf names = buf_create(10000);
    struct imap_command command;
    struct err err = { 0 };

    buf_text(&text, "a FETCH 1:* ");
    buf_text(&text, items);
    if (!imap_parse_command(buf_bytes(&text), arena, &command, &err))
        CHECK_STR(err.text, items);
    for (size_t i = 0; i < command.fetch.item_count; i++) {
        if (i > 0)
            buf_byte(&names, ' ');
        imap_write_fetch_item_name(&names, &command.fetch.items[i]);
    }
    CHECK_BYTES(buf_bytes(&names), bytes_of_text(want));
    buf_free(&names);
    buf_free(&text);
    arena_free(&arena);
}

TEST(fetch_items_come_alone_or_in_parentheses)
{
    check_items("FLAGS", "FLAGS");
    check_items("(uid Flags INTERNALDATE RFC822.SIZE ENVELOPE BODY BODYSTRUCTURE)",
                "UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODY BODYSTRUCTURE");
    check_items("(RFC822 RFC822.HEADER RFC822.TEXT)", "RFC822 RFC822.HEADER RFC822.TEXT");
}

TEST(blanks_may_be_doubled_or_trail_as_dovecot_allows)
{
    check_items("  (FLAGS  UID )  ", "FLAGS UID");
    check_items("( BODY[HEADER.FIELDS ( a  b )] ) ", "BODY[HEADER.FIELDS (A B)]");
}

TEST(fetch_macros_stand_for_their_items)
{
    check_items("all", "FLAGS INTERNALDATE RFC822.SIZE ENVELOPE");
    check_items("FAST", "FLAGS INTERNALDATE RFC822.SIZE");
    check_items("FULL", "FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODY");
}

TEST(sections_are_named_in_the_answer_as_dovecot_names_them)
{
    check_items("BODY[]", "BODY[]");
    check_items("body.peek[1.2.header]", "BODY[1.2.HEADER]");
    check_items("BODY[1.MIME]<10.20>", "BODY[1.MIME]<10>");
    check_items("BODY.PEEK[HEADER.FIELDS (From \"To\" {2}\r\nCc)]",
                "BODY[HEADER.FIELDS (FROM TO CC)]");
    check_items("BODY[2.HEADER.FIELDS.NOT (\"a b\")]<0.4294967295>",
                "BODY[2.HEADER.FIELDS.NOT (\"A B\")]<0>");
    check_items("BODY[TEXT]", "BODY[TEXT]");
    check_items("BODY[4294967295]", "BODY[4294967295]");
}

TEST(items_said_twice_are_answered_once)
{
    check_items("(FLAGS FLAGS UID BODY[] BODY.PEEK[] BODY[1] BODY[]<0.5> BODY[]<0.5>)",
                "FLAGS UID BODY[] BODY[1] BODY[]<0>");
}

TEST(wrong_fetch_items_are_refused)
{
    static const char *const wrong[] = {
        "",
        "()",
        "(FLAGS",
        "FLAGS)",
        "FOO",
        "(ALL)",
        "BODY[",
        "BODY[0]",
        "BODY[1.]",
        "BODY[1.0]",
        "BODY[MIME]",
        "BODY[1.FOO]",
        "BODY[HEADER.FIELDS]",
        "BODY[HEADER.FIELDS ()]",
        "BODY[HEADER.FIELDS (a]",
        "BODY[]<5>",
        "BODY[]<1.0>",
        "BODY[]<1.2",
        "BODY[]<-1.2>",
        "BODY[] FLAGS",
        "BODY.PEEK",
        "ALL FLAGS",
        "BODY[4294967296]",
        "BODY[]<4294967296.1>",
        "BODY[HEADER.]",
        "BODY[.1]",
        "BODY[1TEXT]",
        "UID[1]",
    };

    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct arena *arena = arena_create(100000);
        struct buf text = buf_create(1000);
        struct imap_command command;
        struct err err = { 0 };

        buf_text(&text, "a FETCH 1 ");
        buf_text(&text, wrong[i]);
        if (imap_parse_command(buf_bytes(&text), arena, &command, &err))
            CHECK_STR(wrong[i], "refused");
        CHECK_EQ_U64(err.code, ERR_SYNTAX);
        buf_free(&text);
        arena_free(&arena);
    }
}

TEST(part_numbers_deeper_than_mime_nests_are_refused)
{
    struct arena *arena = arena_create(100000);
    struct buf text = buf_create(1000);
    struct imap_command command;
    struct err err = { 0 };

    buf_text(&text, "a FETCH 1 BODY[1");
    for (int i = 1; i < IMAP_SECTION_PARTS_MAX; i++)
        buf_text(&text, ".1");
    buf_text(&text, "]");
    CHECK(imap_parse_command(buf_bytes(&text), arena, &command, &err));
    CHECK_EQ_U64(command.fetch.items[0].section.part_count, IMAP_SECTION_PARTS_MAX);
    text.len--;
    buf_text(&text, ".1]");
    CHECK(!imap_parse_command(buf_bytes(&text), arena, &command, &err));
    CHECK_EQ_U64(err.code, ERR_LIMIT);
    buf_free(&text);
    arena_free(&arena);
}

TEST(fetch_modifiers_are_kept)
{
    struct arena *arena = arena_create(100000);
    struct imap_command command;
    struct err err = { 0 };

    CHECK(imap_parse_command(BYTES("a UID FETCH 1:* (FLAGS) (CHANGEDSINCE 5 VANISHED)"), arena,
                             &command, &err));
    CHECK(command.is_uid && command.fetch.set.has_star);
    CHECK_EQ_U64(command.fetch.param_count, 2);
    CHECK_BYTES(command.fetch.params[0].value, BYTES("5"));
    CHECK_BYTES(command.fetch.params[1].name, BYTES("VANISHED"));
    arena_free(&arena);
}
