/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fd.h"

#include "base/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>

void fd_close(int *fd)
{
    if (*fd >= 0)
        (void)sys()->close(*fd);
    *fd = -1;
}

int fd_take(int *fd)
{
    int taken = *fd;

    *fd = -1;
    return taken;
}

bool fd_wait(int fd, int ms)
{
    struct pollfd readable = { .fd = fd, .events = POLLIN };

    return poll(&readable, 1, ms) > 0;
}

bool fd_write_all(int fd, struct bytes octets, struct err *err)
{
    while (octets.len > 0) {
        ssize_t done = sys()->write(fd, octets.ptr, octets.len);

        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return err_errno(err, "write");
        octets = bytes_slice(octets, (size_t)done, SIZE_MAX);
    }
    return true;
}

bool file_read(const char *path, size_t max_bytes, struct buf *out, struct err *err)
{
    CLEANUP(fd_close) int fd = sys()->open(path, O_RDONLY | O_CLOEXEC, 0);
    uint8_t chunk[4096];
    size_t total = 0;

    if (fd < 0)
        return err_errno(err, "open %s", path);
    for (;;) {
        ssize_t got = sys()->read(fd, chunk, sizeof chunk);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_errno(err, "read %s", path);
        if (got == 0)
            return true;
        total += (size_t)got;
        if (total > max_bytes)
            return err_fail(err, ERR_LIMIT, "%s is longer than %zu bytes", path, max_bytes);
        buf_append(out, bytes_of(chunk, (size_t)got));
    }
}

static bool sync_folder_of(const char *path, struct err *err)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    CLEANUP(fd_close) int fd = -1;

    if (slash == NULL)
        (void)snprintf(folder, sizeof folder, ".");
    else
        (void)snprintf(folder, sizeof folder, "%.*s", slash == path ? 1 : (int)(slash - path),
                       path);
    fd = sys()->open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (fd < 0)
        return err_errno(err, "open folder %s", folder);
    if (sys()->fsync(fd) != 0)
        return err_errno(err, "fsync folder %s", folder);
    return true;
}

bool file_write_atomic(const char *path, struct bytes octets, unsigned mode, struct err *err)
{
    char temporary[PATH_MAX];
    CLEANUP(fd_close) int fd = -1;

    if ((size_t)snprintf(temporary, sizeof temporary, "%s.new", path) >= sizeof temporary)
        return err_fail(err, ERR_LIMIT, "path too long: %s", path);
    fd = sys()->open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0)
        return err_errno(err, "create %s", temporary);
    if (!fd_write_all(fd, octets, err)) {
        (void)sys()->unlink(temporary);
        return err_wrap(err, "%s", temporary);
    }
    if (sys()->fsync(fd) != 0 || sys()->rename(temporary, path) != 0) {
        (void)err_errno(err, "make %s durable", path);
        (void)sys()->unlink(temporary);
        return false;
    }
    return sync_folder_of(path, err);
}

bool dir_create(const char *path, unsigned mode, struct err *err)
{
    char prefix[PATH_MAX];
    size_t len = strlen(path);
    struct stat st;

    if (len == 0 || len >= sizeof prefix)
        return err_fail(err, ERR_LIMIT, "path too long: %s", path);
    memcpy(prefix, path, len + 1);
    for (size_t i = 1; i <= len; i++) {
        if (prefix[i] != '/' && prefix[i] != '\0')
            continue;
        prefix[i] = '\0';
        if (mkdir(prefix, mode) != 0 && errno != EEXIST)
            return err_errno(err, "create folder %s", prefix);
        prefix[i] = path[i];
    }
    if (stat(path, &st) != 0)
        return err_errno(err, "folder %s", path);
    if (!S_ISDIR(st.st_mode))
        return err_fail(err, ERR_SYSTEM, "%s is not a folder", path);
    return true;
}
