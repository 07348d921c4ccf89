/* SPDX-License-Identifier: Apache-2.0 */
#include "base/sys.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static int open_file(const char *path, int flags, mode_t mode)
{
    return open(path, flags, mode);
}

static const struct sys c_library = {
    .open = open_file,
    .read = read,
    .pread = pread,
    .write = write,
    .fsync = fsync,
    .close = close,
    .rename = rename,
    .unlink = unlink,
};

static const struct sys *current = &c_library; /* changed by tests only, before threads start */

const struct sys *sys(void)
{
    return current;
}

void sys_replace(const struct sys *table)
{
    current = table == NULL ? &c_library : table;
}
