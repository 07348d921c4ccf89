/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"
#include "text/extract.h"

#include <stdlib.h>

/* The record as text: kinds as digits, each piece's end as "|". */
static void extract(const char *message, size_t chunk, struct buf *out, uint32_t *notes)
{
    struct text_extractor *extractor = text_create_extractor();
    struct text_record_writer *writer = text_create_record();
    struct text_sink sink = text_record_sink(writer);
    struct bytes in = bytes_of_text(message);
    struct bytes record;
    struct err err = { 0 };

    text_begin(extractor, &sink, 1);
    for (size_t at = 0; at < in.len; at += chunk)
        text_feed(extractor, bytes_slice(in, at, chunk));
    CHECK(text_end(extractor) != NULL);
    CHECK(text_record(writer, &record));
    CHECK(text_check_record(record, &err));
    for (size_t i = 0; i < record.len; i++)
        buf_byte(out, record.ptr[i] == 0  ? '|'
                      : record.ptr[i] < 8 ? (uint8_t)('0' + record.ptr[i])
                                          : record.ptr[i]);
    *notes = text_notes(extractor);
    text_free_record(&writer);
    text_free_extractor(&extractor);
}

static uint32_t notes_of(struct bytes message)
{
    struct text_extractor *extractor = text_create_extractor();
    uint32_t notes;

    text_begin(extractor, NULL, 0);
    text_feed(extractor, message);
    CHECK(text_end(extractor) != NULL);
    notes = text_notes(extractor);
    text_free_extractor(&extractor);
    return notes;
}

static void check(const char *message, const char *want, uint32_t want_notes)
{
    static const size_t chunks[] = { 1, 2, 3, 7, 100, 100000 };

    for (size_t i = 0; i < ARRAY_LEN(chunks); i++) {
        CLEANUP(buf_free) struct buf out = buf_create(1 << 20);
        uint32_t notes;

        extract(message, chunks[i], &out, &notes);
        CHECK_BYTES(buf_bytes(&out), bytes_of_text(want));
        CHECK_EQ_U64(notes, want_notes);
    }
}

TEST(header_fields_are_decoded_unfolded_and_folded)
{
    check("Subject: =?utf-8?q?=C3=84pfel?=\r\n\tund BIRNEN \r\nX-A:  b\r\nx-Long :y\r\n "
          "z\r\n\r\nBody\r\n",
          "1subject: a\xcc\x88pfel und birnen |1x-a:  b|1x-long :y z|3body\r\n|", 0);
}

TEST(a_line_without_a_colon_is_a_field_without_a_name)
{
    check("No Colon\r\nA: b\r\n\r\n", "1:no colon|1a: b|", 0);
}

TEST(a_message_without_text_has_only_its_header)
{
    check("A: b\r\nContent-Type: image/png\r\n\r\nbinary", "1a: b|1content-type: image/png|", 0);
    check("", "", 0);
}

#define MULTIPART                                                                                  \
    "Content-Type: multipart/mixed; boundary=b\r\n\r\nPreamble\r\n--b\r\n"                         \
    "Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: "                  \
    "quoted-printable\r\n\r\n"                                                                     \
    "Stra=DFe=\r\nn\r\n--b\r\n"                                                                    \
    "Content-Type: application/pdf; name=A.pdf\r\nContent-Disposition: attachment; "               \
    "filename*=utf-8''%C3%84.PDF\r\n\r\nPDF\r\n"                                                   \
    "--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: Inner\r\n\r\nInner Body\r\n--b--\r\n"     \
    "Epilogue"

TEST(parts_give_their_fields_names_and_texts_in_order)
{
    check(MULTIPART,
          "1content-type: multipart/mixed; boundary=b|6preamble|"
          "2content-type: text/plain; charset=iso-8859-1|"
          "2content-transfer-encoding: quoted-printable|3stra\xc3\x9f"
          "en|"
          "2content-type: application/pdf; name=a.pdf|"
          "2content-disposition: attachment; filename*=utf-8''%c3%84.pdf|5a\xcc\x88.pdf|5a.pdf|"
          "2content-type: message/rfc822|2subject: inner|3inner body|6epilogue|",
          0);
}

TEST(a_name_that_stands_twice_is_given_once)
{
    check("Content-Type: image/png; name=\"A b.png\"\r\nContent-Disposition: inline; filename=\"A "
          "b.png\"\r\n\r\n",
          "1content-type: image/png; name=\"a b.png\"|"
          "1content-disposition: inline; filename=\"a b.png\"|5a b.png|",
          0);
}

