/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest/journal.h - what a journal report says of the message it carries.
 *
 * A mail system that journals sends, for each message, a report: multipart/mixed of a text and the message
 * itself. The text has a line for each fact (Exchange 2007 and later, Exchange Online, and what writes like
 * them):
 *
 *     Sender: ann@example.org
 *     On-Behalf-Of: chief@example.org
 *     Subject: …
 *     Message-ID: <…>
 *     To: bob@example.org, Expanded: all@example.org      Cc: and Bcc: alike; or Forwarded:
 *     Recipient: eve@example.org                          in the envelope; nobody knows by which field
 *
 * The labels are known in English, German, French, Spanish, Italian, Portuguese, Dutch and Japanese. In
 * another language the first address is the sender and every other one a recipient.
 *
 * Others (Gmail) send a copy, whose envelope stands in fields of its header, if anywhere.
 *
 * Pure. Texts of any case; lists of addresses, ", " between them. Hostile like all mail: what does not
 * belong there is passed over, what is too long is cut.
 */
#pragma once

#include "base/buf.h"

enum {
    INGEST_JOURNAL_TEXT_MAX = 256 << 10, /* of each list: some thousand addresses */
    INGEST_JOURNAL_READ_MAX = 1 << 20,   /* of the report's text; the rest is not looked at */
};

struct ingest_journal {
    struct buf from, to, cc, bcc; /* Sender and On-Behalf-Of; by field */
    struct buf recipients;        /* of the envelope, LF behind each */
    struct bytes subject;         /* of the text, borrowed; ptr NULL: not said */
    struct bytes message_id;      /* likewise, without angle brackets */
    bool is_guessed;              /* the labels are of no language known here */
    bool is_cut;
    struct { /* private: whom the last address was expanded from: many in a row name the same */
        const struct buf *list;
        size_t at, len; /* in it */
    } origin;
};

void ingest_start_journal(struct ingest_journal *journal);
void ingest_free_journal(struct ingest_journal *journal);

/* Reads the text of a report. may_guess: a message stands beside it, so a first line of a label and an
 * address is enough. False: it is none (its first line is no fact, or it names no sender); *journal is
 * as it was started. */
MUST_USE bool ingest_read_journal(struct bytes text, bool may_guess,
                                  struct ingest_journal *journal);

/* Reads the envelope that a copy's header has. False: it has none. */
MUST_USE bool ingest_read_journal_header(struct bytes header, struct ingest_journal *journal);

/* Takes the next of the recipients from the front of *rest. */
MUST_USE bool ingest_next_recipient(struct bytes *rest, struct bytes *out);
