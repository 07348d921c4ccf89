/* SPDX-License-Identifier: Apache-2.0 */
/*
 * imap/fetch_args.h - what FETCH asks for: items, sections, partial ranges.
 *
 * Pure; all in the command's arena. RFC 9051 §6.4.5, §9 (fetch, fetch-att, section).
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "imap/set.h"

enum imap_fetch_kind {
    IMAP_FETCH_UID,
    IMAP_FETCH_FLAGS,
    IMAP_FETCH_INTERNALDATE,
    IMAP_FETCH_RFC822_SIZE,
    IMAP_FETCH_ENVELOPE,
    IMAP_FETCH_BODY, /* structure without extension data */
    IMAP_FETCH_BODYSTRUCTURE,
    IMAP_FETCH_RFC822,        /* the octets of BODY[] under another name in the answer */
    IMAP_FETCH_RFC822_HEADER, /* BODY.PEEK[HEADER] */
    IMAP_FETCH_RFC822_TEXT,   /* BODY[TEXT] */
    IMAP_FETCH_SECTION,       /* BODY[section]<partial>, BODY.PEEK[…] */
    IMAP_FETCH_MODSEQ,        /* RFC 7162 */
};

enum imap_section_text {
    IMAP_SECTION_ALL, /* BODY[], BODY[1.2] */
    IMAP_SECTION_HEADER,
    IMAP_SECTION_HEADER_FIELDS,
    IMAP_SECTION_HEADER_FIELDS_NOT,
    IMAP_SECTION_TEXT,
    IMAP_SECTION_MIME, /* only behind part numbers */
};

enum {
    IMAP_SECTION_PARTS_MAX = 100
}; /* MIME nesting is bounded too; deeper is ERR_LIMIT */

struct imap_section {
    const uint32_t *parts; /* part numbers, outermost first, none 0 */
    size_t part_count;
    enum imap_section_text text;
    const struct bytes *fields; /* HEADER.FIELDS and .NOT: names as sent, one at least */
    size_t field_count;
};

struct imap_partial {
    bool is_set;
    uint32_t start;
    uint32_t count; /* not 0 */
};

struct imap_fetch_item {
    enum imap_fetch_kind kind;
    bool is_peek;                /* BODY.PEEK: the answer is named BODY[…] all the same */
    struct imap_section section; /* IMAP_FETCH_SECTION */
    struct imap_partial partial; /* IMAP_FETCH_SECTION */
};

/* A FETCH modifier or SELECT parameter that we do not interpret (CONDSTORE, CHANGEDSINCE 5 …). */
struct imap_param {
    struct bytes name;
    struct bytes value; /* as sent, parentheses included; empty when there is none */
};

struct imap_fetch_args {
    struct imap_sequence_set set;
    const struct imap_fetch_item *items; /* macros expanded; items said twice stand once */
    size_t item_count;
    const struct imap_param *params;
    size_t param_count;
};

enum {
    IMAP_FETCH_ITEMS_MAX = 1000
}; /* each may cost a pass over the message */

/* Reads "HEADER.FIELDS (From To)]": a section behind its "[", with the closing bracket. */
MUST_USE bool imap_read_section(struct bytes *in, struct arena *arena, struct imap_section *out,
                                struct err *err);

/* "BODY[1.HEADER.FIELDS (FROM TO)]<0>": the name of the item in the answer, field names in upper
 * case as Dovecot has them, quoted where they must be. */
void imap_write_fetch_item_name(struct buf *buf, const struct imap_fetch_item *item);
