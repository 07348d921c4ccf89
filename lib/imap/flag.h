/* SPDX-License-Identifier: Apache-2.0 */
/*
 * imap/flag.h - system flags as bits, keywords as names.
 *
 * Pure; keyword lists live in the caller's arena and borrow their octets from the input.
 * RFC 9051 §2.3.2, §9 (flag-list).
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

enum {
    IMAP_FLAG_SEEN = 1, /* these values are stored in the database */
    IMAP_FLAG_ANSWERED = 2,
    IMAP_FLAG_FLAGGED = 4,
    IMAP_FLAG_DELETED = 8,
    IMAP_FLAG_DRAFT = 16,
};

struct imap_flags {
    uint8_t system;               /* IMAP_FLAG_* */
    bool has_recent;              /* \Recent: never stored, belongs to a session */
    bool has_wildcard;            /* \* (PERMANENTFLAGS only) */
    const struct bytes *keywords; /* distinct without regard to case, first spelling, order as sent;
                                     a \Flag that we do not know is one, with its backslash */
    size_t keyword_count;
    size_t dropped; /* keywords that were passed over: see imap_read_flags */
};

/*
 * Reads "(" [flag *(SP flag)] ")" from the front of *in. Lenient as sources need it: any octets but
 * SP, "(", ")", CR, LF and NUL make a keyword, spaces may be doubled. A keyword over
 * LIMIT_KEYWORD_BYTES, or beyond LIMIT_KEYWORDS_PER_MAILBOX, is passed over and counted: the message
 * that has it counts more. ERR_SYNTAX; ERR_LIMIT: over the arena's ceiling.
 */
MUST_USE bool imap_read_flags(struct bytes *in, struct arena *arena, struct imap_flags *out,
                              struct err *err);

/* "(\Seen $Forwarded)". Octets that no atom may hold are written as "_". */
void imap_write_flags(struct buf *buf, const struct imap_flags *flags);

/* Our own keywords, shown to auditors' clients. */
#define IMAP_KEYWORD_GONE_AT_SOURCE "$GoneAtSource"
#define IMAP_KEYWORD_SOURCE_DELETED "$SourceDeleted"
#define IMAP_KEYWORD_NOT_ORIGINAL "$NotOriginal" /* the octets may not be those of the source */

/* The last one is stored as a keyword, under a name that no source can give (it has a blank). */
#define IMAP_STORED_NOT_ORIGINAL "not original"

/*
 * A source keyword that equals one of ours (ASCII case ignored), with any number of "_" before it,
 * gets one "_" more; IMAP_STORED_NOT_ORIGINAL becomes the name that is ours; all others stay. Unescape
 * takes it back: unescape(escape(k)) == k for every k, and no keyword of a source gets a name of ours.
 */
bool imap_keyword_is_reserved(struct bytes keyword);
bool imap_keyword_is_escaped(struct bytes source_keyword); /* does escape change it? */
void imap_escape_keyword(struct bytes source_keyword, struct buf *out);
struct bytes imap_unescape_keyword(struct bytes shown);
