/* SPDX-License-Identifier: Apache-2.0 */
#include "imap/list_args.h"
#include "imap/mailbox.h"
#include "imap/response.h"
#include "test.h"

static void parse(struct arena *arena, const char *text, struct imap_response *out)
{
    struct imap_received received = { .text = bytes_of_text(text) };
    struct err err = { 0 };

    if (!imap_parse_response(&received, arena, out, &err))
        CHECK_STR(err.text, text);
}

TEST(the_greeting_is_a_status)
{
    struct arena *arena = arena_create(10000);
    struct imap_response response;

    parse(arena, "* OK [CAPABILITY IMAP4rev1 LITERAL+ auth=plain] ready {5}", &response);
    CHECK(response.kind == IMAP_RESPONSE_STATUS && response.tag.len == 0);
    CHECK(response.status.condition == IMAP_OK && response.status.code == IMAP_CODE_CAPABILITY);
    CHECK(imap_words_have(&response.status.words, BYTES("AUTH=PLAIN")));
    CHECK(!imap_words_have(&response.status.words, BYTES("AUTH=LOGIN")));
    CHECK_BYTES(response.status.text, BYTES("ready {5}"));
    parse(arena, "* PREAUTH", &response);
    CHECK(response.status.condition == IMAP_PREAUTH && response.status.code == IMAP_CODE_NONE);
    parse(arena, "* BYE too many", &response);
    CHECK(response.status.condition == IMAP_BYE);
    arena_free(&arena);
}

TEST(tagged_answers_carry_condition_and_code)
{
    struct arena *arena = arena_create(10000);
    struct imap_response response;

    parse(arena, "a1 no [AUTHENTICATIONFAILED] wrong", &response);
    CHECK_BYTES(response.tag, BYTES("a1"));
    CHECK(response.status.condition == IMAP_NO);
    CHECK(response.status.code == IMAP_CODE_AUTHENTICATIONFAILED);
    parse(arena, "a1 OK [READ-ONLY] done", &response);
    CHECK(response.status.code == IMAP_CODE_READ_ONLY);
    parse(arena, "* OK [UIDVALIDITY 3857529045] x", &response);
    CHECK(response.status.code == IMAP_CODE_UIDVALIDITY);
    CHECK_EQ_U64(response.status.number, 3857529045u);
    parse(arena, "* OK [PERMANENTFLAGS (\\Seen Junk] \\*)] x", &response);
    CHECK(response.status.code == IMAP_CODE_PERMANENTFLAGS && response.status.flags.has_wildcard);
    CHECK_EQ_U64(response.status.flags.keyword_count, 1);
    parse(arena, "* NO [X-OVERLOAD now \"]\"] busy", &response);
    CHECK(response.status.code == IMAP_CODE_OTHER);
    CHECK_BYTES(response.status.code_name, BYTES("X-OVERLOAD"));
    CHECK_BYTES(response.status.code_text, BYTES("now \"]\""));
    CHECK_BYTES(response.status.text, BYTES("busy"));
    parse(arena, "* OK [UIDNEXT soon] x", &response);
    CHECK(response.status.code == IMAP_CODE_OTHER);
    parse(arena, "* OK [MAILBOXID (F22-a)] x", &response);
    CHECK(response.status.code == IMAP_CODE_MAILBOXID);
    CHECK_BYTES(response.status.code_text, BYTES("F22-a"));
    parse(arena, "* OK [not closed", &response);
    CHECK(response.status.code == IMAP_CODE_NONE);
    parse(arena, "+ idling", &response);
    CHECK(response.kind == IMAP_RESPONSE_CONTINUATION);
    CHECK_BYTES(response.status.text, BYTES("idling"));
    parse(arena, "+", &response);
    CHECK_EQ_U64(response.status.text.len, 0);
    arena_free(&arena);
}

