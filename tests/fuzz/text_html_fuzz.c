/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is rendered does not depend on the chunks, is not longer than the source made valid UTF-8, and
 * has single spaces only between words. The first octet says how the source is cut.
 */
#include "mime/charset.h"
#include "text/html.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool render(struct text_html *html, struct bytes source, size_t chunk, struct buf *out)
{
    for (size_t at = 0; at < source.len; at += chunk)
        (void)text_render_html(html, bytes_slice(source, at, chunk), out);
    return text_finish_html(html, out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mime_charset_decoder *charset = mime_open_charset(BYTES("utf-8"));
    struct text_html *html = text_create_html(1 << 20);
    struct buf utf8 = buf_create(8 * size + 8);
    struct buf whole = buf_create(SIZE_MAX / 2);
    struct buf pieces = buf_create(SIZE_MAX / 2);
    struct bytes source;
    bool is_whole;

    mime_decode_charset(charset, bytes_slice(bytes_of(data, size), 1, SIZE_MAX), &utf8);
    mime_finish_charset(charset, &utf8);
    source = buf_bytes(&utf8);
    is_whole = render(html, source, SIZE_MAX / 2, &whole);
    assert(render(html, source, size == 0 ? 1 : data[0] % 32 + 1u, &pieces) == is_whole);
    assert(bytes_equal(buf_bytes(&whole), buf_bytes(&pieces)));
    assert(!whole.has_failed && whole.len <= 2 * source.len);
    assert(bytes_find(buf_bytes(&whole), BYTES("  ")) < 0);
    assert(whole.len == 0 || (whole.ptr[0] != ' ' && whole.ptr[whole.len - 1] != ' '));
    mime_close_charset(&charset);
    text_free_html(&html);
    buf_free(&utf8);
    buf_free(&whole);
    buf_free(&pieces);
    return 0;
}
