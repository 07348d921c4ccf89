/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is rendered does not depend on the chunks, is not longer than the source, and has single spaces
 * only between words. The first octet says how the source is cut.
 */
#include "text/html.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void render(struct bytes source, size_t chunk, struct buf *out)
{
    struct text_html html = { 0 };

    for (size_t at = 0; at < source.len; at += chunk)
        text_render_html(&html, bytes_slice(source, at, chunk), out);
    text_finish_html(&html, out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes source = bytes_slice(bytes_of(data, size), 1, SIZE_MAX);
    struct buf whole = buf_create(source.len + 1);
    struct buf pieces = buf_create(source.len + 1);

    render(source, SIZE_MAX / 2, &whole);
    render(source, size == 0 ? 1 : data[0] % 32 + 1u, &pieces);
    assert(!whole.has_failed && whole.len <= source.len);
    assert(bytes_equal(buf_bytes(&whole), buf_bytes(&pieces)));
    assert(bytes_find(buf_bytes(&whole), BYTES("  ")) < 0);
    assert(whole.len == 0 || (whole.ptr[0] != ' ' && whole.ptr[whole.len - 1] != ' '));
    buf_free(&whole);
    buf_free(&pieces);
    return 0;
}