TEST(list_gives_attributes_delimiter_and_the_opaque_name)
{
    struct arena *arena = arena_create(10000);
    struct imap_response response;

    parse(arena, "* LIST (\\HasNoChildren \\Sent) \"/\" \"Sent \\\"x\\\"\"", &response);
    CHECK_EQ_U64(response.list.attributes, IMAP_MAILBOX_HAS_NO_CHILDREN | IMAP_MAILBOX_SENT);
    CHECK_EQ_U64(response.list.delimiter, '/');
    CHECK_BYTES(response.list.wire_name, BYTES("Sent \"x\""));
    parse(arena, "* LIST () NIL NIL", &response);
    CHECK_EQ_U64(response.list.delimiter, IMAP_NO_DELIMITER);
    CHECK_BYTES(response.list.wire_name, BYTES("NIL"));
    parse(arena, "* LSUB () \"\\\\\" {5}\r\na\r\nb ", &response);
    CHECK(response.kind == IMAP_RESPONSE_LSUB);
    CHECK_EQ_U64(response.list.delimiter, '\\');
    CHECK_BYTES(response.list.wire_name, BYTES("a\r\nb "));
    parse(arena, "* LIST (\\NonExistent) \".\" a\303\244] (\"CHILDINFO\" (\"SUBSCRIBED\"))",
          &response);
    CHECK_EQ_U64(response.list.attributes, IMAP_MAILBOX_NONEXISTENT | IMAP_MAILBOX_NOSELECT);
    CHECK_BYTES(response.list.wire_name, BYTES("a\303\244]"));
    parse(arena, "* LIST () \"/\" {0}\r\n", &response);
    CHECK_EQ_U64(response.list.wire_name.len, 0);
    arena_free(&arena);
}

TEST(status_numbers_are_64_bit_and_unknown_items_are_skipped)
{
    struct arena *arena = arena_create(10000);
    struct imap_response response;

    parse(arena,
          "* STATUS \"a b\" (MESSAGES 17 X-FOO (1 (2) \"3\") UIDNEXT 44292 SIZE 99999999999 "
          "HIGHESTMODSEQ 9223372036854775807 MAILBOXID (F1) ) ",
          &response);
    CHECK_BYTES(response.mailbox_status.wire_name, BYTES("a b"));
    CHECK_EQ_U64(response.mailbox_status.messages, 17);
    CHECK_EQ_U64(response.mailbox_status.uidnext, 44292);
    CHECK_EQ_U64(response.mailbox_status.size_bytes, 99999999999u);
    CHECK_EQ_U64(response.mailbox_status.highestmodseq, INT64_MAX);
    CHECK_BYTES(response.mailbox_status.mailbox_id, BYTES("F1"));
    CHECK((response.mailbox_status.has & IMAP_STATUS_UNSEEN) == 0);
    CHECK((response.mailbox_status.has & IMAP_STATUS_SIZE) != 0);
    arena_free(&arena);
}

TEST(search_answers_come_as_numbers_or_sets)
{
    struct arena *arena = arena_create(10000);
    struct imap_response response;

    parse(arena, "* SEARCH", &response);
    CHECK_EQ_U64(response.search.count, 0);
    parse(arena, "* SEARCH 5 3  9 (MODSEQ 7)", &response);
    CHECK_EQ_U64(response.search.count, 3);
    CHECK_EQ_U64(response.search.numbers[2], 9);
    CHECK_EQ_U64(response.search.modseq, 7);
    parse(arena, "* ESEARCH (TAG \"a5\") UID MIN 2 MAX 9 ALL 2,5:9 COUNT 6 X (1)", &response);
    CHECK_BYTES(response.search.tag, BYTES("a5"));
    CHECK(response.search.is_uid && response.search.has_all && response.search.has_count);
    CHECK_EQ_U64(imap_set_size(&response.search.all), 6);
    CHECK_EQ_U64(response.search.match_count, 6);
    CHECK_EQ_U64(response.search.max, 9);
    parse(arena, "* ESEARCH (TAG \"a5\") UID", &response);
    CHECK(!response.search.has_all);
    parse(arena, "* VANISHED (EARLIER) 1:5,9", &response);
    CHECK(response.vanished.is_earlier);
    CHECK_EQ_U64(imap_set_size(&response.vanished.uids), 6);
    arena_free(&arena);
}

