/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/seal.c - one pack, from the choice of its runs to the row that makes it count.
 *
 *   recover --choose_runs--> write_pack --sealing.new, synced--> check_pack (every octet, read back)
 *   check_pack --sealing.text, synced, read back--> announce: pending_sha256, committed
 *   announce --> appear: rename of the text segment and of the pack, fsync of the folder
 *   appear --vault_seal_commit: row, frames, text, positions, pending_sha256 cleared--> done
 *
 * Up to `announce` a crash leaves nameless work; between it and the commit a file that is known to be
 * without a row (vault/seal.h). A failure leaves to the next call's recovery what is not its own to decide: whether a
 * commit whose answer was lost has happened.
 */
#include "vault/seal.h"

#include "base/fd.h"
#include "base/sys.h"
#include "vault/internal.h"
#include "vault/seal_internal.h"

#include <fcntl.h>
#include <sys/stat.h>

enum {
    COMMIT_ARENA_BYTES = 64 << 20,
    MAILBOXES_MAX = 1 << 20,
    TEXT_IDS_MAX = 1 << 20, /* of joined text blocks: two runs of one frame hold fewer messages */
    SIGNATURES_MAX = 16 << 20, /* octets: of a gibibyte of joined text; blocks beyond have none */
};

void vault_close_sealing(struct vault_sealing *sealing)
{
    fd_close(&sealing->fd);
    fd_close(&sealing->spill_fd);
    store_free_pack_writer(&sealing->writer);
    buf_free(&sealing->frames);
    buf_free(&sealing->runs);
    buf_free(&sealing->cuts);
    buf_free(&sealing->parts);
    buf_free(&sealing->texts.kept);
    buf_free(&sealing->texts.joined);
    buf_free(&sealing->texts.joined_ids);
    buf_free(&sealing->texts.joined_signatures);
    buf_free(&sealing->texts.runs);
}

/* ---- what a crash left ------------------------------------------------------------------------- */

bool vault_read_hash(const struct db_result *rows, size_t row, size_t col, bool *has_one,
                     struct crypto_sha256 *out, struct err *err)
{
    struct bytes octets = db_bytes(rows, row, col);

    *has_one = !db_is_null(rows, row, col);
    if (*has_one && octets.len != sizeof out->octets)
        return err_fail(err, ERR_CORRUPT, "a SHA-256 of %zu octets", octets.len);
    if (*has_one)
        memcpy(out->octets, octets.ptr, octets.len);
    return true;
}

/* The file that was announced and never got its row. The lock waits for a commit that is on its way. */
static bool drop_pending(struct db *db, int64_t account_id, const struct vault_pack_paths *paths,
                         struct err *err)
{
    CLEANUP(db_result_free) struct db_result *rows = NULL;
    CLEANUP(db_rollback) struct db_tx tx = { 0 };
    struct crypto_sha256 pending;
    char path[PATH_MAX];
    bool is_pending;

    if (!db_begin(db, DB_READ_COMMITTED, &tx, err) ||
        !db_run_one(db, DB_VAULT_SEAL_CHAIN_LOCK, DB_ARGS(DB_I64(account_id)), &rows, err) ||
        !vault_read_hash(rows, 0, 0, &is_pending, &pending, err))
        return false;
    if (!is_pending)
        return db_commit(&tx, err);
    if (!db_bool(rows, 0, 1) &&
        (!vault_make_pack_path(paths, &pending, path, err) || !vault_remove_file(path, err) ||
         !vault_make_segment_path(paths, &pending, path, err) || !vault_remove_file(path, err) ||
         !vault_sync_folder(paths->folder, err)))
        return false;
    return db_run_ok(db, DB_VAULT_SEAL_PENDING_CLEAR, DB_ARGS(DB_I64(account_id)), err) &&
           db_commit(&tx, err);
}

/* Clears away; the account's last pack afterwards. */
static bool recover(struct db *db, int64_t account_id, const struct vault_pack_paths *paths,
                    bool *has_previous, struct crypto_sha256 *previous, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *rows = NULL;
    struct crypto_sha256 pending;
    bool is_pending;

    if (!vault_remove_file(paths->temporary, err) || !vault_remove_file(paths->catalogue, err) ||
        !vault_remove_file(paths->text, err) ||
        !db_run_one(db, DB_VAULT_SEAL_CHAIN, DB_ARGS(DB_I64(account_id)), &rows, err) ||
        !vault_read_hash(rows, 0, 0, has_previous, previous, err) ||
        !vault_read_hash(rows, 0, 1, &is_pending, &pending, err))
        return false;
    if (!is_pending)
        return true;
    db_result_free(&rows);
    return drop_pending(db, account_id, paths, err) &&
           db_run_one(db, DB_VAULT_SEAL_CHAIN, DB_ARGS(DB_I64(account_id)), &rows, err) &&
           vault_read_hash(rows, 0, 0, has_previous, previous, err);
}

