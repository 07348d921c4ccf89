/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store/pack.h - a pack: the frames of whole runs, a catalogue, and an index, as one .tar.zst.
 *
 * Byte format: store/README.md 8 to 13. A pack is written once, in one go, through a sink, and read
 * through a source, so that this module knows no files. Memory: 64 octets a frame, whatever the size
 * of the pack. One thread at a time.
 */
#pragma once

#include "store/run.h"

enum {
    STORE_PACK_VERSION = 1,
    STORE_PACK_FRAMES_MAX = 1 << 17, /* its index is 7 MiB */
    /* A stored frame is hardly longer than its raw octets, however random they are. */
    STORE_STORED_BYTES_MAX = LIMIT_FRAME_RAW_BYTES + (64 << 10),
};

#define STORE_CATALOGUE_NAME ".holdfast/catalogue.jsonl"

/* A frame of a pack, as its index has it. */
struct store_pack_frame {
    uint64_t raw_start;    /* position of its first octet in the tar stream */
    uint64_t stored_start; /* in the file */
    struct store_frame_facts facts;
};

/* ---- writing ------------------------------------------------------------------------------------ */

typedef bool store_octets_sink(void *context, struct bytes octets, struct err *err);

struct store_pack_writer;

struct store_pack_writer *store_create_pack_writer(store_octets_sink *sink, void *context);
void store_free_pack_writer(struct store_pack_writer **writer);

/*
 * Appends a frame verbatim. out: NULL, or where it now lies. The caller sees to it that the raw stream
 * is one of whole members. ERR_LIMIT: over STORE_PACK_FRAMES_MAX; or the sink's error.
 */
MUST_USE bool store_put_pack_frame(struct store_pack_writer *writer,
                                   const struct store_frame_facts *facts, struct bytes stored,
                                   struct store_pack_frame *out, struct err *err);

/* What is known of a pack apart from its octets. */
struct store_pack_facts {
    struct crypto_sha256 sha256; /* of the file: its name */
    uint64_t stored_bytes;       /* of the file */
    uint64_t raw_bytes;          /* of the tar stream */
    size_t frame_count;
};

/* The end of the tar stream and the index go out. */
MUST_USE bool store_end_pack(struct store_pack_writer *writer, struct store_pack_facts *out,
                             struct err *err);

/*
 * The catalogue: lines are collected into frames; its member header, which stands before them in the
 * pack, can be made only when the size is known. Whoever writes a pack keeps the frames until then.
 */
struct store_catalogue;

struct store_catalogue *store_create_catalogue(store_frame_sink *sink, void *context);
void store_free_catalogue(struct store_catalogue **catalogue);

/* A line without its line feed, which is added. ERR_LIMIT: over 8 GiB in all. */
MUST_USE bool store_put_line(struct store_catalogue *catalogue, struct bytes line, struct err *err);

/* The last frame goes out; *header is the frame that belongs before all others, stored octets
 * borrowed until the catalogue is freed. */
MUST_USE bool store_end_catalogue(struct store_catalogue *catalogue, struct store_frame *header,
                                  struct err *err);

/* ---- joining ------------------------------------------------------------------------------------- */

enum {
    /* a run that is one frame smaller than this may be joined */
    STORE_JOIN_STORED_BYTES = 64 << 10,
};

/* True: two runs of one frame each, of so many raw octets, may become one. */
static inline bool store_may_join(uint64_t raw_bytes, uint64_t more_bytes)
{
    return raw_bytes + more_bytes <= LIMIT_FRAME_TARGET_BYTES;
}

/* ---- reading ------------------------------------------------------------------------------------- */

struct store_pack_source {
    /* Exactly len octets from offset; less is ERR_CORRUPT. */
    bool (*read_at)(void *context, uint64_t offset, uint8_t *out, size_t len, struct err *err);
    void *context;
    uint64_t size_bytes;
};

struct store_pack;

/* Reads and checks the index, and nothing else. ERR_CORRUPT: it is not one, or does not cover the
 * file. The source is copied; what it borrows must last. */
MUST_USE bool store_open_pack(const struct store_pack_source *source, struct store_pack **out,
                              struct err *err);
void store_close_pack(struct store_pack **pack);

/* Ascending, without gap, borrowed. The last one is the end of the tar stream. */
const struct store_pack_frame *store_pack_frames(const struct store_pack *pack, size_t *count);

uint64_t store_pack_raw_bytes(const struct store_pack *pack);

/* The frame that begins at this octet of the file; NULL: none does. */
const struct store_pack_frame *store_find_pack_frame(const struct store_pack *pack,
                                                     uint64_t stored_start);

/* A member of the tar stream. */
struct store_member {
    bool is_catalogue;           /* otherwise a message */
    struct crypto_sha256 sha256; /* of a message, by its name */
    uint64_t size_bytes;
    uint64_t raw_offset; /* of its first octet in the tar stream */
};

/* What a walk over a pack tells; any may be NULL. A handler that returns false ends the walk. */
struct store_pack_visitor {
    void *context;
    /* A frame that fails its check; members that it holds a part of are not told. */
    bool (*damaged)(void *context, const struct store_pack_frame *frame, const struct err *why,
                    struct err *err);
    /* Octets of the catalogue as they come. */
    bool (*catalogue)(void *context, struct bytes octets, struct err *err);
    /* Behind each member that could be read whole. is_intact: a message has the hash of its name. */
    bool (*member)(void *context, const struct store_member *member, bool is_intact,
                   struct err *err);
};

/*
 * Reads every octet once: compares each frame with its hash, opens it, and takes the tar stream apart
 * as far as it is whole. sha256: NULL, or of the file. ERR_CORRUPT: anything at all is not as it must
 * be (the first such thing; visitor->damaged hears of every frame).
 */
MUST_USE bool store_walk_pack(struct store_pack *pack, const struct crypto_sha256 *sha256,
                              const struct store_pack_visitor *visitor, struct err *err);

/*
 * The catalogue alone, found from the end; at most max_bytes of its data go to the sink. run_frames: the
 * number of frames before it, those of runs. ERR_CORRUPT: there is none, or it is damaged; or the error
 * of the sink. What the sink got until then is right.
 */
MUST_USE bool store_read_catalogue(struct store_pack *pack, uint64_t max_bytes,
                                   store_octets_sink *sink, void *context, size_t *run_frames,
                                   struct err *err);
