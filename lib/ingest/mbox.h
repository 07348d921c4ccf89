/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest/mbox.h - where the messages of an mbox lie, and their octets without the quoting.
 *
 * A separator is a line that begins with "From " and
 *
 *   stands at the start of the file (behind a byte order mark and empty lines, if any), or
 *   stands behind an empty line and holds a date, or
 *   is followed by a field (or ">From ") and either holds a date, or stands behind an empty line and holds a
 *   time of day (12:34) or nothing more (Thunderbird).
 *
 * What lies between its line end and the next separator (or the end of the file) is the message, without the
 * empty line at its end, after un-quoting. Line ends stay as they are; LF and CRLF may be mixed.
 *
 * Pure but for the reader that the caller gives. Constant memory, whatever the lengths of lines and
 * messages. The formats: RFC 4155, mbox(5) of qmail.
 */
#pragma once

#include "base/bytes.h"
#include "base/err.h"

enum ingest_mbox_format {
    INGEST_MBOXRD, /* ^>+From_ loses one ">": whatever was written so comes back as it was */
    /* ^>From_ loses its ">": a line that began so before it was quoted does as well */
    INGEST_MBOXO,
    INGEST_MBOXCL,  /* as MBOXO, and Content-Length says where the message ends */
    INGEST_MBOXCL2, /* Content-Length, nothing is quoted */
};

/* "mboxrd", …; false: no such format. */
MUST_USE bool ingest_find_mbox_format(struct bytes name, enum ingest_mbox_format *out);
struct bytes ingest_mbox_format_name(enum ingest_mbox_format format);

/* Is it one, by its first octets? Its first line is a separator, of any text when a field follows. */
bool ingest_begins_mbox(struct bytes head);

/* Reads at most size octets from this place of the file; *got 0: its end. */
typedef bool ingest_read_at_fn(void *context, uint64_t offset, uint8_t *room, size_t size,
                               size_t *got, struct err *err);

enum {
    INGEST_MBOX_LINE_BYTES = 1024, /* of a separator that are looked at */
};

struct ingest_mbox_message {
    uint64_t line_offset;   /* of its separator */
    uint64_t offset, bytes; /* of its octets, still quoted */
    uint64_t size_bytes;    /* of the message */
    struct bytes separator; /* its first INGEST_MBOX_LINE_BYTES; borrowed until the next call */
    bool is_cut;            /* the file ends without a line end */
    bool has_bad_length;    /* Content-Length leads to no separator: it was not followed */
    /* Content-Length, which the format does not follow, leads to a later separator: perhaps the
     * one at its end is content that nobody quoted */
    bool is_doubtful;
};

struct ingest_mbox;

struct ingest_mbox *ingest_open_mbox(enum ingest_mbox_format format, ingest_read_at_fn *read,
                                     void *context);
void ingest_close_mbox(struct ingest_mbox **mbox);

/* The next message that is not empty. *has_one false: there is no more. ERR_SYNTAX: the file does not begin
 * with "From ". Otherwise failures are the reader's. */
MUST_USE bool ingest_next_message(struct ingest_mbox *mbox, struct ingest_mbox_message *out,
                                  bool *has_one, struct err *err);

/* The date of a separator, as UTC where it names no zone (RFC 4155). False: it has none. */
MUST_USE bool ingest_read_separator_date(struct bytes separator, int64_t *usec,
                                         int16_t *zone_minutes);

/* ---- un-quoting ------------------------------------------------------------------------------ */

typedef bool ingest_write_fn(void *context, struct bytes octets, struct err *err);

struct ingest_unquoter { /* starts with ingest_begin_unquoting; private */
    enum ingest_mbox_format format;
    ingest_write_fn *write;
    void *context;
    bool is_inside_line;
    uint64_t held_signs; /* ">" at the start of the line that are not written yet */
    size_t held_letters; /* of "From " behind them */
};

struct ingest_unquoter ingest_begin_unquoting(enum ingest_mbox_format format,
                                              ingest_write_fn *write, void *context);

/* The next octets of the file, of one message. Failure: the writer's. */
MUST_USE bool ingest_unquote(struct ingest_unquoter *unquoter, struct bytes octets,
                             struct err *err);

/* The message is over: writes what is held. */
MUST_USE bool ingest_end_unquoting(struct ingest_unquoter *unquoter, struct err *err);
