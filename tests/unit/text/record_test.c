/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"
#include "text/extract.h"
#include "text/record.h"

#include <stdlib.h>

#define RECORD "\1subject: a:b\0\3body\0\5name.txt\0"

TEST(pieces_are_read_one_after_the_other)
{
    struct bytes record = bytes_of(RECORD, sizeof RECORD - 1);
    struct text_record_piece piece;
    struct err err = { 0 };

    CHECK(text_check_record(record, &err));
    CHECK(text_next_piece(&record, &piece));
    CHECK(piece.kind == TEXT_KIND_HEADER);
    CHECK_BYTES(piece.name, BYTES("subject"));
    CHECK_BYTES(piece.value, BYTES("a:b"));
    CHECK_BYTES(piece.text, BYTES("subject: a:b"));
    CHECK(text_next_piece(&record, &piece));
    CHECK(piece.kind == TEXT_KIND_BODY);
    CHECK_BYTES(piece.value, BYTES("body"));
    CHECK_EQ_U64(piece.name.len, 0);
    CHECK(text_next_piece(&record, &piece));
    CHECK(piece.kind == TEXT_KIND_NAME);
    CHECK(!text_next_piece(&record, &piece));
    CHECK_EQ_U64(record.len, 0);
}

static void check_corrupt(const char *octets, size_t len)
{
    struct err err = { 0 };

    CHECK(!text_check_record(bytes_of(octets, len), &err));
    CHECK(err.code == ERR_CORRUPT);
}

TEST(what_is_no_record_is_corrupt)
{
    struct bytes rest = bytes_of("\3cut", 4);
    struct text_record_piece piece;

    CHECK(!text_next_piece(&rest, &piece));
    CHECK_EQ_U64(rest.len, 4);
    check_corrupt("\3cut", 4);
    check_corrupt("\7x\0", 3);
    check_corrupt("\0", 1);
    check_corrupt("\3a\2b\0", 5);
    check_corrupt("\3a\xff\0", 4);
    check_corrupt("\3a\xe2\x82\0", 5);
    check_corrupt("\3ok\0x", 5);
}

TEST(an_empty_record_is_well)
{
    struct err err = { 0 };

    CHECK(text_check_record(BYTES(""), &err));
}

static struct text_piece piece_of(struct bytes chunk, bool is_first, bool is_last)
{
    return (struct text_piece){
        .kind = TEXT_KIND_BODY, .chunk = chunk, .is_first = is_first, .is_last = is_last
    };
}

TEST(a_record_at_the_limit_is_whole_and_beyond_it_there_is_none)
{
    struct text_record_writer *writer = text_create_record();
    struct text_sink sink = text_record_sink(writer);
    uint8_t *text = calloc(1, TEXT_RECORD_MAX);
    struct text_piece piece = piece_of(bytes_of(text, TEXT_RECORD_MAX - 2), true, true);
    struct bytes record;

    CHECK(text != NULL);
    memset(text, 'x', TEXT_RECORD_MAX);
    sink.piece(sink.context, &piece);
    CHECK(text_record(writer, &record));
    CHECK_EQ_U64(record.len, TEXT_RECORD_MAX);
    text_reset_record(writer);
    piece = piece_of(bytes_of(text, TEXT_RECORD_MAX - 2), true, false);
    sink.piece(sink.context, &piece);
    piece = piece_of(BYTES("y"), false, true);
    sink.piece(sink.context, &piece);
    CHECK(!text_record(writer, &record));
    text_reset_record(writer);
    CHECK(text_record(writer, &record));
    CHECK_EQ_U64(record.len, 0);
    free(text);
    text_free_record(&writer);
}
