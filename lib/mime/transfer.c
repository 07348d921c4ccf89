/* SPDX-License-Identifier: Apache-2.0 */
#include "mime/transfer.h"

#include "mime/internal.h"

enum {
    NO_DIGIT = 255,
    NO_DIGIT_BIT = 128,     /* no digit has it */
    GROUPS_AT_A_TIME = 256, /* of base64 */
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

/* The digit that an octet is, RFC 2045 §6.8. */
// clang-format off
static const uint8_t base64_values[256] = {
#define ND NO_DIGIT
    ND, ND, ND, ND, ND, ND, ND, ND, ND, ND, ND, ND, ND, ND, ND, ND,
    ND, ND, ND, ND, ND, ND, ND, ND, ND, ND, ND, ND, ND, ND, ND, ND,
    ND, ND, ND, ND, ND, ND, ND, ND, ND, ND, ND, 62, ND, ND, ND, 63,
    52, 53, 54, 55, 56, 57, 58, 59, 60, 61, ND, ND, ND, ND, ND, ND,
    ND,  0,  1,  2,  3,  4,  5,  6,  7,  8,  9, 10, 11, 12, 13, 14,
    15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, ND, ND, ND, ND, ND,
    ND, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
    41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, ND, ND, ND, ND, ND,
    ND, ND, ND, ND, ND, ND, ND, ND, ND, ND, ND, ND, ND, ND, ND, ND,
    ND, ND, ND, ND, ND, ND, ND, ND, ND, ND, ND, ND, ND, ND, ND, ND,
    ND, ND, ND, ND, ND, ND, ND, ND, ND, ND, ND, ND, ND, ND, ND, ND,
    ND, ND, ND, ND, ND, ND, ND, ND, ND, ND, ND, ND, ND, ND, ND, ND,
    ND, ND, ND, ND, ND, ND, ND, ND, ND, ND, ND, ND, ND, ND, ND, ND,
    ND, ND, ND, ND, ND, ND, ND, ND, ND, ND, ND, ND, ND, ND, ND, ND,
    ND, ND, ND, ND, ND, ND, ND, ND, ND, ND, ND, ND, ND, ND, ND, ND,
    ND, ND, ND, ND, ND, ND, ND, ND, ND, ND, ND, ND, ND, ND, ND, ND,
#undef ND
};
// clang-format on

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

/* Decodes the whole groups of four digits at the front, which is nearly all there is; returns how many
 * octets of the chunk those are. */
static size_t decode_groups(struct bytes chunk, struct buf *out)
{
    uint8_t block[GROUPS_AT_A_TIME * 3];
    size_t at = 0, used = 0;

    while (chunk.len - at >= 4 && used < sizeof block) {
        uint8_t a = base64_values[chunk.ptr[at]], b = base64_values[chunk.ptr[at + 1]];
        uint8_t c = base64_values[chunk.ptr[at + 2]], d = base64_values[chunk.ptr[at + 3]];
        uint32_t bits = (uint32_t)a << 18 | (uint32_t)b << 12 | (uint32_t)c << 6 | d;

        if (((a | b | c | d) & NO_DIGIT_BIT) != 0)
            break;
        block[used] = (uint8_t)(bits >> 16);
        block[used + 1] = (uint8_t)(bits >> 8);
        block[used + 2] = (uint8_t)bits;
        used += 3;
        at += 4;
    }
    buf_append(out, bytes_of(block, used));
    return at;
}

static void decode_base64(struct mime_transfer_decoder *decoder, struct bytes chunk,
                          struct buf *out)
{
    for (size_t i = 0; i < chunk.len; i++) {
        uint8_t c, value;

        if (decoder->held_len == 0)
            i += decode_groups(bytes_slice(chunk, i, SIZE_MAX), out);
        if (i == chunk.len)
            return;
        c = chunk.ptr[i];
        value = base64_values[c];
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
    bool is_hex = ascii_hex_value(c) != ASCII_NO_HEX;

    if (decoder->held_len == 2 && is_hex && ascii_hex_value(decoder->held[1]) != ASCII_NO_HEX) {
        buf_byte(out, (uint8_t)(ascii_hex_value(decoder->held[1]) << 4 | ascii_hex_value(c)));
        decoder->held_len = 0;
    } else if (decoder->held_len == 1 && is_hex) {
        decoder->held[decoder->held_len++] = c;
    } else if (c == '\n' &&
               (decoder->held_len == 1 || ascii_hex_value(decoder->held[1]) == ASCII_NO_HEX)) {
        decoder->held_len = 0; /* soft line break */
    } else if ((c == ' ' || c == '\t' || c == '\r') &&
               (decoder->held_len == 1 || ascii_hex_value(decoder->held[1]) == ASCII_NO_HEX)) {
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

/* One that is whole, and as most are: two digits, or a line end. False: none is there, or it is left. */
static bool take_plain_escape(struct bytes *chunk, struct buf *out)
{
    uint8_t high, low;

    if (chunk->len < 3 || chunk->ptr[0] != '=')
        return false;
    high = ascii_hex_value(chunk->ptr[1]);
    low = ascii_hex_value(chunk->ptr[2]);
    if (high != ASCII_NO_HEX && low != ASCII_NO_HEX)
        buf_byte(out, (uint8_t)(high << 4 | low));
    else if (chunk->ptr[1] != '\r' || chunk->ptr[2] != '\n')
        return false;
    *chunk = bytes_slice(*chunk, 3, SIZE_MAX);
    return true;
}

static void decode_quoted_printable(struct mime_transfer_decoder *decoder, struct bytes chunk,
                                    struct buf *out)
{
    while (chunk.len > 0) {
        ssize_t at;

        if (decoder->held_len > 0) {
            decode_escape(decoder, chunk.ptr[0], out);
            chunk = bytes_slice(chunk, 1, SIZE_MAX);
            continue;
        }
        at = bytes_find_byte(chunk, '=');
        if (at < 0)
            at = (ssize_t)chunk.len;
        buf_append(out, bytes_slice(chunk, 0, (size_t)at));
        chunk = bytes_slice(chunk, (size_t)at, SIZE_MAX);
        while (take_plain_escape(&chunk, out)) /* where one is, others follow */
            continue;
        if (chunk.len > 0 && chunk.ptr[0] == '=') {
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
