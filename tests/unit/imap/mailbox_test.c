/* SPDX-License-Identifier: Apache-2.0 */
#include "imap/mailbox.h"
#include "test.h"

static void check_encoding(const char *utf8, const char *encoded)
{
    struct buf out = buf_create(1000);
    struct err err = { 0 };

    CHECK(imap_encode_utf7(bytes_of_text(utf8), &out, &err));
    CHECK_BYTES(buf_bytes(&out), bytes_of_text(encoded));
    buf_reset(&out, 1000);
    CHECK(imap_decode_utf7(bytes_of_text(encoded), &out, &err));
    CHECK_BYTES(buf_bytes(&out), bytes_of_text(utf8));
    buf_free(&out);
}

TEST(modified_utf7_goes_both_ways)
{
    check_encoding("", "");
    check_encoding("INBOX", "INBOX");
    check_encoding("a&b", "a&-b");
    check_encoding("Entw\303\274rfe", "Entw&APw-rfe");
    check_encoding("~peter/mail/\345\217\260\345\214\227/\346\227\245\346\234\254\350\252\236",
                   "~peter/mail/&U,BTFw-/&ZeVnLIqe-");
    check_encoding("\342\230\272&", "&Jjo-&-");
    check_encoding("\360\237\230\200", "&2D3eAA-");
    check_encoding("\357\274\237\357\274\237", "&,x,,Hw-");
}

TEST(only_what_encoding_gives_is_decoded)
{
    static const struct bytes wrong[] = {
        BYTES_INIT("&Jjo"),       /* not closed */
        BYTES_INIT("&Jjo-&Jjo-"), /* null shift */
        BYTES_INIT("&Jjp-"),      /* padding bits not zero */
        BYTES_INIT("&JjoA-"),     /* padding digit */
        BYTES_INIT("&AGE-"),      /* encoded "a" */
        BYTES_INIT("&AAA-"),      /* NUL */
        BYTES_INIT("&2D0-"),      /* half a surrogate pair */
        BYTES_INIT("&3gDYPQ-"),   /* the halves the wrong way round */
        BYTES_INIT("&Jj/-"),      /* "/" for "," */
        BYTES_INIT("&J-"),        BYTES_INIT("&"),  BYTES_INIT("&="),
        BYTES_INIT("\303\274"),   BYTES_INIT("\t"), BYTES_INIT("\177"),
    };

    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct buf out = buf_create(1000);
        struct err err = { 0 };

        buf_text(&out, "kept");
        CHECK(!imap_decode_utf7(wrong[i], &out, &err));
        CHECK_BYTES(buf_bytes(&out), BYTES("kept"));
        buf_free(&out);
    }
}

TEST(text_that_is_not_utf8_is_not_encoded)
{
    static const char *const wrong[] = { "\300\200", "\355\240\200", "\364\220\200\200", "\303",
                                         "\200",     "\340\200\200", "\370\200\200\200" };

    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct buf out = buf_create(1000);
        struct err err = { 0 };

        CHECK(!imap_is_utf8(bytes_of_text(wrong[i])));
        CHECK(!imap_encode_utf7(bytes_of_text(wrong[i]), &out, &err));
        CHECK_EQ_U64(out.len, 0);
        buf_free(&out);
    }
}

static void check_path(const char *wire, char delimiter, const char *path)
{
    struct buf out = buf_create(1000);
    struct buf back = buf_create(1000);
    struct err err = { 0 };

    imap_path_from_source(bytes_of_text(wire), (uint8_t)delimiter, &out);
    CHECK_BYTES(buf_bytes(&out), bytes_of_text(path));
    CHECK(imap_is_utf8(buf_bytes(&out)));
    CHECK(imap_path_to_source(buf_bytes(&out), (uint8_t)delimiter, &back, &err));
    CHECK(bytes_equal_nocase(buf_bytes(&back), bytes_of_text(wire)));
    buf_free(&back);
    buf_free(&out);
}

TEST(paths_use_slash_whatever_the_source_uses)
{
    check_path("Work.2020.Q1", '.', "Work/2020/Q1");
    check_path("Work/a.b", '/', "Work/a.b");
    check_path("a.b/c", '.', "a/b%2Fc");
    check_path("a/b.c", IMAP_NO_DELIMITER, "a%2Fb.c");
    check_path("a\\b", '\\', "a/b");
    check_path("a\\b%*", '/', "a%5Cb%25%2A");
    check_path("Entw&APw-rfe.x", '.', "Entw\303\274rfe/x");
    check_path("a&-b", '/', "a&b");
    check_path("/lead//double/", '/', "/lead//double/");
}

TEST(names_that_are_not_modified_utf7_keep_their_octets)
{
    check_path("Entw\374rfe/x", '/', "Entw%FCrfe/x");
    check_path("R&D", '/', "R%26D");
    check_path("R&D/&APw-", '/', "R%26D/\303\274");
    check_path("tab\there", '/', "tab%09here");
    check_path("tab&AAk-here", '/', "tab%26AAk-here");
    check_path("&Jjo-&Jjo-", '/', "%26Jjo-%26Jjo-");
    check_path("\001\177", '/', "%01%7F");
}

TEST(inbox_is_one_name_in_any_case_and_only_as_a_whole_first_component)
{
    check_path("inbox", '/', "INBOX");
    check_path("Inbox.sub", '.', "INBOX/sub");
    check_path("Inboxes", '.', "Inboxes");
    check_path("x.inbox", '.', "x/inbox");
}

