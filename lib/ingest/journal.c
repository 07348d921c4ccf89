/* SPDX-License-Identifier: Apache-2.0 */
#include "ingest/journal.h"

#include "base/err.h"
#include "mime/header.h"

enum {
    VALUE_MAX = 4096, /* of one line or field */
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

/* "bob@example.org, Expanded: all@example.org": both, without the word. */
static void add_redirected(struct ingest_journal *journal, struct buf *list, struct bytes value)
{
    static const struct bytes words[] = { BYTES_INIT("expanded:"), BYTES_INIT("forwarded:") };
    struct bytes item;

    while (value.len > 0) {
        if (!scan_until_byte(&value, ',', &item)) {
            item = value;
            value.len = 0;
        } else {
            value = bytes_slice(value, 1, SIZE_MAX);
        }
        item = trim(item);
        for (size_t i = 0; i < ARRAY_LEN(words); i++)
            if (scan_text_nocase(&item, words[i]))
                break;
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

/* Takes the name of a fact and its colon from the front of a line. */
static enum fact take_fact(struct bytes *line)
{
    static const struct bytes names[] = {
        [FACT_SENDER] = BYTES_INIT("sender:"),     [FACT_ON_BEHALF_OF] = BYTES_INIT("on-behalf-of:"),
        [FACT_SUBJECT] = BYTES_INIT("subject:"),   [FACT_MESSAGE_ID] = BYTES_INIT("message-id:"),
        [FACT_TO] = BYTES_INIT("to:"),             [FACT_CC] = BYTES_INIT("cc:"),
        [FACT_BCC] = BYTES_INIT("bcc:"),           [FACT_RECIPIENT] = BYTES_INIT("recipient:"),
    };

    for (int fact = 0; fact < FACT_NONE; fact++)
        if (scan_text_nocase(line, names[fact]))
            return (enum fact)fact;
    return FACT_NONE;
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
    case FACT_MESSAGE_ID: /* the message has it too, as it is written */
    case FACT_NONE:
        break;
    }
}

bool ingest_read_journal(struct bytes text, struct ingest_journal *journal)
{
    bool is_first = true, has_sender = false;
    struct bytes line;

    text = bytes_slice(text, 0, INGEST_JOURNAL_READ_MAX);
    (void)!scan_text(&text, BYTES("\xef\xbb\xbf")); /* a byte order mark */
    while (text.len > 0) {
        enum fact fact;

        if (!scan_until_byte(&text, '\n', &line)) {
            line = text;
            text.len = 0;
        } else {
            text = bytes_slice(text, 1, SIZE_MAX);
        }
        if (trim(line).len == 0)
            continue;
        fact = take_fact(&line);
        if (is_first && fact == FACT_NONE)
            return false;
        is_first = false;
        has_sender = has_sender || fact == FACT_SENDER;
        take_value(journal, fact, line);
    }
    if (has_sender)
        return true;
    ingest_free_journal(journal);
    ingest_start_journal(journal);
    return false;
}

/* ---- the header of a copy ------------------------------------------------------------------------ */

bool ingest_read_journal_header(struct bytes header, struct ingest_journal *journal)
{
    static const struct bytes senders[] = { BYTES_INIT("Return-Path"), BYTES_INIT("X-Envelope-From"),
                                            BYTES_INIT("X-Envelope-Sender") };
    static const struct bytes recipients[] = {
        BYTES_INIT("X-Envelope-To"),    BYTES_INIT("X-Envelope-Recipients"),
        BYTES_INIT("X-Original-To"),    BYTES_INIT("X-Gm-Original-To"),
        BYTES_INIT("X-Forwarded-To"),   BYTES_INIT("Delivered-To"),
    };
    struct mime_field field;

    while (mime_read_field(&header, &field)) {
        uint8_t room[VALUE_MAX];
        struct bytes value =
            bytes_of(room, mime_unfold(bytes_slice(field.value, 0, sizeof room), room));

        for (size_t i = 0; i < ARRAY_LEN(senders); i++)
            if (bytes_equal_nocase(field.name, senders[i]))
                add(journal, &journal->from, value);
        for (size_t i = 0; i < ARRAY_LEN(recipients); i++)
            if (bytes_equal_nocase(field.name, recipients[i]))
                add_redirected(journal, &journal->recipients, value);
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
