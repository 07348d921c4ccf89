/* SPDX-License-Identifier: Apache-2.0 */
/*
 * text/html.h - HTML as it is read: its text, without markup, as a stream.
 *
 * libxml2's push parser says what is markup; this says what of it is shown. Tags that stand within
 * words (b, span, a, …) leave nothing, all others a border between words; each run of blanks (SP, TAB,
 * CR, LF, FF, U+00A0) and borders becomes one SP, none at the ends. Character references are decoded.
 * Comments, declarations, and the content of script, style and template are left out; so are characters
 * that nobody sees (soft hyphen, zero width space, word joiner, byte order mark), which some put into
 * words to hide them. Attributes are not rendered: the source is searched too.
 *
 * Nothing is fetched, opened or executed; no tree is built; a charset that the document names is not
 * looked at. Broken markup is read on, as browsers do. Rendering stops early only at the limits below,
 * which keep memory constant and time linear, and says so. How the source is cut into chunks does not
 * matter. One renderer, one thread; the first one of a process prepares libxml2.
 */
#pragma once

#include "base/buf.h"
#include "base/bytes.h"

enum {
    TEXT_HTML_DEPTH_MAX = 512,              /* elements within elements */
    TEXT_HTML_NAMES_MAX = 1000,             /* different names of elements and attributes */
    TEXT_HTML_NAME_BYTES_MAX = 20000,       /* of all of them, about */
    TEXT_HTML_TOKEN_MAX = 10 * 1000 * 1000, /* octets of a tag, a comment, a text between tags, … */
};

struct text_html;

/* rendered_max: octets of one document, at most. */
struct text_html *text_create_html(size_t rendered_max);
void text_free_html(struct text_html **html);

/* chunk: of valid UTF-8, cut anywhere. False: rendering has stopped at a limit, what was rendered before
 * is well, and the rest of this document will not be. */
bool text_render_html(struct text_html *html, struct bytes chunk, struct buf *out);

/* The document has ended: what was held back comes, and another one may begin. False as above. */
bool text_finish_html(struct text_html *html, struct buf *out);

/* Forgets the document. */
void text_reset_html(struct text_html *html);
