/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serve/fetch_item.c - the items of FETCH: what each needs, what it says.
 *
 * To add one: a row in the table (columns needed, whether it is content, its writer), the writer in
 * imap/ if the value is a structure, a test that compares with Dovecot. RFC 9051 §6.4.5, §7.5.2.
 */
#include "imap/date.h"
#include "imap/section.h"
#include "imap/write.h"
#include "mime/header.h"
#include "serve/internal.h"

enum {
    HEADER_MAX_BYTES = 4 << 20, /* of which fields can be chosen; longer ones are streamed only */
    HEADER_WINDOW_BYTES = 64 << 10, /* first look for its end */
};

/* The octets that an item comes to: a range of the message, or fields chosen from its header. */
struct serve_part {
    uint64_t offset; /* within the message; of chosen fields: within what was chosen */
    uint64_t size_bytes;
    bool is_absent; /* no such part: NIL */
    bool is_chosen;
    struct mime_selection selection;
    uint64_t header_offset, header_bytes; /* of chosen fields: the header they are chosen from */
};

/* False: the stream is broken. */
typedef bool write_fn(struct serve_fetch *fetch, const struct vault_placement *row);

static bool write_uid(struct serve_fetch *fetch, const struct vault_placement *row)
{
    buf_text(&fetch->session->out, "UID ");
    buf_u64(&fetch->session->out, row->uid);
    return true;
}

static bool write_flags(struct serve_fetch *fetch, const struct vault_placement *row)
{
    buf_text(&fetch->session->out, "FLAGS ");
    serve_write_flags(fetch->session, row);
    return true;
}

static bool write_modseq(struct serve_fetch *fetch, const struct vault_placement *row)
{
    serve_write_modseq(fetch->session, row);
    return true;
}

static bool write_internaldate(struct serve_fetch *fetch, const struct vault_placement *row)
{
    buf_text(&fetch->session->out, "INTERNALDATE ");
    imap_write_date_time(
        &fetch->session->out,
        (struct imap_date_time){ .usec = row->internal_usec, .zone_minutes = row->internal_zone });
    return true;
}

static bool write_size(struct serve_fetch *fetch, const struct vault_placement *row)
{
    buf_text(&fetch->session->out, "RFC822.SIZE ");
    buf_u64(&fetch->session->out, row->size_bytes);
    return true;
}

static bool write_envelope(struct serve_fetch *fetch, const struct vault_placement *row)
{
    (void)row;
    buf_text(&fetch->session->out, "ENVELOPE ");
    return serve_push_octets(fetch->session, fetch->index->envelope);
}

static bool write_bodystructure(struct serve_fetch *fetch, const struct vault_placement *row)
{
    (void)row;
    buf_text(&fetch->session->out, "BODYSTRUCTURE ");
    return serve_push_octets(fetch->session, fetch->index->bodystructure);
}

static bool write_body(struct serve_fetch *fetch, const struct vault_placement *row)
{
    (void)row;
    buf_text(&fetch->session->out, "BODY ");
    return serve_push_octets(fetch->session, fetch->index->body);
}

