/* SPDX-License-Identifier: Apache-2.0 */
/*
 * text/match.h - is one text in a message? For SEARCH BODY, TEXT and HEADER.
 *
 * A matcher is one needle and where it may lie. It is asked of a record, or it listens to an
 * extraction as a sink; both answer the same. text/README.md lists what BODY and TEXT cover, and where
 * they find more than RFC 3501 asks for.
 *
 * The needle is folded here (text_fold). An empty one is in every message; in a field it asks whether
 * the message has that field. A needle never spans two fields or two parts.
 *
 * Pure. RFC 3501 §6.4.4.
 */
#pragma once

#include "base/bytes.h"
#include "base/err.h"
#include "text/extract.h"
#include "text/record.h"

enum {
    TEXT_NEEDLE_MAX = 64 << 10, /* octets before folding: the longest command line */
};

enum text_scope {
    TEXT_SCOPE_TEXT,   /* all pieces */
    TEXT_SCOPE_BODY,   /* all but header fields, of the message and of its parts */
    TEXT_SCOPE_HEADER, /* the values of one field of the message's own header */
};

struct text_matcher;

/* field: name, in any case; only for TEXT_SCOPE_HEADER. ERR_LIMIT: over TEXT_NEEDLE_MAX. */
MUST_USE bool text_create_matcher(enum text_scope scope, struct bytes field, struct bytes needle,
                                  struct text_matcher **out, struct err *err);
void text_free_matcher(struct text_matcher **matcher);

/* ---- a whole record: changes nothing in the matcher, any number of threads ------------------ */

/* Of a record that is not well formed, the answer says nothing. */
MUST_USE bool text_match_record(const struct text_matcher *matcher, struct bytes record);

/*
 * A first look at many records one behind the other, each from one to the next start: the index of
 * the first record from `from` on that matches, count when none does. starts: count + 1 offsets into
 * records, the last its length.
 */
size_t text_match_records(const struct text_matcher *matcher, struct bytes records,
                          const size_t *starts, size_t count, size_t from);

/* What every matching record holds somewhere, in these octets: for signatures that rule records out.
 * Empty when nothing can be said. */
struct bytes text_needle(const struct text_matcher *matcher);

/* ---- an extraction -------------------------------------------------------------------------- */

/* One extraction at a time; begin each with text_reset_matcher. */
void text_reset_matcher(struct text_matcher *matcher);
struct text_sink text_match_sink(struct text_matcher *matcher);

/* Of what came so far; true stays true, so a caller may stop feeding. */
bool text_has_matched(const struct text_matcher *matcher);
