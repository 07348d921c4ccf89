/* SPDX-License-Identifier: Apache-2.0 */
#include "mime/charset.h"

#include <errno.h>
#include <iconv.h>
#include <stdlib.h>

enum {
    NAME_MAX_BYTES = 40,
    HELD_MAX_BYTES = 32, /* a character or escape sequence that a chunk cut in two */
    OUTPUT_BYTES = 4096,
};

enum method {
    BY_GUESS, /* UTF-8 where it is valid, else windows-1252 */
    BY_UTF8,
    BY_WINDOWS_1252,
    BY_ICONV,
};

struct mime_charset_decoder {
    enum method method;
    bool is_known;
    iconv_t iconv;
    uint64_t error_count;
    uint8_t held[HELD_MAX_BYTES];
    size_t held_len;
};

// clang-format off
static const struct {
    struct bytes name;
    enum method method;
    const char *iconv_name;
} charsets[] = {
    { BYTES_INIT(""),                  BY_GUESS,        NULL },
    { BYTES_INIT("us-ascii"),          BY_GUESS,        NULL }, /* 8-bit text that lies about it is common */
    { BYTES_INIT("ascii"),             BY_GUESS,        NULL },
    { BYTES_INIT("ansi_x3.4-1968"),    BY_GUESS,        NULL },
    { BYTES_INIT("utf-8"),             BY_UTF8,         NULL },
    { BYTES_INIT("utf8"),              BY_UTF8,         NULL },
    { BYTES_INIT("iso-8859-1"),        BY_WINDOWS_1252, NULL },
    { BYTES_INIT("iso8859-1"),         BY_WINDOWS_1252, NULL },
    { BYTES_INIT("latin1"),            BY_WINDOWS_1252, NULL },
    { BYTES_INIT("windows-1252"),      BY_WINDOWS_1252, NULL },
    { BYTES_INIT("cp1252"),            BY_WINDOWS_1252, NULL },
    { BYTES_INIT("gb2312"),            BY_ICONV,        "GB18030" },
    { BYTES_INIT("gbk"),               BY_ICONV,        "GB18030" },
    { BYTES_INIT("x-gbk"),             BY_ICONV,        "GB18030" },
    { BYTES_INIT("hz-gb-2312"),        BY_ICONV,        "HZ" },
    { BYTES_INIT("big5"),              BY_ICONV,        "BIG5-HKSCS" },
    { BYTES_INIT("ks_c_5601-1987"),    BY_ICONV,        "CP949" },
    { BYTES_INIT("euc-kr"),            BY_ICONV,        "CP949" },
    { BYTES_INIT("shift_jis"),         BY_ICONV,        "CP932" },
    { BYTES_INIT("x-sjis"),            BY_ICONV,        "CP932" },
    { BYTES_INIT("iso-2022-jp"),       BY_ICONV,        "ISO-2022-JP-3" },
    { BYTES_INIT("tis-620"),           BY_ICONV,        "CP874" },
    { BYTES_INIT("iso-8859-8-i"),      BY_ICONV,        "ISO-8859-8" },
    { BYTES_INIT("iso-8859-9"),        BY_ICONV,        "CP1254" },
    { BYTES_INIT("x-mac-roman"),       BY_ICONV,        "MACINTOSH" },
};
// clang-format on

/* Only names of this form reach iconv_open, which knows options behind "//" and paths. */
static bool is_plain_name(struct bytes name)
{
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.ptr[i];

        if (!ascii_is_alpha(c) && !ascii_is_digit(c) && c != '-' && c != '_' && c != '.' &&
            c != ':' && c != '+')
            return false;
    }
    return name.len > 0 && name.len < NAME_MAX_BYTES;
}

static void choose_method(struct mime_charset_decoder *decoder, struct bytes name)
{
    char text[NAME_MAX_BYTES] = { 0 };
    const char *iconv_name = text;

    for (size_t i = 0; i < ARRAY_LEN(charsets); i++) {
        if (!bytes_equal_nocase(name, charsets[i].name))
            continue;
        decoder->method = charsets[i].method;
        decoder->is_known = name.len > 0;
        if (decoder->method != BY_ICONV)
            return;
        iconv_name = charsets[i].iconv_name;
        break;
    }
    decoder->method = BY_GUESS;
    decoder->is_known = false;
    if (!is_plain_name(name))
        return;
    memcpy(text, name.ptr, name.len);
    decoder->iconv = iconv_open("UTF-8", iconv_name);
    if (decoder->iconv == (iconv_t)-1)
        return;
    decoder->method = BY_ICONV;
    decoder->is_known = true;
}

