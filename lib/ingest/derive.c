/* SPDX-License-Identifier: Apache-2.0 */
#include "ingest/derive.h"

#include "base/arena.h"
#include "base/buf.h"
#include "imap/structure.h"
#include "mime/structure.h"
#include "mime/summary.h"
#include "text/extract.h"
#include "text/fold.h"

#include <stdlib.h>

enum {
    KEPT_BYTES = 64 << 10,   /* of each buffer, from one message to the next */
    SUMMARY_BYTES = 8 << 20, /* five texts and a thousand ids */
    NOTES_BYTES = 1 << 10,   /* all names at once */
};

/* Beside those of the parser. */
#define NOTE_ENVELOPE_LARGE "envelope-large"       /* not stored */
#define NOTE_STRUCTURE_LARGE "structure-large"     /* not stored */
#define NOTE_BODYSTRUCTURE_CUT "bodystructure-cut" /* stored, and sent, as one opaque part */
#define NOTE_TEXTS_CUT "texts-cut"                 /* a text or the list of references */

struct ingest_deriver {
    struct text_extractor *extractor; /* parses */
    struct text_record_writer *record;
    struct arena *arena; /* the summary of one message */
    struct buf structure, envelope, bodystructure, notes;
    struct buf folded; /* one column */
};

struct ingest_deriver *ingest_create_deriver(void)
{
    struct ingest_deriver *deriver = calloc(1, sizeof *deriver);

    assert(deriver != NULL);
    deriver->extractor = text_create_extractor();
    deriver->record = text_create_record();
    deriver->arena = arena_create(SUMMARY_BYTES);
    deriver->structure = buf_create(INGEST_STRUCTURE_MAX);
    deriver->envelope = buf_create(INGEST_ENVELOPE_MAX);
    deriver->bodystructure = buf_create(IMAP_BODYSTRUCTURE_MAX);
    deriver->notes = buf_create(NOTES_BYTES);
    deriver->folded = buf_create((size_t)TEXT_FOLD_GROWTH_MAX * MIME_SUMMARY_TEXT_MAX);
    return deriver;
}

void ingest_free_deriver(struct ingest_deriver **deriver)
{
    if (*deriver == NULL)
        return;
    text_free_extractor(&(*deriver)->extractor);
    text_free_record(&(*deriver)->record);
    arena_free(&(*deriver)->arena);
    buf_free(&(*deriver)->structure);
    buf_free(&(*deriver)->envelope);
    buf_free(&(*deriver)->bodystructure);
    buf_free(&(*deriver)->notes);
    buf_free(&(*deriver)->folded);
    free(*deriver);
    *deriver = NULL;
}

/* ---- pieces -------------------------------------------------------------------------------- */

static void add_note(struct ingest_deriver *deriver, const char *name)
{
    buf_text(&deriver->notes, deriver->notes.len == 1 ? "\"" : ",\"");
    buf_text(&deriver->notes, name);
    buf_byte(&deriver->notes, '"');
}

static void add_parser_notes(struct ingest_deriver *deriver)
{
    uint32_t notes = mime_parser_notes(text_parser(deriver->extractor));

    for (uint32_t bit = 1; bit != 0 && bit <= notes; bit <<= 1)
        if ((notes & bit) != 0)
            add_note(deriver, mime_note_name(bit));
}

static void add_text_notes(struct ingest_deriver *deriver, uint32_t notes)
{
    for (uint32_t bit = 1; bit != 0 && bit <= notes; bit <<= 1)
        if ((notes & bit) != 0)
            add_note(deriver, text_note_name(bit));
}

/* What was written, or none when it did not fit. */
static struct bytes take_whole(struct ingest_deriver *deriver, const struct buf *buf,
                               const char *note)
{
    if (!buf->has_failed)
        return buf_bytes(buf);
    add_note(deriver, note);
    return (struct bytes){ 0 };
}

/* As SEARCH compares it (text/fold.h); none when there is no such field. */
static struct bytes fold(struct ingest_deriver *deriver, struct bytes text)
{
    struct bytes folded = { 0 };
    struct err ignored = { 0 };

