/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/seal_commit.c - the transaction that adds a pack and points the frames to it (seal_commit in
 * schema/0003_packs.sql, seal_text in 0004_text.sql; READ COMMITTED, not retried: what failed is sealed anew).
 */
#include "vault/internal.h"
#include "vault/seal_internal.h"

/* Arrays as seal_commit takes them. */
struct arrays {
    size_t frames;
    int64_t *run_ids, *raw_starts, *offsets;
    int32_t *ordinals, *raw_sizes, *stored_sizes;
    struct bytes *hashes;
    size_t moved;
    int64_t *moved_runs, *target_runs, *shifts;
    size_t cuts;
    int64_t *mailbox_ids, *uids, *modseqs, *source_uids;
    int32_t *epochs;
};

static void spread_frames(const struct vault_sealing *sealing, struct arena *arena,
                          struct arrays *out)
{
    const struct vault_packed_frame *frames =
        (const struct vault_packed_frame *)(const void *)sealing->frames.ptr;

    out->frames = vault_count(&sealing->frames, sizeof *frames);
    out->run_ids = arena_new_array(arena, int64_t, out->frames);
    out->raw_starts = arena_new_array(arena, int64_t, out->frames);
    out->offsets = arena_new_array(arena, int64_t, out->frames);
    out->ordinals = arena_new_array(arena, int32_t, out->frames);
    out->raw_sizes = arena_new_array(arena, int32_t, out->frames);
    out->stored_sizes = arena_new_array(arena, int32_t, out->frames);
    out->hashes = arena_new_array(arena, struct bytes, out->frames);
    for (size_t i = 0; i < out->frames; i++) {
        out->run_ids[i] = frames[i].run_id;
        out->raw_starts[i] = frames[i].raw_start;
        out->offsets[i] = frames[i].pack_offset;
        out->ordinals[i] = frames[i].ordinal;
        out->raw_sizes[i] = (int32_t)frames[i].facts.raw_bytes;
        out->stored_sizes[i] = (int32_t)frames[i].facts.stored_bytes;
        out->hashes[i] = crypto_sha256_bytes(&frames[i].facts.stored_sha256);
    }
}

static void spread_moved(const struct vault_sealing *sealing, struct arena *arena,
                         struct arrays *out)
{
    const struct vault_packed_run *runs =
        (const struct vault_packed_run *)(const void *)sealing->runs.ptr;
    size_t count = vault_count(&sealing->runs, sizeof *runs);

    out->moved_runs = arena_new_array(arena, int64_t, count);
    out->target_runs = arena_new_array(arena, int64_t, count);
    out->shifts = arena_new_array(arena, int64_t, count);
    for (size_t i = 0; i < count; i++) {
        if (runs[i].target == 0)
            continue;
        out->moved_runs[out->moved] = runs[i].run_id;
        out->target_runs[out->moved] = runs[i].target;
        out->shifts[out->moved++] = runs[i].shift;
    }
}

static void spread_cuts(const struct vault_sealing *sealing, struct arena *arena,
                        struct arrays *out)
{
    const struct vault_cut *cuts = (const struct vault_cut *)(const void *)sealing->cuts.ptr;

    out->cuts = vault_count(&sealing->cuts, sizeof *cuts);
    out->mailbox_ids = arena_new_array(arena, int64_t, out->cuts);
    out->uids = arena_new_array(arena, int64_t, out->cuts);
    out->modseqs = arena_new_array(arena, int64_t, out->cuts);
    out->source_uids = arena_new_array(arena, int64_t, out->cuts);
    out->epochs = arena_new_array(arena, int32_t, out->cuts);
    for (size_t i = 0; i < out->cuts; i++) {
        out->mailbox_ids[i] = cuts[i].mailbox_id;
        out->uids[i] = cuts[i].uid_to;
        out->modseqs[i] = cuts[i].modseq_to;
        out->source_uids[i] = cuts[i].source_uid_to;
        out->epochs[i] = cuts[i].epoch_to;
    }
}

static bool run_commit(struct vault_sealing *sealing, const struct arrays *a,
                       struct db_result **row, struct err *err)
{
    const struct store_pack_facts *facts = &sealing->facts;

    return db_run_one(sealing->db, DB_VAULT_SEAL_COMMIT,
                      DB_ARGS(DB_I64(sealing->order->account_id),
                              DB_BYTEA(crypto_sha256_bytes(&facts->sha256)),
                              vault_previous_value(sealing), DB_I64(facts->stored_bytes),
                              DB_I64(facts->raw_bytes), DB_I64S(a->run_ids, a->frames),
                              DB_I32S(a->ordinals, a->frames), DB_I64S(a->raw_starts, a->frames),
                              DB_I32S(a->raw_sizes, a->frames), DB_I32S(a->stored_sizes, a->frames),
                              DB_BYTEAS(a->hashes, a->frames), DB_I64S(a->offsets, a->frames),
                              DB_I64S(a->moved_runs, a->moved), DB_I64S(a->target_runs, a->moved),
                              DB_I64S(a->shifts, a->moved), DB_I64S(a->mailbox_ids, a->cuts),
                              DB_I64S(a->uids, a->cuts), DB_I64S(a->modseqs, a->cuts),
                              DB_I32S(a->epochs, a->cuts), DB_I64S(a->source_uids, a->cuts)),
                      row, err);
}

bool vault_seal_commit(struct vault_sealing *sealing, struct arena *arena, int64_t *pack_id,
                       struct err *err)
{
    CLEANUP(db_result_free) struct db_result *row = NULL;
    CLEANUP(db_rollback) struct db_tx tx = { 0 };
    struct arrays arrays = { 0 };

    spread_frames(sealing, arena, &arrays);
    spread_moved(sealing, arena, &arrays);
    spread_cuts(sealing, arena, &arrays);
    if (!db_begin(sealing->db, DB_READ_COMMITTED, &tx, err) ||
        !run_commit(sealing, &arrays, &row, err) ||
        !vault_seal_text_rows(sealing, db_i64(row, 0, 0), arena, err) || !db_commit(&tx, err))
        return false;
    *pack_id = db_i64(row, 0, 0);
    return true;
}
