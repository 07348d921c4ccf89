/* SPDX-License-Identifier: Apache-2.0 */
#include "ingest/journal.h"

#include "base/err.h"
#include "mime/header.h"
#include "mime/part.h"
#include "text/fold.h"

enum {
    VALUE_MAX = 4096, /* of one address, subject or Message-ID */
    LABEL_MAX = 64,   /* octets in front of its colon */
};

void ingest_start_journal(struct ingest_journal *journal)
{
    *journal = (struct ingest_journal){
        .from = buf_create(INGEST_JOURNAL_TEXT_MAX),
        .to = buf_create(INGEST_JOURNAL_TEXT_MAX),
        .cc = buf_create(INGEST_JOURNAL_TEXT_MAX),
        .bcc = buf_create(INGEST_JOURNAL_TEXT_MAX),
        .recipients = buf_create(INGEST_JOURNAL_TEXT_MAX),
    };
}

void ingest_free_journal(struct ingest_journal *journal)
{
    buf_free(&journal->from);
    buf_free(&journal->to);
    buf_free(&journal->cc);
    buf_free(&journal->bcc);
    buf_free(&journal->recipients);
}

static struct bytes trim(struct bytes text)
{
    while (text.len > 0 && text.ptr[0] <= ' ')
        text = bytes_slice(text, 1, SIZE_MAX);
    while (text.len > 0 && text.ptr[text.len - 1] <= ' ')
        text.len--;
    return text;
}

/* One more of a list; what has no room is left out. */
static void add(struct ingest_journal *journal, struct buf *list, struct bytes text)
{
    size_t separator = list == &journal->recipients ? 1 : 2;

    text = trim(text);
    if (text.len == 0)
        return;
    if (text.len > VALUE_MAX || list->len + text.len + separator > INGEST_JOURNAL_TEXT_MAX) {
        journal->is_cut = true;
        return;
    }
    if (list != &journal->recipients && list->len > 0)
        buf_text(list, ", ");
    buf_append(list, text);
    if (list == &journal->recipients)
        buf_byte(list, '\n');
}

/* Whom an address was expanded or forwarded from; not again when the one before had the same. */
static void add_origin(struct ingest_journal *journal, struct buf *list, struct bytes address)
{
    size_t behind = list == &journal->recipients ? 1 : 0;
    size_t before = list->len;

    if (journal->origin.list == list &&
        bytes_equal(address, bytes_slice(buf_bytes(list), journal->origin.at, journal->origin.len)))
        return;
    add(journal, list, address);
    if (list->len == before)
        return;
    journal->origin.list = list;
    journal->origin.len = address.len;
    journal->origin.at = list->len - behind - address.len;
}

/* "bob@example.org, Expanded: all@example.org": both, without the word. */
static void add_redirected(struct ingest_journal *journal, struct buf *list, struct bytes value)
{
    static const struct bytes words[] = { BYTES_INIT("expanded:"), BYTES_INIT("forwarded:") };
    struct bytes item;

    while (value.len > 0) {
        bool is_origin = false;

        if (!scan_until_byte(&value, ',', &item)) {
            item = value;
            value.len = 0;
        } else {
            value = bytes_slice(value, 1, SIZE_MAX);
        }
        item = trim(item);
        for (size_t i = 0; i < ARRAY_LEN(words) && !is_origin; i++)
            is_origin = scan_text_nocase(&item, words[i]);
        item = trim(item);
        if (is_origin)
            add_origin(journal, list, item);
        else
            add(journal, list, item);
    }
}

/* ---- the text of a report ------------------------------------------------------------------------ */

enum fact {
    FACT_SENDER,
    FACT_ON_BEHALF_OF,
    FACT_SUBJECT,
    FACT_MESSAGE_ID,
    FACT_TO,
    FACT_CC,
    FACT_BCC,
    FACT_RECIPIENT,
    FACT_NONE,
};