// clang-format off
static const struct {
    unsigned columns;
    unsigned index;   /* enum serve_index_needs */
    bool is_content;  /* audited */
    bool is_brief;    /* a brief page says enough (vault_placement_query) */
    write_fn *write;  /* NULL: octets of the message, write_content */
    const char *word; /* in the audit row; NULL: the section's */
} items[] = {
    [IMAP_FETCH_UID]           = { 0,                  0, false, true, write_uid, NULL },
    [IMAP_FETCH_FLAGS]         = { 0,                  0, false, true, write_flags, NULL },
    [IMAP_FETCH_INTERNALDATE]  = { VAULT_WITH_SIZE,    0, false, true, write_internaldate, NULL },
    [IMAP_FETCH_RFC822_SIZE]   = { VAULT_WITH_SIZE,    0, false, true, write_size, NULL },
    [IMAP_FETCH_ENVELOPE]      = { VAULT_WITH_INDEX,   SERVE_NEEDS_ENVELOPE,
                                                          true, true, write_envelope, "ENVELOPE" },
    [IMAP_FETCH_BODY]          = { VAULT_WITH_INDEX,   SERVE_NEEDS_BODY,
                                                          true, true, write_body, "BODY" },
    [IMAP_FETCH_BODYSTRUCTURE] = { VAULT_WITH_INDEX,   SERVE_NEEDS_BODYSTRUCTURE,
                                                          true, true, write_bodystructure, "BODYSTRUCTURE" },
    [IMAP_FETCH_RFC822]        = { VAULT_WITH_LOCATOR, 0, true, false, NULL, NULL },
    [IMAP_FETCH_RFC822_HEADER] = { VAULT_WITH_LOCATOR, 0, true, false, NULL, NULL },
    [IMAP_FETCH_RFC822_TEXT]   = { VAULT_WITH_LOCATOR, 0, true, false, NULL, NULL },
    [IMAP_FETCH_SECTION]       = { VAULT_WITH_LOCATOR, 0, true, false, NULL, NULL },
    [IMAP_FETCH_MODSEQ]        = { 0,                  0, false, false, write_modseq, NULL },
};
// clang-format on

/* ---- what the items need ------------------------------------------------------------------------ */

/* RFC822, RFC822.HEADER and RFC822.TEXT are sections under other names. */
static enum imap_section_text section_of(const struct imap_fetch_item *item)
{
    if (item->kind == IMAP_FETCH_RFC822_HEADER)
        return IMAP_SECTION_HEADER;
    if (item->kind == IMAP_FETCH_RFC822_TEXT)
        return IMAP_SECTION_TEXT;
    if (item->kind == IMAP_FETCH_RFC822)
        return IMAP_SECTION_ALL;
    return item->section.text;
}

static bool is_fields(enum imap_section_text text)
{
    return text == IMAP_SECTION_HEADER_FIELDS || text == IMAP_SECTION_HEADER_FIELDS_NOT;
}

/* Sections of the message itself need its header's end only; those of parts need the tree. */
static bool is_of_part(const struct imap_fetch_item *item)
{
    return item->kind == IMAP_FETCH_SECTION && item->section.part_count > 0;
}

static bool is_octets(const struct imap_fetch_item *item)
{
    return items[item->kind].write == NULL;
}

void serve_prepare_fetch(struct serve_fetch *fetch)
{
    bool has_uid = false;
    bool has_modseq = false;
    bool has_flags = false;

    fetch->is_brief = true;
    for (size_t i = 0; i < fetch->item_count; i++) {
        const struct imap_fetch_item *item = &fetch->items[i];

        has_uid = has_uid || item->kind == IMAP_FETCH_UID;
        has_modseq = has_modseq || item->kind == IMAP_FETCH_MODSEQ;
        has_flags = has_flags || item->kind == IMAP_FETCH_FLAGS;
        fetch->columns |= items[item->kind].columns;
        fetch->index_needs |= items[item->kind].index;
        fetch->has_content = fetch->has_content || items[item->kind].is_content;
        fetch->is_brief = fetch->is_brief && items[item->kind].is_brief && !is_octets(item);
        if (is_of_part(item)) {
            fetch->columns |= VAULT_WITH_INDEX;
            fetch->index_needs |= SERVE_NEEDS_TREE;
        } else if (is_octets(item)) {
            fetch->has_octets = true;
            fetch->needs_header_end =
                fetch->needs_header_end || section_of(item) != IMAP_SECTION_ALL;
            fetch->needs_header = fetch->needs_header || is_fields(section_of(item));
        }
    }
    fetch->has_octets = fetch->has_octets || (fetch->index_needs & SERVE_NEEDS_TREE) != 0;
    fetch->adds_uid = fetch->adds_uid && !has_uid;
    fetch->adds_modseq =
        !has_modseq && (fetch->has_changed_since || (has_flags && fetch->session->has_condstore));
    fetch->is_brief = fetch->is_brief && !fetch->adds_modseq; /* brief rows have no MODSEQ */
    fetch->parts = arena_new_array(fetch->session->command, struct serve_part, fetch->item_count);
    fetch->header = buf_create(HEADER_MAX_BYTES);
}

