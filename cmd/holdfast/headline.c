/* SPDX-License-Identifier: Apache-2.0 */
#include "holdfast/headline.h"

#include "imap/envelope.h"
#include "imap/structure.h"
#include "mime/parser.h"
#include "mime/word.h"
#include "vault/read.h"

enum {
    TEXT_BYTES = 64 << 10,    /* of one value, as it is shown */
    DECODED_BYTES = 16 << 20, /* of one value, for a moment */
    ENVELOPE_BYTES = 16 << 20,
};

struct bytes cli_keep(struct arena *arena, const struct buf *buf)
{
    struct bytes text = buf_bytes(buf);
    struct bytes kept = { 0 };
    struct err ignored = { 0 };

    return arena_try_copy(arena, text, SIZE_MAX, &kept, &ignored) ? kept : bytes_of(NULL, 0);
}

/* Appends the value decoded, as far as there is room. */
static void append_decoded(struct buf *out, struct bytes value)
{
    CLEANUP(buf_free) struct buf text = buf_create(DECODED_BYTES);
    struct bytes decoded;

    mime_decode_words(value, &text);
    decoded = bytes_slice(buf_bytes(&text), 0, out->max_bytes - out->len);
    while (decoded.len > 0 && decoded.len < text.len && (text.ptr[decoded.len] & 0xc0) == 0x80)
        decoded.len--;
    buf_append(out, decoded);
}

static struct bytes decode(const struct bytes *value, struct arena *arena)
{
    CLEANUP(buf_free) struct buf text = buf_create(TEXT_BYTES);

    if (value == NULL)
        return bytes_of(NULL, 0);
    append_decoded(&text, *value);
    return cli_keep(arena, &text);
}

/* "Name <a@b>", "a@b", "group:", ";" */
static void append_address(struct buf *out, const struct imap_address *address)
{
    bool has_name = address->name != NULL && address->name->len > 0;

    if (address->mailbox == NULL) {
        buf_byte(out, ';');
        return;
    }
    if (address->host == NULL) {
        append_decoded(out, *address->mailbox);
        buf_byte(out, ':');
        return;
    }
    if (has_name) {
        append_decoded(out, *address->name);
        buf_text(out, " <");
    }
    append_decoded(out, *address->mailbox);
    buf_byte(out, '@');
    append_decoded(out, *address->host);
    if (has_name)
        buf_byte(out, '>');
}

static struct bytes write_addresses(const struct imap_address *address, struct arena *arena)
{
    CLEANUP(buf_free) struct buf text = buf_create(TEXT_BYTES);
    bool is_behind_group = true;

    for (; address != NULL && text.len < TEXT_BYTES / 2; address = address->next) {
        if (!is_behind_group && address->mailbox != NULL)
            buf_text(&text, ", ");
        else if (text.len > 0 && address->mailbox != NULL)
            buf_byte(&text, ' ');
        append_address(&text, address);
        is_behind_group = address->mailbox != NULL && address->host == NULL;
    }
    if (address != NULL)
        buf_text(&text, ", \u2026");
    return cli_keep(arena, &text);
}

static bool feed(void *context, struct bytes octets, struct err *err)
{
    (void)err;
    mime_feed_parser(context, octets);
    return true;
}

/* The ENVELOPE of a message that has none in the index. */
static bool make_envelope(struct vault_reader *reader, const struct vault_placement *placement,
                          struct arena *arena, struct bytes *out, struct err *err)
{
    CLEANUP(mime_free_parser) struct mime_parser *parser = mime_create_parser();
    CLEANUP(buf_free) struct buf text = buf_create(ENVELOPE_BYTES);
    struct bytes written;

    if (!vault_stream_octets(reader, &placement->octets, 0, MIME_HEADER_KEPT_MAX, feed, parser,
                             err))
        return false;
    imap_write_envelope(&text, mime_finish_parser(parser)->envelope);
    return buf_done(&text, &written, err) && arena_try_copy(arena, written, SIZE_MAX, out, err);
}

bool cli_read_headline(struct vault_reader *reader, const struct vault_placement *placement,
                       struct arena *arena, struct cli_headline *out, struct err *err)
{
    bool has_index = placement->index.parser_version == MIME_PARSER_VERSION;
    struct bytes stored = has_index ? placement->index.envelope : bytes_of(NULL, 0);
    struct imap_envelope envelope;

    *out = (struct cli_headline){ .is_damaged = false };
    if ((stored.ptr == NULL && !make_envelope(reader, placement, arena, &stored, err)) ||
        !imap_read_envelope(stored, arena, &envelope, err)) {
        if (err->code != ERR_CORRUPT && err->code != ERR_LIMIT && err->code != ERR_ABSENT)
            return false;
        err_clear(err);
        out->is_damaged = true;
        out->subject = BYTES("(this message cannot be read: it is damaged)");
        return true;
    }
    out->from = write_addresses(envelope.from, arena);
    out->to = write_addresses(envelope.to, arena);
    out->cc = write_addresses(envelope.cc, arena);
    out->subject = decode(envelope.subject, arena);
    out->message_id = decode(envelope.message_id, arena);
    return true;
}
