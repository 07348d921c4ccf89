/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mime/part.h - the tree of parts of a message: where each lies, and what its header says.
 *
 * Offsets are octets from the start of the message. Values are as they stand in the header: unfolded
 * where the comment says so, never decoded (mime/word.h does that). A pointer to bytes that is NULL
 * means that there is no such field; an empty value is an empty field.
 *
 * Plain values, owned by the arena of whoever made the tree. RFC 2045, 2046, 2183, RFC 3501 §7.4.2.
 */
#pragma once

#include "base/bytes.h"

enum {
    MIME_NESTING_MAX = 100,         /* levels, the message itself being the first */
    MIME_PARTS_MAX = 10000,         /* the last one holds all the rest */
    MIME_HEADER_KEPT_MAX = 1 << 20, /* of one header; fields behind it are not looked at */
    MIME_VALUES_MAX = 8 << 20,      /* all values of all headers of one message */
    MIME_PARAMS_MAX = 1000,         /* of one field */
    MIME_LANGUAGES_MAX = 100,       /* of one field */
    MIME_BOUNDARY_MAX = 80,         /* compared; RFC 2046 §5.1.1 permits 70 */
};

struct mime_param {
    struct bytes name; /* "filename*" where the value is still encoded as RFC 2231 has it */
    struct bytes value;
};

/* The Content-* fields. */
struct mime_content {
    const struct bytes *type; /* "text"; empty, as the subtype, when the field is broken */
    struct bytes subtype;     /* when there is a type */
    const struct mime_param *params;
    size_t param_count;
    const struct bytes *disposition;
    const struct mime_param *disposition_params;
    size_t disposition_param_count;
    const struct bytes *id; /* folding lines are joined by LF, as in all values to …md5 */
    const struct bytes *description;
    const struct bytes *location;
    const struct bytes *md5;
    const struct bytes *encoding; /* Content-Transfer-Encoding, when it is one token */
    const struct bytes *languages;
    size_t language_count;
};

/* The value of one of several fields of the same name, in their order. */
struct mime_value {
    struct bytes octets;
    const struct mime_value *next;
};

/* The fields that ENVELOPE shows: of the message, and of each message within it. Folding lines are
 * joined by LF, blanks in front are gone. Addresses of repeated fields are one list; of other
 * repeated fields the last counts. */
struct mime_envelope {
    const struct bytes *date, *subject, *in_reply_to, *message_id;
    const struct mime_value *from, *sender, *reply_to, *to, *cc,
        *bcc; /* mime/address.h reads them */
};

struct mime_part {
    struct mime_part *parent;
    struct mime_part *next;
    struct mime_part *children;
    struct mime_part *last_child;
    uint32_t depth; /* 0: the message itself */
    uint32_t child_count;

    uint64_t header_offset;
    uint64_t header_bytes;             /* with its empty line; the body follows at once */
    uint64_t body_bytes;               /* of a multipart: all its parts, preamble, epilogue */
    uint64_t header_lines, body_lines; /* line feeds */

    bool is_multipart;
    bool is_digest;  /* multipart/digest: parts are messages unless they say otherwise */
    bool is_message; /* message/rfc822: has one child, the message's own header and body */
    bool is_opaque;  /* would have had parts, were it not for the limits */
    bool is_mime;    /* its Content-* fields count */

    struct mime_content content;
    /* the root's and that of the child of a message; or NULL */
    const struct mime_envelope *envelope;
};

static inline uint64_t mime_body_offset(const struct mime_part *part)
{
    return part->header_offset + part->header_bytes;
}

/* The parts in the order in which they lie, a parent before its children; NULL at the end. */
const struct mime_part *mime_next_part(const struct mime_part *part);

/* The parameter of this name, in any case, or NULL. */
const struct mime_param *mime_find_param(const struct mime_param *params, size_t count,
                                         struct bytes name);

/* Is it of this type? A part without Content-Type, or with a broken one, is text/plain (RFC 2045
 * §5.2), in a digest message/rfc822. An empty subtype matches all. */
bool mime_part_is(const struct mime_part *part, struct bytes type, struct bytes subtype);

/* Is it a message/rfc822 that says to be in base64 or quoted-printable? RFC 2045 §6.4 forbids it, and some send it. The
 * message in it was read as it stands: in base64 it has neither header nor text. */
bool mime_is_encoded_message(const struct mime_part *part);

/*
 * Is it an attachment, something that a reader of the message is offered apart from its text? A part
 * with Content-Disposition attachment, or with a file name (filename of Content-Disposition, name of
 * Content-Type), or that is neither text, multipart, nor the signature of a multipart/signed. So an
 * image within HTML is one, and so is a forwarded message; the message itself is when it is no text.
 */
bool mime_is_attachment(const struct mime_part *part);

/* Has the message a part that is, messages within it included? */
bool mime_has_attachment(const struct mime_part *root);
