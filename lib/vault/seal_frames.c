/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/seal_frames.c - the frames of the spool into a pack, in commit order.
 *
 * Verbatim, save that consecutive runs which are one small frame each (mail that trickles in) become
 * one run of one frame: together at most LIMIT_FRAME_TARGET_BYTES raw, each less than
 * STORE_JOIN_STORED_BYTES stored. That run keeps the number of the first; the others' messages move.
 */
#include "vault/internal.h"
#include "vault/seal_internal.h"

#include <stdlib.h>

/* Columns of vault_seal_frames, in vault_seal.sql. */
enum {
    COL_RUN_ID,
    COL_ORDINAL,
    COL_RAW_START,
    COL_RAW_BYTES,
    COL_STORED_BYTES,
    COL_STORED_SHA256,
    COL_KEY_ID,
    COL_IS_SINGLE,
    COL_OCTETS,
};

/* Runs that may become one. */
struct group {
    size_t count;
    size_t first_run; /* in sealing->runs */
    size_t filled;
    struct store_frame_facts facts; /* of the first, and its stored octets */
    uint8_t stored[STORE_JOIN_STORED_BYTES];
    uint8_t raw[LIMIT_FRAME_TARGET_BYTES];
};

struct packing {
    struct vault_sealing *sealing;
    struct store_encoder *encoder;
    struct store_decoder *decoder;
    struct group *group;
};

static void end_packing(struct packing *packing)
{
    store_free_encoder(&packing->encoder);
    store_free_decoder(&packing->decoder);
    free(packing->group);
}

static bool is_kept(const struct buf *buf, struct err *err)
{
    return !buf->has_failed || err_fail(err, ERR_LIMIT, "too many frames for one pack");
}

/* The frame goes into the pack, and is noted. */
static bool put_frame(struct vault_sealing *sealing, int64_t run_id, int32_t ordinal,
                      int64_t raw_start, const struct store_frame_facts *facts, struct bytes stored,
                      struct err *err)
{
    struct vault_packed_frame frame = {
        .run_id = run_id, .raw_start = raw_start, .ordinal = ordinal, .facts = *facts
    };
    struct store_pack_frame placed;

    if (!store_put_pack_frame(sealing->writer, facts, stored, &placed, err))
        return false;
    frame.pack_offset = (int64_t)placed.stored_start;
    sealing->raw_bytes = placed.raw_start + facts->raw_bytes;
    buf_append(&sealing->frames, bytes_of(&frame, sizeof frame));
    return is_kept(&sealing->frames, err);
}

static bool note_run(struct vault_sealing *sealing, int64_t run_id, uint64_t base, struct err *err)
{
    struct vault_packed_run run = { .run_id = run_id, .base = (int64_t)base };

    buf_append(&sealing->runs, bytes_of(&run, sizeof run));
    return is_kept(&sealing->runs, err);
}

/* The runs that were collected become one; a single one stays as it was. */
static bool flush_group(struct packing *packing, struct err *err)
{
    struct vault_sealing *sealing = packing->sealing;
    struct group *group = packing->group;
    struct vault_packed_run *runs;
    struct store_frame_facts facts = group->facts;
    struct bytes stored = bytes_of(group->stored, group->facts.stored_bytes);

    if (group->count == 0)
        return true;
    runs = (struct vault_packed_run *)(void *)sealing->runs.ptr + group->first_run;
    if (group->count > 1) {
        if (!store_encode_frame(packing->encoder, bytes_of(group->raw, group->filled), &stored,
                                &facts, err))
            return false;
        for (size_t i = 0; i < group->count; i++) {
            runs[i].target = runs[0].run_id;
            runs[i].shift = runs[i].base - runs[0].base;
        }
    }
    group->count = 0;
    return put_frame(sealing, runs[0].run_id, 0, 0, &facts, stored, err);
}

