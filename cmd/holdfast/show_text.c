/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holdfast/show_text.c - the header, the parts and the texts of a message. Texts are decoded as they
 * stream: memory does not depend on the size of the message.
 */
#include "holdfast/headline.h"
#include "holdfast/show.h"
#include "mime/charset.h"
#include "mime/parser.h"
#include "mime/structure.h"
#include "mime/transfer.h"
#include "mime/word.h"
#include "text/html.h"

#include <stdlib.h>

enum {
    DECODED_BYTES = 32 << 20,           /* of one chunk of octets, in any charset */
    RENDERED_BYTES = DECODED_BYTES / 2, /* of one part */
    FIELD_BYTES = 4 << 20,
    NAME_BYTES = 4 << 10,
    CHUNK_BYTES = 64 << 10, /* of octets, decoded at once */
};

/* ---- header and structure --------------------------------------------------------------------------- */

static bool feed_parser(void *context, struct bytes octets, struct err *err)
{
    (void)err;
    mime_feed_parser(context, octets);
    return true;
}

static bool feed_buf(void *context, struct bytes octets, struct err *err)
{
    (void)err;
    buf_append(context, octets);
    return true;
}

/* Of a message without a stored structure: it is parsed, and what that gives is kept as it would be
 * stored. */
static bool parse_structure(struct cli_reader *reader, struct show_message *message,
                            struct bytes *out)
{
    CLEANUP(mime_free_parser) struct mime_parser *parser = mime_create_parser();
    CLEANUP(buf_free) struct buf text = buf_create(DECODED_BYTES);
    struct bytes written;

    if (!vault_stream_octets(reader->vault, &message->row.octets, 0, message->row.size_bytes,
                             feed_parser, parser, &reader->cli->err))
        return false;
    mime_write_structure(&text, mime_finish_parser(parser));
    return buf_done(&text, &written, &reader->cli->err) &&
           arena_try_copy(reader->cli->arena, written, SIZE_MAX, out, &reader->cli->err);
}

bool show_load_content(struct cli_reader *reader, struct show_message *message)
{
    CLEANUP(buf_free) struct buf header = buf_create(2 * (size_t)MIME_HEADER_KEPT_MAX);
    bool has_index = message->row.index.parser_version == MIME_PARSER_VERSION;
    struct bytes structure = has_index ? message->row.index.structure : bytes_of(NULL, 0);
    struct err *err = &reader->cli->err;
    uint64_t header_bytes;

    if ((structure.ptr == NULL && !parse_structure(reader, message, &structure)) ||
        !mime_read_structure(structure, reader->cli->arena, &message->root, err))
        return false;
    header_bytes = message->root->header_bytes;
    if (header_bytes > MIME_HEADER_KEPT_MAX)
        header_bytes = MIME_HEADER_KEPT_MAX;
    if (!vault_stream_octets(reader->vault, &message->row.octets, 0, header_bytes, feed_buf,
                             &header, err))
        return false;
    message->header = cli_keep(reader->cli->arena, &header);
    return true;
}

struct bytes show_decode_field(struct bytes value, struct arena *arena)
{
    CLEANUP(buf_free) struct buf text = buf_create(FIELD_BYTES);
    struct bytes kept = { 0 };
    struct err ignored = { 0 };
    struct bytes decoded;

    mime_decode_words(value, &text);
    decoded = buf_bytes(&text);
    while (decoded.len > 0 && (decoded.ptr[0] == ' ' || decoded.ptr[0] == '\t'))
        decoded = bytes_slice(decoded, 1, SIZE_MAX);
    while (decoded.len > 0 && decoded.ptr[decoded.len - 1] <= ' ')
        decoded.len--;
    return arena_try_copy(arena, decoded, SIZE_MAX, &kept, &ignored) ? kept : bytes_of(NULL, 0);
}

/* ---- parts ------------------------------------------------------------------------------------------ */

void show_write_type(const struct mime_part *part, struct buf *out)
{
    if (part->is_message) {
        buf_text(out, "message/rfc822");
    } else if (part->content.type == NULL || part->content.type->len == 0) {
        buf_text(out, "text/plain");
    } else {
        for (size_t i = 0; i < part->content.type->len; i++)
            buf_byte(out, ascii_lower(part->content.type->ptr[i]));
        buf_byte(out, '/');
        for (size_t i = 0; i < part->content.subtype.len; i++)
            buf_byte(out, ascii_lower(part->content.subtype.ptr[i]));
    }
}

