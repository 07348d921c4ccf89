/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"
#include "ingest/derive.h"
#include "ingest/journal.h"
#include "test.h"
#include "text/fold.h"

#include <stdlib.h>

static bool has(struct bytes text, const char *part)
{
    return bytes_find(text, bytes_of_text(part)) >= 0;
}

/* ---- the text of a report ------------------------------------------------------------------------ */

TEST(each_line_of_a_report_is_a_fact)
{
    struct ingest_journal journal;

    ingest_start_journal(&journal);
    CHECK(ingest_read_journal(
        BYTES("\xef\xbb\xbfSender: ann@x\r\nOn-Behalf-Of: chief@x\r\n"
              "Subject: To: mallory@x\r\nMessage-ID: <1@x>\r\nLabel: secret\r\n"
              "To: bob@x, Expanded: all@x\r\ncc: carl@x, Forwarded: old@x\r\n"
              "BCC: eve@x\r\nRecipient: one@x\r\nRecipient: two@x, Expanded: list@x"),
        false, &journal));
    CHECK_BYTES(buf_bytes(&journal.from), BYTES("ann@x, chief@x"));
    CHECK_BYTES(buf_bytes(&journal.to), BYTES("bob@x, all@x"));
    CHECK_BYTES(buf_bytes(&journal.cc), BYTES("carl@x, old@x"));
    CHECK_BYTES(buf_bytes(&journal.bcc), BYTES("eve@x"));
    CHECK_BYTES(buf_bytes(&journal.recipients), BYTES("one@x\ntwo@x\nlist@x\n"));
    CHECK_BYTES(journal.subject, BYTES("To: mallory@x"));
    CHECK_BYTES(journal.message_id, BYTES("1@x"));
    CHECK(!journal.is_cut);
    ingest_free_journal(&journal);
}

TEST(a_text_that_begins_otherwise_or_names_no_sender_is_no_report)
{
    static const struct bytes texts[] = {
        BYTES_INIT(""),
        BYTES_INIT("\r\n\r\n"),
        BYTES_INIT("Hello,\nSender: ann@x\n"),
        BYTES_INIT("Subject: x\nTo: bob@x\n"),
        BYTES_INIT("Von: ann@x\n"),
    };

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct ingest_journal journal;

        ingest_start_journal(&journal);
        CHECK(!ingest_read_journal(texts[i], false, &journal));
        CHECK_EQ_U64(journal.to.len + journal.from.len, 0);
        ingest_free_journal(&journal);
    }
}

TEST(labels_are_known_in_eight_languages_composed_and_decomposed)
{
    static const struct {
        struct bytes text, bcc;
    } cases[] = {
        { BYTES_INIT("Absender: ann@x\nAn: bob@x\nBetreff: hi\nEmpf\u00e4nger: eve@x\n"),
          BYTES_INIT("") },
        { BYTES_INIT("EXP\u00c9DITEUR\u00a0: ann@x\nObjet : hi\n\u00c0 : bob@x\nCci : dan@x\n"
                     "Destinataire : eve@x\n"),
          BYTES_INIT("dan@x") },
        { BYTES_INIT("Remitente: ann@x\nAsunto: hi\nPara: bob@x\nCCO: dan@x\nDestinatario: eve@x"),
          BYTES_INIT("dan@x") },
        { BYTES_INIT("Mittente: ann@x\nOggetto: hi\nA: bob@x\nCcn: dan@x\nDestinatario: eve@x"),
          BYTES_INIT("dan@x") },
        { BYTES_INIT("Remetente: ann@x\nAssunto: hi\nPara: bob@x\nDestinat\u00e1rio: eve@x"),
          BYTES_INIT("") },
        { BYTES_INIT("Afzender: ann@x\nOnderwerp: hi\nAan: bob@x\nOntvanger: eve@x"),
          BYTES_INIT("") },
        { BYTES_INIT("\u9001\u4fe1\u8005: ann@x\n\u4ef6\u540d: hi\n\u5b9b\u5148: bob@x\n"
                     "\u53d7\u4fe1\u8005: eve@x"),
          BYTES_INIT("") },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(buf_free) struct buf folded = buf_create(4096);

        text_fold(cases[i].text, &folded);
        for (int round = 0; round < 2; round++) {
            struct ingest_journal journal;

            ingest_start_journal(&journal);
            CHECK(ingest_read_journal(round == 0 ? cases[i].text : buf_bytes(&folded), false,
                                      &journal));
            CHECK_BYTES(buf_bytes(&journal.from), BYTES("ann@x"));
            CHECK_BYTES(buf_bytes(&journal.to), BYTES("bob@x"));
            CHECK_BYTES(buf_bytes(&journal.bcc), cases[i].bcc);
            CHECK_BYTES(buf_bytes(&journal.recipients), BYTES("eve@x\n"));
            CHECK_BYTES(journal.subject, BYTES("hi"));
            CHECK(!journal.is_guessed);
            ingest_free_journal(&journal);
        }
    }
}

