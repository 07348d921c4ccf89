/* SPDX-License-Identifier: Apache-2.0 */
/*
 * imap/literal.h - the {size} header in front of an IMAP literal.
 *
 * Pure: reads bytes, does no I/O, allocates nothing; any thread may call it.
 * Client and server share it. Grammar: RFC 9051 §9 (literal, literal8), RFC 7888 ("+").
 */
#pragma once

#include "base/bytes.h"
#include "base/err.h"

struct imap_literal {
    uint64_t size_bytes;      /* at most 2^63-1 (RFC 9051 number64) */
    bool awaits_continuation; /* false for {n+}: the octets follow without our "+" reply */
    bool may_hold_nul;        /* literal8, "~{n}" */
};

/*
 * Reads one literal header and its line end (CRLF, or a bare LF: imap/README 2) from the front of
 * *in.
 *
 * max_bytes  largest literal the caller accepts; checked before anyone allocates.
 * Success    *out is set and *in starts at the literal's first octet.
 * Failure    *in and *out are untouched. ERR_SYNTAX: not a literal header. ERR_LIMIT: over max_bytes.
 */
MUST_USE bool imap_read_literal(struct bytes *in, uint64_t max_bytes, struct imap_literal *out,
                                struct err *err);