struct bytes show_file_name(const struct mime_part *part, struct arena *arena)
{
    CLEANUP(buf_free) struct buf text = buf_create(NAME_BYTES);
    const struct mime_content *content = &part->content;
    const struct mime_param *param = mime_find_text_param(
        content->disposition_params, content->disposition_param_count, BYTES("filename"));

    if (param == NULL)
        param = mime_find_text_param(content->params, content->param_count, BYTES("name"));
    if (param == NULL)
        return bytes_of(NULL, 0);
    mime_decode_param(param, &text);
    return cli_keep(arena, &text);
}

static uint32_t number_of(const struct mime_part *part)
{
    uint32_t number = 1;

    for (const struct mime_part *at = part->parent->children; at != part; at = at->next)
        number++;
    return number;
}

/* The message within a message/rfc822 has no number of its own when it has parts. RFC 3501 §6.4.5. */
void show_write_section(const struct mime_part *part, struct buf *out)
{
    const struct mime_part *path[MIME_NESTING_MAX + 1];
    size_t count = 0;
    bool is_first = true;

    for (; part != NULL && count <= MIME_NESTING_MAX; part = part->parent) {
        bool is_within_message = part->parent == NULL || part->parent->is_message;

        if (!is_within_message || !part->is_multipart)
            path[count++] = part;
    }
    while (count-- > 0) {
        bool is_only = path[count]->parent == NULL || path[count]->parent->is_message;

        buf_text(out, is_first ? "" : ".");
        is_first = false;
        buf_u64(out, is_only ? 1 : number_of(path[count]));
    }
}

bool show_is_text(const struct mime_part *part)
{
    return !part->is_multipart && !part->is_message && !mime_is_attachment(part) &&
           mime_part_is(part, BYTES("text"), BYTES(""));
}

/* ---- decoding --------------------------------------------------------------------------------------- */

struct decoding {
    struct cli_reader *reader;
    size_t width; /* of lines of HTML */
    show_text_fn *fn;
    void *context;
    /* of one part */
    struct mime_transfer_decoder transfer;
    struct mime_charset_decoder *charset;
    struct text_html *html;
    bool is_html;
    bool is_cut; /* the rest of this HTML is not rendered */
    struct buf plain, text, rendered, line;
    size_t line_width;
};

static bool give(struct decoding *d, struct bytes text)
{
    return text.len == 0 || d->fn(d->context, text) ||
           err_fail(&d->reader->cli->err, ERR_SYSTEM, "the text could not be given out");
}

/* Without CRs: lines end with LF. */
static bool give_plain(struct decoding *d, struct bytes text)
{
    size_t from = 0;

    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] != '\r')
            continue;
        if (!give(d, bytes_slice(text, from, i - from)))
            return false;
        from = i + 1;
    }
    return give(d, bytes_slice(text, from, SIZE_MAX));
}

static bool end_line(struct decoding *d)
{
    bool is_given;

    buf_byte(&d->line, '\n');
    is_given = give(d, buf_bytes(&d->line));
    buf_reset(&d->line, SIZE_MAX);
    d->line_width = 0;
    return is_given;
}

/* One word of rendered HTML; those that are wider than a line have one of their own. */
static bool give_word(struct decoding *d, struct bytes word)
{
    size_t width = cli_width(word);

    if (d->line_width > 0 && d->line_width + 1 + width > d->width && !end_line(d))
        return false;
    if (d->line_width > 0)
        buf_byte(&d->line, ' ');
    d->line_width += width + (d->line_width > 0 ? 1 : 0);
    buf_append(&d->line, word);
    return true;
}

/* What is rendered comes cut anywhere between characters: a word is known at the blank behind it. */
static bool give_rendered(struct decoding *d, bool is_end)
{
    struct bytes rest = buf_bytes(&d->rendered);
    struct bytes word;

    while (scan_until_byte(&rest, ' ', &word)) {
        if (word.len > 0 && !give_word(d, word))
            return false;
        rest = bytes_slice(rest, 1, SIZE_MAX);
    }
    if (rest.len > 0 && (is_end || rest.len > CHUNK_BYTES)) {
        if (!give_word(d, rest))
            return false;
        rest.len = 0;
    }
    buf_consume(&d->rendered, d->rendered.len - rest.len);
    return !is_end || d->line_width == 0 || end_line(d);
}

static void render(struct decoding *d, bool is_end)
{
    if (d->is_cut)
        return;
    d->is_cut = !text_render_html(d->html, buf_bytes(&d->text), &d->rendered) ||
                (is_end && !text_finish_html(d->html, &d->rendered));
    if (d->is_cut)
        buf_text(&d->rendered, " [the rest of this HTML is not shown]");
}