TEST(html_is_given_as_source_and_rendered)
{
    check("Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"
          "PHA+SGVsPGI+bG88L2I+ICZhdW1sOzwvcD48c2NyaXB0PlNlY3JldDwvc2NyaXB0Pg==\r\n",
          "1content-type: text/html; charset=utf-8|1content-transfer-encoding: base64|"
          "3<p>hel<b>lo</b> &auml;</p><script>secret</script>|4hello a\xcc\x88|",
          0);
}

TEST(html_that_cannot_be_rendered_to_its_end_is_noted_and_searched_as_source)
{
    CLEANUP(buf_free) struct buf message = buf_create(1 << 20);

    buf_text(&message, "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
                       "--b\r\nContent-Type: text/html\r\n\r\nfirst<p>");
    for (size_t i = 0; i < 1000; i++)
        buf_text(&message, "<b>");
    buf_text(&message, "second\r\n--b\r\nContent-Type: text/html\r\n\r\n<i>th</i>ird\r\n--b--");
    buf_byte(&message, 0);
    for (size_t chunk = 1; chunk < 10000; chunk = 3 * chunk + 1) {
        CLEANUP(buf_free) struct buf out = buf_create(1 << 20);
        uint32_t notes;

        extract((const char *)message.ptr, chunk, &out, &notes);
        CHECK(bytes_find(buf_bytes(&out), BYTES("<b>second|4first|2")) > 0);
        CHECK(bytes_find(buf_bytes(&out), BYTES("|3<i>th</i>ird|4third|")) > 0);
        CHECK_EQ_U64(notes, TEXT_NOTE_RENDERING_CUT);
    }
}

TEST(a_text_in_another_charset_is_decoded)
{
    check("Content-Type: text/plain; charset=koi8-r\r\n\r\n\xf0\xd2\xc9\xd7\xc5\xd4",
          "1content-type: text/plain; charset=koi8-r|3привет|", 0);
}

TEST(a_charset_begins_anew_with_each_text)
{
    check("Content-Type: multipart/mixed; boundary=b\r\n\r\n"
          "--b\r\nContent-Type: text/plain; charset=iso-2022-jp\r\n\r\n\033$B4A\r\n"
          "--b\r\nContent-Type: text/plain; charset=iso-2022-jp\r\n\r\nABC\r\n"
          "--b\r\nContent-Type: text/plain; charset=UTF-8\r\n\r\nx\xe2\x82\r\n"
          "--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n\xac\xc3\xa9\r\n--b--",
          "1content-type: multipart/mixed; boundary=b|"
          "2content-type: text/plain; charset=iso-2022-jp|3漢|"
          "2content-type: text/plain; charset=iso-2022-jp|3abc|"
          "2content-type: text/plain; charset=utf-8|3x\xef\xbf\xbd|"
          "2content-type: text/plain; charset=utf-8|3\xef\xbf\xbd"
          "e\xcc\x81|",
          TEXT_NOTE_CHARSET_ERRORS);
}

#define LONG_NAME "x-a-name-that-is-longer-than-that-of-any-charset-which-anybody-ever-registered"

/* From more charsets than are kept, three times over, and one whose name is too long to be kept. */
TEST(a_charset_is_decoded_alike_however_many_came_before)
{
    static const struct {
        const char *name, *text;
    } charsets[] = {
        { "iso-8859-1", "e\xcc\x81" },
        { "iso-8859-2", "e\xcc\x81" },
        { "koi8-r", "и" },
        { "windows-1251", "и\xcc\x86" },
        { "iso-8859-5", "щ" },
        { "iso-8859-7", "ι" },
        { "windows-1253", "ι" },
        { "iso-8859-15", "e\xcc\x81" },
        { "iso-8859-16", "e\xcc\x81" },
        { "windows-1250", "e\xcc\x81" },
        { LONG_NAME, "e\xcc\x81" }, /* unknown: read as windows-1252 */
    };
    CLEANUP(buf_free) struct buf message = buf_create(1 << 16);
    CLEANUP(buf_free) struct buf want = buf_create(1 << 16);

    buf_text(&message, "Content-Type: multipart/mixed; boundary=b\r\n\r\n");
    buf_text(&want, "1content-type: multipart/mixed; boundary=b|");
    for (size_t round = 0; round < 3; round++)
        for (size_t i = 0; i < ARRAY_LEN(charsets); i++) {
            buf_text(&message, "--b\r\nContent-Type: text/plain; charset=");
            buf_text(&message, charsets[i].name);
            buf_text(&message, "\r\n\r\n\xe9\r\n");
            buf_text(&want, "2content-type: text/plain; charset=");
            buf_text(&want, charsets[i].name);
            buf_text(&want, "|3");
            buf_text(&want, charsets[i].text);
            buf_byte(&want, '|');
        }
    buf_text(&message, "--b--");
    buf_byte(&message, 0);
    buf_byte(&want, 0);
    check((const char *)message.ptr, (const char *)want.ptr, TEXT_NOTE_CHARSET_UNKNOWN);
}

