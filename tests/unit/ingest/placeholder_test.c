/* SPDX-License-Identifier: Apache-2.0 */
#include "ingest/placeholder.h"
#include "test.h"

TEST(the_text_that_exchange_gives_instead_of_a_message_is_known)
{
    CHECK(ingest_is_placeholder(BYTES("From: Microsoft Exchange Server\r\n"
                                      "Subject: Retrieval using the IMAP4 protocol failed for the "
                                      "following message: 4711\r\n\r\nThe server could not")));
    CHECK(ingest_is_placeholder(BYTES("SUBJECT: retrieval using the IMAP4 protocol failed")));
}

TEST(mail_that_speaks_of_it_is_mail)
{
    CHECK(!ingest_is_placeholder(BYTES("")));
    CHECK(!ingest_is_placeholder(
        BYTES("A: b\r\n\r\nSubject: Retrieval using the IMAP4 protocol failed")));
    CHECK(!ingest_is_placeholder(
        BYTES("A: b\n\nSubject: Retrieval using the IMAP4 protocol failed")));
    CHECK(!ingest_is_placeholder(
        BYTES("Subject: Re: Retrieval using the IMAP4 protocol failed\r\n")));
}
