/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store/pack_write.c - frames in, a pack out: frames, end of the tar stream, index.
 */
#include "store/internal.h"
#include "store/text.h"

#include <stdlib.h>

#define CATALOGUE_BYTES_MAX ((UINT64_C(8) << 30) - 1) /* 11 octal digits */

struct store_pack_writer {
    store_octets_sink *sink;
    void *context;
    struct crypto_hasher *hasher; /* of the file */
    struct store_encoder *encoder;
    struct buf index; /* records so far */
    size_t frame_count;
    uint64_t raw_bytes, stored_bytes;
};

struct store_pack_writer *store_create_pack_writer(store_octets_sink *sink, void *context)
{
    struct store_pack_writer *writer = calloc(1, sizeof *writer);

    assert(writer != NULL);
    writer->sink = sink;
    writer->context = context;
    writer->hasher = crypto_create_hasher();
    writer->encoder = store_create_encoder();
    writer->index =
        buf_create((size_t)STORE_PACK_FRAMES_MAX * INDEX_RECORD_BYTES + INDEX_TRAILER_BYTES);
    return writer;
}

void store_free_pack_writer(struct store_pack_writer **writer)
{
    if (*writer == NULL)
        return;
    crypto_free_hasher(&(*writer)->hasher);
    store_free_encoder(&(*writer)->encoder);
    buf_free(&(*writer)->index);
    free(*writer);
    *writer = NULL;
}

static void put_le(struct buf *buf, uint64_t value, size_t octets)
{
    for (size_t i = 0; i < octets; i++)
        buf_byte(buf, (uint8_t)(value >> (8 * i)));
}

static bool send_octets(struct store_pack_writer *writer, struct bytes octets, struct err *err)
{
    if (!writer->sink(writer->context, octets, err))
        return false;
    crypto_update_hasher(writer->hasher, octets);
    writer->stored_bytes += octets.len;
    return true;
}

bool store_put_pack_frame(struct store_pack_writer *writer, const struct store_frame_facts *facts,
                          struct bytes stored, struct store_pack_frame *out, struct err *err)
{
    struct store_pack_frame frame = { .raw_start = writer->raw_bytes,
                                      .stored_start = writer->stored_bytes,
                                      .facts = *facts };
    struct buf *index = &writer->index;

    assert(stored.len == facts->stored_bytes);
    if (writer->frame_count == STORE_PACK_FRAMES_MAX)
        return err_fail(err, ERR_LIMIT, "a pack of more than %d frames", STORE_PACK_FRAMES_MAX);
    if (!send_octets(writer, stored, err))
        return false;
    put_le(index, frame.raw_start, 8);
    put_le(index, frame.stored_start, 8);
    put_le(index, facts->raw_bytes, 4);
    put_le(index, facts->stored_bytes, 4);
    buf_append(index, crypto_sha256_bytes(&facts->stored_sha256));
    writer->raw_bytes += facts->raw_bytes;
    writer->frame_count++;
    if (out != NULL)
        *out = frame;
    return true;
}

static void put_trailer(struct store_pack_writer *writer, struct bytes magic)
{
    struct buf *index = &writer->index;
    struct crypto_sha256 sha256;

    put_le(index, writer->stored_bytes, 8);
    put_le(index, writer->raw_bytes, 8);
    put_le(index, writer->frame_count, 4);
    put_le(index, STORE_PACK_VERSION, 4);
    sha256 = crypto_hash(buf_bytes(index));
    buf_append(index, crypto_sha256_bytes(&sha256));
    buf_append(index, magic);
}

static bool send_index(struct store_pack_writer *writer, struct bytes magic, struct err *err)
{
    CLEANUP(buf_free) struct buf header = buf_create(INDEX_HEADER_BYTES);
    struct bytes payload;

    put_trailer(writer, magic);
    if (!buf_done(&writer->index, &payload, err))
        return err_wrap(err, "index of a pack");
    put_le(&header, INDEX_SKIPPABLE_MAGIC, 4);
    put_le(&header, payload.len, 4);
    return send_octets(writer, buf_bytes(&header), err) && send_octets(writer, payload, err);
}

static bool end_file(struct store_pack_writer *writer, struct bytes magic,
                     struct store_pack_facts *out, struct err *err)
{
    if (!send_index(writer, magic, err))
        return false;
    *out = (struct store_pack_facts){ .sha256 = crypto_finish_hasher(writer->hasher),
                                      .stored_bytes = writer->stored_bytes,
                                      .raw_bytes = writer->raw_bytes,
                                      .frame_count = writer->frame_count };
    return true;
}

