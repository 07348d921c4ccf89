/* SPDX-License-Identifier: Apache-2.0 */
/*
 * text/html.h - HTML as it is read: its text, without markup, as a stream.
 *
 * Tags that stand within words (b, span, a, …) leave nothing, all others a border between words; each
 * run of blanks (SP, TAB, CR, LF, FF, U+00A0) and borders becomes one SP, none at the ends. Character
 * references are decoded. Comments, declarations, and the content of script and style are left out;
 * so are characters that nobody sees (soft hyphen, zero width space, word joiner, byte order mark),
 * which some put into words to hide them. Attributes are not rendered: the source is searched too.
 *
 * Nothing is fetched, opened or executed; markup is never an error. Time is linear in the input,
 * memory constant; how it is cut into chunks does not matter. Pure.
 */
#pragma once

#include "base/buf.h"
#include "base/bytes.h"

enum {
    TEXT_HTML_NAME_MAX = 16,      /* octets of a tag's name that are looked at */
    TEXT_HTML_REFERENCE_MAX = 32, /* octets between "&" and ";"; longer is no reference */
};

struct text_html { /* starts as { 0 }; all private */
    uint8_t state;
    uint8_t quote;
    uint8_t dashes;      /* of a comment's end so far */
    uint8_t raw_matched; /* octets of "</script" so far */
    bool is_end_tag;
    bool is_raw_style; /* raw text of style, not of script */
    bool has_text;     /* something was written */
    bool needs_space;  /* before what is written next */
    uint8_t name[TEXT_HTML_NAME_MAX];
    uint8_t name_len;
    uint8_t reference[TEXT_HTML_REFERENCE_MAX];
    uint8_t reference_len;
    uint8_t character[4]; /* of several octets, so far */
    uint8_t character_len;
};

/* chunk: UTF-8; what is not is passed on. */
void text_render_html(struct text_html *html, struct bytes chunk, struct buf *out);

/* The document has ended: what was held back comes. */
void text_finish_html(struct text_html *html, struct buf *out);