TEST(the_small_untagged_ones_are_read)
{
    struct arena *arena = arena_create(10000);
    struct imap_response response;

    parse(arena, "* 23 EXISTS", &response);
    CHECK(response.kind == IMAP_RESPONSE_EXISTS && response.number == 23);
    parse(arena, "* 5 recent", &response);
    CHECK(response.kind == IMAP_RESPONSE_RECENT);
    parse(arena, "* 44 EXPUNGE", &response);
    CHECK(response.kind == IMAP_RESPONSE_EXPUNGE && response.number == 44);
    parse(arena, "* FLAGS (\\Seen x)", &response);
    CHECK(response.kind == IMAP_RESPONSE_FLAGS && response.flags.keyword_count == 1);
    parse(arena, "* CAPABILITY IMAP4rev1 IDLE ", &response);
    CHECK_EQ_U64(response.words.count, 2);
    parse(arena, "* XYZZY whatever (", &response);
    CHECK(response.kind == IMAP_RESPONSE_OTHER);
    CHECK_BYTES(response.name, BYTES("XYZZY"));
    parse(arena, "* NAMESPACE ((\"\" \"/\")(\"#mh/\" NIL \"X\" (\"y\"))) NIL ((\"Public.\" \".\"))",
          &response);
    CHECK_EQ_U64(response.namespace.personal_count, 2);
    CHECK_EQ_U64(response.namespace.personal[0].delimiter, '/');
    CHECK_EQ_U64(response.namespace.personal[1].delimiter, IMAP_NO_DELIMITER);
    CHECK_EQ_U64(response.namespace.others_count, 0);
    CHECK_BYTES(response.namespace.shared[0].prefix, BYTES("Public."));
    arena_free(&arena);
}

TEST(fetch_items_come_in_any_order_and_unknown_ones_are_skipped)
{
    struct arena *arena = arena_create(10000);
    struct imap_response response;
    const struct imap_fetch_response *fetch = &response.fetch;

    parse(arena,
          "* 12 FETCH (X-GM-LABELS (\"\\\\Inbox\" \"a)b\" {2}\r\n)( ) MODSEQ (624140003) FLAGS "
          "(\\Seen k) "
          "X-GM-MSGID 1278455344230334865 INTERNALDATE \"17-Jul-1996 02:44:25 -0700\" "
          "BODY[HEADER.FIELDS (\"a]b\")] {1}\r\nx BODY[] {5}\r\n)\r\n( RFC822.SIZE 44827 "
          "EMAILID (M6d) THREADID NIL ENVELOPE (NIL (((\"a\"))) nil) UID 4294967295)",
          &response);
    CHECK(response.kind == IMAP_RESPONSE_FETCH);
    CHECK_EQ_U64(fetch->seq.n, 12);
    CHECK_EQ_U64(fetch->uid.n, UINT32_MAX);
    CHECK_EQ_U64(fetch->modseq, 624140003);
    CHECK_EQ_U64(fetch->gm_msgid, 1278455344230334865u);
    CHECK_EQ_U64(fetch->rfc822_size, 44827);
    CHECK_EQ_I64(fetch->internaldate.zone_minutes, -420);
    CHECK_BYTES(fetch->emailid, BYTES("M6d"));
    CHECK_BYTES(fetch->body, BYTES(")\r\n( "));
    CHECK(fetch->body_kind == IMAP_BODY_TEXT);
    CHECK_EQ_U64(fetch->has, IMAP_HAS_UID | IMAP_HAS_FLAGS | IMAP_HAS_INTERNALDATE |
                                 IMAP_HAS_RFC822_SIZE | IMAP_HAS_MODSEQ | IMAP_HAS_GM_MSGID |
                                 IMAP_HAS_GM_LABELS | IMAP_HAS_EMAILID | IMAP_HAS_BODY);
    CHECK_EQ_U64(fetch->gm_labels.count, 3);
    CHECK_BYTES(fetch->gm_labels.words[0], BYTES("\\Inbox"));
    CHECK_BYTES(fetch->gm_labels.words[1], BYTES("a)b"));
    CHECK_BYTES(fetch->gm_labels.words[2], BYTES(")("));
    arena_free(&arena);
}