bool vault_seal_recover(struct db *db, const char *packs_dir, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *rows = NULL;
    struct vault_pack_paths installation;

    if (!vault_make_pack_paths(packs_dir, 0, &installation, err) ||
        !vault_remove_file(installation.temporary, err) ||
        !vault_remove_file(installation.catalogue, err))
        return err_wrap(err, "installation");
    if (!db_run(db, DB_VAULT_SEAL_UNFINISHED, DB_NO_ARGS, &rows, err))
        return false;
    for (size_t i = 0; i < db_rows(rows); i++) {
        int64_t account_id = db_i64(rows, i, 0);
        struct vault_pack_paths paths;
        struct crypto_sha256 previous;
        bool has_previous;

        if (!vault_make_pack_paths(packs_dir, account_id, &paths, err) ||
            !recover(db, account_id, &paths, &has_previous, &previous, err))
            return err_wrap(err, "account %jd", (intmax_t)account_id);
    }
    return true;
}

/* ---- the file ------------------------------------------------------------------------------------ */

bool vault_create_new_pack(struct vault_sealing *sealing, mode_t mode, struct err *err)
{
    const char *path = sealing->paths.temporary;

    if (!vault_make_pack_folders(&sealing->paths, err))
        return false;
    sealing->fd = sys()->open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (sealing->fd < 0)
        return err_errno(err, "create %s", path);
    if (fchmod(sealing->fd, mode) != 0) /* whatever the umask; who may enter the folder decides */
        return err_errno(err, "mode of %s", path);
    sealing->writer = store_create_pack_writer(vault_write_pack_octets, &sealing->fd);
    return true;
}

bool vault_end_new_pack(struct vault_sealing *sealing, struct err *err)
{
    if (!store_end_pack(sealing->writer, &sealing->facts, err))
        return false;
    if (sys()->fsync(sealing->fd) != 0)
        return err_errno(err, "fsync %s", sealing->paths.temporary);
    return true;
}

/* last_run_id 0: metadata alone. */
static bool write_pack(struct vault_sealing *sealing, int64_t last_run_id, bool *has_news,
                       struct err *err)
{
    if (!vault_create_new_pack(sealing, 0444, err) ||
        (last_run_id > 0 && !vault_seal_frames(sealing, last_run_id, err)) ||
        !vault_seal_catalogue(sealing, has_news, err))
        return false;
    if (!*has_news)
        return true;
    return vault_end_new_pack(sealing, err);
}

/* Reads everything back. */
bool vault_check_new_pack(const struct vault_sealing *sealing, struct err *err)
{
    static const struct store_pack_visitor nobody;
    CLEANUP(store_close_pack) struct store_pack *pack = NULL;
    CLEANUP(fd_close) int fd = -1;
    uint64_t size_bytes;

    if (!vault_open_pack_file(sealing->paths.temporary, &fd, &size_bytes, &pack, err) ||
        !store_walk_pack(pack, &sealing->facts.sha256, &nobody, err))
        return err_wrap(err, "what was written cannot be read back");
    return true;
}

static bool announce(struct vault_sealing *sealing, struct err *err)
{
    uint64_t affected;

    if (!db_run_count(sealing->db, DB_VAULT_SEAL_PENDING_SET,
                      DB_ARGS(DB_I64(sealing->order->account_id),
                              DB_BYTEA(crypto_sha256_bytes(&sealing->facts.sha256)),
                              vault_previous_value(sealing)),
                      &affected, err))
        return false;
    return affected == 1 ||
           err_fail(err, ERR_RETRY, "the account was sealed by somebody else meanwhile");
}

bool vault_name_new_pack(const struct vault_sealing *sealing, struct err *err)
{
    char path[PATH_MAX];

    if (sealing->texts.is_written) {
        if (!vault_make_segment_path(&sealing->paths, &sealing->facts.sha256, path, err))
            return false;
        if (sys()->rename(sealing->paths.text, path) != 0)
            return err_errno(err, "rename to %s", path);
    }
    if (!vault_make_pack_path(&sealing->paths, &sealing->facts.sha256, path, err))
        return false;
    if (sys()->rename(sealing->paths.temporary, path) != 0)
        return err_errno(err, "rename to %s", path);
    return vault_sync_folder(sealing->paths.folder, err);
}

/* ---- one pack ------------------------------------------------------------------------------------ */

struct choice {
    int64_t last_run_id; /* 0: no run waits */
    bool has_more;
    uint64_t stored_bytes;
};

