/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest/set.h - long lists of UIDs as the short sets that every server takes. Pure.
 */
#pragma once

#include "base/buf.h"

enum {
    INGEST_SET_UIDS = 200, /* in one command: bounds what one bad message can spoil */
    /* from a source that is quick and refuses nothing */
    INGEST_SET_UIDS_MAX = 16 * INGEST_SET_UIDS,
    INGEST_SET_BYTES =
        1000, /* Exchange rejects long sets; RFC 7162 §4 permits 8,192 octets a line */
};

/*
 * Appends the set of the first of `uids` (ascending, distinct; at most count and max_uids of them, and
 * as many as fit in INGEST_SET_BYTES) and returns how many those are: at least 1 when count is.
 */
size_t ingest_write_set(struct buf *out, const uint32_t *uids, size_t count, size_t max_uids);

/* Index of uid in `uids` (ascending), or SIZE_MAX. */
size_t ingest_find_uid(const uint32_t *uids, size_t count, uint32_t uid);
