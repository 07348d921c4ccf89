/* SPDX-License-Identifier: Apache-2.0 */
/*
 * text/extract.c - the listener of a parser: which parts are read, and how their octets become pieces.
 *
 *   body octets --> transfer decoding --> charset --> folding --> sinks           (TEXT_KIND_BODY)
 *                                            +------> rendering --> folding --+   (TEXT_KIND_RENDERED,
 *                                                                             |   when the part ends)
 *                                                                          sinks
 *   header --> fields --> encoded words --> folding --> sinks
 */
#include "text/extract.h"

#include "mime/charset.h"
#include "mime/header.h"
#include "mime/transfer.h"
#include "mime/word.h"
#include "text/html.h"
#include "text/internal.h"
#include "text/match.h"

#include <stdlib.h>

enum {
    SLICE_BYTES = 16 << 10,               /* of octets that go through all steps at a time */
    RENDERED_MAX = 1 << 20,               /* of one part, and folded */
    FIELD_MAX = 4 * MIME_HEADER_KEPT_MAX, /* one field, decoded; only TSCII can make it longer */
    KEPT_BYTES = 256 << 10,               /* of each buffer, from one message to the next */
    CHARSETS_KEPT =
        8, /* decoders: the C library loads a file for most, and drops it with the last */
    CHARSET_NAME_MAX = 64, /* of those that are found again; no charset has a longer one */
};

/* A decoder for the texts that follow, until another takes its place. */
struct kept_charset {
    struct mime_charset_decoder *decoder; /* NULL: none */
    struct buf name;                      /* as the message wrote it */
};

/* The part whose octets are being read, if it is text. */
struct reading {
    const struct mime_part *part; /* NULL: none */
    enum text_kind kind;
    bool is_first; /* nothing was given to the sinks yet */
    bool is_html;
    bool is_rendering_cut;
    struct mime_transfer_decoder transfer;
    struct mime_charset_decoder *charset;
    struct text_folder folder;
    struct text_folder rendered_folder;
};

struct text_extractor {
    struct mime_parser *parser;
    struct text_matcher *pgp;                   /* finds ciphertext in plain text */
    struct text_sink sinks[TEXT_SINKS_MAX + 1]; /* pgp is the last */
    size_t sink_count;
    uint32_t notes;
    bool is_used;
    struct reading reading;
    struct kept_charset charsets[CHARSETS_KEPT];
    size_t next_charset; /* to be replaced */
    struct text_html *html;
    struct buf octets, decoded, folded, shown; /* of one slice */
    struct buf rendered;                       /* of one part, folded */
    struct buf field, name;
};

/* ---- sinks ----------------------------------------------------------------------------------- */

static void give(struct text_extractor *x, const struct text_piece *piece)
{
    for (size_t i = 0; i < x->sink_count; i++)
        x->sinks[i].piece(x->sinks[i].context, piece);
}

/* ---- header fields ----------------------------------------------------------------------------- */

/* Every line end goes; the blank behind it becomes SP, as Dovecot has it. */
static void unfold(struct bytes value, struct buf *out)
{
    while (value.len > 0) {
        ssize_t at = bytes_find_byte(value, '\n');
        size_t len = at < 0 ? value.len : (size_t)at;
        struct bytes line = bytes_slice(value, 0, len);

        value = bytes_slice(value, len + 1, SIZE_MAX);
        if (at >= 0 && line.len > 0 && line.ptr[line.len - 1] == '\r')
            line.len--;
        buf_append(out, line);
        if (value.len > 0 && (value.ptr[0] == '\t' || value.ptr[0] == ' ')) {
            buf_byte(out, ' ');
            value = bytes_slice(value, 1, SIZE_MAX);
        }
    }
}

/* Is there nothing to decode in it? */
static bool is_plain(struct bytes value)
{
    if (bytes_find(value, BYTES("=?")) >= 0)
        return false;
    for (size_t i = 0; i < value.len; i++)
        if (value.ptr[i] >= 0x80)
            return false;
    return true;
}

