/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store/text.c - text blocks made and opened; see text.h.
 */
#include "store/text.h"

#include "store/internal.h"

#include <stdlib.h>

/* Within the header of a block. */
enum {
    HEADER_VERSION = 0,
    HEADER_COUNT = 4,
    HEADER_PARSER_VERSION = 8,
    /* 12: 4 zeros */
    /* Within an entry */
    ENTRY_SHA256 = 0,
    ENTRY_OCTETS = 32,
    ENTRY_NOTES = 36,
    /* In the writer's room: records are put where they lie when the block is full of them. Header and
     * entries come in front of them when their number is known. */
    RECORDS_AT = STORE_TEXT_HEADER_BYTES + STORE_TEXT_RECORDS_MAX * STORE_TEXT_ENTRY_BYTES,
    ROOM_BYTES = RECORDS_AT + STORE_TEXT_RECORD_MAX,
};

struct store_text_writer {
    struct store_encoder *encoder;
    size_t count;
    size_t octets;                                            /* of the records */
    struct store_text_record entries[STORE_TEXT_RECORDS_MAX]; /* octets: only their length */
    uint8_t *room; /* ROOM_BYTES: from RECORDS_AT on the records, one behind the other */
};

struct store_text_reader {
    struct store_decoder *decoder;
    uint8_t *raw;
};

static uint8_t *need_room(size_t size)
{
    uint8_t *room = malloc(size);

    assert(room != NULL);
    return room;
}

struct store_text_writer *store_create_text_writer(void)
{
    struct store_text_writer *writer = calloc(1, sizeof *writer);

    assert(writer != NULL);
    writer->encoder = store_create_fast_encoder();
    writer->room = need_room(ROOM_BYTES);
    return writer;
}

void store_free_text_writer(struct store_text_writer **writer)
{
    if (*writer == NULL)
        return;
    store_free_encoder(&(*writer)->encoder);
    free((*writer)->room);
    free(*writer);
    *writer = NULL;
}

void store_clear_text(struct store_text_writer *writer)
{
    writer->count = 0;
    writer->octets = 0;
}

size_t store_count_text(const struct store_text_writer *writer)
{
    return writer->count;
}

bool store_has_text_room(const struct store_text_writer *writer, size_t octets)
{
    return writer->count == 0 ||
           (writer->count < STORE_TEXT_RECORDS_MAX && octets <= STORE_TEXT_TARGET_BYTES &&
            writer->octets + octets <= STORE_TEXT_TARGET_BYTES);
}

void store_add_text(struct store_text_writer *writer, const struct store_text_record *record)
{
    assert(record->octets.len <= STORE_TEXT_RECORD_MAX &&
           store_has_text_room(writer, record->octets.len));
    writer->entries[writer->count++] = *record;
    if (record->octets.len > 0)
        memcpy(writer->room + RECORDS_AT + writer->octets, record->octets.ptr, record->octets.len);
    writer->octets += record->octets.len;
}

