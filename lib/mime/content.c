/* SPDX-License-Identifier: Apache-2.0 */
/* The fields of one header that say what a part is. RFC 2045, 2183, 3282, 1864, 2557. */
#include "mime/internal.h"

static bool keep(struct mime_content_reader *reader, struct bytes from, const struct bytes **out)
{
    struct err ignored = { 0 };
    struct bytes copy;
    void *room = NULL;

    if (!arena_try_copy(reader->arena, from, SIZE_MAX, &copy, &ignored) ||
        !arena_try_alloc(reader->arena, 1, sizeof copy, &room, &ignored)) {
        reader->has_lost_values = true;
        return false;
    }
    memcpy(room, &copy, sizeof copy);
    *out = room;
    return true;
}

/*
 * token "/" token, and then the end or the parameters. A value of one token keeps it as type without
 * a subtype; any other has none. True: parameters may follow.
 */
static bool scan_type(struct mime_lexer *lex, struct buf *out, size_t *type_len)
{
    enum mime_scan scan = mime_skip_cfws(lex);

    if (scan == MIME_SCAN_MORE)
        scan = mime_scan_token(lex, out);
    *type_len = out->len;
    if (scan != MIME_SCAN_MORE)
        return false;
    if (out->len > 0 && *lex->at == '/') {
        lex->at++;
        if (mime_skip_cfws(lex) == MIME_SCAN_MORE && mime_scan_token(lex, out) != MIME_SCAN_BAD &&
            out->len > *type_len && (lex->at == lex->end || *lex->at == ';'))
            return true;
    }
    out->len = 0;
    *type_len = 0;
    return false;
}

/* A broken field leaves an empty type, which is not the same as none (mime/README 9). */
static void read_type(struct mime_content_reader *reader, struct bytes value)
{
    struct mime_content *content = &reader->part->content;
    struct mime_lexer lex = mime_lex(value);
    const struct bytes *subtype;
    size_t type_len = 0;
    bool is_type;

    buf_reset(reader->scratch, SIZE_MAX);
    is_type = scan_type(&lex, reader->scratch, &type_len);
    if (!keep(reader, bytes_slice(buf_bytes(reader->scratch), type_len, SIZE_MAX), &subtype) ||
        !keep(reader, bytes_slice(buf_bytes(reader->scratch), 0, type_len), &content->type))
        return;
    content->subtype = *subtype;
    if (is_type && !mime_read_params(&lex, reader->arena, reader->scratch, &content->params,
                                     &content->param_count))
        reader->has_lost_values = true;
}

static void read_encoding(struct mime_content_reader *reader, struct bytes value)
{
    struct mime_lexer lex = mime_lex(value);

    buf_reset(reader->scratch, SIZE_MAX);
    if (mime_skip_cfws(&lex) != MIME_SCAN_BAD &&
        mime_scan_token(&lex, reader->scratch) == MIME_SCAN_END && reader->scratch->len > 0)
        (void)keep(reader, buf_bytes(reader->scratch), &reader->part->content.encoding);
}

static void read_disposition(struct mime_content_reader *reader, struct bytes value)
{
    struct mime_content *content = &reader->part->content;
    struct mime_lexer lex = mime_lex(value);

    buf_reset(reader->scratch, SIZE_MAX);
    (void)mime_skip_cfws(&lex);
    if (mime_scan_token(&lex, reader->scratch) == MIME_SCAN_BAD ||
        !keep(reader, buf_bytes(reader->scratch), &content->disposition))
        return;
    if (!mime_read_params(&lex, reader->arena, reader->scratch, &content->disposition_params,
                          &content->disposition_param_count))
        reader->has_lost_values = true;
}

static void read_languages(struct mime_content_reader *reader, struct bytes value)
{
    struct mime_content *content = &reader->part->content;
    struct mime_lexer lex = mime_lex(value);
    struct bytes *languages = NULL;
    const struct bytes *one;
    struct err ignored = { 0 };
    void *room = NULL;

    (void)mime_skip_cfws(&lex);
    while (content->language_count < MIME_LANGUAGES_MAX) {
        buf_reset(reader->scratch, SIZE_MAX);
        if (mime_scan_atom(&lex, reader->scratch) == MIME_SCAN_BAD)
            return;
        if (languages == NULL) {
            if (!arena_try_alloc(reader->arena, MIME_LANGUAGES_MAX, sizeof *languages, &room,
                                 &ignored))
                break;
            content->languages = languages = room;
        }
        if (!keep(reader, buf_bytes(reader->scratch), &one))
            return;
        languages[content->language_count++] = *one;
        if (!mime_lexer_is_at(&lex, ','))
            return;
        lex.at++;
        (void)mime_skip_cfws(&lex);
    }
    reader->has_lost_values = true;
}

