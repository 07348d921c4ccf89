/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store/text.h - a text block: the search text of up to 64 messages, as one zstd frame; and the segment
 * that keeps the blocks of a pack beside it.
 *
 * Byte format: store/README.md 14 to 17. What a record holds is lib/text's (text/record.h); here it is
 * octets. Stored, a block is a frame (store/frame.h): it is checked with store_check_frame before it is
 * opened here. Writers and readers belong to one thread at a time.
 */
#pragma once

#include "store/pack.h"

enum {
    STORE_TEXT_VERSION = 1,
    STORE_TEXT_RECORDS_MAX = 64,
    STORE_TEXT_HEADER_BYTES = 16,
    STORE_TEXT_ENTRY_BYTES = 40,
    /* Of one record: alone it fills a frame. */
    STORE_TEXT_RECORD_MAX =
        LIMIT_FRAME_RAW_BYTES - STORE_TEXT_HEADER_BYTES - STORE_TEXT_ENTRY_BYTES,
    /* A block is closed before a record that would take it further. */
    STORE_TEXT_TARGET_BYTES = 512 << 10,
};

struct store_text_record {
    struct crypto_sha256 sha256; /* of the message: what identifies it beyond the database */
    uint32_t notes;              /* TEXT_NOTE_* */
    struct bytes octets;         /* at most STORE_TEXT_RECORD_MAX; may be empty */
};

/* ---- writing ------------------------------------------------------------------------------------ */

struct store_text_writer;

struct store_text_writer *store_create_text_writer(void); /* never NULL; about 2 MiB when in use */
void store_free_text_writer(struct store_text_writer **writer);

/* Forgets what was added. */
void store_clear_text(struct store_text_writer *writer);

/* Records in the block so far. */
size_t store_count_text(const struct store_text_writer *writer);

/* False: end the block first. Always true for an empty one. */
bool store_has_text_room(const struct store_text_writer *writer, size_t octets);

/* There must be room. Octets are copied. */
void store_add_text(struct store_text_writer *writer, const struct store_text_record *record);

/* Makes the block, which must not be empty, and begins the next. stored: borrowed until the next
 * store_end_text. ERR_SYSTEM. */
MUST_USE bool store_end_text(struct store_text_writer *writer, int32_t parser_version,
                             struct bytes *stored, struct store_frame_facts *facts,
                             struct err *err);

/* ---- reading ------------------------------------------------------------------------------------ */

struct store_text_block {
    int32_t parser_version;
    size_t count;
    struct store_text_record records[STORE_TEXT_RECORDS_MAX];
};

struct store_text_reader;

struct store_text_reader *store_create_text_reader(void); /* never NULL; about 1.2 MiB */
void store_free_text_reader(struct store_text_reader **reader);

/* *out borrows from the reader until the next call. ERR_CORRUPT: not one block from its first octet to
 * its last; *out is untouched. */
MUST_USE bool store_open_text(struct store_text_reader *reader, struct store_checked_frame frame,
                              struct store_text_block *out, struct err *err);

/* ---- segments ----------------------------------------------------------------------------------- */

/*
 * A segment is written with store_create_pack_writer, store_put_pack_frame for each block, and this
 * in the place of store_end_pack. At least one block.
 */
MUST_USE bool store_end_segment(struct store_pack_writer *writer, struct store_pack_facts *out,
                                struct err *err);

/* As store_open_pack; then store_pack_frames, store_find_pack_frame and store_close_pack. */
MUST_USE bool store_open_segment(const struct store_pack_source *source, struct store_pack **out,
                                 struct err *err);

/* One block of it, as store_open_text. */
MUST_USE bool store_read_segment(struct store_pack *segment, const struct store_pack_frame *frame,
                                 struct store_text_reader *reader, struct store_text_block *out,
                                 struct err *err);

/* Reads every octet once and opens every block. ERR_CORRUPT: the first that is not well. */
MUST_USE bool store_check_segment(struct store_pack *segment, struct err *err);