TEST(beside_a_message_unknown_labels_are_guessed_by_the_addresses_behind_them)
{
    const struct bytes text = BYTES("L\u00e4hett\u00e4j\u00e4: ann@x\nAihe: what@ever is this\n"
                                    "Tunnus: <1@x>\nVastaanottaja: bob@x, eve@x\nCc: carl@x\n");
    struct ingest_journal journal;

    ingest_start_journal(&journal);
    CHECK(!ingest_read_journal(text, false, &journal));
    CHECK(ingest_read_journal(text, true, &journal));
    CHECK(journal.is_guessed);
    CHECK_BYTES(buf_bytes(&journal.from), BYTES("ann@x"));
    CHECK_BYTES(buf_bytes(&journal.recipients), BYTES("bob@x\neve@x\n"));
    CHECK_BYTES(buf_bytes(&journal.cc), BYTES("carl@x"));
    ingest_free_journal(&journal);
    ingest_start_journal(&journal);
    CHECK(!ingest_read_journal(BYTES("Hello Bob,\nwrite: ann@x\n"), true, &journal));
    ingest_free_journal(&journal);
}

TEST(a_report_with_more_recipients_than_there_is_room_for_is_cut)
{
    CLEANUP(buf_free) struct buf text = buf_create(8 << 20);
    struct ingest_journal journal;

    buf_text(&text, "Sender: ann@x\n");
    for (size_t i = 0; i < 20000; i++)
        buf_text(&text, "Bcc: somebody@example.org\n");
    ingest_start_journal(&journal);
    CHECK(ingest_read_journal(buf_bytes(&text), false, &journal));
    CHECK(journal.is_cut && journal.bcc.len <= INGEST_JOURNAL_TEXT_MAX);
    ingest_free_journal(&journal);
}

/* ---- the columns of a report --------------------------------------------------------------------- */

#define REPORT_HEADER                                                                              \
    "From: Journal <journal@sys>\r\nTo: archive@sys\r\nSubject: Report\r\n"                        \
    "Date: Tue, 2 Jan 2001 00:00:00 +0000\r\nMessage-ID: <report@sys>\r\nMIME-Version: 1.0\r\n"
#define MIXED REPORT_HEADER "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
#define FACTS                                                                                      \
    "--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"                                       \
    "Sender: Ann@X\r\nSubject: hi\r\nRecipient: bob@x\r\nRecipient: Eve@x\r\nBcc: dan@x\r\n"
#define MESSAGE                                                                                       \
    "\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nFrom: Ann Example <ann@x>\r\nTo: Bob <bob@x>\r\n" \
    "Subject: =?utf-8?q?Gr=C3=BCn?=\r\nDate: Mon, 1 Jan 2001 00:00:00 +0100\r\n"                      \
    "Message-ID: <Inner@x>\r\n\r\nbody\r\n"

