/* SPDX-License-Identifier: Apache-2.0 */
/*
 * text/fold.h - the one folding of text for search: of columns, of records, of needles.
 *
 * Two texts that are equal under i;unicode-casemap (RFC 5051, which is what Dovecot compares with) fold
 * to the same octets, and a substring folds to a substring: what such a search finds is found. Each
 * character is mapped by itself: simple titlecase, full compatibility decomposition, then simple
 * lower case of each character that came out. The last step goes beyond RFC 5051, for ligatures and the
 * like ("ﬁ" is found by "FI"); it can only find more. Nothing is reordered, no accent is dropped.
 *
 * Input is UTF-8. A run of octets that are not UTF-8, of U+FFFD and of the controls U+0000 to U+0007
 * folds to one U+FFFD. So the output is valid UTF-8 without octets 0x00 to 0x07. All other
 * characters stay, also blanks and line ends (those of header fields: text_fold_line).
 *
 * Pure; any thread.
 */
#pragma once

#include "base/buf.h"
#include "base/bytes.h"

enum {
    TEXT_FOLD_GROWTH_MAX = 11, /* octets out for one octet in, at most: U+FDFA, 3 to 33 */
};

/* A text that comes in chunks, cut anywhere. Starts as { 0 }. */
struct text_folder { /* all private */
    uint8_t held[4]; /* of a character whose rest is in the next chunk */
    uint8_t held_len;
    bool is_behind_replacement; /* the last character out was U+FFFD */
};

void text_fold_chunk(struct text_folder *folder, struct bytes chunk, struct buf *out);

/* The text has ended: what was held back comes, and the folder is as new. */
void text_finish_fold(struct text_folder *folder, struct buf *out);

/* All at once. A needle of SEARCH BODY, TEXT and HEADER is folded with this. */
void text_fold(struct bytes text, struct buf *out);

/*
 * For the columns of message_index and the needles of SEARCH SUBJECT, FROM, TO, CC, BCC: folded, each
 * run of SP, TAB, CR and LF (also of what folds to SP, such as U+00A0) as one SP. In a needle a blank at its ends counts, so none is dropped.
 */
void text_fold_line(struct bytes text, struct buf *out);
