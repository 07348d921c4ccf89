/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store/pack_read.c - the index of a pack, and a walk over every octet of it.
 */
#include "store/internal.h"
#include "store/text.h"

#include <stdlib.h>

struct store_pack {
    struct store_pack_source source;
    struct store_pack_frame *frames;
    size_t count;
    uint64_t raw_bytes;
    uint64_t index_start; /* of the skippable frame */
    struct store_decoder *decoder;
    uint8_t *stored, *raw; /* of one frame, once a walk needs them */
};

void store_close_pack(struct store_pack **pack)
{
    if (*pack == NULL)
        return;
    free((*pack)->frames);
    free((*pack)->stored);
    free((*pack)->raw);
    store_free_decoder(&(*pack)->decoder);
    free(*pack);
    *pack = NULL;
}

const struct store_pack_frame *store_pack_frames(const struct store_pack *pack, size_t *count)
{
    *count = pack->count;
    return pack->frames;
}

uint64_t store_pack_raw_bytes(const struct store_pack *pack)
{
    return pack->raw_bytes;
}

const struct store_pack_frame *store_find_pack_frame(const struct store_pack *pack,
                                                     uint64_t stored_start)
{
    size_t low = 0, high = pack->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (pack->frames[middle].stored_start == stored_start)
            return &pack->frames[middle];
        if (pack->frames[middle].stored_start < stored_start)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static uint64_t read_le(const uint8_t *at, size_t octets)
{
    uint64_t value = 0;

    for (size_t i = 0; i < octets; i++)
        value |= (uint64_t)at[i] << (8 * i);
    return value;
}

static bool read_at(const struct store_pack *pack, uint64_t offset, uint8_t *out, size_t len,
                    struct err *err)
{
    return pack->source.read_at(pack->source.context, offset, out, len, err);
}

/* The trailer alone tells how large the index is; all of it must fit the file exactly. */
static bool read_trailer(struct store_pack *pack, struct bytes magic, size_t *payload_bytes,
                         struct err *err)
{
    uint8_t trailer[INDEX_TRAILER_BYTES];
    uint64_t size = pack->source.size_bytes;
    uint64_t count, version;

    if (size < INDEX_HEADER_BYTES + INDEX_TRAILER_BYTES)
        return err_fail(err, ERR_CORRUPT, "%ju bytes are no pack", (uintmax_t)size);
    if (!read_at(pack, size - sizeof trailer, trailer, sizeof trailer, err))
        return false;
    if (!bytes_equal(bytes_of(trailer + TRAILER_MAGIC, magic.len), magic))
        return err_fail(err, ERR_CORRUPT, "no index at the end: broken off, or something else");
    version = read_le(trailer + TRAILER_VERSION, 4);
    if (version != STORE_PACK_VERSION)
        return err_fail(err, ERR_CORRUPT, "pack of format %ju, this program knows %d",
                        (uintmax_t)version, STORE_PACK_VERSION);
    count = read_le(trailer + TRAILER_FRAME_COUNT, 4);
    pack->index_start = read_le(trailer + TRAILER_INDEX_START, 8);
    pack->raw_bytes = read_le(trailer + TRAILER_RAW_BYTES, 8);
    if (count == 0 || count > STORE_PACK_FRAMES_MAX)
        return err_fail(err, ERR_CORRUPT, "index of %ju frames", (uintmax_t)count);
    pack->count = (size_t)count;
    *payload_bytes = pack->count * INDEX_RECORD_BYTES + INDEX_TRAILER_BYTES;
    if (pack->index_start > size ||
        size - pack->index_start != INDEX_HEADER_BYTES + (uint64_t)*payload_bytes)
        return err_fail(err, ERR_CORRUPT, "index of %ju frames does not fit the file",
                        (uintmax_t)count);
    return true;
}

static bool check_index(const uint8_t *index, size_t payload_bytes, struct err *err)
{
    const uint8_t *payload = index + INDEX_HEADER_BYTES;
    const uint8_t *trailer = payload + payload_bytes - INDEX_TRAILER_BYTES;
    struct crypto_sha256 sha256 =
        crypto_hash(bytes_of(payload, payload_bytes - INDEX_TRAILER_BYTES + TRAILER_SHA256));

    if (read_le(index, 4) != INDEX_SKIPPABLE_MAGIC || read_le(index + 4, 4) != payload_bytes)
        return err_fail(err, ERR_CORRUPT, "the index is not a skippable frame of its length");
    if (memcmp(sha256.octets, trailer + TRAILER_SHA256, sizeof sha256.octets) != 0)
        return err_fail(err, ERR_CORRUPT, "the index does not match its SHA-256");
    return true;
}

static void read_record(const uint8_t *at, struct store_pack_frame *out)
{
    out->raw_start = read_le(at + RECORD_RAW_START, 8);
    out->stored_start = read_le(at + RECORD_STORED_START, 8);
    out->facts.raw_bytes = (uint32_t)read_le(at + RECORD_RAW_BYTES, 4);
    out->facts.stored_bytes = (uint32_t)read_le(at + RECORD_STORED_BYTES, 4);
    memcpy(out->facts.stored_sha256.octets, at + RECORD_SHA256, CRYPTO_SHA256_BYTES);
}

/* Frames follow each other from 0 to the index, in the file and in the raw stream. */
static bool read_records(struct store_pack *pack, const uint8_t *at, struct err *err)
{
    uint64_t raw = 0, stored = 0;

    for (size_t i = 0; i < pack->count; i++) {
        struct store_pack_frame *frame = &pack->frames[i];

        read_record(at + i * INDEX_RECORD_BYTES, frame);
        if (frame->raw_start != raw || frame->stored_start != stored ||
            frame->facts.raw_bytes == 0 || frame->facts.raw_bytes > LIMIT_FRAME_RAW_BYTES ||
            frame->facts.stored_bytes == 0 || frame->facts.stored_bytes > STORE_STORED_BYTES_MAX)
            return err_fail(err, ERR_CORRUPT, "frame %zu of the index does not follow", i);
        raw += frame->facts.raw_bytes; /* no overflow: 2^17 frames of 2^20 */
        stored += frame->facts.stored_bytes;
    }
    if (raw != pack->raw_bytes || stored != pack->index_start)
        return err_fail(err, ERR_CORRUPT, "the frames of the index are not the whole file");
    return true;
}

static bool open_file(const struct store_pack_source *source, struct bytes magic,
                      struct store_pack **out, struct err *err)
{
    CLEANUP(store_close_pack) struct store_pack *pack = calloc(1, sizeof *pack);
    CLEANUP(buf_free)
    struct buf index = buf_create((size_t)STORE_PACK_FRAMES_MAX * INDEX_RECORD_BYTES +
                                  INDEX_TRAILER_BYTES + INDEX_HEADER_BYTES);
    size_t payload_bytes;
    uint8_t *room;

    if (pack == NULL)
        return err_errno(err, "pack");
    pack->source = *source;
    if (!read_trailer(pack, magic, &payload_bytes, err))
        return false;
    room = buf_reserve(&index, INDEX_HEADER_BYTES + payload_bytes);
    pack->frames = calloc(pack->count, sizeof *pack->frames);
    if (room == NULL || pack->frames == NULL)
        return err_errno(err, "index of %zu frames", pack->count);
    if (!read_at(pack, pack->index_start, room, INDEX_HEADER_BYTES + payload_bytes, err) ||
        !check_index(room, payload_bytes, err) ||
        !read_records(pack, room + INDEX_HEADER_BYTES, err))
        return false;
    *out = pack;
    pack = NULL; /* the caller's now */
    return true;
}

bool store_open_pack(const struct store_pack_source *source, struct store_pack **out,
                     struct err *err)
{
    CLEANUP(store_close_pack) struct store_pack *pack = NULL;

    if (!open_file(source, INDEX_MAGIC, &pack, err))
        return false;
    if (pack->frames[pack->count - 1].facts.raw_bytes != END_RAW_BYTES)
        return err_fail(err, ERR_CORRUPT, "the last frame is not the end of the tar stream");
    *out = pack;
    pack = NULL; /* the caller's now */
    return true;
}

bool store_open_segment(const struct store_pack_source *source, struct store_pack **out,
                        struct err *err)
{
    return open_file(source, SEGMENT_MAGIC, out, err);
}

/* ---- every octet --------------------------------------------------------------------------------- */

struct walk {
    struct store_pack *pack;
    const struct store_pack_visitor *visitor;
    struct store_walker *walker;
    struct crypto_hasher *hasher; /* of the file */
    bool is_whole;                /* no frame was damaged so far: the tar stream goes on */
    struct err first;             /* what was found first */
};

static void close_walk(struct walk *walk)
{
    store_free_walker(&walk->walker);
    crypto_free_hasher(&walk->hasher);
}

static void note(struct walk *walk, const struct err *found)
{
    if (walk->first.code == ERR_NONE)
        walk->first = *found;
}

static bool need_room(struct store_pack *pack, struct err *err)
{
    if (pack->decoder != NULL)
        return true;
    pack->stored = malloc(STORE_STORED_BYTES_MAX);
    pack->raw = malloc(LIMIT_FRAME_RAW_BYTES);
    if (pack->stored == NULL || pack->raw == NULL)
        return err_errno(err, "memory for a frame");
    pack->decoder = store_create_decoder();
    return true;
}

bool store_read_pack_frame(struct store_pack *pack, const struct store_pack_frame *frame,
                           struct store_checked_frame *out, struct err *err)
{
    return need_room(pack, err) &&
           read_at(pack, frame->stored_start, pack->stored, frame->facts.stored_bytes, err) &&
           store_check_frame(&frame->facts, bytes_of(pack->stored, frame->facts.stored_bytes), out,
                             err);
}

/* False with ERR_CORRUPT: the frame is damaged. */
static bool open_frame(struct store_pack *pack, const struct store_pack_frame *frame,
                       struct err *err)
{
    struct store_checked_frame checked;

    return store_check_frame(&frame->facts, bytes_of(pack->stored, frame->facts.stored_bytes),
                             &checked, err) &&
           store_decode_frame(pack->decoder, checked, pack->raw, err);
}

static bool walk_frame(struct walk *walk, size_t number, struct err *err)
{
    struct store_pack *pack = walk->pack;
    const struct store_pack_frame *frame = &pack->frames[number];
    struct err found = { 0 };

    if (!read_at(pack, frame->stored_start, pack->stored, frame->facts.stored_bytes, err))
        return false;
    crypto_update_hasher(walk->hasher, bytes_of(pack->stored, frame->facts.stored_bytes));
    if (!open_frame(pack, frame, &found)) {
        (void)err_wrap(&found, "frame %zu at %ju", number, (uintmax_t)frame->stored_start);
        note(walk, &found);
        walk->is_whole = false;
        return walk->visitor->damaged == NULL ||
               walk->visitor->damaged(walk->visitor->context, frame, &found, err);
    }
    if (!walk->is_whole ||
        store_feed_walker(walk->walker, bytes_of(pack->raw, frame->facts.raw_bytes), &found))
        return true;
    walk->is_whole = false;
    if (found.code != ERR_CORRUPT) {
        *err = found;
        return false;
    }
    note(walk, &found);
    return true;
}

/* The index was checked when the pack was opened; here it counts into the hash of the file. */
static bool walk_index(struct walk *walk, struct err *err)
{
    struct store_pack *pack = walk->pack;

    for (uint64_t at = pack->index_start; at < pack->source.size_bytes;) {
        uint64_t left = pack->source.size_bytes - at;
        size_t part = left < STORE_STORED_BYTES_MAX ? (size_t)left : STORE_STORED_BYTES_MAX;

        if (!read_at(pack, at, pack->stored, part, err))
            return false;
        crypto_update_hasher(walk->hasher, bytes_of(pack->stored, part));
        at += part;
    }
    return true;
}

bool store_walk_pack(struct store_pack *pack, const struct crypto_sha256 *sha256,
                     const struct store_pack_visitor *visitor, struct err *err)
{
    CLEANUP(close_walk) struct walk walk = { .pack = pack, .visitor = visitor, .is_whole = true };
    struct crypto_sha256 hash;
    struct err found = { 0 };

    if (!need_room(pack, err))
        return false;
    walk.walker = store_create_walker(visitor);
    walk.hasher = crypto_create_hasher();
    for (size_t i = 0; i < pack->count; i++)
        if (!walk_frame(&walk, i, err))
            return false;
    if (!walk_index(&walk, err))
        return false;
    if (walk.is_whole && !store_end_walker(walk.walker, &found))
        note(&walk, &found);
    hash = crypto_finish_hasher(walk.hasher);
    if (sha256 != NULL && memcmp(hash.octets, sha256->octets, sizeof hash.octets) != 0) {
        (void)err_fail(&found, ERR_CORRUPT, "the file does not match its SHA-256");
        note(&walk, &found);
    }
    if (walk.first.code != ERR_NONE) {
        *err = walk.first;
        return false;
    }
    return true;
}

/* ---- the catalogue alone -------------------------------------------------------------------------- */

/* A frame, checked and decoded into pack->raw. */
static bool load_frame(struct store_pack *pack, size_t number, struct err *err)
{
    const struct store_pack_frame *frame = &pack->frames[number];

    return (read_at(pack, frame->stored_start, pack->stored, frame->facts.stored_bytes, err) &&
            open_frame(pack, frame, err)) ||
           err_wrap(err, "frame %zu at %ju", number, (uintmax_t)frame->stored_start);
}

/* Its header is a frame of its own, and its data end where the last frame begins. */
static bool find_catalogue(struct store_pack *pack, size_t *number, uint64_t *size_bytes,
                           struct err *err)
{
    uint64_t end = pack->raw_bytes - END_RAW_BYTES;

    for (size_t i = pack->count - 1; i-- > 0;) {
        uint64_t begin = pack->frames[i].raw_start + STORE_BLOCK_BYTES;
        struct store_member member;

        if (pack->frames[i].facts.raw_bytes != STORE_BLOCK_BYTES)
            continue;
        if (!load_frame(pack, i, err))
            return false;
        if (!store_read_header(pack->raw, &member) || !member.is_catalogue ||
            begin + member.size_bytes + store_padding_bytes(member.size_bytes) != end)
            continue;
        *number = i;
        *size_bytes = member.size_bytes;
        return true;
    }
    return err_fail(err, ERR_CORRUPT, "it has no catalogue");
}

bool store_read_catalogue(struct store_pack *pack, uint64_t max_bytes, store_octets_sink *sink,
                          void *context, size_t *run_frames, struct err *err)
{
    uint64_t left;
    size_t at;

    if (!need_room(pack, err) || !find_catalogue(pack, &at, &left, err))
        return err_wrap(err, "catalogue");
    *run_frames = at;
    if (left > max_bytes)
        left = max_bytes;
    while (left > 0 && ++at < pack->count) {
        struct bytes octets;

        if (!load_frame(pack, at, err))
            return err_wrap(err, "catalogue");
        octets = bytes_of(pack->raw, pack->frames[at].facts.raw_bytes);
        if (octets.len > left)
            octets.len = (size_t)left;
        left -= octets.len;
        if (!sink(context, octets, err))
            return false;
    }
    return true;
}