void serve_end_fetch(struct serve_fetch *fetch)
{
    buf_free(&fetch->header);
    serve_free_index(&fetch->index);
}

/* "BODY[]", "HEADER", "1.2", "1.2.MIME": field names are content and stay out. */
static void write_section_word(const struct imap_fetch_item *item, struct buf *buf)
{
    static const char *const words[] = {
        [IMAP_SECTION_ALL] = "",
        [IMAP_SECTION_HEADER] = "HEADER",
        [IMAP_SECTION_HEADER_FIELDS] = "HEADER.FIELDS",
        [IMAP_SECTION_HEADER_FIELDS_NOT] = "HEADER.FIELDS.NOT",
        [IMAP_SECTION_TEXT] = "TEXT",
        [IMAP_SECTION_MIME] = "MIME",
    };
    size_t numbers = is_of_part(item) ? item->section.part_count : 0;
    const char *word = words[section_of(item)];

    for (size_t i = 0; i < numbers; i++) {
        if (i > 0)
            buf_byte(buf, '.');
        buf_u64(buf, item->section.parts[i]);
    }
    if (numbers > 0 && word[0] != '\0')
        buf_byte(buf, '.');
    buf_text(buf, numbers == 0 && word[0] == '\0' ? "BODY[]" : word);
}

void serve_write_content_words(const struct serve_fetch *fetch, struct buf *buf)
{
    const char *gap = "";

    for (size_t i = 0; i < fetch->item_count; i++) {
        const struct imap_fetch_item *item = &fetch->items[i];

        if (!items[item->kind].is_content)
            continue;
        buf_text(buf, gap);
        if (items[item->kind].word != NULL)
            buf_text(buf, items[item->kind].word);
        else
            write_section_word(item, buf);
        if (item->partial.is_set)
            buf_text(buf, "<>");
        gap = " ";
    }
}

/* ---- before anything is said ---------------------------------------------------------------------- */

struct header_look {
    struct mime_header_end end;
    struct buf *keeps; /* or NULL */
};

/* Sink of vault_stream_octets: stops it by failing once the end is found. */
static bool look_for_end(void *context, struct bytes octets, struct err *err)
{
    struct header_look *look = context;
    struct bytes rest = octets;

    mime_find_header_end(&look->end, &rest);
    if (look->keeps != NULL)
        buf_append(look->keeps, bytes_slice(octets, 0, octets.len - rest.len));
    if (look->keeps != NULL && look->keeps->has_failed)
        return err_fail(err, ERR_LIMIT, "header over %d bytes", (int)HEADER_MAX_BYTES);
    return !look->end.is_found || err_fail(err, ERR_ABSENT, "header end found");
}

/* Finds header_bytes; keeps the header when fields will be chosen from it. Looks further and further,
 * so that the rest of a large message is not read for it. */
static bool find_header(struct serve_fetch *fetch, const struct vault_placement *row,
                        struct err *err)
{
    struct header_look look = { .keeps = fetch->needs_header ? &fetch->header : NULL };
    uint64_t window = HEADER_WINDOW_BYTES;
    uint64_t size = row->octets.size_bytes;

    buf_reset(&fetch->header, 2 * HEADER_WINDOW_BYTES);
    for (uint64_t at = 0; at < size && !look.end.is_found; at += window, window *= 2) {
        if (!vault_stream_octets(fetch->session->reader, &row->octets, at, window, look_for_end,
                                 &look, err) &&
            (!look.end.is_found || err->code == ERR_LIMIT))
            return false;
        err_clear(err);
    }
    fetch->header_bytes = look.end.header_bytes;
    return true;
}

static void cut(struct serve_part *part, const struct imap_partial *partial)
{
    uint64_t start = partial->start;

    if (!partial->is_set)
        return;
    if (start > part->size_bytes)
        start = part->size_bytes;
    part->offset += start;
    part->size_bytes -= start;
    if (part->size_bytes > partial->count)
        part->size_bytes = partial->count;
}

static bool keep_header(void *context, struct bytes octets, struct err *err)
{
    struct buf *header = context;

    buf_append(header, octets);
    return !header->has_failed ||
           err_fail(err, ERR_LIMIT, "header over %d bytes", (int)HEADER_MAX_BYTES);
}

