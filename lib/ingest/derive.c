/* SPDX-License-Identifier: Apache-2.0 */
#include "ingest/derive.h"

#include "base/arena.h"
#include "base/buf.h"
#include "crypto/hash.h"
#include "imap/structure.h"
#include "ingest/journal.h"
#include "mime/structure.h"
#include "mime/summary.h"
#include "mime/word.h"
#include "text/extract.h"
#include "text/fold.h"

#include <stdlib.h>

enum {
    KEPT_BYTES = 64 << 10,   /* of each buffer, from one message to the next */
    SUMMARY_BYTES = 8 << 20, /* five texts and a thousand ids */
    NOTES_BYTES = 2 << 10,   /* all names at once */
    LONGER_MAX = 1000,       /* addresses that hold a recipient's */
    COMPARED_MAX = 1 << 30,  /* octets in which a report's recipients are looked for: a second */
};

/* Beside those of the parser. */
#define NOTE_JOURNAL_REPORT "journal-report"  /* the columns tell of the message in it too */
#define NOTE_JOURNAL_NONE "journal-no-report" /* in a journal account: a copy, or an odd form */
#define NOTE_JOURNAL_GUESSED "journal-labels-unknown" /* the first address for the sender */
#define NOTE_JOURNAL_WRAPPED                                                                       \
    "journal-wrapped-message"                   /* in TNEF, message/global, base64: not read */
#define NOTE_JOURNAL_EMPTY "journal-no-message" /* a report without the message */
#define NOTE_JOURNAL_SEVERAL                                                                       \
    "journal-several-messages"                     /* the first is taken for the one reported */
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
    struct crypto_sha256 header_hash;
    bool is_journal;
    struct buf report;    /* the first text of the message, folded, when it is a journal's */
    bool has_report_text; /* it has ended */
    bool is_report_cut;
    size_t compared; /* octets, of COMPARED_MAX */
    bool is_cut;     /* NOTE_TEXTS_CUT stands in the notes */
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
    deriver->report = buf_create(INGEST_JOURNAL_READ_MAX);
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
    buf_free(&(*deriver)->report);
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

/* Once, however many texts are. */
static void note_cut(struct ingest_deriver *deriver)
{
    if (!deriver->is_cut)
        add_note(deriver, NOTE_TEXTS_CUT);
    deriver->is_cut = true;
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
    if (deriver->folded.has_failed) /* only a list of a journal can be so long */
        note_cut(deriver);
    if (!arena_try_copy(deriver->arena, buf_bytes(&deriver->folded), SIZE_MAX, &folded, &ignored))
        note_cut(deriver);
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
        note_cut(deriver);
}

/* ---- journal reports ----------------------------------------------------------------------- */

void ingest_derive_journal(struct ingest_deriver *deriver, bool is_journal)
{
    deriver->is_journal = is_journal;
}

/* A sink: keeps the first text, as far as it is looked at. */
static void take_report_text(void *context, const struct text_piece *piece)
{
    struct ingest_deriver *deriver = context;
    size_t room = INGEST_JOURNAL_READ_MAX - deriver->report.len;

    if (deriver->has_report_text || piece->kind != TEXT_KIND_BODY)
        return;
    deriver->is_report_cut = deriver->is_report_cut || piece->chunk.len > room;
    buf_append(&deriver->report, bytes_slice(piece->chunk, 0, room));
    deriver->has_report_text = piece->is_last;
}

/* Both, in the arena; nothing is lost but what has no room. */
static struct bytes join(struct ingest_deriver *deriver, struct bytes a, struct bytes b)
{
    CLEANUP(buf_free) struct buf both = buf_create(a.len + b.len + 1);
    struct err ignored = { 0 };
    struct bytes joined = a;

    if (b.len == 0)
        return a;
    if (a.len > 0) {
        buf_append(&both, a);
        buf_byte(&both, '\n'); /* what no needle holds: nothing is found across */
    }
    buf_append(&both, b);
    if (!arena_try_copy(deriver->arena, buf_bytes(&both), SIZE_MAX, &joined, &ignored))
        note_cut(deriver);
    return joined;
}

static struct bytes join_folded(struct ingest_deriver *deriver, struct bytes column,
                                struct bytes text)
{
    return join(deriver, column, text.len == 0 ? text : fold(deriver, text));
}

/* The message in the report: the first that stands beside its text. *count: how many do. */
static const struct mime_part *find_reported(const struct mime_part *root, size_t *count)
{
    const struct mime_part *found = NULL;

    *count = 0;
    for (const struct mime_part *part = root->children; part != NULL; part = part->next)
        if (root->is_multipart && part->is_message && part->children != NULL && (*count)++ == 0)
            found = part->children;
    return found;
}