    if (text.ptr == NULL)
        return (struct bytes){ 0 };
    buf_reset(&deriver->folded, KEPT_BYTES);
    text_fold_line(text, &deriver->folded);
    if (!arena_try_copy(deriver->arena, buf_bytes(&deriver->folded), SIZE_MAX, &folded, &ignored))
        add_note(deriver, NOTE_TEXTS_CUT);
    return folded;
}

/* What the message holds as text, or nothing when that is too long: SEARCH then reads the octets. */
static void derive_text(struct ingest_deriver *deriver, struct vault_index *out)
{
    out->text_notes = text_notes(deriver->extractor);
    if (!text_record(deriver->record, &out->text))
        out->text_notes |= TEXT_NOTE_RECORD_LARGE;
    add_text_notes(deriver, out->text_notes);
}

static void derive_summary(struct ingest_deriver *deriver, const struct mime_part *root,
                           struct vault_index *out)
{
    static const struct mime_envelope none = { 0 };
    struct mime_summary summary;

    mime_summarise(root->envelope != NULL ? root->envelope : &none,
                   mime_parser_header(text_parser(deriver->extractor)), deriver->arena, &summary);
    out->has_date = summary.has_date;
    out->date_usec = summary.date.usec;
    out->date_day = mime_date_day(&summary.date);
    if (summary.message_id.len > 0)
        out->message_id = summary.message_id;
    out->references = summary.references;
    out->reference_count = summary.reference_count;
    out->subject = fold(deriver, summary.subject);
    out->from = fold(deriver, summary.from);
    out->to = fold(deriver, summary.to);
    out->cc = fold(deriver, summary.cc);
    out->bcc = fold(deriver, summary.bcc);
    if (summary.is_cut)
        add_note(deriver, NOTE_TEXTS_CUT);
}

/* ---- the deriver of a writer --------------------------------------------------------------- */

static void begin(void *context)
{
    struct ingest_deriver *deriver = context;

    struct text_sink sink = text_record_sink(deriver->record);

    text_reset_record(deriver->record);
    text_begin(deriver->extractor, &sink, 1);
    arena_reset(deriver->arena);
    buf_reset(&deriver->structure, KEPT_BYTES);
    buf_reset(&deriver->envelope, KEPT_BYTES);
    buf_reset(&deriver->bodystructure, KEPT_BYTES);
    buf_reset(&deriver->notes, KEPT_BYTES);
}

static void take_octets(void *context, struct bytes octets)
{
    struct ingest_deriver *deriver = context;

    text_feed(deriver->extractor, octets);
}

static void end(void *context, struct vault_index *out)
{
    struct ingest_deriver *deriver = context;
    const struct mime_part *root = text_end(deriver->extractor);

    *out = (struct vault_index){ .parser_version = MIME_PARSER_VERSION,
                                 .header_bytes = root->header_bytes };
    buf_byte(&deriver->notes, '[');
    add_parser_notes(deriver);
    mime_write_structure(&deriver->structure, root);
    out->structure = take_whole(deriver, &deriver->structure, NOTE_STRUCTURE_LARGE);
    imap_write_envelope(&deriver->envelope, root->envelope);
    out->envelope = take_whole(deriver, &deriver->envelope, NOTE_ENVELOPE_LARGE);
    if (!imap_write_limited_bodystructure(&deriver->bodystructure, root))
        add_note(deriver, NOTE_BODYSTRUCTURE_CUT);
    out->bodystructure = buf_bytes(&deriver->bodystructure);
    out->has_attachment = mime_has_attachment(root);
    derive_summary(deriver, root, out);
    derive_text(deriver, out);
    buf_byte(&deriver->notes, ']');
    out->notes = buf_bytes(&deriver->notes);
}

struct vault_deriver ingest_use_deriver(struct ingest_deriver *deriver)
{
    return (struct vault_deriver){
        .context = deriver,
        .begin = begin,
        .octets = take_octets,
        .end = end,
    };
}