/* As folded (text/fold.h): marks stand behind their letters. */
static const struct label {
    struct bytes name;
    enum fact fact;
} labels[] = {
    // clang-format off
    { BYTES_INIT("sender"),                       FACT_SENDER },
    { BYTES_INIT("on-behalf-of"),                 FACT_ON_BEHALF_OF },
    { BYTES_INIT("on behalf of"),                 FACT_ON_BEHALF_OF },
    { BYTES_INIT("subject"),                      FACT_SUBJECT },
    { BYTES_INIT("message-id"),                   FACT_MESSAGE_ID },
    { BYTES_INIT("to"),                           FACT_TO },
    { BYTES_INIT("cc"),                           FACT_CC },
    { BYTES_INIT("bcc"),                          FACT_BCC },
    { BYTES_INIT("recipient"),                    FACT_RECIPIENT },
    { BYTES_INIT("absender"),                     FACT_SENDER }, /* German */
    { BYTES_INIT("im auftrag von"),               FACT_ON_BEHALF_OF },
    { BYTES_INIT("betreff"),                      FACT_SUBJECT },
    { BYTES_INIT("nachrichten-id"),               FACT_MESSAGE_ID },
    { BYTES_INIT("an"),                           FACT_TO },
    { BYTES_INIT("empfa\u0308nger"),              FACT_RECIPIENT },
    { BYTES_INIT("expe\u0301diteur"),             FACT_SENDER }, /* French */
    { BYTES_INIT("de la part de"),                FACT_ON_BEHALF_OF },
    { BYTES_INIT("objet"),                        FACT_SUBJECT },
    { BYTES_INIT("id du message"),                FACT_MESSAGE_ID },
    { BYTES_INIT("a\u0300"),                      FACT_TO },
    { BYTES_INIT("cci"),                          FACT_BCC },
    { BYTES_INIT("destinataire"),                 FACT_RECIPIENT },
    { BYTES_INIT("remitente"),                    FACT_SENDER }, /* Spanish */
    { BYTES_INIT("en nombre de"),                 FACT_ON_BEHALF_OF },
    { BYTES_INIT("asunto"),                       FACT_SUBJECT },
    { BYTES_INIT("id. de mensaje"),               FACT_MESSAGE_ID },
    { BYTES_INIT("para"),                         FACT_TO }, /* Portuguese too */
    { BYTES_INIT("cco"),                          FACT_BCC }, /* the same */
    { BYTES_INIT("destinatario"),                 FACT_RECIPIENT }, /* Italian too */
    { BYTES_INIT("mittente"),                     FACT_SENDER }, /* Italian */
    { BYTES_INIT("per conto di"),                 FACT_ON_BEHALF_OF },
    { BYTES_INIT("oggetto"),                      FACT_SUBJECT },
    { BYTES_INIT("id messaggio"),                 FACT_MESSAGE_ID },
    { BYTES_INIT("a"),                            FACT_TO },
    { BYTES_INIT("ccn"),                          FACT_BCC },
    { BYTES_INIT("remetente"),                    FACT_SENDER }, /* Portuguese */
    { BYTES_INIT("em nome de"),                   FACT_ON_BEHALF_OF },
    { BYTES_INIT("assunto"),                      FACT_SUBJECT },
    { BYTES_INIT("id da mensagem"),               FACT_MESSAGE_ID },
    { BYTES_INIT("destinata\u0301rio"),           FACT_RECIPIENT },
    { BYTES_INIT("afzender"),                     FACT_SENDER }, /* Dutch */
    { BYTES_INIT("namens"),                       FACT_ON_BEHALF_OF },
    { BYTES_INIT("onderwerp"),                    FACT_SUBJECT },
    { BYTES_INIT("bericht-id"),                   FACT_MESSAGE_ID },
    { BYTES_INIT("aan"),                          FACT_TO },
    { BYTES_INIT("geadresseerde"),                FACT_RECIPIENT },
    { BYTES_INIT("ontvanger"),                    FACT_RECIPIENT },
    { BYTES_INIT("\u9001\u4fe1\u8005"),           FACT_SENDER }, /* Japanese: soushinsha, sashidashinin */
    { BYTES_INIT("\u5dee\u51fa\u4eba"),           FACT_SENDER },
    { BYTES_INIT("\u4ef6\u540d"),                 FACT_SUBJECT }, /* kenmei */
    { BYTES_INIT("\u5b9b\u5148"),                 FACT_TO }, /* atesaki */
    { BYTES_INIT("\u53d7\u4fe1\u8005"),           FACT_RECIPIENT }, /* jushinsha */
    // clang-format on
};

/* Splits "label: value"; false: it is no such line. */
static bool split_line(struct bytes line, struct bytes *label, struct bytes *value)
{
    ssize_t colon = bytes_find_byte(bytes_slice(line, 0, LABEL_MAX), ':');

    if (colon < 0)
        return false;
    *label = trim(bytes_slice(line, 0, (size_t)colon));
    *value = trim(bytes_slice(line, (size_t)colon + 1, SIZE_MAX));
    return label->len > 0;
}

static enum fact find_label(struct bytes label)
{
    CLEANUP(buf_free) struct buf folded = buf_create((size_t)LABEL_MAX * TEXT_FOLD_GROWTH_MAX);

    text_fold(label, &folded);
    for (size_t i = 0; i < ARRAY_LEN(labels); i++)
        if (bytes_equal(trim(buf_bytes(&folded)), labels[i].name)) /* U+00A0 folds to a blank */
            return labels[i].fact;
    return FACT_NONE;
}

/* "bob@example.org", perhaps with more of a list behind it; not "<id@example.org>". */
static bool begins_with_address(struct bytes value)
{
    struct bytes first;

    if (!scan_until_byte(&value, ',', &first))
        first = value;
    first = trim(first);
    return bytes_find_byte(first, '@') > 0 && bytes_find_byte(first, ' ') < 0 &&
           first.ptr[0] != '<';
}

