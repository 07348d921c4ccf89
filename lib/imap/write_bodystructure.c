/* SPDX-License-Identifier: Apache-2.0 */
/* BODY and BODYSTRUCTURE. RFC 9051 §7.5.2, §9 (body, body-extension). */
#include "imap/internal.h"
#include "imap/structure.h"

#define DEFAULT_CHARSET "\"charset\" \"us-ascii\""

static void write_params(struct buf *buf, const struct mime_param *params, size_t count,
                         bool is_text)
{
    bool has_charset = !is_text || mime_find_param(params, count, BYTES("charset")) != NULL;

    if (count == 0 && has_charset) {
        buf_text(buf, "NIL");
        return;
    }
    buf_byte(buf, '(');
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buf_byte(buf, ' ');
        imap_write_plain_string(buf, params[i].name);
        buf_byte(buf, ' ');
        imap_write_plain_string(buf, params[i].value);
    }
    if (!has_charset)
        buf_text(buf, count > 0 ? " " DEFAULT_CHARSET : DEFAULT_CHARSET);
    buf_byte(buf, ')');
}

/* Disposition, language, location: the end of every part's extension data. */
static void write_extension(struct buf *buf, const struct mime_content *content)
{
    buf_byte(buf, ' ');
    if (content->disposition == NULL) {
        buf_text(buf, "NIL");
    } else {
        buf_byte(buf, '(');
        imap_write_plain_string(buf, *content->disposition);
        buf_byte(buf, ' ');
        write_params(buf, content->disposition_params, content->disposition_param_count, false);
        buf_byte(buf, ')');
    }
    buf_byte(buf, ' ');
    if (content->language_count == 0)
        buf_text(buf, "NIL");
    for (size_t i = 0; i < content->language_count; i++) {
        buf_byte(buf, i == 0 ? '(' : ' ');
        imap_write_plain_string(buf, content->languages[i]);
    }
    if (content->language_count > 0)
        buf_byte(buf, ')');
    buf_byte(buf, ' ');
    imap_write_unfolded(buf, content->location);
}

static void write_part(struct buf *buf, const struct mime_part *part, bool is_extended);

static void write_multipart(struct buf *buf, const struct mime_part *part, bool is_extended)
{
    const struct mime_content *content = &part->content;

    for (const struct mime_part *child = part->children; child != NULL; child = child->next)
        write_part(buf, child, is_extended);
    if (part->children == NULL) { /* the grammar demands one */
        buf_text(buf, "(\"text\" \"plain\" (" DEFAULT_CHARSET ") NIL NIL \"7bit\" 0 0");
        buf_text(buf, is_extended ? " NIL NIL NIL NIL)" : ")");
    }
    buf_byte(buf, ' ');
    imap_write_plain_string(buf, content->subtype);
    if (!is_extended)
        return;
    buf_byte(buf, ' ');
    write_params(buf, content->params, content->param_count, false);
    write_extension(buf, content);
}

/* Parts that are not what their type says, because of the limits or of a broken type, are octets to
 * clients, which would else look for the parts within. */
static bool is_disguised(const struct mime_part *part)
{
    return part->is_opaque || (part->content.type != NULL &&
                               bytes_equal_nocase(*part->content.type, BYTES("multipart")));
}

/* Returns whether it is a text, whose lines are counted. */
static bool write_type(struct buf *buf, const struct mime_part *part)
{
    const struct mime_content *content = &part->content;

    if (part->is_message) {
        buf_text(buf, "\"message\" \"rfc822\"");
    } else if (is_disguised(part)) {
        buf_text(buf, "\"application\" \"octet-stream\"");
    } else if (content->type == NULL) {
        buf_text(buf, "\"text\" \"plain\"");
        return true;
    } else {
        imap_write_plain_string(buf, *content->type);
        buf_byte(buf, ' ');
        imap_write_plain_string(buf, content->subtype);
        return bytes_equal_nocase(*content->type, BYTES("text"));
    }
    return false;
}

static void write_single(struct buf *buf, const struct mime_part *part, bool is_extended)
{
    const struct mime_content *content = &part->content;
    bool is_text = write_type(buf, part);

    buf_byte(buf, ' ');
    write_params(buf, content->params, content->param_count, is_text);
    buf_byte(buf, ' ');
    imap_write_unfolded(buf, content->id);
    buf_byte(buf, ' ');
    imap_write_unfolded(buf, content->description);
    buf_byte(buf, ' ');
    imap_write_plain_string(buf, content->encoding == NULL ? BYTES("7bit") : *content->encoding);
    buf_byte(buf, ' ');
    buf_u64(buf, part->body_bytes);
    if (part->is_message) {
        buf_byte(buf, ' ');
        imap_write_envelope(buf, part->children->envelope);
        buf_byte(buf, ' ');
        write_part(buf, part->children, is_extended);
    }
    if (part->is_message || is_text) {
        buf_byte(buf, ' ');
        buf_u64(buf, part->body_lines);
    }
    if (!is_extended)
        return;
    buf_byte(buf, ' ');
    imap_write_unfolded(buf, content->md5);
    write_extension(buf, content);
}

static void write_part(struct buf *buf, const struct mime_part *part, bool is_extended)
{
    buf_byte(buf, '(');
    if (part->is_multipart)
        write_multipart(buf, part, is_extended);
    else
        write_single(buf, part, is_extended);
    buf_byte(buf, ')');
}

void imap_write_body(struct buf *buf, const struct mime_part *part)
{
    write_part(buf, part, false);
}

void imap_write_bodystructure(struct buf *buf, const struct mime_part *part)
{
    write_part(buf, part, true);
}

bool imap_write_limited_bodystructure(struct buf *buf, const struct mime_part *root)
{
    struct mime_part opaque = *root;

    buf_reset(buf, SIZE_MAX);
    imap_write_bodystructure(buf, root);
    if (!buf->has_failed && buf->len <= IMAP_BODYSTRUCTURE_MAX)
        return true;
    buf_reset(buf, SIZE_MAX);
    opaque.is_opaque = true;
    opaque.is_multipart = opaque.is_digest = opaque.is_message = false;
    opaque.children = opaque.last_child = NULL;
    opaque.child_count = 0;
    imap_write_bodystructure(buf, &opaque);
    return false;
}
