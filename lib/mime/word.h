/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mime/word.h - what a header value or a parameter says, as UTF-8: for search text, folded columns
 * and file names.
 *
 * Lenient: encoded words are decoded wherever they stand (in quoted strings too, as mail programs
 * write them), their charsets as in mime/charset.h. Never fails; what is no encoded word stays.
 *
 * Pure. RFC 2047, RFC 2231.
 */
#pragma once

#include "base/buf.h"
#include "mime/part.h"

/*
 * Appends the value with its encoded words decoded and unfolded: a line end goes, the blank behind it
 * stays. Blanks between two encoded words go. Neighbouring words of one charset are joined before
 * they are converted: some programs cut them in the middle of a character.
 */
void mime_decode_words(struct bytes value, struct buf *out);

/* A parameter's value: percent-encoded with its charset where the name ends in "*", or else with
 * encoded words, which RFC 2047 forbids here and everybody writes. */
void mime_decode_param(const struct mime_param *param, struct buf *out);

/* The parameter of this name, "name*" before "name"; or NULL. */
const struct mime_param *mime_find_text_param(const struct mime_param *params, size_t count,
                                              struct bytes name);