struct mime_charset_decoder *mime_open_charset(struct bytes name)
{
    struct mime_charset_decoder *decoder = calloc(1, sizeof *decoder);

    assert(decoder != NULL);
    choose_method(decoder, name);
    return decoder;
}

void mime_close_charset(struct mime_charset_decoder **decoder)
{
    if (*decoder == NULL)
        return;
    if ((*decoder)->method == BY_ICONV)
        iconv_close((*decoder)->iconv);
    free(*decoder);
    *decoder = NULL;
}

void mime_reset_charset(struct mime_charset_decoder *decoder)
{
    if (decoder->method == BY_ICONV)
        (void)iconv(decoder->iconv, NULL, NULL, NULL, NULL);
    decoder->error_count = 0;
    decoder->held_len = 0;
}

static void append_code_point(struct buf *out, uint32_t c)
{
    if (c < 0x80) {
        buf_byte(out, (uint8_t)c);
    } else if (c < 0x800) {
        buf_byte(out, (uint8_t)(0xc0 | c >> 6));
        buf_byte(out, (uint8_t)(0x80 | (c & 0x3f)));
    } else {
        buf_byte(out, (uint8_t)(0xe0 | c >> 12));
        buf_byte(out, (uint8_t)(0x80 | (c >> 6 & 0x3f)));
        buf_byte(out, (uint8_t)(0x80 | (c & 0x3f)));
    }
}

/* windows-1252; the five octets that it leaves open are control characters, as browsers have it. */
static void append_1252(struct buf *out, uint8_t c)
{
    static const uint16_t high[32] = {
        0x20ac, 0x81,   0x201a, 0x192,  0x201e, 0x2026, 0x2020, 0x2021, 0x2c6,  0x2030, 0x160,
        0x2039, 0x152,  0x8d,   0x17d,  0x8f,   0x90,   0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
        0x2013, 0x2014, 0x2dc,  0x2122, 0x161,  0x203a, 0x153,  0x9d,   0x17e,  0x178,
    };

    append_code_point(out, c >= 0x80 && c < 0xa0 ? high[c - 0x80] : c);
}

/*
 * Length of the valid character at the front; 0: none begins here. *is_cut: what there is could be
 * the beginning of one.
 */
static size_t utf8_length(struct bytes in, bool *is_cut)
{
    uint8_t c = in.ptr[0];
    size_t len = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
    uint8_t low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
    uint8_t high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;

    *is_cut = false;
    if (len == 2 && in.len > 1) /* as most are */
        return (in.ptr[1] & 0xc0) == 0x80 ? 2 : 0;
    for (size_t i = 1; i < len; i++) {
        if (i == in.len) {
            *is_cut = true;
            return 0;
        }
        if (in.ptr[i] < low || in.ptr[i] > high)
            return 0;
        low = 0x80;
        high = 0xbf;
    }
    return len;
}

/* Most text is ASCII, also where a charset says more: how much of it stands at the front. */
static size_t ascii_length(struct bytes in)
{
    size_t len = 0;
    uint64_t word;

    while (len + sizeof word <= in.len) {
        memcpy(&word, in.ptr + len, sizeof word);
        if ((word & UINT64_C(0x8080808080808080)) != 0)
            break;
        len += sizeof word;
    }
    while (len < in.len && in.ptr[len] < 0x80)
        len++;
    return len;
}

static void take(struct bytes *in, size_t len, struct buf *out)
{
    buf_append(out, bytes_slice(*in, 0, len));
    *in = bytes_slice(*in, len, SIZE_MAX);
}

/* Appends the valid characters at the front of *in. *is_cut: of the next one. */
static void take_utf8(struct bytes *in, struct buf *out, bool *is_cut)
{
    size_t len = 0, more;

    do {
        len += ascii_length(bytes_slice(*in, len, SIZE_MAX));
        more = len < in->len ? utf8_length(bytes_slice(*in, len, SIZE_MAX), is_cut) : 0;
        len += more;
    } while (more > 0);
    take(in, len, out);
}

