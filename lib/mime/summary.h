/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mime/summary.h - what the header of a message says, for the columns of the index.
 *
 * Texts are decoded UTF-8 (mime/word.h), unfolded; NUL is not in them (PostgreSQL's text cannot hold
 * it). Folding for search is left to lib/text. Values over MIME_SUMMARY_TEXT_MAX are cut at a
 * character's border, and so noted. Pure; all in the arena.
 */
#pragma once

#include "base/arena.h"
#include "mime/date.h"
#include "mime/part.h"

enum {
    MIME_SUMMARY_TEXT_MAX = 64 << 10,              /* of one column */
    MIME_REFERENCES_MAX = 1000,                    /* ids of one message */
    MIME_SUMMARY_WHOLE = 4 * MIME_HEADER_KEPT_MAX, /* what a kept header may come to, decoded */
    MIME_MESSAGE_ID_MAX = 995,                     /* octets of one id: a line's length */
};

struct mime_summary {
    bool has_date;
    struct mime_date date;
    struct bytes message_id;        /* without "<" and ">"; empty when there is none */
    const struct bytes *references; /* References, then In-Reply-To; each id once */
    size_t reference_count;
    /* ptr NULL when there is no such field; NULs are U+FFFD. Addresses as mime_write_address_list has
     * them, decoded; several fields of one name are one text, ", " between them. */
    struct bytes subject, from, to, cc, bcc;
    bool is_cut; /* a text or the list was longer */
};

/* header: the message's own, as mime_parser_header gives it. */
void mime_summarise(const struct mime_envelope *envelope, struct bytes header, struct arena *arena,
                    struct mime_summary *out);

/* The same with texts of at most text_max octets, for who wants them whole. */
void mime_summarise_upto(const struct mime_envelope *envelope, struct bytes header, size_t text_max,
                         struct arena *arena, struct mime_summary *out);

/* Takes the next "<id>" from the front of *in, without its brackets; false: there is none. */
MUST_USE bool mime_next_message_id(struct bytes *in, struct bytes *out);
