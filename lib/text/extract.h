/* SPDX-License-Identifier: Apache-2.0 */
/*
 * text/extract.h - from a message's octets to its search text, in one pass, with its tree.
 *
 * An extractor owns a parser of lib/mime and listens to it, so octets are parsed once for everything:
 *
 *     extractor = text_create_extractor();
 *     text_begin(extractor, sinks, sink_count);     also forgets what came before
 *     while (… chunk …)
 *         text_feed(extractor, chunk);
 *     root = text_end(extractor);                   valid until the next begin or free
 *     text_notes(extractor), mime_parser_header(text_parser(extractor)), …
 *
 * Pieces (text/record.h says of which kinds) are given to every sink as they come, folded, in chunks.
 * How the octets are cut into chunks never changes the pieces. Nothing fails because of what a message
 * holds: what cannot be read is a note. Memory is constant: the parser's, and about a mebibyte.
 *
 * No I/O but the tables of rare charsets (mime/charset.h); HTML is rendered without ever fetching or
 * opening anything. One extractor, one thread. RFC 2045, 2046, 2047, 2231.
 */
#pragma once

#include "base/bytes.h"
#include "mime/parser.h"
#include "text/record.h"

struct text_piece {
    enum text_kind kind;
    struct bytes name;  /* of a field: its folded name, whole, the same in each chunk; else empty */
    struct bytes chunk; /* folded; may be empty. The pieces' texts are what a record holds */
    size_t value_at;    /* of a field's first chunk: where in it the value begins; later 0 */
    bool is_first;
    bool is_last; /* a piece of one chunk is both */
};

/* Everything is borrowed for the call. Pieces never interleave. */
struct text_sink {
    void *context;
    void (*piece)(void *context, const struct text_piece *piece);
};

enum {
    TEXT_SINKS_MAX = 64
}; /* of one extraction */

/* What could not be searched, or was strange, as bits. */
enum {
    TEXT_NOTE_ENCRYPTED = 1 << 0, /* a part is S/MIME or PGP/MIME ciphertext, or has some of PGP */
    TEXT_NOTE_CHARSET_UNKNOWN = 1 << 1,  /* a text was read as UTF-8 or windows-1252 */
    TEXT_NOTE_CHARSET_ERRORS = 1 << 2,   /* octets that are not of the charset: U+FFFD */
    TEXT_NOTE_TRANSFER_UNKNOWN = 1 << 3, /* a text was read as it stands */
    TEXT_NOTE_TRANSFER_ERRORS = 1 << 4,  /* no base64, no quoted-printable */
    TEXT_NOTE_RENDERING_CUT = 1 << 5, /* an HTML part's rendering ends early; its source does not */
    /* a header over MIME_HEADER_KEPT_MAX, or a field over four times that decoded: its rest is not searched */
    TEXT_NOTE_HEADER_CUT = 1 << 6,
    TEXT_NOTE_PARTS_OPAQUE = 1 << 7, /* beyond the limits of mime/part.h: parts not searched */
    TEXT_NOTE_RECORD_LARGE = 1 << 8, /* no record (set by who writes one, not by the extractor) */
    /* a part has text within CMS signed-data, TNEF or a message in base64: not searched */
    TEXT_NOTE_WRAPPED = 1 << 9,
};
/* With one of these, SEARCH counts the message among those that could not be searched wholly. */
#define TEXT_NOTES_UNSEARCHED                                                                      \
    (TEXT_NOTE_ENCRYPTED | TEXT_NOTE_WRAPPED | TEXT_NOTE_CHARSET_UNKNOWN |                         \
     TEXT_NOTE_TRANSFER_UNKNOWN | TEXT_NOTE_HEADER_CUT | TEXT_NOTE_PARTS_OPAQUE)

struct text_extractor;

struct text_extractor *text_create_extractor(void);
void text_free_extractor(struct text_extractor **extractor);

/* sinks: copied; none is well. */
void text_begin(struct text_extractor *extractor, const struct text_sink *sinks, size_t count);
void text_feed(struct text_extractor *extractor, struct bytes chunk);

/* The message has ended: the last pieces come. The tree is borrowed from the parser. */
struct mime_part *text_end(struct text_extractor *extractor);

/* After text_end. */
uint32_t text_notes(const struct text_extractor *extractor);

/* For mime_parser_notes, mime_parser_header …; not to be fed. */
const struct mime_parser *text_parser(const struct text_extractor *extractor);

/* The name of one note bit, for the notes column: "encrypted", … */
const char *text_note_name(uint32_t note);