TEST(every_wire_name_has_a_path_that_leads_back_to_it)
{
    static const uint8_t alphabet[] = "aJjo/.&-%*\\,+A2D3eI\t\200\303\274\000N";
    static const uint8_t delimiters[] = { '/', '.', '\\', '&', '-', 'A', '%', IMAP_NO_DELIMITER };
    uint32_t random = 12345;

    for (unsigned round = 0; round < 200000; round++) {
        uint8_t name[12];
        size_t len;
        uint8_t path_octets[200], back_octets[200];
        struct buf path = { path_octets, 0, sizeof path_octets, sizeof path_octets, false };
        struct buf back = { back_octets, 0, sizeof back_octets, sizeof back_octets, false };
        struct err err = { 0 };
        uint8_t delimiter;

        random = random * 1664525u + 1013904223u;
        len = (random >> 16) % sizeof name;
        for (size_t i = 0; i < len; i++) {
            random = random * 1664525u + 1013904223u;
            name[i] = alphabet[(random >> 16) % (sizeof alphabet - 1)];
        }
        delimiter = delimiters[(random >> 8) % sizeof delimiters];
        imap_path_from_source(bytes_of(name, len), delimiter, &path);
        CHECK(imap_is_utf8(buf_bytes(&path)));
        CHECK(imap_path_to_source(buf_bytes(&path), delimiter, &back, &err));
        CHECK_BYTES(buf_bytes(&back), bytes_of(name, len));
    }
}

TEST(paths_that_no_source_gives_are_refused)
{
    static const char *const wrong[] = { "a%",    "a%2",  "a%2f", "a%41",    "a*",
                                         "inbox", "\303", "a\tb", "%26Jjo-", "a%09%2" };

    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct buf out = buf_create(1000);
        struct err err = { 0 };

        CHECK(!imap_path_to_source(bytes_of_text(wrong[i]), '/', &out, &err));
        CHECK_EQ_U64(out.len, 0);
        buf_free(&out);
    }
    CHECK(true);
}

TEST(the_clients_mailbox_argument_becomes_a_path)
{
    struct buf out = buf_create(1000);
    struct err err = { 0 };

    CHECK(imap_decode_mailbox(BYTES("Accounts/a/Entw&APw-rfe"), &out, &err));
    CHECK_BYTES(buf_bytes(&out), BYTES("Accounts/a/Entw\303\274rfe"));
    buf_reset(&out, 1000);
    CHECK(imap_decode_mailbox(BYTES("inBOX"), &out, &err));
    CHECK_BYTES(buf_bytes(&out), BYTES("INBOX"));
    buf_reset(&out, 1000);
    CHECK(!imap_decode_mailbox(BYTES("inbox/&bad"), &out, &err));
    CHECK_EQ_U64(out.len, 0);
    buf_free(&out);
}

TEST(mailboxes_are_written_encoded)
{
    struct buf out = buf_create(1000);

    imap_write_mailbox(&out, BYTES("Entw\303\274rfe \"x\""));
    CHECK_BYTES(buf_bytes(&out), BYTES("\"Entw&APw-rfe \\\"x\\\"\""));
    buf_reset(&out, 1000);
    imap_write_mailbox(&out, BYTES("a\377"));
    CHECK_BYTES(buf_bytes(&out), BYTES("\"a&,,0-\""));
    buf_free(&out);
}

static bool matches(const char *pattern, const char *name)
{
    return imap_list_matches(bytes_of_text(pattern), bytes_of_text(name));
}

TEST(percent_stops_at_the_separator_and_star_does_not)
{
    CHECK(matches("*", "a/b/c") && matches("*", "") && matches("%", "a") && !matches("%", "a/b"));
    CHECK(matches("%/%", "a/b") && !matches("%/%", "a/b/c") && matches("a/*", "a/b/c"));
    CHECK(!matches("a/*", "a") && matches("a*", "a") && matches("*c", "a/b/c"));
    CHECK(matches("*/%", "a/b/c") && matches("%b%", "abc") && !matches("%b%", "abc/d"));
    CHECK(matches("*b%d", "a/b/bcd") && !matches("*b%d", "a/b/d") && matches("a%/b*c", "axx/bc"));
    CHECK(!matches("", "a") && matches("", "") && !matches("a", "A") && !matches("a", "ab"));
    CHECK(matches("%%%", "x") && matches("%*%", "x/y"));
}

TEST(inbox_matches_in_any_case_and_it_alone)
{
    CHECK(matches("inbox", "INBOX") && matches("In%", "INBOX") && matches("inbox/x", "INBOX/x"));
    CHECK(!matches("INBOX/X", "INBOX/x") && !matches("inboxes", "INBOXES"));
    CHECK(!matches("other", "OTHER") && matches("*box", "INBOX"));
}

TEST(patterns_of_many_wildcards_take_no_longer_than_their_product)
{
    uint8_t name[4096], pattern[4096];

    memset(name, 'a', sizeof name);
    for (size_t i = 0; i < sizeof pattern; i++)
        pattern[i] = (uint8_t) "*%a*"[i % 4];
    pattern[sizeof pattern - 1] = 'b';
    CHECK(!imap_list_matches(bytes_of(pattern, sizeof pattern), bytes_of(name, sizeof name)));
    for (size_t i = 0; i < 200; i++)
        pattern[i] = i % 2 == 0 ? '*' : 'a';
    CHECK(!imap_list_matches(bytes_of(pattern, 200), BYTES("aaaaaaaaaaaaaaaaaaaaaaaaaaaaab")));
}
