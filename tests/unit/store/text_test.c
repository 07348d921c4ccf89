/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "store/text.h"
#include "test.h"

#include <stdlib.h>

static struct store_text_record record_of(const char *message, struct bytes octets)
{
    return (struct store_text_record){ crypto_hash(bytes_of_text(message)), 5, octets };
}

static bool open_block(struct store_text_reader *reader, const struct store_frame_facts *facts,
                       struct bytes stored, struct store_text_block *out, struct err *err)
{
    struct store_checked_frame checked;

    return store_check_frame(facts, stored, &checked, err) &&
           store_open_text(reader, checked, out, err);
}

/* A block whose raw octets are these. */
static bool open_raw(struct bytes raw, struct store_text_block *out, struct err *err)
{
    CLEANUP(store_free_encoder) struct store_encoder *encoder = store_create_encoder();
    CLEANUP(store_free_text_reader) struct store_text_reader *reader = store_create_text_reader();
    struct store_frame_facts facts;
    struct bytes stored;

    CHECK(store_encode_frame(encoder, raw, &stored, &facts, err));
    return open_block(reader, &facts, stored, out, err);
}

TEST(a_text_block_gives_back_its_records_in_their_order)
{
    CLEANUP(store_free_text_writer) struct store_text_writer *writer = store_create_text_writer();
    CLEANUP(store_free_text_reader) struct store_text_reader *reader = store_create_text_reader();
    struct store_text_record records[] = { record_of("one", BYTES("first text")),
                                           record_of("two", BYTES("")),
                                           record_of("three", BYTES("\1third\0")) };
    struct store_text_block block;
    struct store_frame_facts facts;
    struct bytes stored;
    struct err err = { 0 };

    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < ARRAY_LEN(records); i++)
            store_add_text(writer, &records[i]);
        CHECK_EQ_U64(store_count_text(writer), ARRAY_LEN(records));
        CHECK(store_end_text(writer, 7, &stored, &facts, &err));
        CHECK_EQ_U64(store_count_text(writer), 0);
        CHECK(open_block(reader, &facts, stored, &block, &err));
        CHECK_EQ_I64(block.parser_version, 7);
        CHECK_EQ_U64(block.count, ARRAY_LEN(records));
        for (size_t i = 0; i < block.count; i++) {
            CHECK_BYTES(block.records[i].octets, records[i].octets);
            CHECK_BYTES(crypto_sha256_bytes(&block.records[i].sha256),
                        crypto_sha256_bytes(&records[i].sha256));
            CHECK_EQ_U64(block.records[i].notes, 5);
        }
    }
}

TEST(a_text_block_is_full_at_64_records_or_at_its_target_and_one_large_record_fills_it)
{
    CLEANUP(store_free_text_writer) struct store_text_writer *writer = store_create_text_writer();
    CLEANUP(store_free_text_reader) struct store_text_reader *reader = store_create_text_reader();
    uint8_t *octets = calloc(STORE_TEXT_RECORD_MAX, 1);
    struct store_text_block block;
    struct store_frame_facts facts;
    struct bytes stored;
    struct err err = { 0 };
    struct store_text_record small = record_of("s", BYTES("x"));
    struct store_text_record large = record_of("l", bytes_of(octets, STORE_TEXT_RECORD_MAX));

    CHECK(octets != NULL);
    for (size_t i = 0; i < STORE_TEXT_RECORDS_MAX; i++) {
        CHECK(store_has_text_room(writer, 1));
        store_add_text(writer, &small);
    }
    CHECK(!store_has_text_room(writer, 0));
    CHECK(store_end_text(writer, 1, &stored, &facts, &err));

    store_add_text(writer, &small);
    CHECK(store_has_text_room(writer, STORE_TEXT_TARGET_BYTES - 1));
    CHECK(!store_has_text_room(writer, STORE_TEXT_TARGET_BYTES));
    store_clear_text(writer);

    CHECK(store_has_text_room(writer, STORE_TEXT_RECORD_MAX));
    store_add_text(writer, &large);
    CHECK(!store_has_text_room(writer, 0) || STORE_TEXT_RECORD_MAX < STORE_TEXT_TARGET_BYTES);
    CHECK(store_end_text(writer, 1, &stored, &facts, &err));
    CHECK_EQ_U64(facts.raw_bytes, LIMIT_FRAME_RAW_BYTES);
    CHECK(open_block(reader, &facts, stored, &block, &err));
    CHECK_EQ_U64(block.records[0].octets.len, STORE_TEXT_RECORD_MAX);
    free(octets);
}