/* What of a field, or of a file name in it, had no room when it was decoded. */
static void note_cut_field(struct text_extractor *x)
{
    if (x->decoded.has_failed || x->shown.has_failed || x->field.has_failed)
        x->notes |= TEXT_NOTE_HEADER_CUT;
}

/* One field as "name: value", folded; a field without a name begins with its colon. */
static void extract_field(struct text_extractor *x, enum text_kind kind,
                          const struct mime_field *field)
{
    struct text_piece piece = { .kind = kind, .is_first = true, .is_last = true };
    struct bytes value = field->value;
    size_t between = field->octets.len - field->value.len - field->name.len; /* blanks and ":" */

    buf_reset(&x->field, KEPT_BYTES);
    buf_reset(&x->decoded, KEPT_BYTES);
    buf_reset(&x->shown, KEPT_BYTES);
    buf_reset(&x->name, KEPT_BYTES);
    text_fold(field->name, &x->name);
    piece.name = buf_bytes(&x->name);
    buf_append(&x->field, piece.name);
    if (field->name.len > 0)
        text_fold(bytes_of(field->octets.ptr + field->name.len, between), &x->field);
    else
        buf_byte(&x->field, ':');
    piece.value_at = x->field.len;
    unfold(value, &x->decoded);
    value = buf_bytes(&x->decoded);
    if (value.len > 0 && (value.ptr[0] == ' ' || value.ptr[0] == '\t'))
        piece.value_at++;
    if (is_plain(value)) {
        text_fold(value, &x->field);
    } else {
        mime_decode_words(value, &x->shown);
        text_fold(buf_bytes(&x->shown), &x->field);
    }
    note_cut_field(x);
    piece.chunk = buf_bytes(&x->field);
    give(x, &piece);
}

static void extract_header(struct text_extractor *x, const struct mime_part *part,
                           struct bytes header)
{
    enum text_kind kind = part->parent == NULL ? TEXT_KIND_HEADER : TEXT_KIND_PART_HEADER;
    struct mime_field field;

    while (mime_read_field(&header, &field))
        extract_field(x, kind, &field);
}

/* ---- file names ---------------------------------------------------------------------------------- */

static void extract_name(struct text_extractor *x, const struct mime_param *param)
{
    struct text_piece piece = { .kind = TEXT_KIND_NAME, .is_first = true, .is_last = true };

    buf_reset(&x->shown, KEPT_BYTES);
    buf_reset(&x->field, KEPT_BYTES);
    mime_decode_param(param, &x->shown);
    text_fold(buf_bytes(&x->shown), &x->field);
    note_cut_field(x);
    if (bytes_equal(buf_bytes(&x->field), buf_bytes(&x->name)))
        return;
    buf_reset(&x->name, KEPT_BYTES);
    buf_append(&x->name, buf_bytes(&x->field));
    piece.chunk = buf_bytes(&x->field);
    give(x, &piece);
}

/* Of Content-Disposition, and of Content-Type when that is another. */
static void extract_names(struct text_extractor *x, const struct mime_content *content)
{
    const struct mime_param *filename = mime_find_text_param(
        content->disposition_params, content->disposition_param_count, BYTES("filename"));
    const struct mime_param *name =
        mime_find_text_param(content->params, content->param_count, BYTES("name"));

    buf_reset(&x->name, KEPT_BYTES);
    if (filename != NULL)
        extract_name(x, filename);
    if (name != NULL)
        extract_name(x, name);
}

/* ---- text parts ---------------------------------------------------------------------------------- */

