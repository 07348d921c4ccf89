/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What comes out of header values, parameters and transfer encodings is valid UTF-8 where that is
 * promised, no longer than it can be, and does not depend on how the input was cut. The first octet
 * chooses charset and cut.
 */
#include "mime/charset.h"
#include "mime/transfer.h"
#include "mime/word.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct bytes charsets[] = {
    BYTES_INIT(""),          BYTES_INIT("utf-8"),       BYTES_INIT("iso-8859-1"),
    BYTES_INIT("shift_jis"), BYTES_INIT("iso-2022-jp"), BYTES_INIT("gb2312"),
    BYTES_INIT("utf-7"),     BYTES_INIT("utf-16"),      BYTES_INIT("koi8-r"),
    BYTES_INIT("big5"),      BYTES_INIT("euc-kr"),      BYTES_INIT("no-such-charset"),
};

static void check_utf8(struct bytes text)
{
    for (size_t i = 0; i < text.len;) {
        uint8_t c = text.ptr[i];
        size_t len = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;

        assert(c < 0x80 || (c >= 0xc2 && c < 0xf5));
        assert(len <= text.len - i);
        for (size_t j = 1; j < len; j++)
            assert((text.ptr[i + j] & 0xc0) == 0x80);
        i += len;
    }
}

static void check_charset(struct bytes name, struct bytes text, size_t chunk)
{
    CLEANUP(mime_close_charset) struct mime_charset_decoder *decoder = mime_open_charset(name);
    CLEANUP(buf_free) struct buf whole = buf_create(64 << 20);
    CLEANUP(buf_free) struct buf pieces = buf_create(64 << 20);

    mime_convert_charset(name, text, &whole);
    check_utf8(buf_bytes(&whole));
    for (size_t at = 0; at < text.len; at += chunk)
        mime_decode_charset(decoder, bytes_slice(text, at, chunk), &pieces);
    mime_finish_charset(decoder, &pieces);
    assert(bytes_equal(buf_bytes(&whole), buf_bytes(&pieces)));
}

static void check_transfer(enum mime_transfer kind, struct bytes text, size_t chunk)
{
    CLEANUP(buf_free) struct buf whole = buf_create(text.len);
    CLEANUP(buf_free) struct buf pieces = buf_create(text.len);
    struct mime_transfer_decoder decoder = mime_start_transfer(kind);

    mime_decode_transfer(&decoder, text, &whole);
    mime_finish_transfer(&decoder, &whole);
    decoder = mime_start_transfer(kind);
    for (size_t at = 0; at < text.len; at += chunk)
        mime_decode_transfer(&decoder, bytes_slice(text, at, chunk), &pieces);
    mime_finish_transfer(&decoder, &pieces);
    assert(!whole.has_failed && !pieces.has_failed);
    assert(bytes_equal(buf_bytes(&whole), buf_bytes(&pieces)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes text = bytes_slice(bytes_of(data, size), 1, SIZE_MAX);
    uint8_t choice = size == 0 ? 0 : data[0];
    struct buf out = buf_create(64 << 20);
    struct mime_param param = { BYTES("filename*"), text };

    mime_decode_words(text, &out);
    check_utf8(buf_bytes(&out));
    buf_reset(&out, SIZE_MAX);
    mime_decode_param(&param, &out);
    check_utf8(buf_bytes(&out));
    buf_free(&out);
    check_charset(charsets[choice % ARRAY_LEN(charsets)], text, choice / 16 + 1u);
    check_transfer(MIME_TRANSFER_BASE64, text, choice / 16 + 1u);
    check_transfer(MIME_TRANSFER_QUOTED_PRINTABLE, text, choice / 16 + 1u);
    return 0;
}
