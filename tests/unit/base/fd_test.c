/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fd.h"
#include "base/sys.h"
#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct sys faulty;

static ssize_t short_write(int fd, const void *buf, size_t len)
{
    return write(fd, buf, len > 3 ? 3 : len);
}

static int failing_fsync(int fd)
{
    (void)fd;
    errno = EIO;
    return -1;
}

static void in_new_folder(char path[64])
{
    (void)snprintf(path, 64, "/tmp/holdfast-fd-test-XXXXXX");
    CHECK(mkdtemp(path) != NULL);
}

TEST(octets_and_an_end_are_there_to_be_read_and_without_either_the_time_passes)
{
    int ends[2];

    CHECK(pipe(ends) == 0);
    CHECK(!fd_wait(ends[0], 1));
    CHECK(write(ends[1], "x", 1) == 1);
    CHECK(fd_wait(ends[0], -1));
    CHECK(read(ends[0], &(char){ 0 }, 1) == 1);
    CHECK(!fd_wait(ends[0], 0));
    fd_close(&ends[1]);
    CHECK(fd_wait(ends[0], -1));
    fd_close(&ends[0]);
}

TEST(a_file_is_written_whole_over_short_writes)
{
    CLEANUP(buf_free) struct buf content = buf_create(100);
    char folder[64], path[96];
    struct err err = { 0 };

    in_new_folder(folder);
    (void)snprintf(path, sizeof path, "%s/file", folder);
    faulty = *sys();
    faulty.write = short_write;
    sys_replace(&faulty);
    CHECK(file_write_atomic(path, BYTES("0123456789"), 0600, &err));
    sys_replace(NULL);
    CHECK(file_read(path, 100, &content, &err));
    CHECK_BYTES(buf_bytes(&content), BYTES("0123456789"));
    CHECK(unlink(path) == 0 && rmdir(folder) == 0);
}

TEST(a_file_that_cannot_be_made_durable_does_not_appear)
{
    char folder[64], path[96];
    struct err err = { 0 };
    struct stat st;

    in_new_folder(folder);
    (void)snprintf(path, sizeof path, "%s/file", folder);
    faulty = *sys();
    faulty.fsync = failing_fsync;
    sys_replace(&faulty);
    CHECK(!file_write_atomic(path, BYTES("x"), 0600, &err));
    sys_replace(NULL);
    CHECK(err.code == ERR_SYSTEM);
    CHECK(stat(path, &st) != 0);
    CHECK(rmdir(folder) == 0); /* nothing half-done stays behind */
}

TEST(a_file_longer_than_expected_is_refused)
{
    CLEANUP(buf_free) struct buf content = buf_create(100000);
    struct err err = { 0 };

    CHECK(!file_read("/proc/self/status", 10, &content, &err));
    CHECK(err.code == ERR_LIMIT);
    CHECK(!file_read("/nonexistent/file", 10, &content, &err));
    CHECK(err.code == ERR_ABSENT);
}

TEST(folders_are_made_with_their_parents)
{
    char folder[64], path[96];
    struct err err = { 0 };

    in_new_folder(folder);
    (void)snprintf(path, sizeof path, "%s/a/b", folder);
    CHECK(dir_create(path, 0700, &err));
    CHECK(dir_create(path, 0700, &err));
    CHECK(rmdir(path) == 0);
    (void)snprintf(path, sizeof path, "%s/a", folder);
    CHECK(rmdir(path) == 0 && rmdir(folder) == 0);
}