/* What has no text to be searched, and says so. */
static void note_kind(struct text_extractor *x, const struct mime_part *part)
{
    const struct mime_param *smime =
        mime_find_param(part->content.params, part->content.param_count, BYTES("smime-type"));
    struct bytes application = BYTES("application");

    if (part->is_opaque)
        x->notes |= TEXT_NOTE_PARTS_OPAQUE;
    if (mime_part_is(part, BYTES("multipart"), BYTES("encrypted")) ||
        mime_part_is(part, application, BYTES("pgp-encrypted")))
        x->notes |= TEXT_NOTE_ENCRYPTED;
    if (mime_part_is(part, application, BYTES("ms-tnef")) ||
        mime_part_is(part, application, BYTES("vnd.ms-tnef")) || mime_is_encoded_message(part))
        x->notes |= TEXT_NOTE_WRAPPED;
    if (!mime_part_is(part, application, BYTES("pkcs7-mime")) &&
        !mime_part_is(part, application, BYTES("x-pkcs7-mime")))
        return;
    if (smime != NULL && (bytes_equal_nocase(smime->value, BYTES("signed-data")) ||
                          bytes_equal_nocase(smime->value, BYTES("compressed-data"))))
        x->notes |= TEXT_NOTE_WRAPPED;
    else if (smime == NULL || !bytes_equal_nocase(smime->value, BYTES("certs-only")))
        x->notes |= TEXT_NOTE_ENCRYPTED;
}

/* Its body is text: as Dovecot has it, and what stands around the parts of a multipart. */
static bool is_text(const struct mime_part *part)
{
    return mime_part_is(part, BYTES("text"), BYTES("")) ||
           mime_part_is(part, BYTES("message"), BYTES("")) || part->is_multipart || part->is_opaque;
}

/* The decoder of that charset: mostly one that was used before. */
static struct mime_charset_decoder *use_charset(struct text_extractor *x, struct bytes name)
{
    struct kept_charset *kept;

    for (size_t i = 0; i < CHARSETS_KEPT; i++) {
        kept = &x->charsets[i];
        if (kept->decoder != NULL && !kept->name.has_failed &&
            bytes_equal_nocase(name, buf_bytes(&kept->name))) {
            mime_reset_charset(kept->decoder);
            return kept->decoder;
        }
    }
    kept = &x->charsets[x->next_charset];
    x->next_charset = (x->next_charset + 1) % CHARSETS_KEPT;
    mime_close_charset(&kept->decoder);
    kept->decoder = mime_open_charset(name);
    buf_reset(&kept->name, CHARSET_NAME_MAX);
    buf_append(&kept->name, name);
    return kept->decoder;
}

static void begin_text(struct text_extractor *x, const struct mime_part *part)
{
    const struct mime_content *content = &part->content;
    const struct mime_param *charset =
        mime_find_param(content->params, content->param_count, BYTES("charset"));
    struct bytes name = charset == NULL || part->is_multipart ? BYTES("") : charset->value;
    bool is_known = true;
    enum mime_transfer transfer = part->is_multipart
                                      ? MIME_TRANSFER_IDENTITY
                                      : mime_transfer_of(content->encoding, &is_known);

    if (!is_known)
        x->notes |= TEXT_NOTE_TRANSFER_UNKNOWN;
    x->reading = (struct reading){
        .part = part,
        .kind = part->is_multipart || part->is_opaque ? TEXT_KIND_AROUND : TEXT_KIND_BODY,
        .is_first = true,
        .is_html = mime_part_is(part, BYTES("text"), BYTES("html")),
        .transfer = mime_start_transfer(transfer),
        .charset = use_charset(x, name),
    };
    if (name.len > 0 && !mime_charset_is_known(x->reading.charset))
        x->notes |= TEXT_NOTE_CHARSET_UNKNOWN;
    buf_reset(&x->rendered, KEPT_BYTES);
    text_reset_html(x->html);
}

static void give_text(struct text_extractor *x, enum text_kind kind, struct bytes chunk,
                      bool is_first, bool is_last)
{
    struct text_piece piece = {
        .kind = kind, .chunk = chunk, .is_first = is_first, .is_last = is_last
    };

    if (chunk.len > 0 || is_first || is_last)
        give(x, &piece);
}