/* The decoders below take from the front of *in and stop at a character that is cut. */
static void decode_utf8(struct mime_charset_decoder *decoder, struct bytes *in, bool is_end,
                        struct buf *out)
{
    while (in->len > 0) {
        bool is_cut = false;

        take_utf8(in, out, &is_cut);
        if (in->len == 0 || (is_cut && !is_end))
            return;
        decoder->error_count++;
        if (decoder->method == BY_GUESS)
            append_1252(out, in->ptr[0]);
        else
            buf_text(out, "\xef\xbf\xbd");
        *in = bytes_slice(*in, 1, SIZE_MAX);
    }
}

static void decode_iconv(struct mime_charset_decoder *decoder, struct bytes *in, bool is_end,
                         struct buf *out)
{
    char octets[OUTPUT_BYTES];

    while (in->len > 0) {
        char *from = (char *)(uintptr_t)in->ptr; /* iconv does not write there */
        char *to = octets;
        size_t from_left = in->len;
        size_t to_left = sizeof octets;
        size_t result = iconv(decoder->iconv, &from, &from_left, &to, &to_left);
        int error = errno;

        buf_append(out, bytes_of(octets, sizeof octets - to_left));
        *in = bytes_slice(*in, in->len - from_left, SIZE_MAX);
        if (result != (size_t)-1 || error == E2BIG)
            continue;
        if (error == EINVAL && !is_end && in->len < HELD_MAX_BYTES)
            return;
        decoder->error_count++;
        buf_text(out, "\xef\xbf\xbd");
        *in = bytes_slice(*in, 1, SIZE_MAX);
    }
}

static void decode(struct mime_charset_decoder *decoder, struct bytes *in, bool is_end,
                   struct buf *out)
{
    switch (decoder->method) {
    case BY_GUESS:
    case BY_UTF8:
        decode_utf8(decoder, in, is_end, out);
        return;
    case BY_WINDOWS_1252:
        while (in->len > 0) {
            take(in, ascii_length(*in), out);
            if (in->len > 0)
                append_1252(out, in->ptr[0]);
            *in = bytes_slice(*in, 1, SIZE_MAX);
        }
        return;
    case BY_ICONV:
        decode_iconv(decoder, in, is_end, out);
        return;
    }
    UNREACHABLE();
}

void mime_decode_charset(struct mime_charset_decoder *decoder, struct bytes chunk, struct buf *out)
{
    struct bytes rest;

    /* Octet by octet behind a character that was cut, until it is whole. */
    while (decoder->held_len > 0 && chunk.len > 0) {
        decoder->held[decoder->held_len++] = chunk.ptr[0];
        chunk = bytes_slice(chunk, 1, SIZE_MAX);
        rest = bytes_of(decoder->held, decoder->held_len);
        decode(decoder, &rest, decoder->held_len == HELD_MAX_BYTES, out);
        memmove(decoder->held, decoder->held + decoder->held_len - rest.len, rest.len);
        decoder->held_len = rest.len;
    }
    if (chunk.len == 0)
        return;
    decode(decoder, &chunk, false, out);
    assert(chunk.len < HELD_MAX_BYTES);
    if (chunk.len > 0)
        memcpy(decoder->held, chunk.ptr, chunk.len);
    decoder->held_len = chunk.len;
}

void mime_finish_charset(struct mime_charset_decoder *decoder, struct buf *out)
{
    struct bytes rest = bytes_of(decoder->held, decoder->held_len);
    char octets[HELD_MAX_BYTES];
    char *to = octets;
    size_t to_left = sizeof octets;

    decode(decoder, &rest, true, out);
    decoder->held_len = 0;
    if (decoder->method != BY_ICONV)
        return;
    (void)iconv(decoder->iconv, NULL, NULL, &to, &to_left); /* some hold a character back */
    buf_append(out, bytes_of(octets, sizeof octets - to_left));
}

bool mime_charset_is_known(const struct mime_charset_decoder *decoder)
{
    return decoder->is_known;
}

uint64_t mime_charset_errors(const struct mime_charset_decoder *decoder)
{
    return decoder->error_count;
}

void mime_convert_charset(struct bytes name, struct bytes text, struct buf *out)
{
    CLEANUP(mime_close_charset) struct mime_charset_decoder *decoder = mime_open_charset(name);

    mime_decode_charset(decoder, text, out);
    mime_finish_charset(decoder, out);
}
