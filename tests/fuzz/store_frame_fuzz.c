/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/fuzz/store_frame_fuzz.c - stored octets whose recorded hash fits, but whose content is
 * hostile: the decoder stays inside the room it was given, and is right or says ERR_CORRUPT.
 *
 * Input: 4 octets of recorded raw length (little-endian), then the stored octets.
 */
#include "store/frame.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct store_frame_facts facts = { 0 };
    struct store_checked_frame checked;
    struct store_decoder *decoder;
    struct bytes stored;
    struct err err = { 0 };
    uint8_t *out;

    if (size < 4)
        return 0;
    facts.raw_bytes = (uint32_t)data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 |
                      (uint32_t)data[3] << 24;
    stored = bytes_of(data + 4, size - 4);
    facts.stored_bytes = (uint32_t)stored.len;
    facts.stored_sha256 = crypto_hash(stored);
    if (!store_check_frame(&facts, stored, &checked, &err)) {
        assert(err.code == ERR_CORRUPT);
        assert(facts.raw_bytes == 0 || facts.raw_bytes > LIMIT_FRAME_RAW_BYTES);
        return 0;
    }

    out = malloc(checked.raw_bytes); /* exactly: ASan sees one octet more */
    assert(out != NULL);
    decoder = store_create_decoder();
    if (!store_decode_frame(decoder, checked, out, &err))
        assert(err.code == ERR_CORRUPT);
    store_free_decoder(&decoder);
    free(out);

    facts.stored_sha256.octets[0] ^= 1;
    assert(!store_check_frame(&facts, stored, &checked, &err) && err.code == ERR_CORRUPT);
    return 0;
}
