/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mime/header.h - where a header ends, its fields, and a choice of them.
 *
 * Lines end with LF; a CR in front of it belongs to the line end; a CR elsewhere is an ordinary
 * octet. The header ends with the first empty line, which is part of it. A message without an empty
 * line is all header. Answers equal Dovecot's octet for octet (mime/README 3).
 *
 * Pure: allocates nothing, borrows from its input; any thread may call it. RFC 5322 §2.2.
 */
#pragma once

#include "base/buf.h"
#include "base/bytes.h"

/* Finds the end of the header in a stream. Starts as { 0 }. */
struct mime_header_end {
    uint64_t header_bytes; /* so far, with the empty line */
    bool is_found;         /* the empty line was seen */
    bool is_inside_line;   /* private: octets other than one CR were seen since the last LF */
    bool has_cr;           /* private: the line so far is one CR */
};

/* Takes the header's octets from the front of *chunk, which starts at the body once is_found. */
void mime_find_header_end(struct mime_header_end *end, struct bytes *chunk);

/* Length of the header in a message that is in memory, with its empty line; all of it when there is
 * none. */
size_t mime_header_size(struct bytes message);

struct mime_field {
    struct bytes octets; /* all lines of the field with their line ends */
    struct bytes name;   /* without blanks before the colon; empty when the first line has no colon
                            or begins with a blank */
    struct bytes value;  /* behind the colon, folding and last line end included */
};

/*
 * Takes the next field from the front of *header. False when there is none: *header then starts at
 * the empty line, or is empty. Lines that begin with SP or TAB belong to the field before them.
 */
MUST_USE bool mime_read_field(struct bytes *header, struct mime_field *out);

/* The value without line ends in folding (CR LF before a blank is dropped), outer blanks removed:
 * at most value.len octets into out; returns how many. */
size_t mime_unfold(struct bytes value, uint8_t *out);

/*
 * Appends the value as ENVELOPE and the readers of structured fields want it: without the blanks in
 * front and the last line end, its lines joined by LF, so that folding is still to be seen. Of a
 * first line of blanks only, one blank goes.
 */
void mime_join_lines(struct bytes value, struct buf *out);

/* HEADER.FIELDS, or with is_not HEADER.FIELDS.NOT. Names are compared without regard to case. */
struct mime_selection {
    const struct bytes *names;
    size_t count;
    bool is_not;
};

/*
 * Walks over the octets of the answer, in their order, without copying: each call gives the next
 * piece, false at the end. header: a whole header; what stands behind its empty line is not looked
 * at.
 *
 * HEADER.FIELDS ends with an empty line CRLF, whatever the header holds, and a last field without a
 * line end gets one. HEADER.FIELDS.NOT is the header less the named fields: it ends with the
 * header's own empty line, and with none when there is none.
 */
struct mime_selection_at { /* starts as { 0 }; all private */
    size_t offset;
    bool lacks_line_end;
    bool is_done;
};
MUST_USE bool mime_next_selected(struct bytes header, const struct mime_selection *selection,
                                 struct mime_selection_at *at, struct bytes *out);

/* The sum of all those pieces: what the literal announces. */
uint64_t mime_selected_bytes(struct bytes header, const struct mime_selection *selection);
