/* SPDX-License-Identifier: Apache-2.0 */
#include "mime/word.h"

#include "mime/charset.h"
#include "mime/internal.h"
#include "mime/transfer.h"

enum {
    CHARSET_MAX_BYTES = 64,
};

/* The LF of a line end, or its CR; also a CR at the very end. Any other CR is an ordinary octet. */
static bool is_line_end(struct bytes in)
{
    return in.ptr[0] == '\n' || (in.ptr[0] == '\r' && (in.len == 1 || in.ptr[1] == '\n'));
}

/* "=?" charset ["*" language] "?" encoding "?" text "?=" */
struct word {
    struct bytes charset;
    struct bytes text;
    bool is_base64;
};

/* Where the next of its kind stands in a value: looked for once, however many words begin in front of it. */
struct mark {
    struct bytes kind;
    const uint8_t *from; /* looked for from here on; NULL: not yet */
    const uint8_t *at;   /* NULL: there is none up to the end */
};

struct marks {
    struct mark end, line_end;
};

static struct marks start_marks(void)
{
    return (struct marks){ .end.kind = BYTES("?="), .line_end.kind = BYTES("\n") };
}

/* in: what is left of the value. */
static const uint8_t *find_mark(struct mark *mark, struct bytes in)
{
    ssize_t found;

    if (mark->from != NULL && mark->from <= in.ptr && (mark->at == NULL || mark->at >= in.ptr))
        return mark->at;
    found = bytes_find(in, mark->kind);
    mark->from = in.ptr;
    mark->at = found < 0 ? NULL : in.ptr + found;
    return mark->at;
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Takes one encoded word. The text may hold blanks, and be longer than RFC 2047 §2 permits: there are programs that
 * write such, and others that show them. */
static bool scan_word(struct bytes *in, struct marks *marks, struct word *out)
{
    struct bytes rest = *in;
    const uint8_t *end, *line_end;
    struct bytes encoding;
    ssize_t at;

    if (!scan_text(&rest, BYTES("=?")))
        return false;
    at = bytes_find_byte(bytes_slice(rest, 0, CHARSET_MAX_BYTES), '?');
    if (at <= 0 || !scan_octets(&rest, (size_t)at, &out->charset) || !scan_byte(&rest, '?') ||
        !scan_octets(&rest, 1, &encoding) || !scan_byte(&rest, '?'))
        return false;
    out->is_base64 = ascii_lower(encoding.ptr[0]) == 'b';
    if (!out->is_base64 && ascii_lower(encoding.ptr[0]) != 'q')
        return false;
    end = find_mark(&marks->end, rest);
    line_end = find_mark(&marks->line_end, rest);
    if (end == NULL || (line_end != NULL && line_end < end))
        return false;
    out->text = bytes_slice(rest, 0, (size_t)(end - rest.ptr));
    at = bytes_find_byte(out->charset, '*');
    if (at >= 0)
        out->charset.len = (size_t)at;
    *in = bytes_slice(rest, out->text.len + 2, SIZE_MAX);
    return true;
}

static void decode_q(struct bytes text, struct buf *out)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        uint8_t high = i + 2 < text.len ? ascii_hex_value(text.ptr[i + 1]) : ASCII_NO_HEX;
        uint8_t low = i + 2 < text.len ? ascii_hex_value(text.ptr[i + 2]) : ASCII_NO_HEX;

        if (c == '=' && high < 16 && low < 16) {
            buf_byte(out, (uint8_t)(high << 4 | low));
            i += 2;
        } else {
            buf_byte(out, c == '_' ? ' ' : c);
        }
    }
}

static void decode_word(const struct word *word, struct buf *out)
{
    struct mime_transfer_decoder decoder;

    if (!word->is_base64) {
        decode_q(word->text, out);
        return;
    }
    decoder = mime_start_transfer(MIME_TRANSFER_BASE64);
    mime_decode_transfer(&decoder, word->text, out);
    mime_finish_transfer(&decoder, out);
}