static struct ingest_deriver *made;

static struct vault_index derive(struct bytes message, bool is_journal, size_t chunk)
{
    struct vault_deriver deriver;
    struct vault_index index;

    made = ingest_create_deriver();
    deriver = ingest_use_deriver(made);
    deriver.use_account(deriver.context, is_journal);
    deriver.begin(deriver.context);
    while (message.len > 0) {
        deriver.octets(deriver.context, bytes_slice(message, 0, chunk));
        message = bytes_slice(message, chunk, SIZE_MAX);
    }
    deriver.end(deriver.context, &index);
    return index;
}

TEST(columns_of_a_report_also_tell_of_the_message_in_it_and_of_its_envelope)
{
    for (size_t chunk = 1; chunk < 2000; chunk += 333) {
        struct vault_index index = derive(BYTES(MIXED FACTS MESSAGE "\r\n--b--\r\n"), true, chunk);

        CHECK_BYTES(index.notes, BYTES("[\"journal-report\"]"));
        CHECK_BYTES(index.subject, BYTES("report\ngru\xcc\x88n"));
        CHECK(has(index.from, "journal@sys") && has(index.from, "ann example") &&
              has(index.from, "ann@x"));
        CHECK(has(index.to, "archive@sys") && has(index.to, "bob@x") && has(index.to, "eve@x"));
        CHECK(has(index.bcc, "eve@x") && has(index.bcc, "dan@x") && !has(index.bcc, "bob@x"));
        CHECK_BYTES(index.message_id, BYTES("Inner@x"));
        CHECK_EQ_I64(index.date_usec, INT64_C(978303600000000));
        CHECK_BYTES(index.notes, BYTES("[\"journal-report\"]"));
        ingest_free_deriver(&made);
    }
}

TEST(a_recipient_whose_address_is_part_of_a_longer_one_that_is_named_got_it_blindly)
{
    struct vault_index index =
        derive(BYTES(MIXED FACTS "Recipient: ob@x\r\nRecipient: bob@x.y\r\nRecipient: b@y\r\n"
                                 "\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nFrom: ann@x\r\n"
                                 "To: Bob <bob@x>, bob@x.y.z\r\nCc: b@y.z, b@y\r\n\r\nbody"
                                 "\r\n--b--\r\n"),
               true, 100);

    CHECK(has(index.bcc, "ob@x,") && has(index.bcc, "bob@x.y") && !has(index.bcc, "b@y"));
    CHECK(!has(index.bcc, "bob@x,"));
    ingest_free_deriver(&made);
}

TEST(in_another_account_a_report_is_a_message_like_any_other)
{
    struct vault_index index = derive(BYTES(MIXED FACTS MESSAGE "\r\n--b--\r\n"), false, 100);

    CHECK_BYTES(index.subject, BYTES("report"));
    CHECK_BYTES(index.message_id, BYTES("report@sys"));
    CHECK(index.bcc.ptr == NULL && !has(index.to, "bob@x"));
    CHECK_BYTES(index.notes, BYTES("[]"));
    ingest_free_deriver(&made);
}

TEST(odd_reports_are_noted_and_told_as_far_as_they_go)
{
    struct vault_index index = derive(BYTES(MIXED FACTS "\r\n--b--\r\n"), true, 100);

    CHECK(has(index.notes, "\"journal-report\",\"journal-no-message\""));
    CHECK(has(index.subject, "hi") && has(index.bcc, "dan@x"));
    ingest_free_deriver(&made);
    index = derive(BYTES(MIXED FACTS MESSAGE MESSAGE "\r\n--b--\r\n"), true, 100);
    CHECK(has(index.notes, "journal-several-messages"));
    ingest_free_deriver(&made);
    index = derive(BYTES(MIXED MESSAGE "\r\n--b--\r\n"), true, 100);
    CHECK(has(index.notes, "journal-no-report"));
    CHECK_BYTES(index.message_id, BYTES("report@sys"));
    ingest_free_deriver(&made);
}

