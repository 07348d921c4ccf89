/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store/frame.c - zstd frames: made, checked, opened.
 */
#include "store/frame.h"

#include <stdlib.h>
#include <zstd.h>

/*
 * 3 is zstd's own default: on mail, higher levels cost several times the CPU for a few percent. Its choice
 * for this size of input looks for matches of 4 octets; looking for 5, with the larger table for long
 * ones and the smaller for short ones, gives the same size in less time (store/README.md).
 */
enum {
    FRAME_LEVEL = 3,
    FRAME_MIN_MATCH = 5,
    FRAME_LONG_TABLE_LOG = 17,  /* ZSTD_c_hashLog of its strategy "dfast" */
    FRAME_SHORT_TABLE_LOG = 14, /* ZSTD_c_chainLog */
    FAST_LEVEL = 1,
};

struct store_encoder {
    ZSTD_CCtx *context;
    uint8_t *stored; /* store_free_encoder */
    size_t stored_cap;
};

struct store_decoder {
    ZSTD_DCtx *context;
};

static void set(struct store_encoder *encoder, ZSTD_cParameter parameter, int value)
{
    size_t result = ZSTD_CCtx_setParameter(encoder->context, parameter, value);

    assert(!ZSTD_isError(result));
    (void)result;
}

static struct store_encoder *create_encoder(int level)
{
    struct store_encoder *encoder = calloc(1, sizeof *encoder);

    assert(encoder != NULL);
    encoder->context = ZSTD_createCCtx();
    assert(encoder->context != NULL);
    set(encoder, ZSTD_c_compressionLevel, level);
    set(encoder, ZSTD_c_contentSizeFlag, 1);
    set(encoder, ZSTD_c_checksumFlag, 1);
    return encoder;
}

struct store_encoder *store_create_encoder(void)
{
    struct store_encoder *encoder = create_encoder(FRAME_LEVEL);

    set(encoder, ZSTD_c_strategy, ZSTD_dfast);
    set(encoder, ZSTD_c_minMatch, FRAME_MIN_MATCH);
    set(encoder, ZSTD_c_hashLog, FRAME_LONG_TABLE_LOG);
    set(encoder, ZSTD_c_chainLog, FRAME_SHORT_TABLE_LOG);
    return encoder;
}

struct store_encoder *store_create_fast_encoder(void)
{
    return create_encoder(FAST_LEVEL);
}

void store_free_encoder(struct store_encoder **encoder)
{
    if (*encoder == NULL)
        return;
    ZSTD_freeCCtx((*encoder)->context);
    free((*encoder)->stored);
    free(*encoder);
    *encoder = NULL;
}

static bool make_room(struct store_encoder *encoder, size_t raw_bytes, struct err *err)
{
    size_t need = ZSTD_compressBound(raw_bytes);
    uint8_t *room;

    if (need <= encoder->stored_cap)
        return true;
    room = realloc(encoder->stored, need);
    if (room == NULL)
        return err_errno(err, "memory for a frame");
    encoder->stored = room;
    encoder->stored_cap = need;
    return true;
}

bool store_encode_frame(struct store_encoder *encoder, struct bytes raw, struct bytes *stored,
                        struct store_frame_facts *facts, struct err *err)
{
    size_t size;

    assert(raw.len > 0 && raw.len <= LIMIT_FRAME_RAW_BYTES);
    if (!make_room(encoder, raw.len, err))
        return false;
    size = ZSTD_compress2(encoder->context, encoder->stored, encoder->stored_cap, raw.ptr, raw.len);
    if (ZSTD_isError(size))
        return err_fail(err, ERR_SYSTEM, "zstd: %s", ZSTD_getErrorName(size));

    *stored = bytes_of(encoder->stored, size);
    *facts = (struct store_frame_facts){ .raw_bytes = (uint32_t)raw.len,
                                         .stored_bytes = (uint32_t)size,
                                         .stored_sha256 = crypto_hash(*stored) };
    return true;
}

bool store_check_frame(const struct store_frame_facts *facts, struct bytes stored,
                       struct store_checked_frame *out, struct err *err)
{
    struct crypto_sha256 hash;

    if (stored.len != facts->stored_bytes)
        return err_fail(err, ERR_CORRUPT, "frame of %zu stored bytes where %u are recorded",
                        stored.len, facts->stored_bytes);
    if (facts->raw_bytes == 0 || facts->raw_bytes > LIMIT_FRAME_RAW_BYTES)
        return err_fail(err, ERR_CORRUPT, "frame is recorded with %u raw bytes", facts->raw_bytes);
    hash = crypto_hash(stored);
    if (memcmp(hash.octets, facts->stored_sha256.octets, sizeof hash.octets) != 0)
        return err_fail(err, ERR_CORRUPT, "frame of %u stored bytes does not match its SHA-256",
                        facts->stored_bytes);
    *out = (struct store_checked_frame){ stored, facts->raw_bytes };
    return true;
}

struct store_decoder *store_create_decoder(void)
{
    struct store_decoder *decoder = calloc(1, sizeof *decoder);

    assert(decoder != NULL);
    decoder->context = ZSTD_createDCtx();
    assert(decoder->context != NULL);
    return decoder;
}

void store_free_decoder(struct store_decoder **decoder)
{
    if (*decoder == NULL)
        return;
    ZSTD_freeDCtx((*decoder)->context);
    free(*decoder);
    *decoder = NULL;
}

bool store_decode_frame(struct store_decoder *decoder, struct store_checked_frame frame,
                        uint8_t *out, struct err *err)
{
    struct bytes stored = frame.stored;
    uint32_t magic = 0;
    size_t size;

    /* ZSTD_decompressDCtx would also take skippable frames and several in a row: we never do. */
    if (stored.len >= sizeof magic)
        memcpy(&magic, stored.ptr, sizeof magic);
    if (memcmp(&magic, "\x28\xb5\x2f\xfd", sizeof magic) != 0 ||
        ZSTD_findFrameCompressedSize(stored.ptr, stored.len) != stored.len)
        return err_fail(err, ERR_CORRUPT, "%zu stored bytes are not one zstd frame", stored.len);
    if (ZSTD_getFrameContentSize(stored.ptr, stored.len) != frame.raw_bytes)
        return err_fail(err, ERR_CORRUPT, "zstd frame does not declare the %u bytes recorded",
                        frame.raw_bytes);

    size = ZSTD_decompressDCtx(decoder->context, out, frame.raw_bytes, stored.ptr, stored.len);
    if (ZSTD_isError(size))
        return err_fail(err, ERR_CORRUPT, "zstd: %s", ZSTD_getErrorName(size));
    if (size != frame.raw_bytes)
        return err_fail(err, ERR_CORRUPT, "zstd frame gives %zu bytes, %u are recorded", size,
                        frame.raw_bytes);
    return true;
}
