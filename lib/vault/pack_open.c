/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/pack_open.c - pack files without a database: all that lie there, and whether one is whole.
 */
#include "base/fd.h"
#include "base/sys.h"
#include "vault/chain.h"
#include "vault/pack.h"
#include "vault/seal_internal.h"

#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>

enum {
    FOLDERS_ARENA_BYTES = 16 << 20,
    PART_BYTES = 64 << 10,
};

static bool each_in_folder(const struct vault_pack_paths *paths, vault_pack_file_fn *visit,
                           void *context, bool *goes_on, struct err *err)
{
    const struct dirent *entry;
    DIR *folder = opendir(paths->folder);
    bool is_done = true;

    if (folder == NULL)
        return errno == ENOENT || err_errno(err, "folder %s", paths->folder);
    while (*goes_on && is_done && (entry = readdir(folder)) != NULL) {
        struct crypto_sha256 sha256;
        char path[PATH_MAX];

        if (!vault_read_pack_name(entry->d_name, &sha256))
            continue;
        is_done = vault_make_pack_path(paths, &sha256, path, err);
        *goes_on = is_done && visit(context, path, &sha256);
    }
    (void)closedir(folder);
    return is_done;
}

bool vault_each_pack_file(const char *packs_dir, vault_pack_file_fn *visit, void *context,
                          struct err *err)
{
    CLEANUP(arena_free) struct arena *arena = arena_create(FOLDERS_ARENA_BYTES);
    struct vault_pack_paths paths;
    const int64_t *ids;
    size_t count;
    bool goes_on = true;

    if (!vault_find_pack_folders(packs_dir, arena, &ids, &count, err) ||
        !vault_make_pack_paths(packs_dir, 0, &paths, err) ||
        !each_in_folder(&paths, visit, context, &goes_on, err))
        return false;
    for (size_t i = 0; i < count && goes_on; i++)
        if (!vault_make_pack_paths(packs_dir, ids[i], &paths, err) ||
            !each_in_folder(&paths, visit, context, &goes_on, err))
            return false;
    return true;
}

static bool hash_file(int fd, uint64_t size_bytes, struct crypto_sha256 *out, struct err *err)
{
    struct crypto_hasher *hasher = crypto_create_hasher();
    uint8_t part[PART_BYTES];
    bool is_read = true;

    for (uint64_t at = 0; at < size_bytes && is_read; at += sizeof part) {
        uint64_t left = size_bytes - at;
        size_t len = left < sizeof part ? (size_t)left : sizeof part;

        is_read = vault_read_pack_octets(&fd, at, part, len, err);
        if (is_read)
            crypto_update_hasher(hasher, bytes_of(part, len));
    }
    if (is_read)
        *out = crypto_finish_hasher(hasher);
    crypto_free_hasher(&hasher);
    return is_read;
}

bool vault_check_pack_file(int fd, struct crypto_sha256 *sha256, struct err *err)
{
    static const struct store_pack_visitor nobody;
    CLEANUP(store_close_pack) struct store_pack *pack = NULL;
    struct store_pack_source source = { vault_read_pack_octets, &fd, 0 };
    struct crypto_sha256 hash;
    struct stat facts;

    if (fstat(fd, &facts) != 0)
        return err_errno(err, "pack");
    if (!S_ISREG(facts.st_mode))
        return err_fail(err, ERR_CORRUPT, "it is not a file");
    source.size_bytes = (uint64_t)facts.st_size;
    if (!hash_file(fd, source.size_bytes, &hash, err) || !store_open_pack(&source, &pack, err) ||
        !store_walk_pack(pack, &hash, &nobody, err))
        return err_wrap(err, "pack");
    *sha256 = hash;
    return true;
}

bool vault_find_leftovers(const char *packs_dir, vault_leftover_fn *visit, void *context,
                          struct err *err)
{
    CLEANUP(arena_free) struct arena *arena = arena_create(FOLDERS_ARENA_BYTES);
    const int64_t *ids;
    size_t count;

    if (!vault_find_pack_folders(packs_dir, arena, &ids, &count, err))
        return false;
    for (size_t i = 0; i <= count; i++) {
        int64_t account_id = i < count ? ids[i] : 0;
        struct vault_pack_paths paths;
        struct stat facts;

        if (!vault_make_pack_paths(packs_dir, account_id, &paths, err))
            return false;
        if (lstat(paths.temporary, &facts) == 0)
            visit(context, account_id, paths.temporary);
        if (lstat(paths.catalogue, &facts) == 0)
            visit(context, account_id, paths.catalogue);
        if (lstat(paths.text, &facts) == 0)
            visit(context, account_id, paths.text);
    }
    return true;
}
