/* SPDX-License-Identifier: Apache-2.0 */
/* The small pieces of a response, read leniently. */
#include "base/limits.h"
#include "imap/internal.h"
#include "imap/literal.h"
#include "imap/mailbox.h"
#include "imap/token.h"

bool imap_fail_response(struct response_reader *r, const char *what)
{
    return err_fail(r->err, ERR_SYNTAX, "%s expected in response", what);
}

void imap_skip_spaces(struct response_reader *r)
{
    while (scan_byte(&r->in, ' '))
        ;
}

static bool is_word_char(uint8_t c)
{
    return c != ' ' && c != '(' && c != ')' && c != '\r' && c != '\n';
}

struct bytes imap_take_word(struct response_reader *r)
{
    return imap_scan_while(&r->in, is_word_char);
}

bool imap_take_u64(struct response_reader *r, uint64_t *out)
{
    return scan_u64(&r->in, out) || imap_fail_response(r, "number");
}

static const struct imap_streamed *find_streamed(const struct response_reader *r)
{
    size_t offset = (size_t)(r->in.ptr - r->received->text.ptr);

    for (size_t i = 0; i < r->received->streamed_count; i++)
        if (r->received->streamed[i].offset == offset)
            return &r->received->streamed[i];
    return NULL;
}

static bool take_literal(struct response_reader *r, struct response_string *out)
{
    struct imap_literal lit;
    const struct imap_streamed *streamed;

    if (!imap_read_literal(&r->in, INT64_MAX, &lit, r->err))
        return false;
    out->size_bytes = lit.size_bytes;
    streamed = find_streamed(r);
    if (streamed != NULL) {
        out->is_streamed = true;
        return streamed->size_bytes == lit.size_bytes || imap_fail_response(r, "literal");
    }
    if (r->in.len == 0 && (lit.size_bytes > 0 || r->is_peeking)) {
        out->is_pending = true;
        return true;
    }
    if (lit.size_bytes > r->in.len || !scan_octets(&r->in, (size_t)lit.size_bytes, &out->octets))
        return imap_fail_response(r, "octets of literal");
    return true;
}

static bool is_at_nil(const struct response_reader *r)
{
    struct bytes rest = r->in;

    return scan_text_nocase(&rest, BYTES("NIL")) && (rest.len == 0 || !is_word_char(rest.ptr[0]));
}

bool imap_take_string(struct response_reader *r, bool allow_word, struct response_string *out)
{
    uint8_t c = r->in.len == 0 ? 0 : r->in.ptr[0];
    bool is_literal8 = c == '~' && r->in.len > 1 && r->in.ptr[1] == '{';

    *out = (struct response_string){ 0 };
    if (c == '{' || is_literal8)
        return take_literal(r, out);
    if (c == '"') {
        if (!imap_read_quoted(&r->in, r->arena, &out->octets, r->err))
            return false;
    } else if (allow_word) {
        out->octets = imap_take_word(r);
        if (out->octets.len == 0)
            return imap_fail_response(r, "string");
    } else if (is_at_nil(r)) {
        r->in = bytes_of(r->in.ptr + 3, r->in.len - 3);
        out->is_nil = true;
    } else {
        return imap_fail_response(r, "string");
    }
    out->size_bytes = out->octets.len;
    return true;
}

bool imap_take_text(struct response_reader *r, bool allow_word, struct bytes *out)
{
    struct response_string string;

    if (!imap_take_string(r, allow_word, &string))
        return false;
    if (string.is_nil || string.is_streamed || string.is_pending)
        return imap_fail_response(r, "string in memory");
    *out = string.octets;
    return true;
}

bool imap_skip_value(struct response_reader *r)
{
    size_t depth = 0;
    struct response_string ignored;

    do {
        imap_skip_spaces(r);
        if (scan_byte(&r->in, '(')) {
            if (++depth > LIMIT_RESPONSE_NESTING)
                return err_fail(r->err, ERR_LIMIT, "response nested more than %u deep",
                                LIMIT_RESPONSE_NESTING);
        } else if (depth > 0 && scan_byte(&r->in, ')')) {
            depth--;
        } else if (!imap_take_string(r, true, &ignored)) {
            return false;
        }
    } while (depth > 0);
    return true;
}

bool imap_take_words(struct response_reader *r, struct imap_words *out)
{
    struct bytes *words = NULL;
    size_t room = 0;

    *out = (struct imap_words){ 0 };
    for (;;) {
        struct bytes word;

        imap_skip_spaces(r);
        word = imap_take_word(r);
        if (word.len == 0)
            break;
        if (!imap_grow_items(r->arena, &words, sizeof *words, out->count, &room,
                             LIMIT_RESPONSE_LINE_BYTES, r->err))
            return false;
        words[out->count++] = word;
    }
    out->words = words;
    return true;
}

bool imap_take_texts(struct response_reader *r, struct imap_words *out)
{
    struct bytes *texts = NULL;
    size_t room = 0;

    *out = (struct imap_words){ 0 };
    if (!scan_byte(&r->in, '('))
        return imap_fail_response(r, "list");
    for (imap_skip_spaces(r); !scan_byte(&r->in, ')'); imap_skip_spaces(r)) {
        struct response_string string;

        if (!imap_take_string(r, true, &string))
            return false;
        if (string.is_pending)
            return imap_fail_response(r, "string in memory");
        if (string.is_streamed)
            continue; /* the caller would not keep it */
        if (!imap_grow_items(r->arena, &texts, sizeof *texts, out->count, &room,
                             LIMIT_RESPONSE_LINE_BYTES, r->err))
            return false;
        texts[out->count++] = string.octets;
    }
    out->words = texts;
    return true;
}

bool imap_take_delimiter(struct response_reader *r, uint8_t *out)
{
    struct response_string string;

    if (!imap_take_string(r, false, &string))
        return false;
    if (string.is_nil || (string.octets.len == 0 && !string.is_streamed)) {
        *out = IMAP_NO_DELIMITER;
        return true;
    }
    /* QUOTED-CHAR is ASCII; any other octet would cut names within their characters. */
    if (string.octets.len != 1 || string.octets.ptr[0] == 0 || string.octets.ptr[0] > 0x7f)
        return imap_fail_response(r, "delimiter of one ASCII octet");
    *out = string.octets.ptr[0];
    return true;
}
