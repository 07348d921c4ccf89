/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store/run.c - members in, frames out.
 */
#include "store/run.h"

#include "store/member.h"

#include <stdlib.h>

struct store_run_writer {
    store_frame_sink *sink;
    void *context;
    struct store_encoder *encoder;
    uint32_t next_ordinal;
    uint64_t raw_start; /* of the frame that is being filled */
    size_t filled;
    struct crypto_hasher *hasher; /* of a large message */
    struct crypto_sha256 large_sha256;
    uint64_t large_bytes;
    uint8_t raw[LIMIT_FRAME_TARGET_BYTES];
};

static const uint8_t zero_block[STORE_BLOCK_BYTES];

struct store_run_writer *store_create_run_writer(store_frame_sink *sink, void *context)
{
    struct store_run_writer *run = calloc(1, sizeof *run);

    assert(run != NULL);
    run->sink = sink;
    run->context = context;
    run->encoder = store_create_encoder();
    run->hasher = crypto_create_hasher();
    return run;
}

void store_free_run_writer(struct store_run_writer **run)
{
    if (*run == NULL)
        return;
    store_free_encoder(&(*run)->encoder);
    crypto_free_hasher(&(*run)->hasher);
    free(*run);
    *run = NULL;
}

static bool send_frame(struct store_run_writer *run, struct bytes raw, uint32_t ordinal,
                       uint64_t raw_start, struct err *err)
{
    struct store_frame frame = { .ordinal = ordinal, .raw_start = raw_start };

    if (!store_encode_frame(run->encoder, raw, &frame.stored, &frame.facts, err))
        return err_wrap(err, "frame %u of a run", ordinal);
    return run->sink(run->context, &frame, err);
}

static bool close_frame(struct store_run_writer *run, struct err *err)
{
    if (run->filled == 0)
        return true;
    if (!send_frame(run, bytes_of(run->raw, run->filled), run->next_ordinal, run->raw_start, err))
        return false;
    run->next_ordinal++;
    run->raw_start += run->filled;
    run->filled = 0;
    return true;
}

/* Fills frames to the brim; a full one goes out. */
static bool put_raw(struct store_run_writer *run, struct bytes octets, struct err *err)
{
    while (octets.len > 0) {
        size_t room = sizeof run->raw - run->filled;
        size_t part = octets.len < room ? octets.len : room;

        memcpy(run->raw + run->filled, octets.ptr, part);
        run->filled += part;
        octets = bytes_slice(octets, part, SIZE_MAX);
        if (run->filled == sizeof run->raw && !close_frame(run, err))
            return false;
    }
    return true;
}

static void restart(struct store_run_writer *run, uint32_t ordinal, uint64_t raw_start)
{
    run->next_ordinal = ordinal;
    run->raw_start = raw_start;
    run->filled = 0;
}

void store_begin_run(struct store_run_writer *run)
{
    restart(run, 0, 0);
}

void store_resume_run(struct store_run_writer *run, uint32_t frames, uint64_t raw_bytes)
{
    restart(run, frames, raw_bytes);
}

bool store_put_member(struct store_run_writer *run, const struct crypto_sha256 *sha256,
                      struct bytes octets, uint64_t *raw_offset, struct err *err)
{
    uint8_t header[STORE_BLOCK_BYTES];
    uint64_t at;

    if (!store_write_member_header(sha256, octets.len, header, err))
        return false;
    if (store_member_bytes(octets.len) > sizeof run->raw - run->filled && !close_frame(run, err))
        return false;
    at = run->raw_start + run->filled + sizeof header;
    if (!put_raw(run, bytes_of(header, sizeof header), err) || !put_raw(run, octets, err) ||
        !put_raw(run, bytes_of(zero_block, store_padding_bytes(octets.len)), err))
        return false;
    *raw_offset = at;
    return true;
}

bool store_end_run(struct store_run_writer *run, struct err *err)
{
    return close_frame(run, err);
}

void store_begin_large(struct store_run_writer *run)
{
    restart(run, 1, STORE_LARGE_RAW_OFFSET);
    (void)crypto_finish_hasher(run->hasher); /* what a message that was broken off left in it */
    run->large_bytes = 0;
}

bool store_write_large(struct store_run_writer *run, struct bytes octets, struct err *err)
{
    if (octets.len > LIMIT_MESSAGE_BYTES - run->large_bytes)
        return err_fail(err, ERR_LIMIT, "message over %ju bytes", (uintmax_t)LIMIT_MESSAGE_BYTES);
    crypto_update_hasher(run->hasher, octets);
    run->large_bytes += octets.len;
    return put_raw(run, octets, err);
}

bool store_finish_large(struct store_run_writer *run, struct crypto_sha256 *sha256,
                        uint64_t *size_bytes, struct err *err)
{
    run->large_sha256 = crypto_finish_hasher(run->hasher);
    if (!put_raw(run, bytes_of(zero_block, store_padding_bytes(run->large_bytes)), err) ||
        !close_frame(run, err))
        return false;
    *sha256 = run->large_sha256;
    *size_bytes = run->large_bytes;
    return true;
}

bool store_put_large_header(struct store_run_writer *run, struct err *err)
{
    uint8_t header[STORE_BLOCK_BYTES];

    return store_write_member_header(&run->large_sha256, run->large_bytes, header, err) &&
           send_frame(run, bytes_of(header, sizeof header), 0, 0, err);
}

bool store_encode_end(struct store_encoder *encoder, struct bytes *stored,
                      struct store_frame_facts *facts, struct err *err)
{
    static const uint8_t end[2 * STORE_BLOCK_BYTES];

    return store_encode_frame(encoder, bytes_of(end, sizeof end), stored, facts, err);
}