static void put_le32(uint8_t *at, uint32_t value)
{
    for (size_t i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

static uint32_t get_le32(const uint8_t *at)
{
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

bool store_end_text(struct store_text_writer *writer, int32_t parser_version, struct bytes *stored,
                    struct store_frame_facts *facts, struct err *err)
{
    size_t start = STORE_TEXT_HEADER_BYTES + writer->count * STORE_TEXT_ENTRY_BYTES;
    size_t size = start + writer->octets;
    uint8_t *raw = writer->room + RECORDS_AT - start;

    assert(writer->count > 0 && size <= LIMIT_FRAME_RAW_BYTES);
    put_le32(raw + HEADER_VERSION, STORE_TEXT_VERSION);
    put_le32(raw + HEADER_COUNT, (uint32_t)writer->count);
    put_le32(raw + HEADER_PARSER_VERSION, (uint32_t)parser_version);
    put_le32(raw + HEADER_PARSER_VERSION + 4, 0);
    for (size_t i = 0; i < writer->count; i++) {
        const struct store_text_record *entry = &writer->entries[i];
        uint8_t *at = raw + STORE_TEXT_HEADER_BYTES + i * STORE_TEXT_ENTRY_BYTES;

        memcpy(at + ENTRY_SHA256, entry->sha256.octets, CRYPTO_SHA256_BYTES);
        put_le32(at + ENTRY_OCTETS, (uint32_t)entry->octets.len);
        put_le32(at + ENTRY_NOTES, entry->notes);
    }
    store_clear_text(writer);
    return store_encode_frame(writer->encoder, bytes_of(raw, size), stored, facts, err) ||
           err_wrap(err, "text block");
}

/* ---- reading ------------------------------------------------------------------------------------ */

struct store_text_reader *store_create_text_reader(void)
{
    struct store_text_reader *reader = calloc(1, sizeof *reader);

    assert(reader != NULL);
    reader->decoder = store_create_decoder();
    reader->raw = need_room(LIMIT_FRAME_RAW_BYTES);
    return reader;
}

void store_free_text_reader(struct store_text_reader **reader)
{
    if (*reader == NULL)
        return;
    store_free_decoder(&(*reader)->decoder);
    free((*reader)->raw);
    free(*reader);
    *reader = NULL;
}

/* The header; *count is in its limits and its entries are there. */
static bool read_header(struct bytes raw, uint32_t *count, int32_t *parser_version, struct err *err)
{
    if (raw.len < STORE_TEXT_HEADER_BYTES)
        return err_fail(err, ERR_CORRUPT, "text block of %zu octets", raw.len);
    if (get_le32(raw.ptr + HEADER_VERSION) != STORE_TEXT_VERSION)
        return err_fail(err, ERR_CORRUPT, "text block of format %u, this program knows %d",
                        get_le32(raw.ptr + HEADER_VERSION), STORE_TEXT_VERSION);
    *count = get_le32(raw.ptr + HEADER_COUNT);
    *parser_version = (int32_t)get_le32(raw.ptr + HEADER_PARSER_VERSION);
    if (*count == 0 || *count > STORE_TEXT_RECORDS_MAX ||
        raw.len < STORE_TEXT_HEADER_BYTES + (size_t)*count * STORE_TEXT_ENTRY_BYTES)
        return err_fail(err, ERR_CORRUPT, "text block of %u records in %zu octets", *count,
                        raw.len);
    return true;
}

static bool parse_block(struct bytes raw, struct store_text_block *out, struct err *err)
{
    uint32_t count = 0;
    int32_t parser_version = 0;
    struct bytes rest;

    if (!read_header(raw, &count, &parser_version, err))
        return false;
    rest = bytes_slice(raw, STORE_TEXT_HEADER_BYTES + count * STORE_TEXT_ENTRY_BYTES, SIZE_MAX);
    for (uint32_t i = 0, total = 0; i < count; i++) {
        const uint8_t *at = raw.ptr + STORE_TEXT_HEADER_BYTES + i * STORE_TEXT_ENTRY_BYTES;
        uint32_t octets = get_le32(at + ENTRY_OCTETS);

        if (octets > rest.len - total)
            return err_fail(err, ERR_CORRUPT, "record %u of a text block goes beyond it", i);
        total += octets;
        if (i + 1 == count && total != rest.len)
            return err_fail(err, ERR_CORRUPT, "text block with %zu octets behind its records",
                            rest.len - total);
    }
    out->parser_version = parser_version;
    out->count = count;
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *at = raw.ptr + STORE_TEXT_HEADER_BYTES + i * STORE_TEXT_ENTRY_BYTES;
        struct store_text_record *record = &out->records[i];

        memcpy(record->sha256.octets, at + ENTRY_SHA256, CRYPTO_SHA256_BYTES);
        record->notes = get_le32(at + ENTRY_NOTES);
        record->octets = bytes_of(rest.ptr, get_le32(at + ENTRY_OCTETS));
        rest = bytes_slice(rest, record->octets.len, SIZE_MAX);
    }
    return true;
}

bool store_open_text(struct store_text_reader *reader, struct store_checked_frame frame,
                     struct store_text_block *out, struct err *err)
{
    return store_decode_frame(reader->decoder, frame, reader->raw, err) &&
           parse_block(bytes_of(reader->raw, frame.raw_bytes), out, err);
}

/* ---- segments ----------------------------------------------------------------------------------- */

bool store_read_segment(struct store_pack *segment, const struct store_pack_frame *frame,
                        struct store_text_reader *reader, struct store_text_block *out,
                        struct err *err)
{
    struct store_checked_frame checked;

    return (store_read_pack_frame(segment, frame, &checked, err) &&
            store_open_text(reader, checked, out, err)) ||
           err_wrap(err, "text block at %ju", (uintmax_t)frame->stored_start);
}

bool store_check_segment(struct store_pack *segment, struct err *err)
{
    CLEANUP(store_free_text_reader) struct store_text_reader *reader = store_create_text_reader();
    size_t count;
    const struct store_pack_frame *frames = store_pack_frames(segment, &count);
    struct store_text_block block;

    for (size_t i = 0; i < count; i++)
        if (!store_read_segment(segment, &frames[i], reader, &block, err))
            return false;
    return true;
}