/* Source of HTML is rendered and kept, folded. What is cut stays cut. */
static void take_html(struct text_extractor *x, struct bytes source, bool is_last)
{
    struct reading *reading = &x->reading;
    bool is_whole;

    if (reading->is_rendering_cut)
        return;
    buf_reset(&x->shown, KEPT_BYTES);
    is_whole = text_render_html(x->html, source, &x->shown) &&
               (!is_last || text_finish_html(x->html, &x->shown));
    text_fold_chunk(&reading->rendered_folder, buf_bytes(&x->shown), &x->rendered);
    if (is_last || !is_whole)
        text_finish_fold(&reading->rendered_folder, &x->rendered);
    if (is_whole && !x->rendered.has_failed)
        return;
    reading->is_rendering_cut = true;
    x->notes |= TEXT_NOTE_RENDERING_CUT;
    text_reset_html(x->html);
}

/* Text in UTF-8, folded, goes to the sinks; of HTML it is rendered too. */
static void take_decoded(struct text_extractor *x, struct bytes text, bool is_last)
{
    struct reading *reading = &x->reading;

    buf_reset(&x->folded, KEPT_BYTES);
    text_fold_chunk(&reading->folder, text, &x->folded);
    if (is_last)
        text_finish_fold(&reading->folder, &x->folded);
    if (x->folded.len > 0 || (is_last && !reading->is_first)) {
        give_text(x, reading->kind, buf_bytes(&x->folded), reading->is_first, is_last);
        reading->is_first = false;
    }
    if (reading->is_html)
        take_html(x, text, is_last);
}

static void take_body(struct text_extractor *x, struct bytes octets, bool is_last)
{
    struct reading *reading = &x->reading;

    buf_reset(&x->decoded, KEPT_BYTES);
    if (reading->transfer.kind != MIME_TRANSFER_IDENTITY) {
        buf_reset(&x->octets, KEPT_BYTES);
        mime_decode_transfer(&reading->transfer, octets, &x->octets);
        if (is_last)
            mime_finish_transfer(&reading->transfer, &x->octets);
        octets = buf_bytes(&x->octets);
    }
    mime_decode_charset(reading->charset, octets, &x->decoded);
    if (is_last)
        mime_finish_charset(reading->charset, &x->decoded);
    take_decoded(x, buf_bytes(&x->decoded), is_last);
}

/* The text of the part being read has ended; nothing when none is being read. */
static void end_text(struct text_extractor *x)
{
    struct reading *reading = &x->reading;

    if (reading->part == NULL)
        return;
    take_body(x, bytes_of(NULL, 0), true);
    if (mime_charset_is_known(reading->charset) && mime_charset_errors(reading->charset) > 0)
        x->notes |= TEXT_NOTE_CHARSET_ERRORS;
    if (reading->transfer.error_count > 0)
        x->notes |= TEXT_NOTE_TRANSFER_ERRORS;
    if (x->rendered.len > 0)
        give_text(x, TEXT_KIND_RENDERED, buf_bytes(&x->rendered), true, true);
    reading->part = NULL;
}

/* ---- the listener of the parser -------------------------------------------------------------------- */

static void hear_header(void *context, const struct mime_part *part, struct bytes header)
{
    struct text_extractor *x = context;

    end_text(x); /* of the multipart around it */
    extract_header(x, part, header);
    extract_names(x, &part->content);
    note_kind(x, part);
}

static void hear_body(void *context, const struct mime_part *part, struct bytes octets)
{
    struct text_extractor *x = context;

    if (!is_text(part))
        return;
    if (x->reading.part == NULL)
        begin_text(x, part);
    while (octets.len > 0) {
        take_body(x, bytes_slice(octets, 0, SLICE_BYTES), false);
        octets = bytes_slice(octets, SLICE_BYTES, SIZE_MAX);
    }
}

static void hear_end(void *context, const struct mime_part *part)
{
    (void)part;
    end_text(context);
}

/* ---- the extractor --------------------------------------------------------------------------------- */

/* RFC 9580 §6.2.1; before PGP/MIME this was how mail was encrypted. */
static struct text_matcher *create_pgp_matcher(void)
{
    struct text_matcher *matcher = NULL;
    struct err err = { 0 };
    bool is_made = text_create_matcher(TEXT_SCOPE_BODY, BYTES(""),
                                       BYTES("-----BEGIN PGP MESSAGE-----"), &matcher, &err);

