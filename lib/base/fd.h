/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/fd.h - file descriptors as owned values; whole reads and writes.
 */
#pragma once

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

/* Closes *fd when it is not negative and sets it to -1. */
void fd_close(int *fd);

/* Moves ownership out: returns *fd and sets it to -1. */
int fd_take(int *fd);

/* Until there is something to read, or an end, or ms have passed (-1: for ever). True: there is. A signal may
 * end it sooner. */
bool fd_wait(int fd, int ms);

/* Writes all of it, over short writes and EINTR. */
MUST_USE bool fd_write_all(int fd, struct bytes octets, struct err *err);

/* Reads a whole file of at most max_bytes. ERR_LIMIT when it is longer, ERR_ABSENT when missing. */
MUST_USE bool file_read(const char *path, size_t max_bytes, struct buf *out, struct err *err);

/*
 * Makes a file appear whole or not at all: temporary name in the same folder, fsync, rename, fsync
 * of the folder. mode: as in open(2). An existing file is replaced.
 */
MUST_USE bool file_write_atomic(const char *path, struct bytes octets, unsigned mode,
                                struct err *err);

/* As mkdir -p for one path; folders that it makes get mode. */
MUST_USE bool dir_create(const char *path, unsigned mode, struct err *err);
