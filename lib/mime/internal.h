/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mime/internal.h - what the files of lib/mime share: the lexer of structured fields, and the reader
 * of Content-* fields.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "mime/header.h"
#include "mime/part.h"

/* How a reader of the lexer left its input. Ordered: BAD < END < MORE. */
enum mime_scan {
    MIME_SCAN_BAD = -1, /* not of this form; the position is unspecified */
    MIME_SCAN_END = 0,  /* read, and the value ends here */
    MIME_SCAN_MORE = 1, /* read, and something follows */
};

/* The octets of one value, read from the front. Comments and folding are skipped behind each token
 * (CFWS of RFC 5322 §3.2.2). */
struct mime_lexer {
    const uint8_t *at;
    const uint8_t *end;
    struct bytes comment; /* inside of the last comment, escapes still in it */
};

struct mime_lexer mime_lex(struct bytes value);

static inline bool mime_lexer_is_at(const struct mime_lexer *lex, uint8_t c)
{
    return lex->at < lex->end && *lex->at == c;
}

bool mime_is_atext(uint8_t c);

/* Each appends what it read, without comments, folding, quotes and escapes. */
enum mime_scan mime_skip_cfws(struct mime_lexer *lex);
enum mime_scan mime_scan_atom(struct mime_lexer *lex, struct buf *out);
enum mime_scan mime_scan_dot_atom(struct mime_lexer *lex, struct buf *out); /* blanks around "." */
enum mime_scan mime_scan_loose_dot_atom(struct mime_lexer *lex, struct buf *out);
enum mime_scan mime_scan_token(struct mime_lexer *lex,
                               struct buf *out); /* RFC 2045; may be empty */
enum mime_scan mime_scan_quoted(struct mime_lexer *lex, struct buf *out);
enum mime_scan mime_scan_phrase(struct mime_lexer *lex, struct buf *out);
enum mime_scan mime_scan_domain(struct mime_lexer *lex, struct buf *out); /* from its "@" on */

/* A comment's or quoted string's inside without the escapes. */
void mime_unescape(struct bytes text, struct buf *out);

/* What the fields of one header say about the part that they head. */
struct mime_content_reader {
    struct arena *arena;
    struct buf *scratch;
    struct mime_part *part;
    bool wants_envelope;
    bool has_lost_values; /* the arena's ceiling was reached: some are missing */
    struct mime_envelope *envelope;
    struct mime_value *last_values[6]; /* of each address field */
};
void mime_read_content(struct mime_content_reader *reader, struct bytes header);

/* Parameters from the ";" on. Those of RFC 2231 that come in pieces are joined; they stay encoded
 * (mime/README 8). */
bool mime_read_params(struct mime_lexer *lex, struct arena *arena, struct buf *scratch,
                      const struct mime_param **out, size_t *count);
