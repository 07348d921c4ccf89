/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/seal_text.c - the text blocks of the runs that are being sealed into a segment beside the pack.
 *
 * Verbatim, save that small neighbours (mail that trickles in) are joined; a joined block keeps the
 * number of its first. A block of the spool that is not well is left out: text is derived.
 */
#include "base/fd.h"
#include "base/sys.h"
#include "text/signature.h"
#include "vault/internal.h"
#include "vault/seal_internal.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

enum {
    JOIN_RECORDS = STORE_TEXT_RECORDS_MAX / 2, /* a block with more is not joined */
    ALONE_RUNS_MAX = 200, /* runs of text alone in one segment: some 40,000 messages */
    RUNS_ARENA_BYTES = 4 << 20,
};

/* Columns of vault_seal_texts, in vault_seal.sql. */
enum {
    COL_RUN_ID,
    COL_ORDINAL,
    COL_MESSAGE_IDS,
    COL_PARSER_VERSION,
    COL_RAW_BYTES,
    COL_STORED_BYTES,
    COL_STORED_SHA256,
    COL_KEY_ID,
    COL_OCTETS,
};

/* A block as its row and the spool have it. */
struct spooled {
    int64_t run_id;
    int32_t ordinal;
    int32_t parser_version;
    struct store_frame_facts facts;
    struct bytes stored;
    const int64_t *ids;
    size_t id_count;
};

/* Small blocks that may become one. */
struct group {
    size_t blocks;
    struct spooled first; /* its octets in `stored`, while it is alone */
    size_t records;
    int64_t ids[STORE_TEXT_RECORDS_MAX];
    uint8_t stored[STORE_JOIN_STORED_BYTES];
    struct store_text_block opened; /* the one that is being added */
};

struct packing {
    struct vault_sealing *sealing;
    struct store_pack_writer *segment;
    struct store_text_writer *writer; /* of what is joined */
    struct text_signer *signer;       /* of the same */
    struct store_text_reader *reader;
    struct group *group;
    struct arena *arena; /* of one row */
    int fd;
};

static void end_packing(struct packing *packing)
{
    store_free_pack_writer(&packing->segment);
    store_free_text_writer(&packing->writer);
    text_free_signer(&packing->signer);
    store_free_text_reader(&packing->reader);
    free(packing->group);
    arena_free(&packing->arena);
    fd_close(&packing->fd);
}

/* ---- into the file --------------------------------------------------------------------------------- */

static bool create_segment(struct packing *packing, struct err *err)
{
    const char *path = packing->sealing->paths.text;

    packing->fd = sys()->open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0444);
    if (packing->fd < 0)
        return err_errno(err, "create %s", path);
    if (fchmod(packing->fd, 0444) != 0)
        return err_errno(err, "mode of %s", path);
    packing->segment = store_create_pack_writer(vault_write_pack_octets, &packing->fd);
    return true;
}

static bool put_block(struct packing *packing, const struct store_frame_facts *facts,
                      struct bytes stored, int64_t *offset, struct err *err)
{
    struct store_pack_frame placed;

    if ((packing->segment == NULL && !create_segment(packing, err)) ||
        !store_put_pack_frame(packing->segment, facts, stored, &placed, err))
        return err_wrap(err, "text segment");
    *offset = (int64_t)placed.stored_start;
    return true;
}

static bool keep_verbatim(struct packing *packing, const struct spooled *block, struct bytes stored,
                          struct err *err)
{
    struct vault_sealed_texts *texts = &packing->sealing->texts;
    struct vault_kept_text kept = { .run_id = block->run_id, .ordinal = block->ordinal };

    if (!put_block(packing, &block->facts, stored, &kept.offset, err))
        return false;
    buf_append(&texts->kept, bytes_of(&kept, sizeof kept));
    return !texts->kept.has_failed || err_fail(err, ERR_LIMIT, "too many text blocks");
}

/* One that has no room is left out: its block will always be opened. */
static size_t keep_signature(struct packing *packing)
{
    struct buf *signatures = &packing->sealing->texts.joined_signatures;
    struct bytes signature = text_end_signature(packing->signer);

    if (signatures->max_bytes - signatures->len < signature.len)
        return 0;
    buf_append(signatures, signature);
    return signature.len;
}

