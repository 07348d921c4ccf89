/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/pack_list.c - rows of packs, files without a row, and opening a pack by name.
 */
#include "base/fd.h"
#include "base/sys.h"
#include "vault/internal.h"
#include "vault/pack.h"
#include "vault/seal_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>

enum {
    STRAYS_MAX = 1000,
    NAMES_AT_ONCE = 500,
};

/* Columns of vault_pack_page, in vault_seal.sql. */
enum {
    COL_ACCOUNT_ID,
    COL_PACK_ID,
    COL_SHA256,
    COL_PREVIOUS,
    COL_STORED_BYTES,
    COL_RAW_BYTES,
    COL_SEALED_AT,
    COL_IS_DAMAGED,
    COL_NAME,
    COL_LOCATION,
    COL_FRAMES,
};

static bool copy_hash(struct bytes octets, struct crypto_sha256 *out)
{
    if (octets.len != sizeof out->octets)
        return false;
    memcpy(out->octets, octets.ptr, octets.len);
    return true;
}

static bool read_row(const struct db_result *rows, size_t i, struct arena *arena,
                     struct vault_pack_row *out, struct err *err)
{
    *out = (struct vault_pack_row){
        .account_id = db_i64(rows, i, COL_ACCOUNT_ID),
        .pack_id = db_i64(rows, i, COL_PACK_ID),
        .has_previous = !db_is_null(rows, i, COL_PREVIOUS),
        .stored_bytes = (uint64_t)db_i64(rows, i, COL_STORED_BYTES),
        .raw_bytes = (uint64_t)db_i64(rows, i, COL_RAW_BYTES),
        .frames = (uint64_t)db_i64(rows, i, COL_FRAMES),
        .sealed_usec = db_time_usec(rows, i, COL_SEALED_AT),
        .is_damaged = db_bool(rows, i, COL_IS_DAMAGED),
        .is_file = bytes_equal(db_bytes(rows, i, COL_LOCATION), BYTES("file")),
    };
    if (!copy_hash(db_bytes(rows, i, COL_SHA256), &out->sha256) ||
        (out->has_previous && !copy_hash(db_bytes(rows, i, COL_PREVIOUS), &out->previous)))
        return err_fail(err, ERR_CORRUPT, "pack %jd has no SHA-256", (intmax_t)out->pack_id);
    return vault_copy_column(rows, i, COL_NAME, arena, &out->account_name, err);
}

bool vault_list_packs(struct db *db, const struct vault_pack_row *after, size_t limit,
                      struct arena *arena, const struct vault_pack_row **out, size_t *count,
                      struct err *err)
{
    CLEANUP(db_result_free) struct db_result *rows = NULL;
    struct vault_pack_row *packs;

    if (!db_run(db, DB_VAULT_PACK_PAGE,
                DB_ARGS(DB_I64(after == NULL ? 0 : after->account_id),
                        DB_I64(after == NULL ? 0 : after->pack_id), DB_I64(limit)),
                &rows, err))
        return false;
    packs = arena_new_array(arena, struct vault_pack_row, db_rows(rows));
    for (size_t i = 0; i < db_rows(rows); i++)
        if (!read_row(rows, i, arena, &packs[i], err))
            return false;
    *out = packs;
    *count = db_rows(rows);
    return true;
}

bool vault_open_pack_in_folder(void *context, enum vault_file file, int64_t account_id,
                               int64_t pack_id, struct bytes sha256, int *fd, struct err *err)
{
    struct vault_pack_paths paths;
    struct crypto_sha256 hash;
    char path[PATH_MAX];

    (void)pack_id;
    if (!copy_hash(sha256, &hash))
        return err_fail(err, ERR_CORRUPT, "a pack without SHA-256");
    if (!vault_make_pack_paths(context, account_id, &paths, err) ||
        !(file == VAULT_FILE_TEXT ? vault_make_segment_path(&paths, &hash, path, err)
                                  : vault_make_pack_path(&paths, &hash, path, err)))
        return false;
    *fd = sys()->open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0);
    return *fd >= 0 || err_errno(err, "open %s", path);
}

/* ---- files without a row ------------------------------------------------------------------------ */

struct strays {
    struct db *db;
    int64_t account_id;
    struct arena *arena;
    size_t waiting; /* read and not yet compared */
    struct crypto_sha256 hashes[NAMES_AT_ONCE];
    struct bytes *found;
    size_t count;
};

bool vault_read_pack_name(const char *name, struct crypto_sha256 *out)
{
    char again[VAULT_PACK_NAME_BYTES];

    if (strlen(name) != sizeof again - 1)
        return false;
    for (size_t i = 0; i < 2 * sizeof out->octets; i++) {
        uint8_t c = (uint8_t)name[i];
        uint8_t digit = ascii_is_digit(c) ? (uint8_t)(c - '0') : (uint8_t)(c - 'a' + 10);

        out->octets[i / 2] = (uint8_t)(out->octets[i / 2] << 4 | (digit & 15));
    }
    vault_write_pack_name(out, again);
    return strcmp(name, again) == 0;
}

static bool is_known(const struct db_result *rows, const struct crypto_sha256 *hash)
{
    for (size_t i = 0; i < db_rows(rows); i++)
        if (bytes_equal(db_bytes(rows, i, 0), crypto_sha256_bytes(hash)))
            return true;
    return false;
}

static bool compare_names(struct strays *strays, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *rows = NULL;
    struct bytes hashes[NAMES_AT_ONCE];

    for (size_t i = 0; i < strays->waiting; i++)
        hashes[i] = crypto_sha256_bytes(&strays->hashes[i]);
    if (!db_run(strays->db, DB_VAULT_PACK_KNOWN,
                DB_ARGS(DB_I64(strays->account_id), DB_BYTEAS(hashes, strays->waiting)), &rows,
                err))
        return false;
    for (size_t i = 0; i < strays->waiting && strays->count < STRAYS_MAX; i++) {
        char name[VAULT_PACK_NAME_BYTES];

        if (is_known(rows, &strays->hashes[i]))
            continue;
        vault_write_pack_name(&strays->hashes[i], name);
        strays->found[strays->count++] = bytes_of_text(arena_text(strays->arena, name));
    }
    strays->waiting = 0;
    return true;
}

static bool read_names(struct strays *strays, DIR *folder, struct err *err)
{
    const struct dirent *entry;

    while ((entry = readdir(folder)) != NULL) {
        if (!vault_read_pack_name(entry->d_name, &strays->hashes[strays->waiting]))
            continue;
        if (++strays->waiting == NAMES_AT_ONCE && !compare_names(strays, err))
            return false;
    }
    return compare_names(strays, err);
}

bool vault_find_stray_packs(struct db *db, const char *packs_dir, int64_t account_id,
                            struct arena *arena, const struct bytes **names, size_t *count,
                            struct err *err)
{
    struct strays *strays = arena_new(arena, struct strays);
    struct vault_pack_paths paths;
    DIR *folder;
    bool is_done;

    *strays = (struct strays){ .db = db, .account_id = account_id, .arena = arena };
    strays->found = arena_new_array(arena, struct bytes, STRAYS_MAX);
    if (!vault_make_pack_paths(packs_dir, account_id, &paths, err))
        return false;
    folder = opendir(paths.folder);
    if (folder == NULL && errno != ENOENT)
        return err_errno(err, "folder %s", paths.folder);
    is_done = folder == NULL || read_names(strays, folder, err);
    if (folder != NULL)
        (void)closedir(folder);
    *names = strays->found;
    *count = strays->count;
    return is_done;
}
