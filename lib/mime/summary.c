/* SPDX-License-Identifier: Apache-2.0 */
#include "mime/summary.h"

#include "mime/address.h"
#include "mime/header.h"
#include "mime/word.h"

struct summariser {
    struct arena *arena;
    size_t text_max;
    struct buf text; /* the one being made */
    struct mime_summary *out;
    struct bytes *references; /* room for MIME_REFERENCES_MAX */
};

bool mime_next_message_id(struct bytes *in, struct bytes *out)
{
    for (;;) {
        ssize_t start = bytes_find_byte(*in, '<');
        struct bytes id;
        ssize_t end;

        if (start < 0)
            return false;
        id = bytes_slice(*in, (size_t)start + 1, SIZE_MAX);
        end = bytes_find_byte(id, '>');
        if (end < 0)
            return false;
        *in = bytes_slice(id, (size_t)end + 1, SIZE_MAX);
        id.len = (size_t)end;
        start = bytes_find_byte(id, '<'); /* "<a <b>": the inner one */
        if (start >= 0)
            id = bytes_slice(id, (size_t)start + 1, SIZE_MAX);
        if (id.len > 0 && id.len <= MIME_MESSAGE_ID_MAX) {
            *out = id;
            return true;
        }
    }
}

/* The text as a column: cut to its limit at a character's border, without NUL. */
static struct bytes keep_text(struct summariser *s)
{
    struct bytes text = buf_bytes(&s->text);
    struct err ignored = { 0 };
    struct bytes kept = { 0 };

    if (text.len > s->text_max) {
        text.len = s->text_max;
        while (text.len > 0 && (text.ptr[text.len] & 0xc0) == 0x80)
            text.len--;
        s->out->is_cut = true;
    }
    if (!arena_try_copy(s->arena, text, SIZE_MAX, &kept, &ignored))
        s->out->is_cut = true;
    return kept;
}

/* Decoded; blanks at both ends go, NUL becomes U+FFFD. */
static void append_decoded(struct summariser *s, struct bytes value)
{
    CLEANUP(buf_free) struct buf decoded = buf_create(4 * (size_t)MIME_HEADER_KEPT_MAX);
    struct bytes text;

    if (s->text.len > s->text_max) /* by the ", " before it, say */
        return;
    mime_decode_words(value, &decoded);
    text = buf_bytes(&decoded);
    while (text.len > 0 && (text.ptr[0] == ' ' || text.ptr[0] == '\t'))
        text = bytes_slice(text, 1, SIZE_MAX);
    while (text.len > 0 && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\t'))
        text.len--;
    /* one more than is kept: it is cut */
    text = bytes_slice(text, 0, s->text_max + 1 - s->text.len);
    for (ssize_t zero; (zero = bytes_find_byte(text, '\0')) >= 0;) {
        buf_append(&s->text, bytes_slice(text, 0, (size_t)zero));
        buf_text(&s->text, "\xef\xbf\xbd");
        text = bytes_slice(text, (size_t)zero + 1, SIZE_MAX);
    }
    buf_append(&s->text, text);
}

static struct bytes summarise_list(struct summariser *s, const struct mime_value *values)
{
    CLEANUP(buf_free) struct buf list = buf_create(4 * s->text_max);

    if (values == NULL)
        return (struct bytes){ 0 };
    buf_reset(&s->text, SIZE_MAX);
    for (; values != NULL && s->text.len <= s->text_max; values = values->next) {
        buf_reset(&list, SIZE_MAX);
        mime_write_address_list(values->octets, &list);
        s->out->is_cut = s->out->is_cut || list.has_failed;
        if (s->text.len > 0)
            buf_text(&s->text, ", ");
        append_decoded(s, buf_bytes(&list));
    }
    return keep_text(s);
}

/* Ids are kept as UTF-8 too: they are a column of text. */
static struct bytes keep_id(struct summariser *s, struct bytes id)
{
    buf_reset(&s->text, SIZE_MAX);
    append_decoded(s, id);
    return keep_text(s);
}

static void add_references(struct summariser *s, struct bytes value)
{
    struct bytes id;

    while (mime_next_message_id(&value, &id)) {
        size_t i = 0;

        if (s->out->reference_count == MIME_REFERENCES_MAX) {
            s->out->is_cut = true;
            return;
        }
        id = keep_id(s, id);
        while (i < s->out->reference_count && !bytes_equal(s->references[i], id))
            i++;
        if (i == s->out->reference_count)
            s->references[s->out->reference_count++] = id;
    }
}

static void keep_references(struct summariser *s)
{
    size_t count = s->out->reference_count;
    struct bytes *kept;

    if (count == 0)
        return;
    kept = arena_new_array(s->arena, struct bytes, count);
    memcpy(kept, s->references, count * sizeof *kept);
    s->out->references = kept;
}

static void find_references(struct summariser *s, struct bytes header)
{
    struct mime_field field;

    while (mime_read_field(&header, &field))
        if (bytes_equal_nocase(field.name, BYTES("References")))
            add_references(s, field.value);
}

/* All Subject fields, where ENVELOPE shows the last: none of them is to be missed. */
static void summarise_subject(struct summariser *s, struct bytes header)
{
    struct mime_field field;
    bool is_there = false;

    buf_reset(&s->text, SIZE_MAX);
    while (s->text.len <= s->text_max && mime_read_field(&header, &field)) {
        if (!bytes_equal_nocase(field.name, BYTES("Subject")))
            continue;
        if (s->text.len > 0)
            buf_text(&s->text, ", ");
        append_decoded(s, field.value);
        is_there = true;
    }
    if (is_there)
        s->out->subject = keep_text(s);
}

void mime_summarise(const struct mime_envelope *envelope, struct bytes header, struct arena *arena,
                    struct mime_summary *out)
{
    mime_summarise_upto(envelope, header, MIME_SUMMARY_TEXT_MAX, arena, out);
}

void mime_summarise_upto(const struct mime_envelope *envelope, struct bytes header, size_t text_max,
                         struct arena *arena, struct mime_summary *out)
{
    struct bytes references[MIME_REFERENCES_MAX];
    struct summariser s = {
        .arena = arena,
        .text_max = text_max,
        .references = references,
        .text = buf_create(2 * text_max + MIME_HEADER_KEPT_MAX),
        .out = out,
    };
    struct bytes ids, id;

    *out = (struct mime_summary){ 0 };
    out->has_date = envelope->date != NULL && mime_read_date(*envelope->date, &out->date);
    if (envelope->message_id != NULL) {
        ids = *envelope->message_id;
        out->message_id = keep_id(&s, mime_next_message_id(&ids, &id) ? id : *envelope->message_id);
    }
    find_references(&s, header);
    if (envelope->in_reply_to != NULL)
        add_references(&s, *envelope->in_reply_to);
    keep_references(&s);
    summarise_subject(&s, header);
    out->from = summarise_list(&s, envelope->from);
    out->to = summarise_list(&s, envelope->to);
    out->cc = summarise_list(&s, envelope->cc);
    out->bcc = summarise_list(&s, envelope->bcc);
    buf_free(&s.text);
}