TEST(the_octets_of_a_text_block_are_those_of_the_page)
{
    CLEANUP(store_free_text_writer) struct store_text_writer *writer = store_create_text_writer();
    CLEANUP(store_free_decoder) struct store_decoder *decoder = store_create_decoder();
    struct store_text_record record = record_of("m", BYTES("ab"));
    struct store_checked_frame checked;
    struct store_frame_facts facts;
    struct bytes stored;
    uint8_t raw[16 + 40 + 2];
    struct err err = { 0 };

    store_add_text(writer, &record);
    CHECK(store_end_text(writer, 0x01020304, &stored, &facts, &err));
    CHECK_EQ_U64(facts.raw_bytes, sizeof raw);
    CHECK(store_check_frame(&facts, stored, &checked, &err));
    CHECK(store_decode_frame(decoder, checked, raw, &err));
    CHECK_BYTES(bytes_of(raw, 16), BYTES("\1\0\0\0\1\0\0\0\4\3\2\1\0\0\0\0"));
    CHECK_BYTES(bytes_of(raw + 16, 32), crypto_sha256_bytes(&record.sha256));
    CHECK_BYTES(bytes_of(raw + 48, 10), BYTES("\2\0\0\0\5\0\0\0ab"));
}

TEST(a_text_block_that_is_not_whole_is_refused_and_the_output_left_alone)
{
    struct store_text_block block = { .count = 99 };
    uint8_t raw[16 + 2 * 40 + 4] = { 1, 0, 0, 0, 2 };
    struct bytes all = bytes_of(raw, sizeof raw);
    struct err err = { 0 };

    raw[16 + 32] = 1;
    raw[16 + 40 + 32] = 3;
    CHECK(open_raw(all, &block, &err)); /* 1 + 3 octets of records: well */
    block.count = 99;
    for (size_t len = 1; len < sizeof raw; len++) {
        CHECK(!open_raw(bytes_of(raw, len), &block, &err));
        CHECK_EQ_U64(err.code, ERR_CORRUPT);
    }
    for (size_t i = 0; i < 5; i++) {
        static const size_t at[] = { 0, 4, 4, 16 + 32, 16 + 40 + 32 + 3 };
        static const uint8_t value[] = { 2, 0, 65, 200, 255 };
        uint8_t was = raw[at[i]];

        raw[at[i]] = value[i];
        CHECK(!open_raw(all, &block, &err));
        CHECK_EQ_U64(err.code, ERR_CORRUPT);
        raw[at[i]] = was;
    }
    CHECK_EQ_U64(block.count, 99);
}

/* ---- segments ----------------------------------------------------------------------------------- */

static bool keep(void *context, struct bytes octets, struct err *err)
{
    (void)err;
    buf_append(context, octets);
    return true;
}

static bool read_at(void *context, uint64_t offset, uint8_t *out, size_t len, struct err *err)
{
    const struct buf *file = context;

    if (offset > file->len || len > file->len - offset)
        return err_fail(err, ERR_CORRUPT, "the file ends");
    memcpy(out, file->ptr + offset, len);
    return true;
}

static void make_segment(struct buf *file)
{
    CLEANUP(store_free_text_writer) struct store_text_writer *writer = store_create_text_writer();
    CLEANUP(store_free_pack_writer)
    struct store_pack_writer *segment = store_create_pack_writer(keep, file);
    struct store_pack_facts facts;
    struct store_frame_facts frame;
    struct bytes stored;
    struct err err = { 0 };

    for (uint8_t i = 0; i < 3; i++) {
        struct store_text_record record = record_of("m", bytes_of(&i, 1));

        store_add_text(writer, &record);
        CHECK(store_end_text(writer, 1, &stored, &frame, &err));
        CHECK(store_put_pack_frame(segment, &frame, stored, NULL, &err));
    }
    CHECK(store_end_segment(segment, &facts, &err));
    CHECK_EQ_U64(facts.stored_bytes, file->len);
    CHECK_EQ_U64(facts.frame_count, 3);
}

static bool check_segment(struct buf *file, struct err *err)
{
    CLEANUP(store_close_pack) struct store_pack *segment = NULL;
    struct store_pack_source source = { read_at, file, file->len };
    size_t count;

    if (!store_open_segment(&source, &segment, err))
        return false;
    (void)store_pack_frames(segment, &count);
    CHECK_EQ_U64(count, 3);
    return store_check_segment(segment, err);
}

TEST(a_segment_is_well_from_end_to_end_and_is_no_pack)
{
    CLEANUP(buf_free) struct buf file = buf_create(1 << 20);
    struct store_pack_source source;
    struct store_pack *pack = NULL;
    struct err err = { 0 };

    make_segment(&file);
    CHECK(check_segment(&file, &err));
    source = (struct store_pack_source){ read_at, &file, file.len };
    CHECK(!store_open_pack(&source, &pack, &err));
    CHECK_EQ_U64(err.code, ERR_CORRUPT);
}

TEST(any_octet_of_a_segment_that_changes_is_found)
{
    CLEANUP(buf_free) struct buf file = buf_create(1 << 20);
    struct err err = { 0 };

    make_segment(&file);
    for (size_t i = 0; i < file.len; i++) {
        file.ptr[i] ^= 1;
        CHECK(!check_segment(&file, &err));
        CHECK_EQ_U64(err.code, ERR_CORRUPT);
        file.ptr[i] ^= 1;
    }
    file.len--;
    CHECK(!check_segment(&file, &err));
}