    assert(is_made);
    return matcher;
}

struct text_extractor *text_create_extractor(void)
{
    struct text_extractor *x = calloc(1, sizeof *x);

    assert(x != NULL);
    x->parser = mime_create_parser();
    x->pgp = create_pgp_matcher();
    mime_listen(x->parser,
                &(struct mime_listener){
                    .context = x, .header = hear_header, .body = hear_body, .end = hear_end });
    x->html = text_create_html(RENDERED_MAX);
    for (size_t i = 0; i < CHARSETS_KEPT; i++)
        x->charsets[i].name = buf_create(CHARSET_NAME_MAX);
    x->octets = buf_create(2 * SLICE_BYTES);
    x->decoded = buf_create(FIELD_MAX);
    x->shown = buf_create(FIELD_MAX);
    x->folded = buf_create((size_t)TEXT_FOLD_GROWTH_MAX * FIELD_MAX);
    x->field = buf_create((size_t)TEXT_FOLD_GROWTH_MAX * FIELD_MAX);
    x->name = buf_create((size_t)TEXT_FOLD_GROWTH_MAX * FIELD_MAX);
    x->rendered = buf_create(RENDERED_MAX);
    return x;
}

void text_free_extractor(struct text_extractor **extractor)
{
    struct text_extractor *x = *extractor;

    if (x == NULL)
        return;
    mime_free_parser(&x->parser);
    text_free_matcher(&x->pgp);
    for (size_t i = 0; i < CHARSETS_KEPT; i++) {
        mime_close_charset(&x->charsets[i].decoder);
        buf_free(&x->charsets[i].name);
    }
    text_free_html(&x->html);
    buf_free(&x->octets);
    buf_free(&x->decoded);
    buf_free(&x->shown);
    buf_free(&x->folded);
    buf_free(&x->rendered);
    buf_free(&x->field);
    buf_free(&x->name);
    free(x);
    *extractor = NULL;
}

void text_begin(struct text_extractor *x, const struct text_sink *sinks, size_t count)
{
    assert(count <= TEXT_SINKS_MAX);
    for (size_t i = 0; i < count; i++)
        x->sinks[i] = sinks[i];
    x->sinks[count] = text_match_sink(x->pgp);
    x->sink_count = count + 1;
    text_reset_matcher(x->pgp);
    x->notes = 0;
    x->reading.part = NULL;
    if (x->is_used)
        mime_reset_parser(x->parser);
    x->is_used = true;
}

void text_feed(struct text_extractor *x, struct bytes chunk)
{
    mime_feed_parser(x->parser, chunk);
}

struct mime_part *text_end(struct text_extractor *x)
{
    struct mime_part *root = mime_finish_parser(x->parser);
    uint32_t notes = mime_parser_notes(x->parser);

    if ((notes & MIME_NOTE_HEADER_CUT) != 0)
        x->notes |= TEXT_NOTE_HEADER_CUT;
    if ((notes & (MIME_NOTE_NESTING_CUT | MIME_NOTE_PARTS_CUT)) != 0)
        x->notes |= TEXT_NOTE_PARTS_OPAQUE;
    if (text_has_matched(x->pgp))
        x->notes |= TEXT_NOTE_ENCRYPTED;
    return root;
}

uint32_t text_notes(const struct text_extractor *x)
{
    return x->notes;
}

const struct mime_parser *text_parser(const struct text_extractor *x)
{
    return x->parser;
}

const char *text_note_name(uint32_t note)
{
    static const char *const names[] = {
        "encrypted",         "charset-unknown", "charset-errors",  "transfer-unknown",
        "transfer-errors",   "rendering-cut",   "text-header-cut", "parts-opaque",
        "text-record-large", "wrapped",
    };

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (note == UINT32_C(1) << i)
            return names[i];
    return NULL;
}
