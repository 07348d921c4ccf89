/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/seal_catalogue.c - what a pack's last member tells: lines made by the database, in one state.
 *
 * The frames of the catalogue wait in a file that has no name any more until its size is known, since
 * the member's header stands in front of them.
 */
#include "base/fd.h"
#include "base/sys.h"
#include "vault/internal.h"
#include "vault/seal_internal.h"

#include <fcntl.h>
#include <stdlib.h>

enum {
    CUTS_ARENA_BYTES = 64 << 20
};

/* Columns of vault_seal_cuts, in vault_seal.sql. */
enum {
    COL_MAILBOX_ID,
    COL_UID_FROM,
    COL_MODSEQ_FROM,
    COL_EPOCH_FROM,
    COL_SOURCE_UID_FROM,
    COL_UID_TO,
    COL_MODSEQ_TO,
    COL_EPOCH_TO,
    COL_SOURCE_UID_TO,
    COL_IS_NEW,
};

/* db_row_fn */
static bool take_cut(void *context, const struct db_result *row, struct err *err)
{
    struct buf *cuts = context;
    struct vault_cut cut = {
        .mailbox_id = db_i64(row, 0, COL_MAILBOX_ID),
        .uid_from = db_i64(row, 0, COL_UID_FROM),
        .modseq_from = db_i64(row, 0, COL_MODSEQ_FROM),
        .epoch_from = db_i32(row, 0, COL_EPOCH_FROM),
        .source_uid_from = db_i64(row, 0, COL_SOURCE_UID_FROM),
        .uid_to = db_i64(row, 0, COL_UID_TO),
        .modseq_to = db_i64(row, 0, COL_MODSEQ_TO),
        .epoch_to = db_i32(row, 0, COL_EPOCH_TO),
        .source_uid_to = db_i64(row, 0, COL_SOURCE_UID_TO),
        .is_new = db_bool(row, 0, COL_IS_NEW),
    };

    /* A UIDNEXT or HIGHESTMODSEQ never falls, so what was told stays told. */
    if (cut.modseq_to < cut.modseq_from)
        cut.modseq_to = cut.modseq_from;
    buf_append(cuts, bytes_of(&cut, sizeof cut));
    return !cuts->has_failed || err_fail(err, ERR_LIMIT, "too many mailboxes for one pack");
}

static const struct vault_cut *all_cuts(const struct vault_sealing *sealing, size_t *count)
{
    *count = vault_count(&sealing->cuts, sizeof(struct vault_cut));
    return (const struct vault_cut *)(const void *)sealing->cuts.ptr;
}

/* Of an epoch that only shows what is archived, say. */
static bool has_new_source_uids(const struct vault_cut *cut)
{
    return cut->epoch_to > cut->epoch_from ||
           (cut->epoch_to == cut->epoch_from && cut->source_uid_to > cut->source_uid_from);
}

static bool has_news_of_mailboxes(const struct vault_sealing *sealing)
{
    size_t count;
    const struct vault_cut *cuts = all_cuts(sealing, &count);

    for (size_t i = 0; i < count; i++)
        if (cuts[i].is_new || cuts[i].uid_to > cuts[i].uid_from ||
            cuts[i].modseq_to > cuts[i].modseq_from || has_new_source_uids(&cuts[i]))
            return true;
    return false;
}

/* Octets, placements and changes; or UIDs given up or matched, and files, that have no placement of their own. */
static bool find_news(const struct vault_sealing *sealing, bool *has_news, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *row = NULL;

    *has_news = sealing->runs.len > 0 || has_news_of_mailboxes(sealing);
    if (*has_news)
        return true;
    if (!db_run_one(sealing->db, DB_VAULT_SEAL_HAS_NOTES,
                    DB_ARGS(DB_I64(sealing->order->account_id)), &row, err))
        return false;
    *has_news = db_bool(row, 0, 0);
    return true;
}

/* Arrays as the statements take them. */
struct arguments {
    size_t runs;
    int64_t *run_ids, *bases;
    size_t cuts;
    int64_t *mailbox_ids, *uids_from, *uids_to, *modseqs_from, *modseqs_to;
    int64_t *source_uids_from, *source_uids_to;
    int32_t *epochs_from, *epochs_to;
};