/* These octets into fetch->header, unless they are there. */
static bool load_header(struct serve_fetch *fetch, const struct vault_placement *row,
                        uint64_t offset, uint64_t size_bytes, struct err *err)
{
    if (fetch->kept_offset == offset && fetch->header.len == size_bytes)
        return true;
    buf_reset(&fetch->header, 2 * HEADER_WINDOW_BYTES);
    fetch->kept_offset = offset;
    return vault_stream_octets(fetch->session->reader, &row->octets, offset, size_bytes,
                               keep_header, &fetch->header, err);
}

static struct mime_selection select_fields(const struct imap_fetch_item *item)
{
    return (struct mime_selection){
        .names = item->section.fields,
        .count = item->section.field_count,
        .is_not = item->section.text == IMAP_SECTION_HEADER_FIELDS_NOT,
    };
}

/* Sets the fields that are chosen from the header in part->header_…. */
static bool choose_fields(struct serve_fetch *fetch, const struct imap_fetch_item *item,
                          const struct vault_placement *row, struct serve_part *part,
                          struct err *err)
{
    if (!load_header(fetch, row, part->header_offset, part->header_bytes, err))
        return false;
    part->is_chosen = true;
    part->selection = select_fields(item);
    part->offset = 0;
    part->size_bytes = mime_selected_bytes(buf_bytes(&fetch->header), &part->selection);
    return true;
}

/* ---- sections of the message itself ---- */

static bool find_own_part(struct serve_fetch *fetch, const struct imap_fetch_item *item,
                          const struct vault_placement *row, struct serve_part *out,
                          struct err *err)
{
    uint64_t size = row->octets.size_bytes;
    struct serve_part part = { .size_bytes = size, .header_bytes = fetch->header_bytes };

    switch (section_of(item)) {
    case IMAP_SECTION_ALL:
        break;
    case IMAP_SECTION_HEADER:
        part.size_bytes = fetch->header_bytes;
        break;
    case IMAP_SECTION_TEXT:
        part.offset = fetch->header_bytes;
        part.size_bytes = size - fetch->header_bytes;
        break;
    case IMAP_SECTION_HEADER_FIELDS:
    case IMAP_SECTION_HEADER_FIELDS_NOT:
        if (!choose_fields(fetch, item, row, &part, err))
            return false;
        break;
    case IMAP_SECTION_MIME: /* the grammar has it only behind part numbers */
        part.is_absent = true;
        part.size_bytes = 0;
        break;
    }
    if (item->kind == IMAP_FETCH_SECTION)
        cut(&part, &item->partial);
    *out = part;
    return true;
}

/* ---- sections of parts ---- */

static bool find_inner_part(struct serve_fetch *fetch, const struct imap_fetch_item *item,
                            const struct vault_placement *row, struct serve_part *out,
                            struct err *err)
{
    struct imap_section_range range = imap_find_section(fetch->index->tree, &item->section);
    struct serve_part part = { .offset = range.offset,
                               .size_bytes = range.size_bytes,
                               .is_absent = range.is_absent,
                               .header_offset = range.offset,
                               .header_bytes = range.size_bytes };

    if (range.is_fields && !choose_fields(fetch, item, row, &part, err))
        return false;
    cut(&part, &item->partial);
    *out = part;
    return true;
}

bool serve_prepare_message(struct serve_fetch *fetch, const struct vault_placement *row,
                           struct err *err)
{
    buf_reset(&fetch->header, 2 * HEADER_WINDOW_BYTES);
    fetch->kept_offset = 0;
    if (fetch->index_needs != 0 && !serve_prepare_index(fetch, row, err))
        return false;
    if (fetch->needs_header_end && !find_header(fetch, row, err))
        return false;
    for (size_t i = 0; i < fetch->item_count; i++) {
        const struct imap_fetch_item *item = &fetch->items[i];
        struct serve_part *part = &fetch->parts[i];

        if (!is_octets(item))
            continue;
        if (is_of_part(item) ? !find_inner_part(fetch, item, row, part, err)
                             : !find_own_part(fetch, item, row, part, err))
            return false;
        if (!part->is_chosen && part->size_bytes > 0 &&
            !vault_check_octets(fetch->session->reader, &row->octets, part->offset,
                                part->size_bytes, err))
            return false;
    }
    return true;
}

