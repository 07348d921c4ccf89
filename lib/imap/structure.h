/* SPDX-License-Identifier: Apache-2.0 */
/*
 * imap/structure.h - ENVELOPE, BODY and BODYSTRUCTURE of a message, as they are sent.
 *
 * Octet for octet what Dovecot 2.3.19 answers, save for what mime/README lists. Sizes and lines are
 * those of the octets that were parsed, so that they equal the literals of BODY[…].
 *
 * Pure; appends to a struct buf, whose failure is told by buf_done. RFC 3501 §7.4.2, RFC 9051 §7.5.2.
 */
#pragma once

#include "base/buf.h"
#include "mime/part.h"

enum {
    IMAP_ENVELOPE_ADDRESSES_MAX = 10000, /* of one list; those behind are not shown */
};

/* With its parentheses. NULL: a message without header. Never over 16 MiB. */
void imap_write_envelope(struct buf *buf, const struct mime_envelope *envelope);

/* With parentheses; BODY leaves the extension data out. Thousands of messages within may need more
 * than a caller has room for: a copy of the root with nothing set but is_opaque of its flags is then
 * written as one application/octet-stream. */
void imap_write_body(struct buf *buf, const struct mime_part *part);
void imap_write_bodystructure(struct buf *buf, const struct mime_part *part);

enum {
    IMAP_BODYSTRUCTURE_MAX = 4 << 20, /* 10,000 parts with long names */
};

/* Whole, or when that would be over IMAP_BODYSTRUCTURE_MAX as one application/octet-stream; true:
 * whole. buf is emptied first, and its ceiling is at least that. */
bool imap_write_limited_bodystructure(struct buf *buf, const struct mime_part *root);

/*
 * BODY from what imap_write_bodystructure wrote: it alone need be stored. ERR_CORRUPT: this is not
 * such text; what was appended to buf until then is to be thrown away.
 */
MUST_USE bool imap_write_body_of_bodystructure(struct buf *buf, struct bytes bodystructure,
                                               struct err *err);