static void spread_runs(const struct vault_sealing *sealing, struct arena *arena,
                        struct arguments *out)
{
    const struct vault_packed_run *runs =
        (const struct vault_packed_run *)(const void *)sealing->runs.ptr;

    out->runs = vault_count(&sealing->runs, sizeof *runs);
    out->run_ids = arena_new_array(arena, int64_t, out->runs);
    out->bases = arena_new_array(arena, int64_t, out->runs);
    for (size_t i = 0; i < out->runs; i++) {
        out->run_ids[i] = runs[i].run_id;
        out->bases[i] = runs[i].base;
    }
}

static void spread_cuts(const struct vault_sealing *sealing, struct arena *arena,
                        struct arguments *out)
{
    const struct vault_cut *cuts = all_cuts(sealing, &out->cuts);

    out->mailbox_ids = arena_new_array(arena, int64_t, out->cuts);
    out->uids_from = arena_new_array(arena, int64_t, out->cuts);
    out->uids_to = arena_new_array(arena, int64_t, out->cuts);
    out->modseqs_from = arena_new_array(arena, int64_t, out->cuts);
    out->modseqs_to = arena_new_array(arena, int64_t, out->cuts);
    out->source_uids_from = arena_new_array(arena, int64_t, out->cuts);
    out->source_uids_to = arena_new_array(arena, int64_t, out->cuts);
    out->epochs_from = arena_new_array(arena, int32_t, out->cuts);
    out->epochs_to = arena_new_array(arena, int32_t, out->cuts);
    for (size_t i = 0; i < out->cuts; i++) {
        out->mailbox_ids[i] = cuts[i].mailbox_id;
        out->uids_from[i] = cuts[i].uid_from;
        out->uids_to[i] = cuts[i].uid_to;
        out->modseqs_from[i] = cuts[i].modseq_from;
        out->modseqs_to[i] = cuts[i].modseq_to;
        out->source_uids_from[i] = cuts[i].source_uid_from;
        out->source_uids_to[i] = cuts[i].source_uid_to;
        out->epochs_from[i] = cuts[i].epoch_from;
        out->epochs_to[i] = cuts[i].epoch_to;
    }
}

/* ---- lines ------------------------------------------------------------------------------------- */

/* db_row_fn */
bool vault_put_line(void *context, const struct db_result *row, struct err *err)
{
    return store_put_line(context, db_bytes(row, 0, 0), err);
}

/* vault_lines_fn */
static bool put_lines(struct vault_sealing *sealing, struct store_catalogue *catalogue,
                      const void *context, struct err *err)
{
    const struct arguments *a = context;
    struct db *db = sealing->db;
    struct db_value account = DB_I64(sealing->order->account_id);
    struct db_value mailboxes = DB_I64S(a->mailbox_ids, a->cuts);
    struct db_value uids_to = DB_I64S(a->uids_to, a->cuts);

#define LINES(statement, ...)                                                                      \
    db_stream(db, statement, DB_ARGS(__VA_ARGS__), vault_put_line, catalogue, err)
#define SOURCES                                                                                    \
    account, mailboxes, DB_I32S(a->epochs_from, a->cuts), DB_I64S(a->source_uids_from, a->cuts),   \
        DB_I32S(a->epochs_to, a->cuts), DB_I64S(a->source_uids_to, a->cuts),                       \
        DB_I64S(a->uids_from, a->cuts), uids_to
    return LINES(DB_VAULT_SEAL_LINE_HEAD, account, vault_previous_value(sealing)) &&
           LINES(DB_VAULT_SEAL_LINE_ACCOUNT, account) && LINES(DB_VAULT_SEAL_LINE_SCOPE, account) &&
           LINES(DB_VAULT_SEAL_LINE_MAILBOX, account) &&
           LINES(DB_VAULT_SEAL_LINE_FORMER, account) && LINES(DB_VAULT_SEAL_LINE_EPOCH, account) &&
           LINES(DB_VAULT_SEAL_LINE_MESSAGE, account, DB_I64S(a->run_ids, a->runs),
                 DB_I64S(a->bases, a->runs)) &&
           LINES(DB_VAULT_SEAL_LINE_PLACEMENT, account, mailboxes, DB_I64S(a->uids_from, a->cuts),
                 uids_to) &&
           LINES(DB_VAULT_SEAL_LINE_EVENT, account, mailboxes, DB_I64S(a->modseqs_from, a->cuts),
                 DB_I64S(a->modseqs_to, a->cuts)) &&
           LINES(DB_VAULT_SEAL_LINE_SOURCE, SOURCES) &&
           LINES(DB_VAULT_SEAL_LINE_UID, account, mailboxes, uids_to) &&
           LINES(DB_VAULT_SEAL_LINE_IDENTITY, SOURCES) && LINES(DB_VAULT_SEAL_LINE_FILE, SOURCES);
#undef SOURCES
#undef LINES
}

