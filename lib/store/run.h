/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store/run.h - cuts the raw stream of a run into frames.
 *
 * A run is what one commit adds: whole members, in frames numbered from 0. There are two kinds
 * (store/README.md 3, 4):
 *
 *   batch   store_begin_run, store_put_member …, store_end_run
 *   large   store_begin_large, store_write_large …, store_finish_large gives the hash; then either
 *           store_put_large_header, or nothing when these octets turn out to be known
 *
 * Frames go to the sink as they are made. After a failure (its own or the sink's) begin anew.
 * Memory: 256 KiB of raw octets and an encoder. One thread at a time.
 */
#pragma once

#include "store/frame.h"

struct store_frame {
    uint32_t ordinal;
    uint64_t raw_start; /* position of its first octet in the run's raw stream */
    struct store_frame_facts facts;
    struct bytes stored; /* borrowed for the call */
};

typedef bool store_frame_sink(void *context, const struct store_frame *frame, struct err *err);

struct store_run_writer;

struct store_run_writer *store_create_run_writer(store_frame_sink *sink, void *context);
void store_free_run_writer(struct store_run_writer **run);

/* ---- a batch ------------------------------------------------------------------------------- */

void store_begin_run(struct store_run_writer *run);

/* Goes on behind frames that another writer made of the same run. */
void store_resume_run(struct store_run_writer *run, uint32_t frames, uint64_t raw_bytes);

/* raw_offset: of the data's first octet in the raw stream. ERR_LIMIT: over LIMIT_MESSAGE_BYTES. */
MUST_USE bool store_put_member(struct store_run_writer *run, const struct crypto_sha256 *sha256,
                               struct bytes octets, uint64_t *raw_offset, struct err *err);

/* The last frame goes out. A run without members has no frame. */
MUST_USE bool store_end_run(struct store_run_writer *run, struct err *err);

/* ---- one large message --------------------------------------------------------------------- */

enum {
    STORE_LARGE_RAW_OFFSET = 512
}; /* of its data: behind the header, which frame 0 holds */

void store_begin_large(struct store_run_writer *run);

/* ERR_LIMIT: over LIMIT_MESSAGE_BYTES in all. */
MUST_USE bool store_write_large(struct store_run_writer *run, struct bytes octets, struct err *err);

/* Padding and the last data frame go out. */
MUST_USE bool store_finish_large(struct store_run_writer *run, struct crypto_sha256 *sha256,
                                 uint64_t *size_bytes, struct err *err);

/* Frame 0, with only the header. */
MUST_USE bool store_put_large_header(struct store_run_writer *run, struct err *err);

/* ---- the end of a tar stream ---------------------------------------------------------------- */

/* The two zero blocks that end a tar, as a frame of their own. */
MUST_USE bool store_encode_end(struct store_encoder *encoder, struct bytes *stored,
                               struct store_frame_facts *facts, struct err *err);