static void read_content_field(struct mime_content_reader *reader, struct bytes name,
                               struct bytes value)
{
    struct mime_content *content = &reader->part->content;
    const struct {
        struct bytes name;
        const struct bytes **out;
    } texts[] = {
        { BYTES("ID"), &content->id },
        { BYTES("MD5"), &content->md5 },
        { BYTES("Location"), &content->location },
        { BYTES("Description"), &content->description },
    };

    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (bytes_equal_nocase(name, texts[i].name)) {
            if (*texts[i].out == NULL)
                (void)keep(reader, value, texts[i].out);
            return;
        }
    if (bytes_equal_nocase(name, BYTES("Type"))) {
        reader->part->is_mime = true; /* MIME-Version is often forgotten */
        if (content->type == NULL)
            read_type(reader, value);
    } else if (bytes_equal_nocase(name, BYTES("Transfer-Encoding"))) {
        if (content->encoding == NULL)
            read_encoding(reader, value);
    } else if (bytes_equal_nocase(name, BYTES("Language"))) {
        if (content->language_count == 0)
            read_languages(reader, value);
    } else if (bytes_equal_nocase(name, BYTES("Disposition"))) {
        if (content->disposition_param_count == 0)
            read_disposition(reader, value);
    }
}

static bool read_text_field(struct mime_content_reader *reader, struct bytes name,
                            struct bytes value)
{
    struct mime_envelope *envelope = reader->envelope;
    const struct {
        struct bytes name;
        const struct bytes **out;
    } fields[] = {
        { BYTES("Date"), &envelope->date },
        { BYTES("Subject"), &envelope->subject },
        { BYTES("In-Reply-To"), &envelope->in_reply_to },
        { BYTES("Message-ID"), &envelope->message_id },
    };

    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        if (bytes_equal_nocase(name, fields[i].name)) {
            (void)keep(reader, value, fields[i].out);
            return true;
        }
    return false;
}

static void read_address_field(struct mime_content_reader *reader, struct bytes name,
                               struct bytes value)
{
    struct mime_envelope *envelope = reader->envelope;
    const struct {
        struct bytes name;
        const struct mime_value **first;
    } fields[] = {
        { BYTES("From"), &envelope->from }, { BYTES("Sender"), &envelope->sender },
        { BYTES("To"), &envelope->to },     { BYTES("Reply-To"), &envelope->reply_to },
        { BYTES("Cc"), &envelope->cc },     { BYTES("Bcc"), &envelope->bcc },
    };
    struct err ignored = { 0 };
    struct mime_value *added;
    void *room = NULL;
    size_t i = 0;

    while (i < ARRAY_LEN(fields) && !bytes_equal_nocase(name, fields[i].name))
        i++;
    if (i == ARRAY_LEN(fields))
        return;
    if (!arena_try_alloc(reader->arena, 1, sizeof *added, &room, &ignored)) {
        reader->has_lost_values = true;
        return;
    }
    added = room;
    if (!arena_try_copy(reader->arena, value, SIZE_MAX, &added->octets, &ignored))
        reader->has_lost_values = true;
    if (reader->last_values[i] == NULL)
        *fields[i].first = added;
    else
        reader->last_values[i]->next = added;
    reader->last_values[i] = added;
}

/* Could the first letter be that of a field we want? Most fields are sorted out by it. */
static bool is_wanted(struct bytes name)
{
    return name.len > 0 && memchr("bcdfimrst", ascii_lower(name.ptr[0]), 9) != NULL;
}

void mime_read_content(struct mime_content_reader *reader, struct bytes header)
{
    CLEANUP(buf_free) struct buf value = buf_create(MIME_HEADER_KEPT_MAX);
    struct mime_field field;

    if (reader->wants_envelope) {
        reader->envelope = arena_new(reader->arena, struct mime_envelope);
        reader->part->envelope = reader->envelope;
    }
    while (mime_read_field(&header, &field)) {
        struct bytes name = field.name;

        if (!is_wanted(name))
            continue;
        if (bytes_equal_nocase(name, BYTES("MIME-Version"))) {
            reader->part->is_mime = true;
            continue;
        }
        buf_reset(&value, SIZE_MAX);
        mime_join_lines(field.value, &value);
        if (scan_text_nocase(&name, BYTES("Content-")))
            read_content_field(reader, name, buf_bytes(&value));
        else if (reader->wants_envelope && !read_text_field(reader, name, buf_bytes(&value)))
            read_address_field(reader, name, buf_bytes(&value));
    }
    if (!reader->part->is_mime)
        reader->part->content = (struct mime_content){ 0 };
}
