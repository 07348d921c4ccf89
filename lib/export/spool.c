/* SPDX-License-Identifier: Apache-2.0 */
#include "export/spool.h"

#include "base/fd.h"
#include "base/sys.h"

#include <errno.h>

enum {
    ROW_BYTES = 8 << 20, /* the longest row: two lists of 4,096 keywords */
    FULL_BYTES = 64 << 10,
    CHUNK_BYTES = 64 << 10,
};

struct export_spool export_begin_spool(int fd)
{
    return (struct export_spool){ .fd = fd, .pending = buf_create(ROW_BYTES) };
}

void export_free_spool(struct export_spool *spool)
{
    buf_free(&spool->pending);
}

static bool flush(struct export_spool *spool, struct err *err)
{
    struct bytes octets;

    if (!buf_done(&spool->pending, &octets, err) || !fd_write_all(spool->fd, octets, err))
        return err_wrap(err, "file beside the export");
    spool->size_bytes += octets.len;
    buf_reset(&spool->pending, 2 * FULL_BYTES);
    return true;
}

bool export_pass_spool(struct export_spool *spool, struct err *err)
{
    return (spool->pending.len < FULL_BYTES && !spool->pending.has_failed) || flush(spool, err);
}

bool export_read_spool(struct export_spool *spool, export_write_fn *write, void *context,
                       struct err *err)
{
    uint8_t chunk[CHUNK_BYTES];

    if (!flush(spool, err))
        return false;
    for (uint64_t at = 0; at < spool->size_bytes;) {
        ssize_t got = sys()->pread(spool->fd, chunk, sizeof chunk, (off_t)at);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_errno(err, "file beside the export");
        if (got == 0)
            return err_fail(err, ERR_SYSTEM, "a file beside the export has become shorter");
        if (!write(context, bytes_of(chunk, (size_t)got), err))
            return false;
        at += (uint64_t)got;
    }
    return true;
}
