/* SPDX-License-Identifier: Apache-2.0 */
/*
 * export/spool.h - a file of the export that is complete only at the end: kept in a nameless file
 * until then. One thread at a time.
 */
#pragma once

#include "base/buf.h"
#include "crypto/hash.h"
#include "export/mbox.h"

struct export_spool { /* starts with export_begin_spool */
    int fd;           /* borrowed, empty */
    uint64_t size_bytes;
    struct buf pending;
};

struct export_spool export_begin_spool(int fd);
void export_free_spool(struct export_spool *spool);

/* What callers append to; then export_pass_spool, after each row. */
static inline struct buf *export_spool_buf(struct export_spool *spool)
{
    return &spool->pending;
}
MUST_USE bool export_pass_spool(struct export_spool *spool, struct err *err);

/* Gives all of it to a writer, from the start. */
MUST_USE bool export_read_spool(struct export_spool *spool, export_write_fn *write, void *context,
                                struct err *err);