/* ---- saying it ------------------------------------------------------------------------------------ */

static bool push_sink(void *context, struct bytes octets, struct err *err)
{
    return serve_push_octets(context, octets) || err_fail(err, ERR_RETRY, "client is gone");
}

static bool push_chosen(struct serve_fetch *fetch, const struct serve_part *part)
{
    struct mime_selection_at at = { 0 };
    uint64_t skip = part->offset;
    uint64_t left = part->size_bytes;
    struct bytes piece;

    while (left > 0 &&
           mime_next_selected(buf_bytes(&fetch->header), &part->selection, &at, &piece)) {
        uint64_t passed = skip < piece.len ? skip : piece.len;

        skip -= passed;
        piece = bytes_slice(piece, (size_t)passed, left < SIZE_MAX ? (size_t)left : SIZE_MAX);
        left -= piece.len;
        if (!serve_push_octets(fetch->session, piece))
            return false;
    }
    assert(left == 0);
    return true;
}

/*
 * An announced literal can only be ended by all of its octets or by the end of the connection:
 * never by padding, never by other octets (DESIGN 3).
 */
static bool break_off(struct serve_session *session, const struct vault_placement *row,
                      const struct err *err)
{
    if (!session->is_broken)
        log_error(session->server->settings.log, "literal broken off",
                  F_U64("session", session->id), F_I64("message", row->message_id), F_ERR(err));
    (void)serve_flush(session); /* what was said until here is right */
    session->is_broken = true;
    return false;
}

/* The header may have been given up for that of another part meanwhile. */
static bool write_chosen(struct serve_fetch *fetch, const struct serve_part *part,
                         const struct vault_placement *row)
{
    struct err err = { 0 };

    if (!load_header(fetch, row, part->header_offset, part->header_bytes, &err))
        return break_off(fetch->session, row, &err);
    return push_chosen(fetch, part);
}

static bool write_range(struct serve_fetch *fetch, const struct serve_part *part,
                        const struct vault_placement *row)
{
    struct serve_session *session = fetch->session;
    struct err err = { 0 };

    if (part->size_bytes == 0 || vault_stream_octets(session->reader, &row->octets, part->offset,
                                                     part->size_bytes, push_sink, session, &err))
        return true;
    return break_off(session, row, &err);
}

static bool write_content(struct serve_fetch *fetch, size_t i, const struct vault_placement *row)
{
    const struct serve_part *part = &fetch->parts[i];

    imap_write_fetch_item_name(&fetch->session->out, &fetch->items[i]);
    buf_byte(&fetch->session->out, ' ');
    if (part->is_absent) {
        buf_text(&fetch->session->out, "NIL");
        return true;
    }
    imap_write_literal_header(&fetch->session->out, part->size_bytes);
    return part->is_chosen ? write_chosen(fetch, part, row) : write_range(fetch, part, row);
}

bool serve_write_message(struct serve_fetch *fetch, const struct vault_placement *row)
{
    struct serve_session *session = fetch->session;
    const char *gap = "";

    buf_text(&session->out, "* ");
    buf_u64(&session->out, vault_count_through_uid(&session->view->mailbox, row->uid));
    buf_text(&session->out, " FETCH (");
    if (fetch->adds_uid) {
        (void)write_uid(fetch, row);
        gap = " ";
    }
    for (size_t i = 0; i < fetch->item_count; i++) {
        buf_text(&session->out, gap);
        gap = " ";
        if (is_octets(&fetch->items[i]) ? !write_content(fetch, i, row)
                                        : !items[fetch->items[i].kind].write(fetch, row))
            return false;
    }
    if (fetch->adds_modseq) {
        buf_text(&session->out, gap);
        serve_write_modseq(session, row);
    }
    buf_text(&session->out, ")\r\n");
    return serve_push(session);
}
