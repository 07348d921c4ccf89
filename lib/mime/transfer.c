/* SPDX-License-Identifier: Apache-2.0 */
#include "mime/transfer.h"

#include "mime/internal.h"

enum {
    NO_DIGIT = 255,
};

enum mime_transfer mime_transfer_of(const struct bytes *encoding, bool *is_known)
{
    static const struct {
        struct bytes name;
        enum mime_transfer kind;
    } encodings[] = {
        { BYTES_INIT("7bit"), MIME_TRANSFER_IDENTITY },
        { BYTES_INIT("8bit"), MIME_TRANSFER_IDENTITY },
        { BYTES_INIT("binary"), MIME_TRANSFER_IDENTITY },
        { BYTES_INIT("base64"), MIME_TRANSFER_BASE64 },
        { BYTES_INIT("quoted-printable"), MIME_TRANSFER_QUOTED_PRINTABLE },
    };

    *is_known = encoding == NULL;
    for (size_t i = 0; encoding != NULL && i < ARRAY_LEN(encodings); i++)
        if (bytes_equal_nocase(*encoding, encodings[i].name)) {
            *is_known = true;
            return encodings[i].kind;
        }
    return MIME_TRANSFER_IDENTITY;
}

uint8_t mime_base64_value(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return (uint8_t)(c - 'A');
    if (c >= 'a' && c <= 'z')
        return (uint8_t)(c - 'a' + 26);
    if (ascii_is_digit(c))
        return (uint8_t)(c - '0' + 52);
    return c == '+' ? 62 : c == '/' ? 63 : NO_DIGIT;
}

uint8_t mime_hex_value(uint8_t c)
{
    if (ascii_is_digit(c))
        return (uint8_t)(c - '0');
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? (uint8_t)(c - 'a' + 10) : NO_DIGIT;
}

struct mime_transfer_decoder mime_start_transfer(enum mime_transfer kind)
{
    return (struct mime_transfer_decoder){ .kind = kind };
}

/* The digits so far: held_len of them. Two give one octet, three give two. */
static void flush_base64(struct mime_transfer_decoder *decoder, struct buf *out)
{
    if (decoder->held_len == 2)
        buf_byte(out, (uint8_t)(decoder->bits >> 4));
    if (decoder->held_len == 3) {
        buf_byte(out, (uint8_t)(decoder->bits >> 10));
        buf_byte(out, (uint8_t)(decoder->bits >> 2));
    }
    decoder->held_len = 0;
    decoder->bits = 0;
}

static void decode_base64(struct mime_transfer_decoder *decoder, struct bytes chunk,
                          struct buf *out)
{
    for (size_t i = 0; i < chunk.len; i++) {
        uint8_t c = chunk.ptr[i];
        uint8_t value = mime_base64_value(c);

        if (value == NO_DIGIT) {
            if (c == '=') /* padding; joined pieces go on behind it */
                flush_base64(decoder, out);
            else if (c != '\r' && c != '\n' && c != ' ' && c != '\t')
                decoder->error_count++;
            continue;
        }
        decoder->bits = (decoder->bits << 6 | value) & 0xffffff;
        if (++decoder->held_len == 4) {
            uint8_t octets[3] = { (uint8_t)(decoder->bits >> 16), (uint8_t)(decoder->bits >> 8),
                                  (uint8_t)decoder->bits };

            buf_append(out, bytes_of(octets, sizeof octets));
            decoder->held_len = 0;
            decoder->bits = 0;
        }
    }
}

static void give_held(struct mime_transfer_decoder *decoder, struct buf *out)
{
    buf_append(out, bytes_of(decoder->held, decoder->held_len));
    decoder->error_count += decoder->held_len;
    decoder->held_len = 0;
}

/* Behind "=": two hex digits, or blanks and a line end, which all go. */
static void decode_escape(struct mime_transfer_decoder *decoder, uint8_t c, struct buf *out)
{
    bool is_hex = mime_hex_value(c) != NO_DIGIT;

    if (decoder->held_len == 2 && is_hex && mime_hex_value(decoder->held[1]) != NO_DIGIT) {
        buf_byte(out, (uint8_t)(mime_hex_value(decoder->held[1]) << 4 | mime_hex_value(c)));
        decoder->held_len = 0;
    } else if (decoder->held_len == 1 && is_hex) {
        decoder->held[decoder->held_len++] = c;
    } else if (c == '\n' &&
               (decoder->held_len == 1 || mime_hex_value(decoder->held[1]) == NO_DIGIT)) {
        decoder->held_len = 0; /* soft line break */
    } else if ((c == ' ' || c == '\t' || c == '\r') &&
               (decoder->held_len == 1 || mime_hex_value(decoder->held[1]) == NO_DIGIT)) {
        decoder->held[1] = c; /* of a run of blanks the last is remembered */
        decoder->held_len = 2;
    } else {
        give_held(decoder, out);
        if (c == '=')
            decoder->held[decoder->held_len++] = c;
        else
            buf_byte(out, c);
    }
}

static void decode_quoted_printable(struct mime_transfer_decoder *decoder, struct bytes chunk,
                                    struct buf *out)
{
    while (chunk.len > 0) {
        ssize_t at = bytes_find_byte(chunk, '=');
        size_t plain = at < 0 ? chunk.len : (size_t)at;

        if (decoder->held_len > 0) {
            decode_escape(decoder, chunk.ptr[0], out);
            chunk = bytes_slice(chunk, 1, SIZE_MAX);
            continue;
        }
        buf_append(out, bytes_slice(chunk, 0, plain));
        chunk = bytes_slice(chunk, plain, SIZE_MAX);
        if (at >= 0) {
            decoder->held[decoder->held_len++] = '=';
            chunk = bytes_slice(chunk, 1, SIZE_MAX);
        }
    }
}

void mime_decode_transfer(struct mime_transfer_decoder *decoder, struct bytes chunk,
                          struct buf *out)
{
    switch (decoder->kind) {
    case MIME_TRANSFER_IDENTITY:
        buf_append(out, chunk);
        return;
    case MIME_TRANSFER_BASE64:
        decode_base64(decoder, chunk, out);
        return;
    case MIME_TRANSFER_QUOTED_PRINTABLE:
        decode_quoted_printable(decoder, chunk, out);
        return;
    }
    UNREACHABLE();
}

void mime_finish_transfer(struct mime_transfer_decoder *decoder, struct buf *out)
{
    if (decoder->kind == MIME_TRANSFER_BASE64) {
        decoder->error_count += decoder->held_len == 1 ? 1 : 0;
        flush_base64(decoder, out);
    } else if (decoder->kind == MIME_TRANSFER_QUOTED_PRINTABLE) {
        give_held(decoder, out);
    }
}