TEST(a_report_without_a_message_id_of_its_own_is_not_known_by_its_header)
{
    struct vault_index index = derive(
        BYTES("Subject: Report\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" FACTS MESSAGE
              "\r\n--b--\r\n"),
        true, 100);

    CHECK_BYTES(index.message_id, BYTES("Inner@x"));
    CHECK(index.header_sha256.ptr == NULL);
    ingest_free_deriver(&made);
    index = derive(BYTES(MIXED FACTS MESSAGE "\r\n--b--\r\n"), true, 100);
    CHECK_EQ_U64(index.header_sha256.len, 32);
    ingest_free_deriver(&made);
}

TEST(of_a_message_in_tnef_the_report_tells_and_it_says_so)
{
    struct vault_index index = derive(
        BYTES(MIXED FACTS "Message-ID: <told@x>\r\n--b\r\nContent-Type: application/ms-tnef; "
                          "name=winmail.dat\r\n\r\nx\r\n--b--\r\n"),
        true, 100);

    CHECK_BYTES(index.notes, BYTES("[\"journal-report\",\"journal-wrapped-message\",\"wrapped\"]"));
    CHECK(has(index.subject, "hi") && has(index.bcc, "dan@x"));
    CHECK_BYTES(index.message_id, BYTES("told@x"));
    ingest_free_deriver(&made);
}

TEST(of_a_message_in_base64_the_report_tells_and_it_says_so)
{
    struct vault_index index = derive(
        BYTES(MIXED FACTS "Message-ID: <told@x>\r\n--b\r\nContent-Type: message/rfc822\r\n"
                          "Content-Transfer-Encoding: base64\r\n\r\n"
                          /* From: ann@x, Subject: secret */
                          "RnJvbTogYW5uQHgNClN1YmplY3Q6IHNlY3JldA0KDQpib2R5DQo=\r\n--b--\r\n"),
        true, 100);

    CHECK_BYTES(index.notes, BYTES("[\"journal-report\",\"journal-wrapped-message\",\"wrapped\"]"));
    CHECK(has(index.subject, "hi") && has(index.bcc, "dan@x"));
    CHECK_BYTES(index.message_id, BYTES("told@x"));
    ingest_free_deriver(&made);
}

TEST(recipients_of_a_list_of_thousands_are_all_told)
{
    enum {
        COUNT = 4000
    };
    CLEANUP(buf_free) struct buf report = buf_create(1 << 20);
    struct vault_index index;

    buf_text(&report, MIXED FACTS);
    for (uint64_t i = 0; i < COUNT; i++) {
        buf_text(&report, "To: firstname.lastname-");
        buf_u64(&report, i);
        buf_text(&report, "@a-long-domain.example, Expanded: everybody@a-long-domain.example\r\n");
    }
    buf_text(&report, MESSAGE "\r\n--b--\r\n");
    index = derive(buf_bytes(&report), true, 10000);
    CHECK_BYTES(index.notes, BYTES("[\"journal-report\"]"));
    CHECK(has(index.to, "lastname-0@") && has(index.to, "lastname-3999@"));
    CHECK(has(index.to, "everybody@"));
    ingest_free_deriver(&made);
}

TEST(what_has_no_room_is_told_once_and_the_notes_stay_notes)
{
    CLEANUP(buf_free) struct buf report = buf_create(4 << 20);
    struct vault_index index;

    for (int round = 0; round < 2; round++) { /* letters that fold to eleven times their octets */
        for (int field = 0; field < 5; field++) {
            static const char *const names[] = { "From: ", "To: ", "Cc: ", "Bcc: ", "Subject: " };

            buf_text(&report, names[field]);
            for (int i = 0; i < 21000; i++)
                buf_text(&report, "\xef\xb7\xba");
            buf_text(&report, "\r\n");
        }
        if (round == 0) {
            buf_text(&report, MIXED FACTS);
            for (int i = 0; i < 60000; i++)
                buf_text(&report, "Recipient: a\r\n");
            buf_text(&report, "\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n");
        }
    }
    buf_text(&report, "\r\nbody\r\n--b--\r\n");
    index = derive(buf_bytes(&report), true, 10000);
    CHECK_BYTES(bytes_slice(index.notes, 0, 29), BYTES("[\"texts-cut\",\"journal-report\""));
    CHECK(bytes_find(bytes_slice(index.notes, 29, SIZE_MAX), BYTES("texts-cut")) < 0);
    CHECK_EQ_U64(index.notes.ptr[index.notes.len - 1], ']');
    ingest_free_deriver(&made);
}