static bool keep_joined(struct packing *packing, struct err *err)
{
    struct vault_sealed_texts *texts = &packing->sealing->texts;
    struct group *group = packing->group;
    struct vault_joined_text joined = {
        .run_id = group->first.run_id,
        .ordinal = group->first.ordinal,
        .parser_version = group->first.parser_version,
        .id_count = (int32_t)group->records,
        .signature_octets = keep_signature(packing),
    };
    struct bytes stored;

    if (!store_end_text(packing->writer, group->first.parser_version, &stored, &joined.facts,
                        err) ||
        !put_block(packing, &joined.facts, stored, &joined.offset, err))
        return false;
    buf_append(&texts->joined, bytes_of(&joined, sizeof joined));
    buf_append(&texts->joined_ids, bytes_of(group->ids, group->records * sizeof group->ids[0]));
    return (!texts->joined.has_failed && !texts->joined_ids.has_failed) ||
           err_fail(err, ERR_LIMIT, "too many text blocks");
}

/* What was collected becomes one; a single one stays as it was. */
static bool flush_group(struct packing *packing, struct err *err)
{
    struct group *group = packing->group;
    size_t blocks = group->blocks;
    struct bytes stored = bytes_of(group->stored, group->first.facts.stored_bytes);

    group->blocks = 0;
    if (blocks > 1)
        return keep_joined(packing, err);
    store_clear_text(packing->writer);
    text_clear_signer(packing->signer);
    return blocks == 0 || keep_verbatim(packing, &group->first, stored, err);
}

/* ---- out of the spool ------------------------------------------------------------------------------ */

static size_t octets_of(const struct store_text_block *block)
{
    size_t octets = 0;

    for (size_t i = 0; i < block->count; i++)
        octets += block->records[i].octets.len;
    return octets;
}

static bool fits_group(const struct packing *packing, const struct spooled *block)
{
    const struct group *group = packing->group;

    return group->blocks == 0 || (block->parser_version == group->first.parser_version &&
                                  group->records + group->opened.count <= STORE_TEXT_RECORDS_MAX &&
                                  store_has_text_room(packing->writer, octets_of(&group->opened)));
}

/* A block of few stored octets; one that cannot be opened is left out. */
static bool collect(struct packing *packing, const struct spooled *block,
                    struct store_checked_frame frame, struct err *err)
{
    struct group *group = packing->group;
    struct err damage = { 0 };

    if (!store_open_text(packing->reader, frame, &group->opened, &damage) ||
        group->opened.count != block->id_count ||
        group->opened.parser_version != block->parser_version)
        return true;
    if (octets_of(&group->opened) > STORE_TEXT_TARGET_BYTES)
        return flush_group(packing, err) && keep_verbatim(packing, block, frame.stored, err);
    if (!fits_group(packing, block) && !flush_group(packing, err))
        return false;
    if (group->blocks == 0) {
        group->records = 0;
        group->first = *block;
        memcpy(group->stored, frame.stored.ptr, frame.stored.len);
    }
    for (size_t i = 0; i < group->opened.count; i++) {
        store_add_text(packing->writer, &group->opened.records[i]);
        text_sign(packing->signer, group->opened.records[i].octets);
        group->ids[group->records++] = block->ids[i];
    }
    group->blocks++;
    return true;
}

/* False: nothing that could be sealed. */
static bool read_block(const struct db_result *row, struct arena *arena, struct spooled *out,
                       struct store_checked_frame *frame)
{
    struct bytes sha256 = db_bytes(row, 0, COL_STORED_SHA256);
    struct err damage = { 0 };

    *out = (struct spooled){
        .run_id = db_i64(row, 0, COL_RUN_ID),
        .ordinal = db_i32(row, 0, COL_ORDINAL),
        .parser_version = db_i32(row, 0, COL_PARSER_VERSION),
        .facts.raw_bytes = (uint32_t)db_i32(row, 0, COL_RAW_BYTES),
        .facts.stored_bytes = (uint32_t)db_i32(row, 0, COL_STORED_BYTES),
        .stored = db_bytes(row, 0, COL_OCTETS),
    };
    if (sha256.len != sizeof out->facts.stored_sha256.octets || out->stored.ptr == NULL ||
        db_i64(row, 0, COL_KEY_ID) != 0)
        return false;
    memcpy(out->facts.stored_sha256.octets, sha256.ptr, sha256.len);
    return db_i64_array(row, 0, COL_MESSAGE_IDS, arena, &out->ids, &out->id_count, &damage) &&
           store_check_frame(&out->facts, out->stored, frame, &damage);
}

