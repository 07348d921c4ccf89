/* SPDX-License-Identifier: Apache-2.0 */
/*
 * imap/write.h - values as IMAP writes them.
 *
 * Pure; appends to a struct buf, whose failure is told by buf_done. Both sides use these: nothing
 * here can write a CR, LF or quote that ends the value early. RFC 9051 §4, §9.
 *
 * Written elsewhere: imap_write_set (set.h), imap_write_flags (flag.h), imap_write_date_time
 * (date.h), imap_write_mailbox (mailbox.h).
 */
#pragma once

#include "base/buf.h"
#include "base/bytes.h"

enum {
    IMAP_QUOTED_MAX_BYTES = 1000
}; /* longer strings are literals: old clients have line limits */

/* Can it stand between quotes: no CR, LF, NUL or 8-bit octet, and not over-long? */
bool imap_is_quotable(struct bytes value);
bool imap_is_atom(struct bytes value);         /* 1*ATOM-CHAR */
bool imap_is_astring_atom(struct bytes value); /* 1*ASTRING-CHAR: "]" too */

void imap_write_quoted(struct buf *buf, struct bytes value);          /* asserts imap_is_quotable */
void imap_write_literal_header(struct buf *buf, uint64_t size_bytes); /* "{n}" CRLF */
void imap_write_literal(struct buf *buf, struct bytes value);         /* header and octets */
void imap_write_string(struct buf *buf, struct bytes value);          /* quoted or literal */

/* Atom, quoted or literal. NIL in any case is quoted, so that nobody takes it for null. */
void imap_write_astring(struct buf *buf, struct bytes value);

/* A string, or NIL when value is NULL. */
void imap_write_nstring(struct buf *buf, const struct bytes *value);

/*
 * As imap_write_astring, but a client's literal is not sent at once: when the value needs one,
 * nothing is written and false is returned. (Sources get literals as {n} with a wait.)
 */
MUST_USE bool imap_try_write_inline(struct buf *buf, struct bytes value);