/* A message stands beside the text, in a form that is no message/rfc822. */
static bool has_wrapped(const struct mime_part *root)
{
    for (const struct mime_part *part = root->children; part != NULL; part = part->next)
        if (mime_part_is(part, BYTES("application"), BYTES("ms-tnef")) ||
            mime_part_is(part, BYTES("application"), BYTES("vnd.ms-tnef")) ||
            mime_part_is(part, BYTES("message"), BYTES("global")))
            return true;
    return false;
}

/* The subject of an envelope, still encoded, behind that of the report. */
static struct bytes join_subject(struct ingest_deriver *deriver, struct bytes column,
                                 struct bytes subject)
{
    CLEANUP(buf_free) struct buf decoded = buf_create(MIME_SUMMARY_WHOLE);

    mime_decode_words(subject, &decoded);
    if (decoded.len > MIME_SUMMARY_TEXT_MAX)
        note_cut(deriver);
    return join_folded(deriver, column, bytes_slice(buf_bytes(&decoded), 0, MIME_SUMMARY_TEXT_MAX));
}

/* What the header of the message in the report says. */
static void derive_reported(struct ingest_deriver *deriver, const struct mime_part *reported,
                            struct vault_index *out)
{
    static const struct mime_envelope none = { 0 };
    struct mime_summary summary;

    mime_summarise(reported->envelope != NULL ? reported->envelope : &none, BYTES(""),
                   deriver->arena, &summary);
    if (summary.has_date) {
        out->has_date = true;
        out->date_usec = summary.date.usec;
        out->date_day = mime_date_day(&summary.date);
    }
    if (summary.message_id.len > 0)
        out->message_id = summary.message_id;
    if (reported->envelope != NULL && reported->envelope->subject != NULL)
        out->subject = join_subject(deriver, out->subject, *reported->envelope->subject);
    out->from = join_folded(deriver, out->from, summary.from);
    out->to = join_folded(deriver, out->to, summary.to);
    out->cc = join_folded(deriver, out->cc, summary.cc);
    out->bcc = join_folded(deriver, out->bcc, summary.bcc);
    if (summary.is_cut)
        note_cut(deriver);
}

/* Beside an address it makes a longer one (RFC 5322 §3.2.3, RFC 6532). */
static bool is_of_address(uint8_t c)
{
    return ascii_is_alpha(c) || ascii_is_digit(c) || c >= 0x80 ||
           bytes_find_byte(BYTES("!#$%&'*+-/=?^_`{|}~.@"), c) >= 0;
}

/* Both folded. Who stands behind very many longer ones, or is not found before COMPARED_MAX, counts as not
 * named. */
static bool list_names(struct ingest_deriver *deriver, struct bytes list, struct bytes address)
{
    size_t from = 0;

    if (address.len == 0 || list.len > COMPARED_MAX - deriver->compared)
        return false;
    deriver->compared += list.len;
    for (int longer = 0; longer < LONGER_MAX && from < list.len; longer++) {
        ssize_t found = bytes_find(bytes_slice(list, from, SIZE_MAX), address);
        size_t at = from + (size_t)found;
        size_t end = at + address.len;

        if (found < 0)
            return false;
        if ((at == 0 || !is_of_address(list.ptr[at - 1])) &&
            (end == list.len || !is_of_address(list.ptr[end])))
            return true;
        from = at + 1;
    }
    return false;
}

/* A recipient whom no field of the message names got it blindly. */
static void derive_recipients(struct ingest_deriver *deriver, const struct ingest_journal *journal,
                              struct vault_index *out)
{
    /* ", " is longer than the LF between them there */
    CLEANUP(buf_free) struct buf all = buf_create(2 * (size_t)INGEST_JOURNAL_TEXT_MAX);
    CLEANUP(buf_free) struct buf blind = buf_create(2 * (size_t)INGEST_JOURNAL_TEXT_MAX);
    struct bytes rest = buf_bytes(&journal->recipients);
    struct bytes one;

    while (ingest_next_recipient(&rest, &one)) {
        struct bytes folded = fold(deriver, one);
        bool is_named =
            list_names(deriver, out->to, folded) || list_names(deriver, out->cc, folded);

        buf_text(&all, all.len > 0 ? ", " : "");
        buf_append(&all, one);
        if (is_named)
            continue;
        buf_text(&blind, blind.len > 0 ? ", " : "");
        buf_append(&blind, one);
    }
    out->to = join_folded(deriver, out->to, buf_bytes(&all));
    out->bcc = join_folded(deriver, out->bcc, buf_bytes(&blind));
}

