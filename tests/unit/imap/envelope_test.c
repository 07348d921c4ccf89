/* SPDX-License-Identifier: Apache-2.0 */
#include "imap/envelope.h"
#include "imap/structure.h"
#include "mime/parser.h"
#include "test.h"

static struct arena *arena;

static bool read_from(const char *message, struct imap_envelope *out)
{
    struct mime_parser *parser = mime_create_parser();
    struct buf text = buf_create(1 << 20);
    struct bytes kept;
    struct err err = { 0 };
    bool is_read;

    mime_feed_parser(parser, bytes_of_text(message));
    imap_write_envelope(&text, mime_finish_parser(parser)->envelope);
    arena = arena_create(1 << 20);
    CHECK(arena_try_copy(arena, buf_bytes(&text), SIZE_MAX, &kept, &err));
    is_read = imap_read_envelope(kept, arena, out, &err);
    buf_free(&text);
    mime_free_parser(&parser);
    return is_read;
}

TEST(what_was_written_is_read)
{
    struct imap_envelope envelope;

    CHECK(read_from("Date: Tue, 1 May 2001 10:00:00 +0200\r\n"
                    "Subject: a \"b\" \\ \xc3\xbc\r\n"
                    "From: Alice <alice@example.org>, \"B, Bob\" <bob@example.org>\r\n"
                    "To: team: carol@example.org;\r\n"
                    "Message-ID: <1@example.org>\r\n\r\n",
                    &envelope));
    CHECK_BYTES(*envelope.date, BYTES("Tue, 1 May 2001 10:00:00 +0200"));
    CHECK_BYTES(*envelope.subject, BYTES("a \"b\" \\ \xc3\xbc"));
    CHECK_BYTES(*envelope.from->name, BYTES("Alice"));
    CHECK_BYTES(*envelope.from->mailbox, BYTES("alice"));
    CHECK_BYTES(*envelope.from->host, BYTES("example.org"));
    CHECK_BYTES(*envelope.from->next->name, BYTES("B, Bob"));
    CHECK(envelope.from->next->next == NULL);
    CHECK_BYTES(*envelope.sender->mailbox, BYTES("alice"));
    CHECK_BYTES(*envelope.to->mailbox, BYTES("team"));
    CHECK(envelope.to->host == NULL);
    CHECK_BYTES(*envelope.to->next->mailbox, BYTES("carol"));
    CHECK(envelope.to->next->next->mailbox == NULL);
    CHECK(envelope.cc == NULL && envelope.bcc == NULL && envelope.in_reply_to == NULL);
    CHECK_BYTES(*envelope.message_id, BYTES("<1@example.org>"));
    arena_free(&arena);
}

TEST(a_message_without_header_has_an_envelope_of_nothing)
{
    struct imap_envelope envelope;

    CHECK(read_from("", &envelope));
    CHECK(envelope.date == NULL && envelope.subject == NULL && envelope.from == NULL);
    arena_free(&arena);
}

TEST(what_is_no_envelope_is_damage)
{
    static const char *const texts[] = {
        "",
        "NIL",
        "(NIL NIL NIL NIL NIL NIL NIL NIL NIL)",
        "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL",
        "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL) ",
        "(NIL NIL ((NIL NIL NIL)) NIL NIL NIL NIL NIL NIL NIL)",
        "(NIL {99}\r\nx NIL NIL NIL NIL NIL NIL NIL NIL)",
    };

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct imap_envelope envelope = { .date = NULL };
        struct err err = { 0 };

        arena = arena_create(1 << 16);
        CHECK(!imap_read_envelope(bytes_of_text(texts[i]), arena, &envelope, &err));
        CHECK_EQ_U64(err.code, ERR_CORRUPT);
        arena_free(&arena);
    }
}
