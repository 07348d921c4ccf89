/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/sys.h - the system calls on which durability rests, behind one table.
 *
 * Code that makes octets durable calls sys()->write and so on, so that a fault test can make the
 * n-th call fail (tests/faults) without a fake file system. In production the table is the C
 * library's. sys_replace is for tests, before any thread starts.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct sys {
    int (*open)(const char *path, int flags, mode_t mode);
    ssize_t (*read)(int fd, void *buf, size_t len);
    ssize_t (*pread)(int fd, void *buf, size_t len, off_t offset);
    ssize_t (*write)(int fd, const void *buf, size_t len);
    int (*fsync)(int fd);
    int (*close)(int fd);
    int (*rename)(const char *from, const char *to);
    int (*unlink)(const char *path);
};

const struct sys *sys(void);
void sys_replace(const struct sys *table); /* NULL: back to the C library's */