static struct bytes skip_blanks(struct bytes in)
{
    while (in.len > 0 && is_blank(in.ptr[0]))
        in = bytes_slice(in, 1, SIZE_MAX);
    return in;
}

/* The neighbours of a word, with blanks between them, as far as they have its charset. */
static void decode_run(struct bytes *in, struct marks *marks, struct word word, struct buf *octets,
                       struct buf *out)
{
    struct word next = word;
    bool has_next = true;

    while (has_next) {
        struct bytes rest;

        word = next;
        buf_reset(octets, SIZE_MAX);
        decode_word(&word, octets);
        rest = skip_blanks(*in);
        while ((has_next = scan_word(&rest, marks, &next)) &&
               bytes_equal_nocase(next.charset, word.charset)) {
            decode_word(&next, octets);
            *in = rest;
            rest = skip_blanks(rest);
        }
        mime_convert_charset(word.charset, buf_bytes(octets), out);
        if (has_next)
            *in = rest;
    }
}

/* Printable ASCII without "=?" stands for itself, and is what most values are. */
static bool is_plain(struct bytes value)
{
    for (size_t i = 0; i < value.len; i++)
        if (value.ptr[i] < ' ' || value.ptr[i] > '~')
            return false;
    return bytes_find(value, BYTES("=?")) < 0;
}

void mime_decode_words(struct bytes value, struct buf *out)
{
    CLEANUP(buf_free) struct buf octets = buf_create(value.len);
    CLEANUP(buf_free) struct buf plain = buf_create(value.len);
    struct marks marks = start_marks();

    if (is_plain(value)) {
        buf_append(out, value);
        return;
    }
    while (value.len > 0) {
        struct word word;
        bool is_word = value.ptr[0] == '=' && scan_word(&value, &marks, &word);

        if (!is_word) {
            if (!is_line_end(value))
                buf_byte(&plain, value.ptr[0]);
            value = bytes_slice(value, 1, SIZE_MAX);
            continue;
        }
        mime_convert_charset(BYTES(""), buf_bytes(&plain), out);
        buf_reset(&plain, SIZE_MAX);
        decode_run(&value, &marks, word, &octets, out);
    }
    mime_convert_charset(BYTES(""), buf_bytes(&plain), out);
}

/* charset "'" language "'" percent-encoded */
static void decode_extended(struct bytes value, struct buf *out)
{
    CLEANUP(buf_free) struct buf octets = buf_create(value.len);
    struct bytes rest = value;
    struct bytes charset, language;

    if (scan_until_byte(&rest, '\'', &charset) && scan_byte(&rest, '\'') &&
        scan_until_byte(&rest, '\'', &language) && scan_byte(&rest, '\''))
        value = rest;
    else
        charset = bytes_of(NULL, 0);
    for (size_t i = 0; i < value.len; i++) {
        uint8_t high = i + 2 < value.len ? ascii_hex_value(value.ptr[i + 1]) : ASCII_NO_HEX;
        uint8_t low = i + 2 < value.len ? ascii_hex_value(value.ptr[i + 2]) : ASCII_NO_HEX;

        if (value.ptr[i] == '%' && high < 16 && low < 16) {
            buf_byte(&octets, (uint8_t)(high << 4 | low));
            i += 2;
        } else {
            buf_byte(&octets, value.ptr[i]);
        }
    }
    mime_convert_charset(charset, buf_bytes(&octets), out);
}

void mime_decode_param(const struct mime_param *param, struct buf *out)
{
    if (param->name.len > 0 && param->name.ptr[param->name.len - 1] == '*')
        decode_extended(param->value, out);
    else
        mime_decode_words(param->value, out);
}

const struct mime_param *mime_find_text_param(const struct mime_param *params, size_t count,
                                              struct bytes name)
{
    for (size_t i = 0; i < count; i++)
        if (params[i].name.len == name.len + 1 && bytes_start_with_nocase(params[i].name, name) &&
            params[i].name.ptr[name.len] == '*')
            return &params[i];
    return mime_find_param(params, count, name);
}
