/* SPDX-License-Identifier: Apache-2.0 */
/*
 * text/record.h - the record of a message: its search text as one flat octet string.
 *
 *     record = *piece
 *     piece  = kind text %x00          kind: one octet, enum text_kind
 *     text   = folded UTF-8 (text/fold.h) without octets 0x00 to 0x07
 *
 * So a needle that was found anywhere in many records, one behind the other, lies within one piece, and
 * its kind is the octet behind the 0x00 before it. Pieces stand in the order in which the message has
 * them; a rendered HTML part stands behind its source.
 *
 * A record over TEXT_RECORD_MAX is not made: the message is then searched in its octets
 * (text/extract.h with text/match.h), which finds the same.
 *
 * Pure.
 */
#pragma once

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

enum {
    TEXT_RECORD_MAX = 1 << 20,
    /* Of what a record holds and how it is folded: raise it with every change that gives another
     * record, and MIME_PARSER_VERSION with it. */
    TEXT_RECORD_VERSION = 1,
};

/* Stored: never renumber. */
enum text_kind {
    TEXT_KIND_HEADER = 1,      /* a field of the message's own header: "subject: text" */
    TEXT_KIND_PART_HEADER = 2, /* a field of a MIME part, or of a message within the message */
    TEXT_KIND_BODY = 3,        /* a text part, decoded; of HTML its source */
    TEXT_KIND_RENDERED = 4,    /* an HTML part as it is read */
    TEXT_KIND_NAME = 5,        /* the file name of a part */
    TEXT_KIND_AROUND = 6,      /* of a multipart: what stands around its parts, or has no parts */
};
enum {
    TEXT_KIND_MIN = TEXT_KIND_HEADER,
    TEXT_KIND_MAX = TEXT_KIND_AROUND
};

struct text_record_piece {
    enum text_kind kind;
    struct bytes text;  /* all of it */
    struct bytes name;  /* of a field: in front of the colon, without blanks; else empty */
    struct bytes value; /* of a field: behind the colon and the blanks there; else all of it */
};

/* Takes the next piece from the front of *record. False: none is left, and *record is empty; or what
 * is there is no piece, and *record is not. */
MUST_USE bool text_next_piece(struct bytes *record, struct text_record_piece *out);

/* What text_next_piece makes of the text of one piece. */
struct text_record_piece text_split_piece(enum text_kind kind, struct bytes text);

/* ERR_CORRUPT: it is not pieces from the first octet to the last, or not valid UTF-8, or is longer
 * than TEXT_RECORD_MAX. Empty is well. For records from a block that nobody else vouches for. */
MUST_USE bool text_check_record(struct bytes record, struct err *err);

/*
 * The writer is a sink of an extraction:
 *
 *     writer = text_create_record();
 *     text_begin(extractor, (struct text_sink[]){ text_record_sink(writer) }, 1);
 *     …
 *     whole = text_record(writer, &record);      borrowed until the next text_reset_record
 *     text_reset_record(writer);
 */
struct text_record_writer;
struct text_sink;

struct text_record_writer *text_create_record(void);
void text_free_record(struct text_record_writer **writer);
void text_reset_record(struct text_record_writer *writer);
struct text_sink text_record_sink(struct text_record_writer *writer);

/* False: it would have been longer than TEXT_RECORD_MAX; there is none. */
MUST_USE bool text_record(const struct text_record_writer *writer, struct bytes *out);
