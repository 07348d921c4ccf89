/* SPDX-License-Identifier: Apache-2.0 */
#include "mime/parser.h"
#include "mime/part.h"
#include "test.h"

static bool has_attachment(const char *message)
{
    struct mime_parser *parser = mime_create_parser();
    bool has;

    mime_feed_parser(parser, bytes_of_text(message));
    has = mime_has_attachment(mime_finish_parser(parser));
    mime_free_parser(&parser);
    return has;
}

#define MULTIPART(type, parts)                                                                     \
    "MIME-Version: 1.0\r\nContent-Type: multipart/" type "; boundary=b\r\n\r\n" parts "--b--\r\n"
#define PART(header) "--b\r\n" header "\r\nx\r\n"

TEST(text_alone_and_its_alternatives_are_no_attachments)
{
    CHECK(!has_attachment("Subject: x\r\n\r\ntext\r\n"));
    CHECK(!has_attachment("Content-Type: text/html\r\n\r\n<p>\r\n"));
    CHECK(!has_attachment(MULTIPART("alternative", PART("") PART("Content-Type: text/html\r\n"))));
    CHECK(!has_attachment(MULTIPART("mixed", PART("Content-Disposition: inline\r\n"))));
    CHECK(!has_attachment(""));
}

TEST(what_is_named_marked_or_no_text_is_an_attachment)
{
    CHECK(has_attachment(MULTIPART("mixed", PART("") PART("Content-Type: application/pdf\r\n"))));
    CHECK(has_attachment(MULTIPART("mixed", PART("") PART("Content-Disposition: Attachment\r\n"))));
    CHECK(has_attachment(
        MULTIPART("mixed", PART("Content-Disposition: inline; filename=\"notes.txt\"\r\n"))));
    CHECK(has_attachment(MULTIPART("mixed", PART("Content-Type: text/plain; name=notes.txt\r\n"))));
    CHECK(has_attachment(
        MULTIPART("mixed", PART("Content-Type: text/plain; name*=utf-8''n%C3%BC.txt\r\n"))));
    CHECK(has_attachment(MULTIPART("related", PART("Content-Type: text/html\r\n")
                                                  PART("Content-Type: image/png\r\n"))));
    CHECK(has_attachment("Content-Type: image/png\r\n\r\nx\r\n"));
    CHECK(has_attachment(MULTIPART("mixed", PART("") PART("Content-Type: message/rfc822\r\n"))));
    CHECK(!has_attachment(MULTIPART("mixed", PART("Content-Type: text/plain; name=\"\"\r\n"))));
}

TEST(a_signature_is_no_attachment_and_what_is_signed_may_have_one)
{
    CHECK(!has_attachment(MULTIPART(
        "signed", PART("") PART("Content-Type: application/pkcs7-signature; name=smime.p7s\r\n"))));
    CHECK(has_attachment(MULTIPART("signed", PART("Content-Type: application/pdf\r\n") PART(
                                                 "Content-Type: application/pgp-signature\r\n"))));
    CHECK(has_attachment(
        MULTIPART("mixed", PART("") PART("Content-Type: application/pgp-signature\r\n"))));
}
