/* SPDX-License-Identifier: Apache-2.0 */
/*
 * export/sink.h - octets into a file as zstd, with places that are filled in later.
 *
 * The file is a row of zstd frames (RFC 8878), which every decoder reads as one stream. The size of an
 * mbox is known only when it has been written, and tar wants it in front: export_leave_place ends the
 * frame and leaves EXPORT_PLACE_BYTES free, which export_fill_place makes a frame of its own, with a
 * skippable frame behind it for the rest. So mail is read once and nothing is kept beside the file.
 *
 * Memory: a few MiB, whatever passes. Compression runs in a thread of zstd's. One thread at a time.
 */
#pragma once

#include "base/bytes.h"
#include "base/err.h"

enum {
    EXPORT_PLACE_BYTES = 4096
};

struct export_sink;

/* fd: empty and open for writing; borrowed. threads: of zstd's, 0: none. */
MUST_USE bool export_open_sink(int fd, int level, int threads, struct export_sink **out,
                               struct err *err);
void export_close_sink(struct export_sink **sink);

MUST_USE bool export_write_sink(struct export_sink *sink, struct bytes octets, struct err *err);

/* One place at a time. octets: at most EXPORT_TAR_HEADER_BYTES. */
MUST_USE bool export_leave_place(struct export_sink *sink, struct err *err);
MUST_USE bool export_fill_place(struct export_sink *sink, struct bytes octets, struct err *err);

/* Ends the last frame. The file is complete, but not synced. */
MUST_USE bool export_finish_sink(struct export_sink *sink, struct err *err);
