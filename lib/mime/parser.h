/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mime/parser.h - from a message's octets to the tree of its parts, in one pass.
 *
 * Takes the octets in chunks of any size and keeps only the header that it is in (up to
 * MIME_HEADER_KEPT_MAX), the start of one line, and the tree: memory does not grow with the message.
 * How the octets are cut into chunks never changes the tree. Every message has a tree: what cannot
 * be understood is text. Lines end with LF, with or without CR in front.
 *
 *     parser = mime_create_parser();
 *     while (… chunk …)
 *         mime_feed_parser(parser, chunk);
 *     root = mime_finish_parser(parser);    valid until the next reset or free
 *     mime_reset_parser(parser);            for the next message
 *
 * Boundaries: a line that begins with "--" and a boundary of an open multipart ends the parts within
 * it; the longest matching boundary counts, the innermost of equals (mime/README 6). The line end in
 * front of it belongs to the boundary (RFC 2046 §5.1.1).
 *
 * No I/O; one thread at a time. RFC 2045, 2046, 5322.
 */
#pragma once

#include "mime/part.h"

struct mime_parser;

enum {
    /* Of everything that message_index holds: raise it with every change of lib/mime, of lib/text, of
     * imap's structure.h or of ingest/derive.c that gives other values. A row with another number counts as
     * not there. */
    MIME_PARSER_VERSION = 4,
};

/* What was met, as bits; for the notes of the index. */
enum {
    MIME_NOTE_HEADER_CUT = 1 << 0,   /* a header over MIME_HEADER_KEPT_MAX: its rest was not read */
    MIME_NOTE_VALUES_LOST = 1 << 1,  /* more values than MIME_VALUES_MAX, or parameters */
    MIME_NOTE_NESTING_CUT = 1 << 2,  /* parts below MIME_NESTING_MAX are opaque */
    MIME_NOTE_PARTS_CUT = 1 << 3,    /* the part number MIME_PARTS_MAX holds all the rest */
    MIME_NOTE_HEADER_OPEN = 1 << 4,  /* the message has no empty line: it is all header */
    MIME_NOTE_UNTERMINATED = 1 << 5, /* a multipart without its closing boundary */
    MIME_NOTE_NO_BOUNDARY = 1 << 6,  /* a multipart without a boundary parameter: it has no parts */
};

struct mime_parser *mime_create_parser(void);
void mime_free_parser(struct mime_parser **parser);
void mime_reset_parser(struct mime_parser *parser);

void mime_feed_parser(struct mime_parser *parser, struct bytes chunk);

/*
 * Told what is met while it is met, each part's header first, its end last; parts lie within each
 * other as in the tree. Everything is borrowed for the call; of the part, all is set but its sizes and
 * its children.
 */
struct mime_listener {
    void *context;
    /* header: as much of it as was kept, with its empty line. */
    void (*header)(void *context, const struct mime_part *part, struct bytes header);
    /* Octets of the body of a part that has none below it, in pieces: all of them joined are the
     * body. Of a multipart: what stands before, between and behind its parts, boundaries apart. */
    void (*body)(void *context, const struct mime_part *part, struct bytes octets);
    void (*end)(void *context, const struct mime_part *part);
};

/* Of the messages from here on; call it before the first octet of one. listener: copied. */
void mime_listen(struct mime_parser *parser, const struct mime_listener *listener);

/* The message has ended. Borrowed from the parser. */
struct mime_part *mime_finish_parser(struct mime_parser *parser);

/* After mime_finish_parser. */
uint32_t mime_parser_notes(const struct mime_parser *parser);
uint32_t mime_parser_part_count(const struct mime_parser *parser);

/* The message's own header, as much of it as was kept, with its empty line. */
struct bytes mime_parser_header(const struct mime_parser *parser);

/* The name of one note bit, for the notes column: "header-cut", … */
const char *mime_note_name(uint32_t note);