/* ---- frames of the catalogue ---------------------------------------------------------------------- */

static bool open_spill(struct vault_sealing *sealing, struct err *err)
{
    const char *path = sealing->paths.catalogue;

    if (!vault_remove_file(path, err))
        return false;
    sealing->spill_fd = sys()->open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (sealing->spill_fd < 0)
        return err_errno(err, "create %s", path);
    return vault_remove_file(path, err);
}

/* store_frame_sink */
static bool spill_frame(void *context, const struct store_frame *frame, struct err *err)
{
    struct vault_sealing *sealing = context;

    buf_append(&sealing->parts, bytes_of(&frame->facts, sizeof frame->facts));
    if (sealing->parts.has_failed)
        return err_fail(err, ERR_LIMIT, "a catalogue too large for one pack");
    return vault_write_pack_octets(&sealing->spill_fd, frame->stored, err) ||
           err_wrap(err, "catalogue");
}

/* From the spill into the pack. */
static bool copy_parts(struct vault_sealing *sealing, struct err *err)
{
    const struct store_frame_facts *parts =
        (const struct store_frame_facts *)(const void *)sealing->parts.ptr;
    size_t count = vault_count(&sealing->parts, sizeof *parts);
    uint8_t *stored = malloc(STORE_STORED_BYTES_MAX);
    uint64_t at = 0;
    bool is_done = stored != NULL || err_errno(err, "memory for a frame");

    for (size_t i = 0; i < count && is_done; i++) {
        struct store_checked_frame checked;
        struct bytes octets = bytes_of(stored, parts[i].stored_bytes);

        is_done = vault_read_pack_octets(&sealing->spill_fd, at, stored, octets.len, err) &&
                  store_check_frame(&parts[i], octets, &checked, err) &&
                  store_put_pack_frame(sealing->writer, &parts[i], octets, NULL, err);
        at += octets.len;
    }
    free(stored);
    return is_done || err_wrap(err, "catalogue");
}

bool vault_put_catalogue(struct vault_sealing *sealing, vault_lines_fn *put, const void *context,
                         struct err *err)
{
    CLEANUP(store_free_catalogue)
    struct store_catalogue *catalogue = store_create_catalogue(spill_frame, sealing);
    struct store_frame header;

    return open_spill(sealing, err) && put(sealing, catalogue, context, err) &&
           store_end_catalogue(catalogue, &header, err) &&
           store_put_pack_frame(sealing->writer, &header.facts, header.stored, NULL, err) &&
           copy_parts(sealing, err);
}

/* One REPEATABLE READ READ ONLY transaction, later than the one that read the frames: a placement
 * whose octets came in between ends the catalogue of its mailbox (vault_seal_cuts). */
bool vault_seal_catalogue(struct vault_sealing *sealing, bool *has_news, struct err *err)
{
    CLEANUP(arena_free) struct arena *arena = arena_create(CUTS_ARENA_BYTES);
    CLEANUP(db_rollback) struct db_tx tx = { 0 };
    struct arguments arguments;

    spread_runs(sealing, arena, &arguments);
    if (!db_begin(sealing->db, DB_REPEATABLE_READ_ONLY, &tx, err) ||
        !db_run_ok(sealing->db, DB_VAULT_SEAL_PATIENCE, DB_NO_ARGS, err) ||
        !db_stream(
            sealing->db, DB_VAULT_SEAL_CUTS,
            DB_ARGS(DB_I64(sealing->order->account_id), DB_I64S(arguments.run_ids, arguments.runs)),
            take_cut, &sealing->cuts, err) ||
        !find_news(sealing, has_news, err))
        return false;
    if (!*has_news)
        return true;
    spread_cuts(sealing, arena, &arguments);
    return vault_put_catalogue(sealing, put_lines, &arguments, err) && db_commit(&tx, err);
}