TEST(what_could_not_be_searched_is_noted)
{
    check("Content-Type: text/plain; charset=x-none\r\n\r\nA\xe9",
          "1content-type: text/plain; charset=x-none|3ae\xcc\x81|", TEXT_NOTE_CHARSET_UNKNOWN);
    check("Content-Type: text/plain; charset=utf-8\r\n\r\nA\xe9",
          "1content-type: text/plain; charset=utf-8|3a\xef\xbf\xbd|", TEXT_NOTE_CHARSET_ERRORS);
    check("MIME-Version: 1.0\r\nContent-Transfer-Encoding: x-uue\r\n\r\nA",
          "1mime-version: 1.0|1content-transfer-encoding: x-uue|3a|", TEXT_NOTE_TRANSFER_UNKNOWN);
    check("MIME-Version: 1.0\r\nContent-Transfer-Encoding: base64\r\n\r\nQ*Q==",
          "1mime-version: 1.0|1content-transfer-encoding: base64|3a|", TEXT_NOTE_TRANSFER_ERRORS);
    check("Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\n\r\nx",
          "1content-type: application/pkcs7-mime; smime-type=enveloped-data|", TEXT_NOTE_ENCRYPTED);
    check("Content-Type: application/pkcs7-mime; smime-type=signed-data\r\n\r\nx",
          "1content-type: application/pkcs7-mime; smime-type=signed-data|", TEXT_NOTE_WRAPPED);
    check("Content-Type: multipart/encrypted; boundary=b\r\n\r\n--b\r\nContent-Type: "
          "application/pgp-encrypted\r\n\r\nVersion: 1\r\n--b--\r\n",
          "1content-type: multipart/encrypted; boundary=b|"
          "2content-type: application/pgp-encrypted|",
          TEXT_NOTE_ENCRYPTED);
    check("Content-Type: application/ms-tnef\r\n\r\nx", "1content-type: application/ms-tnef|",
          TEXT_NOTE_WRAPPED);
}

TEST(a_message_within_that_is_encoded_is_noted)
{
    check("Content-Type: message/rfc822\r\nContent-Transfer-Encoding: BASE64\r\n\r\n"
          "U3ViamVjdDogeA0KDQp5DQo=\r\n",
          "1content-type: message/rfc822|1content-transfer-encoding: base64|"
          "2:u3viamvjddogea0kdqp5dqo=|",
          TEXT_NOTE_WRAPPED);
    check("Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\nA: b\r\n\r\nx",
          "1content-type: message/rfc822|1content-transfer-encoding: 8bit|2a: b|3x|", 0);
}

TEST(a_field_that_is_too_long_when_decoded_is_noted)
{
    CLEANUP(buf_free) struct buf message = buf_create(1 << 20);

    buf_text(&message, "Subject:");
    for (int word = 0; word < 400; word++) { /* each octet is four characters */
        buf_text(&message, " =?TSCII?q?");
        for (int i = 0; i < 1000; i++)
            buf_byte(&message, 0x82);
        buf_text(&message, "?=");
    }
    buf_text(&message, " secret\r\n\r\n");
    CHECK_EQ_U64(notes_of(buf_bytes(&message)), TEXT_NOTE_HEADER_CUT);
}

TEST(pgp_ciphertext_within_plain_text_is_noted)
{
    check("A: b\r\n\r\nx\r\n-----BEGIN PGP MESSAGE-----\r\n",
          "1a: b|3x\r\n-----begin pgp message-----\r\n|", TEXT_NOTE_ENCRYPTED);
}

TEST(every_note_has_a_name)
{
    for (uint32_t bit = 1; bit <= TEXT_NOTE_WRAPPED; bit <<= 1)
        CHECK(text_note_name(bit) != NULL);
    CHECK(text_note_name(TEXT_NOTE_WRAPPED << 1) == NULL);
}

TEST(an_extractor_begins_anew_after_a_message_that_was_given_up)
{
    struct text_extractor *extractor = text_create_extractor();
    struct text_record_writer *writer = text_create_record();
    struct text_sink sink = text_record_sink(writer);
    struct bytes record;

    text_begin(extractor, &sink, 1);
    text_feed(extractor, BYTES("A: b\r\n\r\nhalf a bo"));
    text_reset_record(writer);
    text_begin(extractor, &sink, 1);
    text_feed(extractor, BYTES("C: d\r\n\r\nX"));
    (void)text_end(extractor);
    CHECK(text_record(writer, &record));
    CHECK_BYTES(record, bytes_of("\1c: d\0\3x\0", 9));
    text_free_record(&writer);
    text_free_extractor(&extractor);
}