/* Blocks come run by run. */
static bool note_run(struct packing *packing, int64_t run_id, struct err *err)
{
    struct buf *runs = &packing->sealing->texts.runs;

    if (runs->len > 0 && memcmp(runs->ptr + runs->len - sizeof run_id, &run_id, sizeof run_id) == 0)
        return true;
    buf_append(runs, bytes_of(&run_id, sizeof run_id));
    return !runs->has_failed || err_fail(err, ERR_LIMIT, "too many runs with text");
}

/* db_row_fn */
static bool take_block(void *context, const struct db_result *row, struct err *err)
{
    struct packing *packing = context;
    struct store_checked_frame frame;
    struct spooled block;

    arena_reset(packing->arena);
    if (!note_run(packing, db_i64(row, 0, COL_RUN_ID), err))
        return false;
    if (!read_block(row, packing->arena, &block, &frame))
        return true;
    if (block.facts.stored_bytes < STORE_JOIN_STORED_BYTES && block.id_count <= JOIN_RECORDS)
        return collect(packing, &block, frame, err);
    return flush_group(packing, err) && keep_verbatim(packing, &block, frame.stored, err);
}

/* ---- all -------------------------------------------------------------------------------------------- */

static bool read_back(const struct vault_sealing *sealing, struct err *err)
{
    CLEANUP(store_close_pack) struct store_pack *segment = NULL;
    CLEANUP(fd_close) int fd = -1;

    return (vault_open_segment_file(sealing->paths.text, &fd, &segment, err) &&
            store_check_segment(segment, err)) ||
           err_wrap(err, "what was written cannot be read back");
}

static bool end_segment(struct packing *packing, struct err *err)
{
    struct store_pack_facts facts;

    if (packing->segment == NULL)
        return true;
    if (!store_end_segment(packing->segment, &facts, err))
        return err_wrap(err, "text segment");
    if (sys()->fsync(packing->fd) != 0)
        return err_errno(err, "fsync %s", packing->sealing->paths.text);
    packing->sealing->texts.is_written = true;
    return read_back(packing->sealing, err);
}

static const int64_t *sealed_runs(const struct vault_sealing *sealing, struct arena *arena,
                                  size_t *count)
{
    const struct vault_packed_run *runs =
        (const struct vault_packed_run *)(const void *)sealing->runs.ptr;
    int64_t *run_ids;

    *count = vault_count(&sealing->runs, sizeof *runs);
    run_ids = arena_new_array(arena, int64_t, *count);
    for (size_t i = 0; i < *count; i++)
        run_ids[i] = runs[i].run_id;
    return run_ids;
}

static bool take_blocks(struct packing *packing, struct err *err)
{
    CLEANUP(arena_free) struct arena *arena = arena_create(RUNS_ARENA_BYTES);
    CLEANUP(db_rollback) struct db_tx tx = { 0 };
    struct vault_sealing *sealing = packing->sealing;
    size_t count;
    const int64_t *run_ids = sealed_runs(sealing, arena, &count);

    return db_begin(sealing->db, DB_REPEATABLE_READ_ONLY, &tx, err) &&
           db_run_ok(sealing->db, DB_VAULT_SEAL_PATIENCE, DB_NO_ARGS, err) &&
           db_stream(sealing->db, DB_VAULT_SEAL_TEXTS,
                     DB_ARGS(DB_I64(sealing->order->account_id), DB_I64S(run_ids, count),
                             DB_I64(ALONE_RUNS_MAX)),
                     take_block, packing, err) &&
           flush_group(packing, err) && db_commit(&tx, err);
}

bool vault_seal_texts(struct vault_sealing *sealing, struct err *err)
{
    CLEANUP(end_packing)
    struct packing packing = { .sealing = sealing,
                               .writer = store_create_text_writer(),
                               .signer = text_create_signer(),
                               .reader = store_create_text_reader(),
                               .group = calloc(1, sizeof *packing.group),
                               .arena = arena_create(1 << 16),
                               .fd = -1 };

    if (packing.group == NULL)
        return err_errno(err, "memory for joining text blocks");
    return take_blocks(&packing, err) && end_segment(&packing, err);
}

/* ---- the rows --------------------------------------------------------------------------------------- */