/* A run that is this one small frame. */
static bool collect(struct packing *packing, int64_t run_id, struct store_checked_frame frame,
                    const struct store_frame_facts *facts, struct err *err)
{
    struct vault_sealing *sealing = packing->sealing;
    struct group *group = packing->group;

    if (group->count > 0 && !store_may_join(group->filled, frame.raw_bytes) &&
        !flush_group(packing, err))
        return false;
    if (group->count == 0) {
        group->first_run = vault_count(&sealing->runs, sizeof(struct vault_packed_run));
        group->filled = 0;
        group->facts = *facts;
        memcpy(group->stored, frame.stored.ptr, frame.stored.len);
    }
    if (!store_decode_frame(packing->decoder, frame, group->raw + group->filled, err) ||
        !note_run(sealing, run_id, sealing->raw_bytes + group->filled, err))
        return false;
    group->filled += frame.raw_bytes;
    group->count++;
    return true;
}

static bool read_facts(const struct db_result *row, struct store_frame_facts *out, struct err *err)
{
    struct bytes sha256 = db_bytes(row, 0, COL_STORED_SHA256);

    out->raw_bytes = (uint32_t)db_i32(row, 0, COL_RAW_BYTES);
    out->stored_bytes = (uint32_t)db_i32(row, 0, COL_STORED_BYTES);
    if (sha256.len != sizeof out->stored_sha256.octets)
        return err_fail(err, ERR_CORRUPT, "no SHA-256");
    memcpy(out->stored_sha256.octets, sha256.ptr, sha256.len);
    return true;
}

static bool is_small(const struct store_frame_facts *facts)
{
    return facts->stored_bytes < STORE_JOIN_STORED_BYTES &&
           facts->raw_bytes <= LIMIT_FRAME_TARGET_BYTES;
}

/* db_row_fn */
static bool take_frame(void *context, const struct db_result *row, struct err *err)
{
    struct packing *packing = context;
    int64_t run_id = db_i64(row, 0, COL_RUN_ID);
    int32_t ordinal = db_i32(row, 0, COL_ORDINAL);
    struct store_frame_facts facts;
    struct store_checked_frame frame;

    if (!read_facts(row, &facts, err) ||
        !store_check_frame(&facts, db_bytes(row, 0, COL_OCTETS), &frame, err))
        return err_wrap(err, "run %jd, frame %d in the spool", (intmax_t)run_id, ordinal);
    if (db_i64(row, 0, COL_KEY_ID) != 0)
        return err_fail(err, ERR_SYSTEM, "run %jd is encrypted", (intmax_t)run_id);
    if (db_bool(row, 0, COL_IS_SINGLE) && is_small(&facts))
        return collect(packing, run_id, frame, &facts, err) ||
               err_wrap(err, "run %jd", (intmax_t)run_id);
    if (!flush_group(packing, err))
        return false;
    return (ordinal > 0 || note_run(packing->sealing, run_id, packing->sealing->raw_bytes, err)) &&
           put_frame(packing->sealing, run_id, ordinal, db_i64(row, 0, COL_RAW_START), &facts,
                     frame.stored, err);
}

/* One REPEATABLE READ READ ONLY transaction. */
bool vault_seal_frames(struct vault_sealing *sealing, int64_t last_run_id, struct err *err)
{
    CLEANUP(end_packing)
    struct packing packing = { .sealing = sealing,
                               .encoder = store_create_encoder(),
                               .decoder = store_create_decoder(),
                               .group = calloc(1, sizeof *packing.group) };

    CLEANUP(db_rollback) struct db_tx tx = { 0 };

    if (packing.group == NULL)
        return err_errno(err, "memory for joining runs");
    return db_begin(sealing->db, DB_REPEATABLE_READ_ONLY, &tx, err) &&
           db_run_ok(sealing->db, DB_VAULT_SEAL_PATIENCE, DB_NO_ARGS, err) &&
           db_stream(sealing->db, DB_VAULT_SEAL_FRAMES,
                     DB_ARGS(DB_I64(sealing->order->account_id), DB_I64(last_run_id)), take_frame,
                     &packing, err) &&
           flush_group(&packing, err) && db_commit(&tx, err);
}
