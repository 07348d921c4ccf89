/* SPDX-License-Identifier: Apache-2.0 */
/*
 * imap/token.h - readers of IMAP's small pieces, both directions.
 *
 * They take from the front of *in and leave it where it was on failure. Values are borrowed from
 * *in, save quoted strings with escapes, which are copied into the arena. The input is one framed
 * unit with its literals in it; a literal whose octets are not all there is ERR_SYNTAX.
 *
 * Pure. RFC 9051 §4, §9.
 */
#pragma once

#include "base/arena.h"
#include "base/bytes.h"
#include "base/err.h"

bool imap_is_atom_char(uint8_t c);    /* not ( ) { SP CTL % * " \ ] and not 8-bit */
bool imap_is_astring_char(uint8_t c); /* ATOM-CHAR or "]" */
bool imap_is_list_char(uint8_t c);    /* ATOM-CHAR, "%", "*" or "]" */

MUST_USE bool imap_read_tag(struct bytes *in, struct bytes *out, struct err *err);
MUST_USE bool imap_read_atom(struct bytes *in, struct bytes *out, struct err *err);
MUST_USE bool imap_read_space(struct bytes *in, struct err *err); /* one or more SP */

/* "…": only \" and \\ are escapes; no CR, LF or NUL. 8-bit octets are passed through, as Dovecot
 * does it: clients send UTF-8 passwords and search texts so (imap/README 5). */
MUST_USE bool imap_read_quoted(struct bytes *in, struct arena *arena, struct bytes *out,
                               struct err *err);

/* Quoted or literal, without NUL (no literal8: no argument that we read may be one). */
MUST_USE bool imap_read_string(struct bytes *in, struct arena *arena, struct bytes *out,
                               struct err *err);
MUST_USE bool imap_read_astring(struct bytes *in, struct arena *arena, struct bytes *out,
                                struct err *err);
/* As astring, with "%" and "*" in its atoms: LIST patterns. */
MUST_USE bool imap_read_list_mailbox(struct bytes *in, struct arena *arena, struct bytes *out,
                                     struct err *err);
/* NIL in any case, or a string. */
MUST_USE bool imap_read_nstring(struct bytes *in, struct arena *arena, struct bytes *out,
                                bool *is_nil, struct err *err);

MUST_USE bool imap_read_number(struct bytes *in, uint32_t *out, struct err *err);
MUST_USE bool imap_read_nz_number(struct bytes *in, uint32_t *out, struct err *err);
MUST_USE bool imap_read_number64(struct bytes *in, uint64_t *out, struct err *err); /* <= 2^63-1 */