static bool choose_runs(const struct vault_sealing *sealing, struct choice *out, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *rows = NULL;

    if (!db_run_one(sealing->db, DB_VAULT_SEAL_CHOOSE,
                    DB_ARGS(DB_I64(sealing->order->account_id), DB_I64(sealing->order->pack_bytes),
                            DB_I64(VAULT_PACK_RUN_FRAMES)),
                    &rows, err))
        return false;
    *out = (struct choice){
        .last_run_id = db_is_null(rows, 0, 0) ? 0 : db_i64(rows, 0, 0),
        .has_more = db_i64(rows, 0, 1) > 0,
        .stored_bytes = (uint64_t)db_i64(rows, 0, 2),
    };
    return true;
}

static uint64_t count_joined(const struct vault_sealing *sealing)
{
    const struct vault_packed_run *runs =
        (const struct vault_packed_run *)(const void *)sealing->runs.ptr;
    uint64_t joined = 0;

    for (size_t i = 0; i < vault_count(&sealing->runs, sizeof *runs); i++)
        joined += runs[i].target != 0 && runs[i].target != runs[i].run_id ? 1 : 0;
    return joined;
}

static bool seal_one(struct vault_sealing *sealing, const struct choice *choice,
                     struct vault_sealed *out, struct err *err)
{
    CLEANUP(arena_free) struct arena *arena = arena_create(COMMIT_ARENA_BYTES);
    const struct store_pack_facts *facts = &sealing->facts;
    bool has_news = false;

    if (!write_pack(sealing, choice->last_run_id, &has_news, err))
        return false;
    if (!has_news) {
        *out = (struct vault_sealed){ 0 };
        return vault_remove_file(sealing->paths.temporary, err);
    }
    if (!vault_check_new_pack(sealing, err) || !vault_seal_texts(sealing, err) ||
        !announce(sealing, err) || !vault_name_new_pack(sealing, err) ||
        !vault_seal_commit(sealing, arena, &out->pack_id, err))
        return false;
    out->is_made = true;
    out->has_more = choice->has_more;
    out->sha256 = facts->sha256;
    out->stored_bytes = facts->stored_bytes;
    out->raw_bytes = facts->raw_bytes;
    out->frames = facts->frame_count;
    out->runs = vault_count(&sealing->runs, sizeof(struct vault_packed_run));
    out->joined_runs = count_joined(sealing);
    return true;
}

bool vault_seal_account(struct db *db, const struct vault_seal_order *order,
                        struct vault_sealed *out, struct err *err)
{
    CLEANUP(vault_close_sealing)
    struct vault_sealing sealing = {
        .db = db,
        .order = order,
        .fd = -1,
        .spill_fd = -1,
        .frames = buf_create((size_t)STORE_PACK_FRAMES_MAX * sizeof(struct vault_packed_frame)),
        .runs = buf_create((size_t)STORE_PACK_FRAMES_MAX * sizeof(struct vault_packed_run)),
        .cuts = buf_create((size_t)MAILBOXES_MAX * sizeof(struct vault_cut)),
        .parts = buf_create((size_t)STORE_PACK_FRAMES_MAX * sizeof(struct store_frame_facts)),
        .texts = { .kept =
                       buf_create((size_t)STORE_PACK_FRAMES_MAX * sizeof(struct vault_kept_text)),
                   .joined =
                       buf_create((size_t)STORE_PACK_FRAMES_MAX * sizeof(struct vault_joined_text)),
                   .joined_ids = buf_create((size_t)TEXT_IDS_MAX * sizeof(int64_t)),
                   .joined_signatures = buf_create(SIGNATURES_MAX),
                   .runs = buf_create((size_t)STORE_PACK_FRAMES_MAX * sizeof(int64_t)) },
    };
    struct vault_sealed sealed = { 0 };
    struct choice choice;
    struct err ignored = { 0 };

    if (!vault_make_pack_paths(order->packs_dir, order->account_id, &sealing.paths, err) ||
        !db_run_ok(db, DB_VAULT_SEAL_OPEN, DB_ARGS(DB_I64(order->account_id)), err) ||
        !recover(db, order->account_id, &sealing.paths, &sealing.has_previous, &sealing.previous,
                 err) ||
        !choose_runs(&sealing, &choice, err))
        return false;
    if (!order->is_all && choice.stored_bytes < order->pack_bytes) {
        *out = sealed;
        return true;
    }
    if (!seal_one(&sealing, &choice, &sealed, err)) {
        if (!vault_remove_file(sealing.paths.temporary, &ignored) ||
            !vault_remove_file(sealing.paths.text, &ignored))
            err_clear(&ignored); /* the next call tries again */
        return false;
    }
    *out = sealed;
    return true;
}
