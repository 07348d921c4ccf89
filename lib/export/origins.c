/* SPDX-License-Identifier: Apache-2.0 */
/*
 * export/origins.c - the source UID of each archive UID of one mailbox: an array in a file, because
 * they come in the order of the source and are asked for in that of the archive.
 */
#include "base/fd.h"
#include "base/sys.h"
#include "export/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

struct gathering {
    int fd;
    uint64_t uidnext;
};

/* Ascending by placement. */
static int compare_origins(const void *a, const void *b)
{
    const struct vault_origin *x = a, *y = b;

    if (x->placement_uid != y->placement_uid)
        return x->placement_uid < y->placement_uid ? -1 : 1;
    return x->source_uid < y->source_uid ? -1 : x->source_uid > y->source_uid;
}

static bool put_at(int fd, uint32_t first, const struct export_origin *origins, size_t count,
                   struct err *err)
{
    off_t at = (off_t)((uint64_t)first * sizeof *origins);

    return (lseek(fd, at, SEEK_SET) >= 0 || err_errno(err, "file beside the export")) &&
           fd_write_all(fd, bytes_of(origins, count * sizeof *origins), err);
}

/* Writes each run of consecutive UIDs at once. Of two source UIDs of one placement the lower stands. */
static bool keep(void *context, int32_t epoch, uint32_t uidvalidity,
                 const struct vault_origin *rows, size_t count, struct err *err)
{
    const struct gathering *gathering = context;
    struct vault_origin sorted[LIMIT_PAGE_ROWS];
    struct export_origin run[LIMIT_PAGE_ROWS];
    uint32_t first = 0; /* of the run */
    size_t used = 0;

    assert(count <= ARRAY_LEN(sorted));
    if (count == 0)
        return true;
    memcpy(sorted, rows, count * sizeof *rows);
    qsort(sorted, count, sizeof *sorted, compare_origins);
    for (size_t i = 0; i < count && sorted[i].placement_uid < gathering->uidnext; i++) {
        if (i > 0 && sorted[i].placement_uid == sorted[i - 1].placement_uid)
            continue;
        if (used > 0 && sorted[i].placement_uid != first + used) {
            if (!put_at(gathering->fd, first, run, used, err))
                return false;
            used = 0;
        }
        if (used == 0)
            first = sorted[i].placement_uid;
        run[used++] = (struct export_origin){ uidvalidity, sorted[i].source_uid, (uint32_t)epoch,
                                              sorted[i].by };
    }
    return used == 0 || put_at(gathering->fd, first, run, used, err);
}

bool export_gather_origins(const struct export_order *order,
                           const struct vault_position_mailbox *mailbox, struct err *err)
{
    struct gathering gathering = { order->files.origins, mailbox->uidnext };
    off_t size = (off_t)(mailbox->uidnext * sizeof(struct export_origin));

    /* Empty, then as long as needed: what is not written reads as 0, not known. */
    if (ftruncate(gathering.fd, 0) != 0 || ftruncate(gathering.fd, size) != 0)
        return err_errno(err, "file beside the export");
    return vault_walk_origins(order->reader, mailbox->account_id, mailbox->mailbox_id, keep,
                              &gathering, err);
}

bool export_read_origins(const struct export_order *order, uint32_t first, size_t count,
                         struct export_origin *out, struct err *err)
{
    uint8_t *room = (uint8_t *)out;
    size_t size = count * sizeof *out, done = 0;

    while (done < size) {
        ssize_t got = sys()->pread(order->files.origins, room + done, size - done,
                                   (off_t)((uint64_t)first * sizeof *out + done));

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_errno(err, "file beside the export");
        if (got == 0)
            return err_fail(err, ERR_SYSTEM, "a file beside the export has become shorter");
        done += (size_t)got;
    }
    return true;
}