static void derive_envelope(struct ingest_deriver *deriver, const struct ingest_journal *journal,
                            struct vault_index *out)
{
    derive_recipients(deriver, journal, out);
    out->from = join_folded(deriver, out->from, buf_bytes(&journal->from));
    out->to = join_folded(deriver, out->to, buf_bytes(&journal->to));
    out->cc = join_folded(deriver, out->cc, buf_bytes(&journal->cc));
    out->bcc = join_folded(deriver, out->bcc, buf_bytes(&journal->bcc));
    if (journal->is_cut || deriver->is_report_cut)
        note_cut(deriver);
}

/* Of a message that is not there, or cannot be read, the text of the report tells more. (It was folded; that
 * changes a Message-ID only where it has capitals.) */
static void derive_told(struct ingest_deriver *deriver, const struct ingest_journal *journal,
                        struct vault_index *out)
{
    struct err ignored = { 0 };

    out->subject = join_folded(deriver, out->subject, journal->subject);
    if (journal->message_id.len > 0 &&
        !arena_try_copy(deriver->arena, journal->message_id, SIZE_MAX, &out->message_id, &ignored))
        note_cut(deriver);
}

static void derive_report(struct ingest_deriver *deriver, const struct mime_part *root,
                          struct vault_index *out)
{
    CLEANUP(ingest_free_journal) struct ingest_journal journal;
    const struct mime_part *reported;
    bool is_wrapped = root->is_multipart && has_wrapped(root);
    bool is_encoded;
    size_t count;

    ingest_start_journal(&journal);
    reported = find_reported(root, &count);
    is_encoded = reported != NULL && mime_is_encoded_message(reported->parent);
    if (root->is_multipart &&
        ingest_read_journal(buf_bytes(&deriver->report), count > 0 || is_wrapped, &journal)) {
        add_note(deriver, NOTE_JOURNAL_REPORT);
        if (journal.is_guessed)
            add_note(deriver, NOTE_JOURNAL_GUESSED);
        if (reported == NULL || is_encoded)
            derive_told(deriver, &journal, out);
        if (reported != NULL)
            derive_reported(deriver, reported, out);
        if (count > 1)
            add_note(deriver, NOTE_JOURNAL_SEVERAL);
        if (count == 0 || is_encoded)
            add_note(deriver, is_wrapped || is_encoded ? NOTE_JOURNAL_WRAPPED : NOTE_JOURNAL_EMPTY);
    } else {
        add_note(deriver, NOTE_JOURNAL_NONE);
        if (!ingest_read_journal_header(mime_parser_header(text_parser(deriver->extractor)),
                                        &journal))
            return;
    }
    derive_envelope(deriver, &journal, out);
}

/* By it the message is known again (recognise.c): not by one that names nothing, which may head many. Before a
 * report tells the Message-ID of the message in it. */
static void derive_header(struct ingest_deriver *deriver, struct vault_index *out)
{
    struct bytes header = mime_parser_header(text_parser(deriver->extractor));

    if (out->message_id.len == 0 || header.len != out->header_bytes)
        return; /* or not all of it was kept */
    deriver->header_hash = crypto_hash(header);
    out->header_sha256 = crypto_sha256_bytes(&deriver->header_hash);
}

/* ---- the deriver of a writer --------------------------------------------------------------- */

static void begin(void *context)
{
    struct ingest_deriver *deriver = context;

    struct text_sink sinks[] = { text_record_sink(deriver->record),
                                 { .context = deriver, .piece = take_report_text } };

    text_reset_record(deriver->record);
    text_begin(deriver->extractor, sinks, deriver->is_journal ? 2 : 1);
    buf_reset(&deriver->report, KEPT_BYTES);
    deriver->has_report_text = false;
    deriver->is_report_cut = false;
    deriver->compared = 0;
    deriver->is_cut = false;
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
    derive_header(deriver, out);
    if (deriver->is_journal)
        derive_report(deriver, root, out);
    derive_text(deriver, out);
    buf_byte(&deriver->notes, ']');
    out->notes = buf_bytes(&deriver->notes);
}

static void use_account(void *context, bool is_journal)
{
    ingest_derive_journal(context, is_journal);
}

static struct vault_deriver make_another(const void *context)
{
    const struct ingest_deriver *first = context;
    struct ingest_deriver *another = ingest_create_deriver();

    ingest_derive_journal(another, first->is_journal);
    return ingest_use_deriver(another);
}

static void free_another(void *context)
{
    struct ingest_deriver *deriver = context;

    ingest_free_deriver(&deriver);
}

struct vault_deriver ingest_use_deriver(struct ingest_deriver *deriver)
{
    return (struct vault_deriver){
        .context = deriver,
        .begin = begin,
        .octets = take_octets,
        .end = end,
        .use_account = use_account,
        .make_another = make_another,
        .free_another = free_another,
    };
}
