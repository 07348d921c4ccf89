/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A folded text is UTF-8 without marks, no larger than promised, and folds to itself; the chunks it
 * came in do not matter; a part of a text folds to a part of it. The first octet says how it is cut.
 */
#include "text/fold.h"
#include "text/record.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_start(struct bytes text, size_t at)
{
    return at >= text.len || (text.ptr[at] & 0xc0) != 0x80;
}

/* As the only piece of a record, which is checked to be text. */
static void check_text(struct bytes folded)
{
    struct buf record = buf_create(folded.len + 2);
    struct err err = { 0 };

    buf_byte(&record, TEXT_KIND_BODY);
    buf_append(&record, folded);
    buf_byte(&record, 0);
    assert(text_check_record(buf_bytes(&record), &err));
    buf_free(&record);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes text = bytes_slice(bytes_of(data, size), 1, 4096);
    size_t chunk = size == 0 ? 1 : data[0] % 32 + 1u;
    struct buf whole = buf_create((size_t)TEXT_FOLD_GROWTH_MAX * (text.len + 1));
    struct buf other = buf_create((size_t)TEXT_FOLD_GROWTH_MAX * (text.len + 1));
    struct text_folder folder = { 0 };

    text_fold(text, &whole);
    assert(!whole.has_failed && whole.len <= TEXT_FOLD_GROWTH_MAX * text.len);
    check_text(buf_bytes(&whole));
    for (size_t at = 0; at < text.len; at += chunk)
        text_fold_chunk(&folder, bytes_slice(text, at, chunk), &other);
    text_finish_fold(&folder, &other);
    assert(bytes_equal(buf_bytes(&whole), buf_bytes(&other)));
    buf_reset(&other, SIZE_MAX);
    text_fold(buf_bytes(&whole), &other);
    assert(bytes_equal(buf_bytes(&whole), buf_bytes(&other)));
    for (size_t from = 0; from < text.len; from += chunk) {
        if (!is_start(text, from) || !is_start(text, from + chunk))
            continue;
        buf_reset(&other, SIZE_MAX);
        text_fold(bytes_slice(text, from, chunk), &other);
        assert(bytes_find(buf_bytes(&whole), buf_bytes(&other)) >= 0);
    }
    buf_reset(&other, SIZE_MAX);
    text_fold_line(text, &other);
    assert(other.len <= whole.len && bytes_find(buf_bytes(&other), BYTES("  ")) < 0);
    assert(bytes_find_byte(buf_bytes(&other), '\n') < 0);
    buf_free(&whole);
    buf_free(&other);
    return 0;
}
