/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "ingest/derive.h"
#include "test.h"
#include "text/extract.h"

#include <stdlib.h>

static struct ingest_deriver *made;

static struct vault_index derive(struct bytes message, size_t chunk)
{
    struct vault_deriver deriver = ingest_use_deriver(made);
    struct vault_index index;

    deriver.begin(deriver.context);
    while (message.len > 0) {
        deriver.octets(deriver.context, bytes_slice(message, 0, chunk));
        message = bytes_slice(message, chunk, SIZE_MAX);
    }
    deriver.end(deriver.context, &index);
    return index;
}

static bool is(struct bytes value, const char *text)
{
    return bytes_equal(value, bytes_of_text(text));
}

static const char plain[] = "Subject: =?utf-8?q?GR=C3=9C?= Two\r\n"
                            "From: Ann <A@B.example>\r\n"
                            "Message-ID: <Id@x>\r\nReferences: <r1@x> <r2@x>\r\n"
                            "Date: Mon, 1 Jan 2001 00:00:00 +0100\r\n\r\nhello\r\n";

TEST(columns_say_what_the_header_says)
{
    struct vault_index index;

    made = ingest_create_deriver();
    for (size_t chunk = 1; chunk < 300; chunk += 40) {
        index = derive(bytes_of_text(plain), chunk);
        CHECK(index.parser_version > 0);
        CHECK_EQ_U64(index.header_bytes, sizeof plain - 1 - 7);
        CHECK(is(index.subject, "gru\xcc\x88 two"));
        CHECK(is(index.from, "ann <a@b.example>"));
        CHECK(is(index.message_id, "Id@x"));
        CHECK_EQ_U64(index.reference_count, 2);
        CHECK(is(index.references[1], "r2@x"));
        CHECK(index.has_date);
        CHECK_EQ_I64(index.date_usec, INT64_C(978303600000000));
        CHECK_EQ_I64(index.date_day, 11323); /* 1 January as written, 31 December in UTC */
        CHECK(index.cc.ptr == NULL);
        CHECK(bytes_find(index.text, BYTES("\1subject: gru\xcc\x88 two")) == 0);
        CHECK(bytes_find(index.text, BYTES("\3hello\r\n")) > 0);
        CHECK_EQ_U64(index.text_notes, 0);
        CHECK(is(index.notes, "[]"));
        CHECK(index.structure.len > 0 && index.envelope.len > 0);
        CHECK(is(index.bodystructure, "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL "
                                      "\"7bit\" 7 1 NIL NIL NIL NIL)"));
    }
    ingest_free_deriver(&made);
}

TEST(a_header_is_known_by_its_octets)
{
    struct bytes header = bytes_slice(bytes_of_text(plain), 0, sizeof plain - 1 - 7);
    struct crypto_sha256 hash = crypto_hash(header);
    size_t size = MIME_HEADER_KEPT_MAX + 100;
    uint8_t *endless = malloc(size);

    CHECK(endless != NULL);
    memset(endless, 'x', size);
    made = ingest_create_deriver();
    for (size_t chunk = 1; chunk < 300; chunk += 40)
        CHECK(bytes_equal(derive(bytes_of_text(plain), chunk).header_sha256,
                          crypto_sha256_bytes(&hash)));
    CHECK(derive(bytes_of(endless, size), 100000).header_sha256.ptr == NULL);
    CHECK(derive(BYTES("Subject: x\r\n\r\n"), 100).header_sha256.ptr == NULL);
    ingest_free_deriver(&made);
    free(endless);
}

TEST(what_is_strange_is_a_note)
{
    struct vault_index index;

    made = ingest_create_deriver();
    index = derive(BYTES(""), 1);
    CHECK(is(index.notes, "[\"header-open\"]"));
    CHECK_EQ_U64(index.header_bytes, 0);
    CHECK(index.envelope.len > 0 && index.bodystructure.len > 0 && index.structure.len > 0);
    index = derive(BYTES("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx"), 7);
    CHECK(is(index.notes, "[\"unterminated\"]"));
    index = derive(bytes_of_text(plain), 1000);
    CHECK(is(index.notes, "[]"));
    ingest_free_deriver(&made);
}

TEST(a_text_over_the_limit_is_none_and_is_noted)
{
    size_t size = (size_t)2 << 20;
    uint8_t *message = malloc(size);
    struct vault_index index;

    CHECK(message != NULL);
    memset(message, 'x', size);
    memcpy(message, "Cc:\r\nA: b\r\n\r\n", 14);
    made = ingest_create_deriver();
    index = derive(bytes_of(message, size), 100000);
    CHECK(index.text.ptr == NULL);
    CHECK_EQ_U64(index.text_notes, TEXT_NOTE_RECORD_LARGE);
    CHECK(is(index.notes, "[\"text-record-large\"]"));
    CHECK(index.cc.ptr != NULL && index.cc.len == 0); /* there, and empty */
    index = derive(bytes_of_text(plain), 1000);
    CHECK(index.text.len > 0);
    ingest_free_deriver(&made);
    free(message);
}

/* n empty messages within messages, each of whose ENVELOPE repeats a long From. */
static struct bytes make_wide(size_t parts, size_t name_bytes)
{
    size_t room = parts * (name_bytes + 200) + 1000;
    struct buf buf = buf_create(room);

    buf_text(&buf, "Content-Type: multipart/digest; boundary=b\r\n\r\n");
    for (size_t i = 0; i < parts; i++) {
        buf_text(&buf, "--b\r\n\r\nFrom: \"");
        for (size_t k = 0; k < name_bytes; k++)
            buf_byte(&buf, 'n');
        buf_text(&buf, "\" <a@b>\r\n\r\nx\r\n");
    }
    buf_text(&buf, "--b--\r\n");
    return buf_bytes(&buf); /* the caller frees them */
}

TEST(a_bodystructure_over_its_limit_is_one_opaque_part_and_noted)
{
    struct bytes message = make_wide(2000, 900);
    struct vault_index index;

    made = ingest_create_deriver();
    index = derive(message, 65536);
    CHECK(index.bodystructure.len < 1000);
    CHECK(
        bytes_start_with_nocase(index.bodystructure, BYTES("(\"application\" \"octet-stream\" ")));
    CHECK(bytes_find(index.notes, BYTES("\"bodystructure-cut\"")) > 0);
    CHECK(index.structure.len > 0); /* every section can still be had */
    ingest_free_deriver(&made);
    free((void *)(uintptr_t)message.ptr);
}