TEST(labels_come_as_words_too_and_none_is_a_list)
{
    struct arena *arena = arena_create(10000);
    struct imap_response response;

    parse(arena, "* 1 FETCH (X-GM-LABELS (\\Sent Muy &AOk-) UID 1)", &response);
    CHECK_EQ_U64(response.fetch.gm_labels.count, 3);
    CHECK_BYTES(response.fetch.gm_labels.words[2], BYTES("&AOk-"));
    parse(arena, "* 1 FETCH (UID 1 X-GM-LABELS ())", &response);
    CHECK_EQ_U64(response.fetch.gm_labels.count, 0);
    CHECK((response.fetch.has & IMAP_HAS_GM_LABELS) != 0);
    arena_free(&arena);
}

TEST(an_id_answer_tells_the_name_and_may_be_nil)
{
    struct arena *arena = arena_create(10000);
    struct imap_response response;

    parse(arena, "* ID (\"name\" \"GImap\" \"version\" NIL \"vendor\" {6}\r\nGoogle \"x\" \"y\")",
          &response);
    CHECK(response.kind == IMAP_RESPONSE_ID);
    CHECK_BYTES(response.id.name, BYTES("GImap"));
    parse(arena, "* ID NIL", &response);
    CHECK_EQ_U64(response.id.name.len, 0);
    arena_free(&arena);
}

TEST(a_body_may_be_nil_quoted_or_literal8)
{
    struct arena *arena = arena_create(10000);
    struct imap_response response;

    parse(arena, "* 1 FETCH (UID 1 BODY[] NIL)", &response);
    CHECK(response.fetch.body_kind == IMAP_BODY_NIL);
    CHECK((response.fetch.has & IMAP_HAS_BODY) != 0);
    parse(arena, "* 1 FETCH (UID 1 BODY[] \"\")", &response);
    CHECK(response.fetch.body_kind == IMAP_BODY_TEXT && response.fetch.body_bytes == 0);
    parse(arena, "* 1 FETCH (RFC822 \"a\\\"b\" UID 0)", &response);
    CHECK_BYTES(response.fetch.body, BYTES("a\"b"));
    CHECK((response.fetch.has & IMAP_HAS_UID) == 0);
    parse(arena, "* 1 FETCH (BINARY[] ~{2}\r\nab)", &response);
    CHECK_BYTES(response.fetch.body, BYTES("ab"));
    parse(arena, "* 1 FETCH (INTERNALDATE \"yesterday\" RFC822.SIZE NIL)", &response);
    CHECK_EQ_U64(response.fetch.has, 0);
    arena_free(&arena);
}

TEST(a_streamed_body_is_known_by_its_place)
{
    static const char text[] = "* 1 FETCH (UID 5 BODY[] {1000000}\r\n FLAGS ())";
    struct imap_streamed streamed = { 35, 1000000 };
    struct imap_received received = { bytes_of_text(text), &streamed, 1 };
    struct arena *arena = arena_create(10000);
    struct imap_response response;
    struct err err = { 0 };

    CHECK(imap_parse_response(&received, arena, &response, &err));
    CHECK(response.fetch.body_kind == IMAP_BODY_STREAMED);
    CHECK_EQ_U64(response.fetch.body_bytes, 1000000);
    CHECK((response.fetch.has & IMAP_HAS_FLAGS) != 0);
    arena_free(&arena);
}

