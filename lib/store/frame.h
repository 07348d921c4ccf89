/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store/frame.h - one zstd frame: the unit in which octets are stored, checked and read.
 *
 * Byte layout: store/README.md. A struct store_encoder or store_decoder keeps its zstd context and
 * belongs to one thread at a time; everything else is a plain value.
 */
#pragma once

#include "base/bytes.h"
#include "base/err.h"
#include "base/limits.h"
#include "crypto/hash.h"

/* What is known about a frame apart from its octets (the columns of `frame`). */
struct store_frame_facts {
    uint32_t raw_bytes; /* 1 … LIMIT_FRAME_RAW_BYTES */
    uint32_t stored_bytes;
    struct crypto_sha256 stored_sha256;
};

/* ---- encoding ------------------------------------------------------------------------------ */

struct store_encoder;

struct store_encoder *store_create_encoder(void); /* never NULL; about 2 MiB when in use */

/* For what is derived: half the CPU, some percent larger. */
struct store_encoder *store_create_fast_encoder(void);
void store_free_encoder(struct store_encoder **encoder);

/* raw: 1 … LIMIT_FRAME_RAW_BYTES octets. stored: borrowed until the next call. ERR_SYSTEM. */
MUST_USE bool store_encode_frame(struct store_encoder *encoder, struct bytes raw,
                                 struct bytes *stored, struct store_frame_facts *facts,
                                 struct err *err);

/* ---- decoding ------------------------------------------------------------------------------ */

/* Stored octets whose length and hash were found to be those of the facts. Borrowed. */
struct store_checked_frame {
    struct bytes stored;
    uint32_t raw_bytes;
};

/* ERR_CORRUPT: length or SHA-256 differ. Nothing is decompressed before this. */
MUST_USE bool store_check_frame(const struct store_frame_facts *facts, struct bytes stored,
                                struct store_checked_frame *out, struct err *err);

struct store_decoder;

struct store_decoder *store_create_decoder(void); /* never NULL */
void store_free_decoder(struct store_decoder **decoder);

/*
 * out: room for frame.raw_bytes octets, all of which are set on success. ERR_CORRUPT: not exactly
 * one zstd frame that declares and gives that many octets, or its checksum fails; out then holds
 * nothing that may be used.
 */
MUST_USE bool store_decode_frame(struct store_decoder *decoder, struct store_checked_frame frame,
                                 uint8_t *out, struct err *err);