/* Arrays as seal_text takes them. */
struct arrays {
    size_t runs, kept, joined, ids;
    const int64_t *sealed_runs;
    int64_t *run_ids, *offsets, *joined_runs, *joined_offsets;
    int32_t *ordinals, *joined_ordinals, *counts, *versions, *raw_sizes, *stored_sizes;
    struct bytes *hashes, *signatures;
};

static void spread_kept(const struct vault_sealed_texts *texts, struct arena *arena,
                        struct arrays *out)
{
    const struct vault_kept_text *kept =
        (const struct vault_kept_text *)(const void *)texts->kept.ptr;

    out->kept = vault_count(&texts->kept, sizeof *kept);
    out->run_ids = arena_new_array(arena, int64_t, out->kept);
    out->ordinals = arena_new_array(arena, int32_t, out->kept);
    out->offsets = arena_new_array(arena, int64_t, out->kept);
    for (size_t i = 0; i < out->kept; i++) {
        out->run_ids[i] = kept[i].run_id;
        out->ordinals[i] = kept[i].ordinal;
        out->offsets[i] = kept[i].offset;
    }
}

static void spread_joined(const struct vault_sealed_texts *texts, struct arena *arena,
                          struct arrays *out)
{
    const struct vault_joined_text *joined =
        (const struct vault_joined_text *)(const void *)texts->joined.ptr;
    size_t n = vault_count(&texts->joined, sizeof *joined);
    struct bytes signatures = buf_bytes(&texts->joined_signatures);

    out->joined = n;
    out->ids = vault_count(&texts->joined_ids, sizeof(int64_t));
    out->joined_runs = arena_new_array(arena, int64_t, n);
    out->joined_offsets = arena_new_array(arena, int64_t, n);
    out->joined_ordinals = arena_new_array(arena, int32_t, n);
    out->counts = arena_new_array(arena, int32_t, n);
    out->versions = arena_new_array(arena, int32_t, n);
    out->raw_sizes = arena_new_array(arena, int32_t, n);
    out->stored_sizes = arena_new_array(arena, int32_t, n);
    out->hashes = arena_new_array(arena, struct bytes, n);
    out->signatures = arena_new_array(arena, struct bytes, n);
    for (size_t i = 0; i < n; i++) {
        out->joined_runs[i] = joined[i].run_id;
        out->joined_offsets[i] = joined[i].offset;
        out->joined_ordinals[i] = joined[i].ordinal;
        out->counts[i] = joined[i].id_count;
        out->versions[i] = joined[i].parser_version;
        out->raw_sizes[i] = (int32_t)joined[i].facts.raw_bytes;
        out->stored_sizes[i] = (int32_t)joined[i].facts.stored_bytes;
        out->hashes[i] = crypto_sha256_bytes(&joined[i].facts.stored_sha256);
        if (joined[i].signature_octets > 0) /* else NULL */
            out->signatures[i] = bytes_slice(signatures, 0, joined[i].signature_octets);
        signatures = bytes_slice(signatures, joined[i].signature_octets, SIZE_MAX);
    }
}

bool vault_seal_text_rows(struct vault_sealing *sealing, int64_t pack_id, struct arena *arena,
                          struct err *err)
{
    const struct vault_sealed_texts *texts = &sealing->texts;
    struct arrays a = { 0 };

    a.sealed_runs = (const int64_t *)(const void *)texts->runs.ptr;
    a.runs = vault_count(&texts->runs, sizeof(int64_t));
    if (a.runs == 0)
        return true;
    spread_kept(texts, arena, &a);
    spread_joined(texts, arena, &a);
    return db_run_ok(
        sealing->db, DB_VAULT_SEAL_TEXT_ROWS,
        DB_ARGS(DB_I64(sealing->order->account_id), DB_I64(pack_id), DB_I64S(a.sealed_runs, a.runs),
                DB_I64S(a.run_ids, a.kept), DB_I32S(a.ordinals, a.kept), DB_I64S(a.offsets, a.kept),
                DB_I64S(a.joined_runs, a.joined), DB_I32S(a.joined_ordinals, a.joined),
                DB_I32S(a.counts, a.joined),
                DB_I64S((const int64_t *)(const void *)texts->joined_ids.ptr, a.ids),
                DB_I32S(a.versions, a.joined), DB_I32S(a.raw_sizes, a.joined),
                DB_I32S(a.stored_sizes, a.joined), DB_BYTEAS(a.hashes, a.joined),
                DB_BYTEAS(a.signatures, a.joined), DB_I64S(a.joined_offsets, a.joined)),
        err);
}
