/* SPDX-License-Identifier: Apache-2.0 */
/* Files that hold a key: private, never replaced, written durably. */
#include "base/fd.h"
#include "base/secret.h"
#include "base/sys.h"
#include "crypto/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    FILE_MAX_BYTES = 4096
};

void crypto_wipe_buf(struct buf *buf)
{
    if (buf->ptr != NULL)
        secret_wipe(buf->ptr, buf->cap);
    buf_free(buf);
}

static bool sync_folder_of(const char *path, struct err *err)
{
    const char *slash = strrchr(path, '/');
    char folder[PATH_MAX] = ".";
    CLEANUP(fd_close) int fd = -1;

    if (slash != NULL)
        (void)snprintf(folder, sizeof folder, "%.*s", slash == path ? 1 : (int)(slash - path),
                       path);
    fd = sys()->open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (fd < 0 || sys()->fsync(fd) != 0)
        return err_errno(err, "sync folder %s", folder);
    return true;
}

static bool fill_and_link(int fd, const char *temporary, const char *path, struct bytes octets,
                          struct err *err)
{
    if (!fd_write_all(fd, octets, err))
        return err_wrap(err, "%s", temporary);
    if (sys()->fsync(fd) != 0)
        return err_errno(err, "fsync %s", temporary);
    /* Unlike rename, link does not replace what somebody else has just made. */
    if (link(temporary, path) != 0) {
        if (errno == EEXIST)
            return err_fail(err, ERR_DENIED, "%s exists already and is not replaced", path);
        return err_errno(err, "create %s", path);
    }
    return true;
}

bool crypto_create_private_file(const char *path, struct bytes octets, struct err *err)
{
    CLEANUP(fd_close) int fd = -1;
    char temporary[PATH_MAX];
    bool is_made;

    if ((size_t)snprintf(temporary, sizeof temporary, "%s.XXXXXX", path) >= sizeof temporary)
        return err_fail(err, ERR_LIMIT, "path too long: %s", path);
    fd = mkostemp(temporary, O_CLOEXEC); /* mode 0600 */
    if (fd < 0)
        return err_errno(err, "create %s", path);
    is_made = fill_and_link(fd, temporary, path, octets, err);
    (void)sys()->unlink(temporary);
    return is_made && sync_folder_of(path, err);
}

static bool check_private(int fd, const char *path, struct err *err)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        return err_errno(err, "%s", path);
    if (!S_ISREG(st.st_mode))
        return err_fail(err, ERR_DENIED, "%s is not an ordinary file", path);
    if ((st.st_mode & 077) != 0)
        return err_fail(err, ERR_DENIED,
                        "%s has mode %04o, so that others may use it; run: chmod 600 %s", path,
                        (unsigned)(st.st_mode & 07777), path);
    if (st.st_uid != geteuid() && st.st_uid != 0)
        return err_fail(err, ERR_DENIED, "%s belongs to another user (uid %u)", path,
                        (unsigned)st.st_uid);
    return true;
}

bool crypto_load_private_file(const char *path, struct buf *out, struct err *err)
{
    CLEANUP(fd_close) int fd = sys()->open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0);

    if (fd < 0)
        return err_errno(err, "open %s", path);
    if (!check_private(fd, path, err))
        return false;
    for (;;) {
        uint8_t *room = buf_reserve(out, FILE_MAX_BYTES + 1 - out->len);
        ssize_t got;

        if (room == NULL)
            return err_fail(err, ERR_SYSTEM, "no memory for %s", path);
        got = sys()->read(fd, room, FILE_MAX_BYTES + 1 - out->len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_errno(err, "read %s", path);
        if (got == 0)
            return true;
        buf_commit(out, (size_t)got);
        if (out->len > FILE_MAX_BYTES)
            return err_fail(err, ERR_CORRUPT, "%s is not a key file: over %d bytes", path,
                            FILE_MAX_BYTES);
    }
}
