/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/seal_installation.c - the installation pack: what no account's pack tells (seal.h).
 */
#include "base/sys.h"
#include "vault/internal.h"
#include "vault/seal_internal.h"

/* A file that was announced and never committed: it is made anew. */
static bool clear_away(struct vault_sealing *sealing, struct db_result *state, struct err *err)
{
    struct crypto_sha256 pending;
    char path[PATH_MAX];
    bool is_pending;

    if (!vault_remove_file(sealing->paths.temporary, err) ||
        !vault_remove_file(sealing->paths.catalogue, err) ||
        !vault_read_hash(state, 0, 1, &is_pending, &pending, err))
        return false;
    if (!is_pending)
        return true;
    return vault_make_pack_path(&sealing->paths, &pending, path, err) &&
           vault_remove_file(path, err) && vault_sync_folder(sealing->paths.folder, err) &&
           db_run_ok(sealing->db, DB_VAULT_INSTALLATION_PENDING,
                     DB_ARGS(DB_NULL, vault_previous_value(sealing)), err);
}

/* vault_lines_fn */
static bool put_lines(struct vault_sealing *sealing, struct store_catalogue *catalogue,
                      const void *context, struct err *err)
{
    static const enum db_statement statements[] = {
        DB_VAULT_INSTALLATION_LINE_HEAD,       DB_VAULT_INSTALLATION_LINE_ACCOUNT,
        DB_VAULT_INSTALLATION_LINE_SECRET,     DB_VAULT_INSTALLATION_LINE_KEY,
        DB_VAULT_INSTALLATION_LINE_AUDITOR,    DB_VAULT_INSTALLATION_LINE_VERIFIER,
        DB_VAULT_INSTALLATION_LINE_MATTER,     DB_VAULT_INSTALLATION_LINE_GRANT,
        DB_VAULT_INSTALLATION_LINE_HOLD,       DB_VAULT_INSTALLATION_LINE_RETENTION,
        DB_VAULT_INSTALLATION_LINE_CREDENTIAL, DB_VAULT_INSTALLATION_LINE_AUDIT,
    };

    (void)context;
    for (size_t i = 0; i < ARRAY_LEN(statements); i++)
        if (!db_stream(sealing->db, statements[i], DB_NO_ARGS, vault_put_line, catalogue, err))
            return false;
    return true;
}

/* In one state of the database; *event_id: the last that the pack tells of. */
static bool write_pack(struct vault_sealing *sealing, int64_t *event_id, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *row = NULL;
    CLEANUP(db_rollback) struct db_tx tx = { 0 };

    if (!vault_create_new_pack(sealing, 0400, err) ||
        !db_begin(sealing->db, DB_REPEATABLE_READ_ONLY, &tx, err) ||
        !db_run_ok(sealing->db, DB_VAULT_SEAL_PATIENCE, DB_NO_ARGS, err) ||
        !db_run_one(sealing->db, DB_VAULT_INSTALLATION_LAST_EVENT, DB_NO_ARGS, &row, err) ||
        !vault_put_catalogue(sealing, put_lines, NULL, err) || !db_commit(&tx, err))
        return false;
    *event_id = db_i64(row, 0, 0);
    return vault_end_new_pack(sealing, err);
}

static bool change_one(struct db *db, enum db_statement statement, struct db_args args,
                       struct err *err)
{
    uint64_t affected;

    if (!db_run_count(db, statement, args, &affected, err))
        return false;
    return affected == 1 ||
           err_fail(err, ERR_RETRY, "the installation was sealed by somebody else meanwhile");
}

static bool seal(struct vault_sealing *sealing, struct err *err)
{
    struct bytes sha256 = crypto_sha256_bytes(&sealing->facts.sha256);
    int64_t event_id;

    return write_pack(sealing, &event_id, err) && vault_check_new_pack(sealing, err) &&
           change_one(sealing->db, DB_VAULT_INSTALLATION_PENDING,
                      DB_ARGS(DB_BYTEA(sha256), vault_previous_value(sealing)), err) &&
           vault_name_new_pack(sealing, err) &&
           change_one(sealing->db, DB_VAULT_INSTALLATION_SEALED,
                      DB_ARGS(DB_BYTEA(sha256), vault_previous_value(sealing), DB_I64(event_id)),
                      err);
}

bool vault_seal_installation(struct db *db, const char *packs_dir, int64_t older_than_seconds,
                             bool *is_made, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *state = NULL;
    CLEANUP(vault_close_sealing)
    struct vault_sealing sealing = {
        .db = db,
        .fd = -1,
        .spill_fd = -1,
        .parts = buf_create((size_t)STORE_PACK_FRAMES_MAX * sizeof(struct store_frame_facts)),
    };
    struct err ignored = { 0 };

    *is_made = false;
    if (!vault_make_pack_paths(packs_dir, 0, &sealing.paths, err) ||
        !db_run_one(db, DB_VAULT_INSTALLATION_STATE, DB_ARGS(DB_I64(older_than_seconds)), &state,
                    err) ||
        !vault_read_hash(state, 0, 0, &sealing.has_previous, &sealing.previous, err) ||
        !clear_away(&sealing, state, err))
        return err_wrap(err, "installation pack");
    if (!db_bool(state, 0, 2))
        return true;
    if (!seal(&sealing, err)) {
        if (!vault_remove_file(sealing.paths.temporary, &ignored))
            err_clear(&ignored); /* the next call tries again */
        return err_wrap(err, "installation pack");
    }
    *is_made = true;
    return true;
}
