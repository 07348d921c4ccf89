/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serve/fetch_item.c - the items of FETCH: what each needs, what it says.
 *
 * To add one: a row in the table (columns needed, whether it is content, its writer), the writer in
 * imap/ if the value is a structure, a test that compares with Dovecot. RFC 9051 §6.4.5, §7.5.2.
 */
#include "imap/date.h"
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
    bool is_chosen;
    struct mime_selection selection;
};

typedef void write_fn(struct serve_fetch *fetch, const struct vault_placement *row);

static void write_uid(struct serve_fetch *fetch, const struct vault_placement *row)
{
    buf_text(&fetch->session->out, "UID ");
    buf_u64(&fetch->session->out, row->uid);
}

static void write_flags(struct serve_fetch *fetch, const struct vault_placement *row)
{
    buf_text(&fetch->session->out, "FLAGS ");
    serve_write_flags(fetch->session, row);
}

static void write_internaldate(struct serve_fetch *fetch, const struct vault_placement *row)
{
    buf_text(&fetch->session->out, "INTERNALDATE ");
    imap_write_date_time(
        &fetch->session->out,
        (struct imap_date_time){ .usec = row->internal_usec, .zone_minutes = row->internal_zone });
}

static void write_size(struct serve_fetch *fetch, const struct vault_placement *row)
{
    buf_text(&fetch->session->out, "RFC822.SIZE ");
    buf_u64(&fetch->session->out, row->size_bytes);
}

