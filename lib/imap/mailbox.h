/* SPDX-License-Identifier: Apache-2.0 */
/*
 * imap/mailbox.h - mailbox names: modified UTF-7, the archive's paths, LIST patterns.
 *
 * Three forms of a name, not to be mixed:
 *   wire name  octets as a source server sent them: opaque, kept for SELECT.
 *   path       UTF-8, separator "/": what the archive stores and everyone sees.
 *   encoded    the path in modified UTF-7: what our IMAP endpoint sends, and what patterns match.
 *
 * Pure. RFC 9051 §5.1, appendix A.1 (modified UTF-7), §6.3.9 (LIST).
 */
#pragma once

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

/* Valid UTF-8 (no surrogates, no overlong forms, at most U+10FFFF). */
bool imap_is_utf8(struct bytes text);

/*
 * Appends. Encoding: ERR_SYNTAX for text that is not UTF-8. Decoding is strict: it accepts exactly
 * what encoding gives (no null shift, no padding, no encoded printable ASCII, paired surrogates, no
 * 8-bit octets), so encode(decode(x)) == x. On failure `out` is as before.
 */
MUST_USE bool imap_encode_utf7(struct bytes utf8, struct buf *out, struct err *err);
MUST_USE bool imap_decode_utf7(struct bytes encoded, struct buf *out, struct err *err);

/* delimiter: one octet, or this for a source that answers NIL. */
enum {
    IMAP_NO_DELIMITER = 0
};

/*
 * Appends the path of a source mailbox; every wire name has one. Component by component: decoded,
 * and "%", "*", "/" and "\" within it written as %XX (upper-case hexadecimal of the octet). A
 * component that is not strict modified UTF-7, or encodes a control character, is taken as its raw
 * octets, with "&", controls and octets over 7E as %XX too. A first component that is INBOX in any
 * case becomes "INBOX".
 */
void imap_path_from_source(struct bytes wire_name, uint8_t delimiter, struct buf *out);

/*
 * The way back: to_source(from_source(name)) is name, save the case of a leading INBOX. ERR_SYNTAX:
 * no such path comes from a source with this delimiter. On failure `out` is as before.
 */
MUST_USE bool imap_path_to_source(struct bytes path, uint8_t delimiter, struct buf *out,
                                  struct err *err);

/* The mailbox argument of a client's command as a path: decoded, INBOX in any case as a whole first
 * component upper-cased. ERR_SYNTAX: wrong modified UTF-7. Appends to out, untouched on failure. */
MUST_USE bool imap_decode_mailbox(struct bytes encoded, struct buf *out, struct err *err);

/* Encodes the path and writes it as quoted string or literal, as LIST and STATUS answers need it.
 * Octets that are not UTF-8 become U+FFFD. */
void imap_write_mailbox(struct buf *buf, struct bytes path);

/*
 * Does the encoded name match the pattern (reference and pattern joined, encoded form)? "*" matches
 * anything, "%" anything but "/". A whole first component INBOX matches in any case. Time is at
 * most pattern length times name length.
 */
bool imap_list_matches(struct bytes pattern, struct bytes encoded_name);