TEST(a_report_longer_than_is_looked_at_says_so)
{
    CLEANUP(buf_free) struct buf report = buf_create(2 << 20);
    struct vault_index index;

    buf_text(&report, MIXED FACTS);
    for (int i = 0; i < (1 << 20) / 10; i++)
        buf_text(&report, "Label: x\r\n");
    buf_text(&report, "Bcc: last@x\r\n" MESSAGE "\r\n--b--\r\n");
    index = derive(buf_bytes(&report), true, 10000);
    CHECK(has(index.notes, "texts-cut") && !has(index.bcc, "last@x"));
    ingest_free_deriver(&made);
}

TEST(a_report_in_another_encoding_is_read)
{
    struct vault_index index =
        derive(BYTES(MIXED "--b\r\nContent-Type: text/plain; charset=utf-16le\r\n"
                           "Content-Transfer-Encoding: base64\r\n\r\n"
                           /* Sender: a@x, CR LF, Bcc: b@x */
                           "UwBlAG4AZABlAHIAOgAgAGEAQAB4AA0ACgBCAGMAYwA6ACAAYgBAAHgA\r\n" MESSAGE
                           "\r\n--b--\r\n"),
               true, 100);

    CHECK(has(index.notes, "\"journal-report\"") && has(index.bcc, "b@x") &&
          has(index.from, "a@x"));
    ingest_free_deriver(&made);
}

TEST(a_long_list_of_recipients_in_a_field_of_a_copy_is_read_to_its_end)
{
    CLEANUP(buf_free) struct buf header = buf_create(1 << 20);
    struct ingest_journal journal;

    buf_text(&header, "Subject: x\r\nX-Envelope-To:");
    for (uint64_t i = 0; i < 500; i++) {
        buf_text(&header, i == 0 ? " " : ",\r\n\t");
        buf_text(&header, "somebody-");
        buf_u64(&header, i);
        buf_text(&header, "@example.org");
    }
    buf_text(&header, "\r\nReturn-Path: <ann@x>\r\n\r\n");
    ingest_start_journal(&journal);
    CHECK(ingest_read_journal_header(buf_bytes(&header), &journal));
    CHECK(has(buf_bytes(&journal.recipients), "somebody-0@example.org\nsomebody-1@example.org\n"));
    CHECK(has(buf_bytes(&journal.recipients), "\nsomebody-499@example.org\n"));
    CHECK_BYTES(buf_bytes(&journal.from), BYTES("<ann@x>"));
    CHECK(!journal.is_cut);
    ingest_free_journal(&journal);
}

TEST(of_a_copy_without_report_the_header_tells_the_envelope)
{
    struct vault_index index =
        derive(BYTES("Return-Path: <ann@x>\r\nX-Gm-Original-To: eve@x\r\nFrom: Ann <ann@x>\r\n"
                     "To: bob@x\r\nMessage-ID: <1@x>\r\n\r\nbody\r\n"),
               true, 100);

    CHECK(has(index.notes, "journal-no-report"));
    CHECK(has(index.to, "bob@x") && has(index.to, "eve@x") && has(index.bcc, "eve@x"));
    CHECK_BYTES(index.message_id, BYTES("1@x"));
    ingest_free_deriver(&made);
}