bool store_end_pack(struct store_pack_writer *writer, struct store_pack_facts *out, struct err *err)
{
    struct store_frame_facts facts;
    struct bytes stored;

    return store_encode_end(writer->encoder, &stored, &facts, err) &&
           store_put_pack_frame(writer, &facts, stored, NULL, err) &&
           end_file(writer, INDEX_MAGIC, out, err);
}

bool store_end_segment(struct store_pack_writer *writer, struct store_pack_facts *out,
                       struct err *err)
{
    assert(writer->frame_count > 0);
    return end_file(writer, SEGMENT_MAGIC, out, err);
}

/* ---- the catalogue --------------------------------------------------------------------------- */

struct store_catalogue {
    store_frame_sink *sink;
    void *context;
    struct store_encoder *encoder;
    uint64_t size_bytes; /* of the lines */
    uint64_t raw_start;  /* of the frame that is being filled; the header is before */
    uint32_t next_ordinal;
    size_t filled;
    uint8_t raw[LIMIT_FRAME_TARGET_BYTES];
};

struct store_catalogue *store_create_catalogue(store_frame_sink *sink, void *context)
{
    struct store_catalogue *catalogue = calloc(1, sizeof *catalogue);

    assert(catalogue != NULL);
    catalogue->sink = sink;
    catalogue->context = context;
    catalogue->encoder = store_create_encoder();
    catalogue->raw_start = STORE_BLOCK_BYTES;
    catalogue->next_ordinal = 1;
    return catalogue;
}

void store_free_catalogue(struct store_catalogue **catalogue)
{
    if (*catalogue == NULL)
        return;
    store_free_encoder(&(*catalogue)->encoder);
    free(*catalogue);
    *catalogue = NULL;
}

static bool encode_part(struct store_catalogue *catalogue, struct bytes raw,
                        struct store_frame *frame, struct err *err)
{
    if (!store_encode_frame(catalogue->encoder, raw, &frame->stored, &frame->facts, err))
        return err_wrap(err, "frame %u of a catalogue", frame->ordinal);
    return true;
}

static bool close_part(struct store_catalogue *catalogue, struct err *err)
{
    struct store_frame frame = { .ordinal = catalogue->next_ordinal,
                                 .raw_start = catalogue->raw_start };

    if (catalogue->filled == 0)
        return true;
    if (!encode_part(catalogue, bytes_of(catalogue->raw, catalogue->filled), &frame, err) ||
        !catalogue->sink(catalogue->context, &frame, err))
        return false;
    catalogue->next_ordinal++;
    catalogue->raw_start += catalogue->filled;
    catalogue->filled = 0;
    return true;
}

static bool put_part(struct store_catalogue *catalogue, struct bytes octets, struct err *err)
{
    while (octets.len > 0) {
        size_t room = sizeof catalogue->raw - catalogue->filled;
        size_t part = octets.len < room ? octets.len : room;

        memcpy(catalogue->raw + catalogue->filled, octets.ptr, part);
        catalogue->filled += part;
        octets = bytes_slice(octets, part, SIZE_MAX);
        if (catalogue->filled == sizeof catalogue->raw && !close_part(catalogue, err))
            return false;
    }
    return true;
}

bool store_put_line(struct store_catalogue *catalogue, struct bytes line, struct err *err)
{
    if (line.len >= CATALOGUE_BYTES_MAX - catalogue->size_bytes)
        return err_fail(err, ERR_LIMIT, "catalogue over %ju bytes", (uintmax_t)CATALOGUE_BYTES_MAX);
    catalogue->size_bytes += line.len + 1;
    return put_part(catalogue, line, err) && put_part(catalogue, BYTES("\n"), err);
}

bool store_end_catalogue(struct store_catalogue *catalogue, struct store_frame *header,
                         struct err *err)
{
    static const uint8_t zeros[STORE_BLOCK_BYTES];
    uint8_t block[STORE_BLOCK_BYTES];
    struct store_frame frame = { .ordinal = 0 };

    if (!put_part(catalogue, bytes_of(zeros, store_padding_bytes(catalogue->size_bytes)), err) ||
        !close_part(catalogue, err))
        return false;
    store_write_header(BYTES(STORE_CATALOGUE_NAME), catalogue->size_bytes, block);
    if (!encode_part(catalogue, bytes_of(block, sizeof block), &frame, err))
        return false;
    *header = frame;
    return true;
}