static bool give_text(struct decoding *d, bool is_end)
{
    bool is_given;

    if (d->is_html) {
        render(d, is_end);
        is_given = give_rendered(d, is_end);
    } else {
        is_given = give_plain(d, buf_bytes(&d->text));
    }
    buf_reset(&d->text, SIZE_MAX);
    return is_given;
}

static bool decode(struct decoding *d, struct bytes octets)
{
    buf_reset(&d->plain, SIZE_MAX);
    mime_decode_transfer(&d->transfer, octets, &d->plain);
    mime_decode_charset(d->charset, buf_bytes(&d->plain), &d->text);
    return give_text(d, false);
}

static bool decode_octets(void *context, struct bytes octets, struct err *err)
{
    struct decoding *d = context;

    (void)err; /* is the command's own */
    for (size_t i = 0; i < octets.len; i += CHUNK_BYTES) {
        if (!decode(d, bytes_slice(octets, i, CHUNK_BYTES)))
            return false;
    }
    return true;
}

static bool finish(struct decoding *d)
{
    buf_reset(&d->plain, SIZE_MAX);
    mime_finish_transfer(&d->transfer, &d->plain);
    mime_decode_charset(d->charset, buf_bytes(&d->plain), &d->text);
    mime_finish_charset(d->charset, &d->text);
    return give_text(d, true);
}

static bool read_part(struct decoding *d, const struct show_message *message,
                      const struct mime_part *part)
{
    const struct mime_param *charset =
        mime_find_param(part->content.params, part->content.param_count, BYTES("charset"));
    bool is_known;
    bool is_read;

    d->transfer = mime_start_transfer(mime_transfer_of(part->content.encoding, &is_known));
    d->charset = mime_open_charset(charset != NULL ? charset->value : bytes_of(NULL, 0));
    text_reset_html(d->html);
    d->is_cut = false;
    d->is_html = mime_part_is(part, BYTES("text"), BYTES("html"));
    is_read = vault_stream_octets(d->reader->vault, &message->row.octets, mime_body_offset(part),
                                  part->body_bytes, decode_octets, d, &d->reader->cli->err) &&
              finish(d);
    mime_close_charset(&d->charset);
    return is_read;
}

/* ---- which texts ------------------------------------------------------------------------------------- */

static bool read_texts(struct decoding *d, const struct show_message *message,
                       const struct mime_part *part);

/* The text/plain, otherwise the first that has any text. */
static const struct mime_part *choose_alternative(const struct mime_part *part)
{
    const struct mime_part *chosen = NULL;

    for (const struct mime_part *child = part->children; child != NULL; child = child->next) {
        if (show_is_text(child) && mime_part_is(child, BYTES("text"), BYTES("plain")))
            return child;
        if (chosen == NULL && (show_is_text(child) || child->is_multipart))
            chosen = child;
    }
    return chosen;
}

static bool read_children(struct decoding *d, const struct show_message *message,
                          const struct mime_part *part)
{
    for (const struct mime_part *child = part->children; child != NULL; child = child->next) {
        if (!read_texts(d, message, child))
            return false;
        if (mime_part_is(part, BYTES("multipart"), BYTES("related")))
            break; /* the others belong to the first */
    }
    return true;
}

/* Recursion: MIME_NESTING_MAX deep. */
static bool read_texts(struct decoding *d, const struct show_message *message,
                       const struct mime_part *part)
{
    const struct mime_part *chosen;

    if (show_is_text(part))
        return read_part(d, message, part);
    if (!part->is_multipart)
        return true;
    if (!mime_part_is(part, BYTES("multipart"), BYTES("alternative")))
        return read_children(d, message, part);
    chosen = choose_alternative(part);
    return chosen == NULL || read_texts(d, message, chosen);
}

bool show_read_texts(struct cli_reader *reader, const struct show_message *message, size_t width,
                     show_text_fn *fn, void *context)
{
    struct decoding d = {
        .reader = reader,
        .width = width,
        .fn = fn,
        .context = context,
        .html = text_create_html(RENDERED_BYTES),
        .plain = buf_create(DECODED_BYTES),
        .text = buf_create(DECODED_BYTES),
        .rendered = buf_create(DECODED_BYTES),
        .line = buf_create(DECODED_BYTES),
    };
    bool is_read = read_texts(&d, message, message->root);

    text_free_html(&d.html);
    buf_free(&d.plain);
    buf_free(&d.text);
    buf_free(&d.rendered);
    buf_free(&d.line);
    return is_read;
}