static struct bytes strip_brackets(struct bytes id)
{
    if (id.len > 2 && id.ptr[0] == '<' && id.ptr[id.len - 1] == '>')
        return bytes_slice(id, 1, id.len - 2);
    return id;
}

static void take_value(struct ingest_journal *journal, enum fact fact, struct bytes value)
{
    switch (fact) {
    case FACT_SENDER:
    case FACT_ON_BEHALF_OF:
        add(journal, &journal->from, value);
        break;
    case FACT_SUBJECT:
        if (journal->subject.ptr == NULL)
            journal->subject = bytes_slice(trim(value), 0, VALUE_MAX);
        break;
    case FACT_TO:
        add_redirected(journal, &journal->to, value);
        break;
    case FACT_CC:
        add_redirected(journal, &journal->cc, value);
        break;
    case FACT_BCC:
        add_redirected(journal, &journal->bcc, value);
        break;
    case FACT_RECIPIENT:
        add_redirected(journal, &journal->recipients, value);
        break;
    case FACT_MESSAGE_ID:
        if (journal->message_id.ptr == NULL)
            journal->message_id = strip_brackets(bytes_slice(trim(value), 0, VALUE_MAX));
        break;
    case FACT_NONE:
        break;
    }
}

/* What a line says. The first one settles whether labels are known or guessed by what stands behind them. */
static enum fact read_fact(struct ingest_journal *journal, struct bytes line, bool may_guess,
                           struct bytes *value)
{
    struct bytes label;
    enum fact fact;

    if (!split_line(line, &label, value))
        return FACT_NONE;
    fact = find_label(label);
    if (fact != FACT_NONE || !begins_with_address(*value))
        return fact;
    if (may_guess && !journal->is_guessed) {
        journal->is_guessed = true;
        return FACT_SENDER;
    }
    return journal->is_guessed ? FACT_RECIPIENT : FACT_NONE;
}

bool ingest_read_journal(struct bytes text, bool may_guess, struct ingest_journal *journal)
{
    bool is_first = true, has_sender = false;
    struct bytes line;

    text = bytes_slice(text, 0, INGEST_JOURNAL_READ_MAX);
    (void)!scan_text(&text, BYTES("\xef\xbb\xbf")); /* a byte order mark */
    while (text.len > 0) {
        struct bytes value = { 0 };
        enum fact fact;

        if (!scan_until_byte(&text, '\n', &line)) {
            line = text;
            text.len = 0;
        } else {
            text = bytes_slice(text, 1, SIZE_MAX);
        }
        if (trim(line).len == 0)
            continue;
        fact = read_fact(journal, line, may_guess && is_first, &value);
        if (is_first && fact == FACT_NONE)
            return false;
        is_first = false;
        has_sender = has_sender || fact == FACT_SENDER;
        take_value(journal, fact, value);
    }
    if (has_sender)
        return true;
    ingest_free_journal(journal);
    ingest_start_journal(journal);
    return false;
}

/* ---- the header of a copy ------------------------------------------------------------------------ */

static bool is_among(struct bytes name, const struct bytes *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (bytes_equal_nocase(name, names[i]))
            return true;
    return false;
}

bool ingest_read_journal_header(struct bytes header, struct ingest_journal *journal)
{
    static const struct bytes senders[] = { BYTES_INIT("Return-Path"),
                                            BYTES_INIT("X-Envelope-From"),
                                            BYTES_INIT("X-Envelope-Sender") };
    static const struct bytes recipients[] = {
        BYTES_INIT("X-Envelope-To"),  BYTES_INIT("X-Envelope-Recipients"),
        BYTES_INIT("X-Original-To"),  BYTES_INIT("X-Gm-Original-To"),
        BYTES_INIT("X-Forwarded-To"), BYTES_INIT("Delivered-To"),
    };
    CLEANUP(buf_free) struct buf value = buf_create(MIME_HEADER_KEPT_MAX);
    struct mime_field field;

    while (mime_read_field(&header, &field)) {
        bool is_sender = is_among(field.name, senders, ARRAY_LEN(senders));

        if (!is_sender && !is_among(field.name, recipients, ARRAY_LEN(recipients)))
            continue;
        buf_reset(&value, SIZE_MAX);
        mime_join_lines(field.value, &value);
        for (size_t i = 0; i < value.len; i++)
            if (value.ptr[i] == '\n')
                value.ptr[i] = ' ';
        if (is_sender)
            add(journal, &journal->from, buf_bytes(&value));
        else
            add_redirected(journal, &journal->recipients, buf_bytes(&value));
    }
    return journal->from.len > 0 || journal->recipients.len > 0;
}

bool ingest_next_recipient(struct bytes *rest, struct bytes *out)
{
    if (!scan_until_byte(rest, '\n', out))
        return false;
    *rest = bytes_slice(*rest, 1, SIZE_MAX);
    return true;
}
