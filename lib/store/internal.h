/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store/internal.h - what the files of store share.
 */
#pragma once

#include "store/member.h"
#include "store/pack.h"

/* A header of any name of at most 99 octets: the constant fields of store/README.md 2. The size must fit
 * 11 octal digits. */
void store_write_header(struct bytes name, uint64_t size_bytes, uint8_t out[STORE_BLOCK_BYTES]);

/* ---- the index (pack_write.c, pack_read.c) --------------------------------------------------- */

enum {
    INDEX_HEADER_BYTES = 8, /* skippable magic, payload length */
    INDEX_RECORD_BYTES = 56,
    INDEX_TRAILER_BYTES = 64,
    /* Within a record */
    RECORD_RAW_START = 0,
    RECORD_STORED_START = 8,
    RECORD_RAW_BYTES = 16,
    RECORD_STORED_BYTES = 20,
    RECORD_SHA256 = 24,
    /* Within the trailer */
    TRAILER_INDEX_START = 0,
    TRAILER_RAW_BYTES = 8,
    TRAILER_FRAME_COUNT = 16,
    TRAILER_VERSION = 20,
    TRAILER_SHA256 = 24, /* of the payload in front of this field */
    TRAILER_MAGIC = 56,
    END_RAW_BYTES = 1024, /* two zero blocks */
};

#define INDEX_SKIPPABLE_MAGIC UINT32_C(0x184D2A5E)
#define INDEX_MAGIC BYTES("HOLDFAST")
#define SEGMENT_MAGIC BYTES("HOLDTEXT") /* of a text segment: otherwise the same index */

/* pack_read.c: reads a frame and compares its hash; borrowed until the next call. */
MUST_USE bool store_read_pack_frame(struct store_pack *pack, const struct store_pack_frame *frame,
                                    struct store_checked_frame *out, struct err *err);

/* ---- walk.c: a tar stream taken apart ------------------------------------------------------- */

/* What the header of a member says, if it is one of ours. */
MUST_USE bool store_read_header(const uint8_t block[STORE_BLOCK_BYTES], struct store_member *out);

struct store_walker;

/* visitor: borrowed; its `damaged` is not used. */
struct store_walker *store_create_walker(const struct store_pack_visitor *visitor);
void store_free_walker(struct store_walker **walker);

/* Any cut. ERR_CORRUPT: not what our writer makes; or the error of the visitor. */
MUST_USE bool store_feed_walker(struct store_walker *walker, struct bytes raw, struct err *err);

/* ERR_CORRUPT: the stream is not at its end, or a message did not have the hash of its name. */
MUST_USE bool store_end_walker(struct store_walker *walker, struct err *err);