static bool peek(struct arena *arena, const char *text, struct imap_fetch_response *out)
{
    struct imap_received received = { .text = bytes_of_text(text) };

    return imap_peek_fetch(&received, arena, out);
}

TEST(peeking_tells_whose_octets_are_coming)
{
    struct arena *arena = arena_create(10000);
    struct imap_fetch_response fetch;

    CHECK(peek(arena, "* 12 FETCH (UID 5 FLAGS (\\Seen) BODY[] {1000000}\r\n", &fetch));
    CHECK_EQ_U64(fetch.uid.n, 5);
    CHECK_EQ_U64(fetch.seq.n, 12);
    CHECK((fetch.has & IMAP_HAS_BODY) == 0);
    CHECK(peek(arena, "* 12 fetch (rfc822 {0}\r\n", &fetch));
    CHECK((fetch.has & IMAP_HAS_UID) == 0);
    CHECK(peek(arena, "* 12 FETCH (BINARY[] ~{9}\r\n", &fetch));
    CHECK_BYTES(fetch.section, BYTES(""));
    CHECK(peek(arena, "* 12 FETCH (body[1.mime] {9}\r\n", &fetch));
    CHECK_BYTES(fetch.section, BYTES("1.mime"));
    CHECK(!peek(arena, "* 12 FETCH (BODY[]<0> {9}\r\n", &fetch));
    CHECK(!peek(arena, "* 12 FETCH (X-GM-LABELS ({9}\r\n", &fetch));
    CHECK(!peek(arena, "* LIST () \"/\" {9}\r\n", &fetch));
    arena_free(&arena);
}

TEST(unusable_responses_are_refused)
{
    static const char *const wrong[] = {
        "",
        "*",
        "* ",
        "a",
        "a1 FOO",
        "a1 ",
        "( OK",
        "* LIST",
        "* LIST (",
        "* LIST () x y",
        "* LIST () \"ab\" x",
        "* LIST () \"/\" a b",
        "* SEARCH x",
        "* SEARCH 99999999999",
        "* 1 FETCH",
        "* 1 FETCH (",
        "* 1 FETCH (UID)",
        "* 1 FETCH (UID x)",
        "* 1 FETCH (BODY[] x)",
        "* 1 FETCH (BODY[] {5}\r\nabc)",
        "* 1 FETCH (FLAGS (\\Seen)",
        "* 1 FETCH (X \"a)",
        "* STATUS x",
        "* STATUS x (MESSAGES)",
        "* NAMESPACE",
        "* ID",
        "* ID (\"name\")",
        "* 1 FETCH (X-GM-LABELS (\"a)",
        "* VANISHED *",
        "* ESEARCH ALL *",
    };

    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct arena *arena = arena_create(10000);
        struct imap_received received = { .text = bytes_of_text(wrong[i]) };
        struct imap_response response = { .number = 77 };
        struct err err = { 0 };

        if (imap_parse_response(&received, arena, &response, &err))
            CHECK_STR(wrong[i], "refused");
        CHECK_EQ_U64(err.code, ERR_SYNTAX);
        CHECK_EQ_U64(response.number, 77);
        arena_free(&arena);
    }
}

TEST(values_nested_deeper_than_the_limit_are_refused)
{
    struct arena *arena = arena_create(10000);
    struct buf text = buf_create(10000);
    struct imap_received received;
    struct imap_response response;
    struct err err = { 0 };

    buf_text(&text, "* 1 FETCH (X ");
    for (int i = 0; i < 200; i++)
        buf_byte(&text, '(');
    received = (struct imap_received){ .text = buf_bytes(&text) };
    CHECK(!imap_parse_response(&received, arena, &response, &err));
    CHECK_EQ_U64(err.code, ERR_LIMIT);
    buf_free(&text);
    arena_free(&arena);
}