// clang-format off
static const struct {
    unsigned columns;
    bool is_content; /* audited, and read from the vault */
    bool is_later;   /* not given yet: NO [CANNOT] */
    write_fn *write; /* of what is not content */
} items[] = {
    [IMAP_FETCH_UID]           = { 0,                   false, false, write_uid },
    [IMAP_FETCH_FLAGS]         = { 0,                   false, false, write_flags },
    [IMAP_FETCH_INTERNALDATE]  = { 0,                   false, false, write_internaldate },
    [IMAP_FETCH_RFC822_SIZE]   = { VAULT_WITH_SIZE,     false, false, write_size },
    [IMAP_FETCH_ENVELOPE]      = { 0,                   true,  true,  NULL },
    [IMAP_FETCH_BODY]          = { 0,                   true,  true,  NULL },
    [IMAP_FETCH_BODYSTRUCTURE] = { 0,                   true,  true,  NULL },
    [IMAP_FETCH_RFC822]        = { VAULT_WITH_LOCATOR,  true,  false, NULL },
    [IMAP_FETCH_RFC822_HEADER] = { VAULT_WITH_LOCATOR,  true,  false, NULL },
    [IMAP_FETCH_RFC822_TEXT]   = { VAULT_WITH_LOCATOR,  true,  false, NULL },
    [IMAP_FETCH_SECTION]       = { VAULT_WITH_LOCATOR,  true,  false, NULL },
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

static bool is_given(const struct imap_fetch_item *item)
{
    if (items[item->kind].is_later)
        return false;
    return item->kind != IMAP_FETCH_SECTION ||
           (item->section.part_count == 0 && item->section.text != IMAP_SECTION_MIME);
}

bool serve_prepare_fetch(struct serve_fetch *fetch, struct err *err)
{
    bool has_uid = false;

    for (size_t i = 0; i < fetch->item_count; i++) {
        const struct imap_fetch_item *item = &fetch->items[i];

        if (!is_given(item))
            return err_fail(err, ERR_ABSENT, "FETCH item is not offered yet");
        has_uid = has_uid || item->kind == IMAP_FETCH_UID;
        fetch->columns |= items[item->kind].columns;
        if (!items[item->kind].is_content)
            continue;
        fetch->has_content = true;
        fetch->needs_header_end = fetch->needs_header_end || section_of(item) != IMAP_SECTION_ALL;
        fetch->needs_header = fetch->needs_header || is_fields(section_of(item));
    }
    fetch->adds_uid = fetch->adds_uid && !has_uid;
    fetch->parts = arena_new_array(fetch->session->command, struct serve_part, fetch->item_count);
    fetch->header = buf_create(HEADER_MAX_BYTES);
    return true;
}

void serve_write_content_words(const struct serve_fetch *fetch, struct buf *buf)
{
    static const char *const words[] = {
        [IMAP_SECTION_ALL] = "BODY[]",
        [IMAP_SECTION_HEADER] = "HEADER",
        [IMAP_SECTION_HEADER_FIELDS] = "HEADER.FIELDS",
        [IMAP_SECTION_HEADER_FIELDS_NOT] = "HEADER.FIELDS.NOT",
        [IMAP_SECTION_TEXT] = "TEXT",
        [IMAP_SECTION_MIME] = "MIME",
    };
    const char *gap = "";

    for (size_t i = 0; i < fetch->item_count; i++) {
        if (!items[fetch->items[i].kind].is_content)
            continue;
        buf_text(buf, gap);
        buf_text(buf, words[section_of(&fetch->items[i])]);
        if (fetch->items[i].partial.is_set)
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

static struct serve_part find_part(const struct serve_fetch *fetch,
                                   const struct imap_fetch_item *item,
                                   const struct vault_placement *row)
{
    struct bytes header = buf_bytes(&fetch->header);
    uint64_t size = row->octets.size_bytes;
    struct serve_part part = { .size_bytes = size };

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
        part.is_chosen = true;
        part.selection = (struct mime_selection){
            .names = item->section.fields,
            .count = item->section.field_count,
            .is_not = item->section.text == IMAP_SECTION_HEADER_FIELDS_NOT,
        };
        part.size_bytes = mime_selected_bytes(header, &part.selection);
        break;
    case IMAP_SECTION_MIME: /* refused by is_given */
        part.size_bytes = 0;
        break;
    }
    if (item->kind == IMAP_FETCH_SECTION)
        cut(&part, &item->partial);
    return part;
}

bool serve_prepare_message(struct serve_fetch *fetch, const struct vault_placement *row,
                           struct err *err)
{
    if (fetch->needs_header_end && !find_header(fetch, row, err))
        return false;
    for (size_t i = 0; i < fetch->item_count; i++) {
        struct serve_part *part = &fetch->parts[i];

        if (!items[fetch->items[i].kind].is_content)
            continue;
        *part = find_part(fetch, &fetch->items[i], row);
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

static bool write_chosen(struct serve_fetch *fetch, const struct serve_part *part)
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
static bool write_range(struct serve_fetch *fetch, const struct serve_part *part,
                        const struct vault_placement *row)
{
    struct serve_session *session = fetch->session;
    struct err err = { 0 };

    if (part->size_bytes == 0 || vault_stream_octets(session->reader, &row->octets, part->offset,
                                                     part->size_bytes, push_sink, session, &err))
        return true;
    if (!session->is_broken)
        log_error(session->server->settings.log, "literal broken off",
                  F_U64("session", session->id), F_I64("message", row->message_id), F_ERR(&err));
    (void)serve_flush(session); /* what was said until here is right */
    session->is_broken = true;
    return false;
}

static bool write_content(struct serve_fetch *fetch, size_t i, const struct vault_placement *row)
{
    const struct serve_part *part = &fetch->parts[i];

    imap_write_fetch_item_name(&fetch->session->out, &fetch->items[i]);
    buf_byte(&fetch->session->out, ' ');
    imap_write_literal_header(&fetch->session->out, part->size_bytes);
    return part->is_chosen ? write_chosen(fetch, part) : write_range(fetch, part, row);
}

bool serve_write_message(struct serve_fetch *fetch, const struct vault_placement *row)
{
    struct serve_session *session = fetch->session;
    const char *gap = "";

    buf_text(&session->out, "* ");
    buf_u64(&session->out, vault_count_through_uid(&session->view->mailbox, row->uid));
    buf_text(&session->out, " FETCH (");
    if (fetch->adds_uid) {
        write_uid(fetch, row);
        gap = " ";
    }
    for (size_t i = 0; i < fetch->item_count; i++) {
        buf_text(&session->out, gap);
        gap = " ";
        if (!items[fetch->items[i].kind].is_content)
            items[fetch->items[i].kind].write(fetch, row);
        else if (!write_content(fetch, i, row))
            return false;
    }
    buf_text(&session->out, ")\r\n");
    return serve_push(session);
}
