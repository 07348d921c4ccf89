/* SPDX-License-Identifier: Apache-2.0 */
#include "ingest/set.h"

enum {
    RANGE_BYTES = 22 /* ",4294967295:4294967295" */
};

size_t ingest_write_set(struct buf *out, const uint32_t *uids, size_t count, size_t max_uids)
{
    size_t start = out->len;
    size_t taken = 0;

    if (count > max_uids)
        count = max_uids;
    while (taken < count && out->len - start + RANGE_BYTES <= INGEST_SET_BYTES) {
        size_t last = taken;

        while (last + 1 < count && uids[last + 1] == uids[last] + 1)
            last++;
        if (taken > 0)
            buf_text(out, ",");
        buf_u64(out, uids[taken]);
        if (last > taken) {
            buf_text(out, ":");
            buf_u64(out, uids[last]);
        }
        taken = last + 1;
    }
    return taken;
}

size_t ingest_find_uid(const uint32_t *uids, size_t count, uint32_t uid)
{
    size_t low = 0;
    size_t high = count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (uids[middle] == uid)
            return middle;
        if (uids[middle] < uid)
            low = middle + 1;
        else
            high = middle;
    }
    return SIZE_MAX;
}
