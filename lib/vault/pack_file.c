/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/pack_file.c - packs in the file system: names, folders, durable appearance.
 */
#include "base/fd.h"
#include "base/sys.h"
#include "vault/seal_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

static bool fits(int length, struct err *err)
{
    return (length > 0 && length < PATH_MAX) ||
           err_fail(err, ERR_LIMIT, "a pack's path is too long");
}

bool vault_make_pack_paths(const char *packs_dir, int64_t account_id, struct vault_pack_paths *out,
                           struct err *err)
{
    char *folder = out->folder;
    int length = account_id == 0
                     ? snprintf(folder, PATH_MAX, "%s/installation", packs_dir)
                     : snprintf(folder, PATH_MAX, "%s/%jd", packs_dir, (intmax_t)account_id);

    return fits(length, err) && fits(snprintf(out->packs, PATH_MAX, "%s", packs_dir), err) &&
           fits(snprintf(out->temporary, PATH_MAX, "%s/sealing.new", folder), err) &&
           fits(snprintf(out->catalogue, PATH_MAX, "%s/sealing.catalogue", folder), err) &&
           fits(snprintf(out->text, PATH_MAX, "%s/sealing.text", folder), err);
}

void vault_write_pack_name(const struct crypto_sha256 *sha256, char out[VAULT_PACK_NAME_BYTES])
{
    for (size_t i = 0; i < CRYPTO_SHA256_BYTES; i++)
        (void)snprintf(out + 2 * i, 3, "%02x", sha256->octets[i]);
    memcpy(out + 2 * CRYPTO_SHA256_BYTES, ".tar.zst", sizeof ".tar.zst");
}

bool vault_make_pack_path(const struct vault_pack_paths *paths, const struct crypto_sha256 *sha256,
                          char out[PATH_MAX], struct err *err)
{
    char name[VAULT_PACK_NAME_BYTES];

    vault_write_pack_name(sha256, name);
    return fits(snprintf(out, PATH_MAX, "%s/%s", paths->folder, name), err);
}

bool vault_make_segment_path(const struct vault_pack_paths *paths,
                             const struct crypto_sha256 *sha256, char out[PATH_MAX],
                             struct err *err)
{
    char name[VAULT_PACK_NAME_BYTES];

    vault_write_pack_name(sha256, name);
    return fits(
        snprintf(out, PATH_MAX, "%s/%.*s.text", paths->folder, 2 * CRYPTO_SHA256_BYTES, name), err);
}

bool vault_sync_folder(const char *folder, struct err *err)
{
    CLEANUP(fd_close) int fd = sys()->open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);

    if (fd < 0)
        return err_errno(err, "open folder %s", folder);
    if (sys()->fsync(fd) != 0)
        return err_errno(err, "fsync folder %s", folder);
    return true;
}

bool vault_make_pack_folders(const struct vault_pack_paths *paths, struct err *err)
{
    return dir_create(paths->folder, 0750, err) && vault_sync_folder(paths->packs, err);
}

bool vault_remove_file(const char *path, struct err *err)
{
    return sys()->unlink(path) == 0 || errno == ENOENT || err_errno(err, "remove %s", path);
}

bool vault_write_pack_octets(void *context, struct bytes octets, struct err *err)
{
    return fd_write_all(*(const int *)context, octets, err);
}

bool vault_read_pack_octets(void *context, uint64_t offset, uint8_t *out, size_t len,
                            struct err *err)
{
    const int *fd = context;

    while (len > 0) {
        ssize_t got = sys()->pread(*fd, out, len, (off_t)offset);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno == EIO)
            return err_fail(err, ERR_CORRUPT, "the disk cannot read octet %ju", (uintmax_t)offset);
        if (got < 0)
            return err_errno(err, "read at %ju", (uintmax_t)offset);
        if (got == 0)
            return err_fail(err, ERR_CORRUPT, "the file ends before octet %ju", (uintmax_t)offset);
        out += got;
        len -= (size_t)got;
        offset += (uint64_t)got;
    }
    return true;
}

static bool open_regular(const char *path, int *fd, struct store_pack_source *source,
                         struct err *err)
{
    CLEANUP(fd_close)
    int opened = sys()->open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0);
    struct stat facts;

    if (opened < 0 || fstat(opened, &facts) != 0)
        return err_errno(err, "open %s", path);
    if (!S_ISREG(facts.st_mode))
        return err_fail(err, ERR_CORRUPT, "%s is not a file", path);
    *source = (struct store_pack_source){ vault_read_pack_octets, fd, (uint64_t)facts.st_size };
    *fd = fd_take(&opened);
    return true;
}

bool vault_open_pack_file(const char *path, int *fd, uint64_t *size_bytes, struct store_pack **out,
                          struct err *err)
{
    struct store_pack_source source;

    if (!open_regular(path, fd, &source, err))
        return false;
    *size_bytes = source.size_bytes;
    if (store_open_pack(&source, out, err))
        return true;
    fd_close(fd);
    return false;
}

bool vault_open_segment_file(const char *path, int *fd, struct store_pack **out, struct err *err)
{
    struct store_pack_source source;

    if (!open_regular(path, fd, &source, err))
        return false;
    if (store_open_segment(&source, out, err))
        return true;
    fd_close(fd);
    return false;
}
