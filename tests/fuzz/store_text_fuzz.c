/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/fuzz/store_text_fuzz.c - hostile text blocks and segments: opened within bounds, right or
 * ERR_CORRUPT.
 *
 * Input, by its first octet: 0 the raw octets of a block, behind a hash and a zstd frame that fit;
 * otherwise a whole segment.
 */
#include "store/text.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void open_block(struct bytes raw)
{
    struct store_encoder *encoder = store_create_fast_encoder();
    struct store_text_reader *reader = store_create_text_reader();
    struct store_text_block block = { .count = 99 };
    struct store_checked_frame checked;
    struct store_frame_facts facts;
    struct bytes stored;
    struct err err = { 0 };
    size_t total = 0;

    if (!store_encode_frame(encoder, raw, &stored, &facts, &err) ||
        !store_check_frame(&facts, stored, &checked, &err))
        assert(0);
    if (store_open_text(reader, checked, &block, &err)) {
        assert(block.count > 0 && block.count <= STORE_TEXT_RECORDS_MAX);
        for (size_t i = 0; i < block.count; i++) {
            const struct bytes octets = block.records[i].octets;

            assert(octets.len <= STORE_TEXT_RECORD_MAX);
            for (size_t k = 0; k < octets.len; k++)
                total += octets.ptr[k] == raw.ptr[raw.len - 1];
            total += octets.len;
        }
        assert(total >= raw.len - STORE_TEXT_HEADER_BYTES - block.count * STORE_TEXT_ENTRY_BYTES);
    } else {
        assert(err.code == ERR_CORRUPT && block.count == 99);
    }
    store_free_text_reader(&reader);
    store_free_encoder(&encoder);
}

static bool read_at(void *context, uint64_t offset, uint8_t *out, size_t len, struct err *err)
{
    const struct bytes *file = context;

    assert(len <= (size_t)STORE_PACK_FRAMES_MAX * 64);
    if (offset > file->len || len > file->len - offset)
        return err_fail(err, ERR_CORRUPT, "the file ends");
    memcpy(out, file->ptr + offset, len);
    return true;
}

static void open_segment(struct bytes file)
{
    struct store_pack_source source = { read_at, &file, file.len };
    struct store_pack *segment = NULL;
    struct err err = { 0 };

    if (!store_open_segment(&source, &segment, &err)) {
        assert(err.code == ERR_CORRUPT && segment == NULL);
        return;
    }
    if (!store_check_segment(segment, &err))
        assert(err.code == ERR_CORRUPT);
    store_close_pack(&segment);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > LIMIT_FRAME_RAW_BYTES)
        return 0;
    if (data[0] == 0)
        open_block(bytes_of(data + 1, size - 1));
    else
        open_segment(bytes_of(data + 1, size - 1));
    return 0;
}
