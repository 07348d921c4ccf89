/* SPDX-License-Identifier: Apache-2.0 */
#include "imap/set.h"

#include "imap/internal.h"
#include "imap/token.h"

#include <stdlib.h>

/* Room for every range there can be: each but the first follows a comma. */
static size_t count_ranges(struct bytes in)
{
    size_t count = 1;

    for (size_t i = 0; i < in.len; i++) {
        uint8_t c = in.ptr[i];

        if (c == ',')
            count++;
        else if (!ascii_is_digit(c) && c != ':' && c != '*')
            break;
    }
    return count;
}

static bool read_end(struct bytes *in, uint32_t *out, bool *has_star, struct err *err)
{
    if (scan_byte(in, '*')) {
        *has_star = true;
        *out = IMAP_STAR;
        return true;
    }
    return imap_read_nz_number(in, out, err);
}

static bool read_range(struct bytes *in, struct imap_range *out, bool *has_star, struct err *err)
{
    if (!read_end(in, &out->first, has_star, err))
        return false;
    out->last = out->first;
    return !scan_byte(in, ':') || read_end(in, &out->last, has_star, err);
}

bool imap_read_set(struct bytes *in, size_t max_ranges, struct arena *arena,
                   struct imap_sequence_set *out, struct err *err)
{
    struct bytes rest = *in;
    struct imap_sequence_set set = { 0 };
    struct imap_range *ranges;
    void *room = NULL;
    size_t expected = count_ranges(rest);

    if (scan_byte(&rest, '$')) {
        set.is_saved_result = true;
        *in = rest;
        *out = set;
        return true;
    }
    if (expected > max_ranges)
        return err_fail(err, ERR_LIMIT, "more than %zu ranges in a set", max_ranges);
    if (!arena_try_alloc(arena, expected, sizeof *ranges, &room, err))
        return false;
    ranges = room;
    do {
        if (!read_range(&rest, &ranges[set.count], &set.has_star, err))
            return false;
        set.count++;
    } while (scan_byte(&rest, ','));

    set.ranges = ranges;
    *in = rest;
    *out = set;
    return true;
}

static int compare_ranges(const void *a, const void *b)
{
    const struct imap_range *left = a;
    const struct imap_range *right = b;

    return left->first < right->first ? -1 : left->first > right->first;
}

struct imap_set imap_normalise_ranges(struct imap_range *ranges, size_t count)
{
    size_t merged = 0;
    bool is_sorted = true;

    for (size_t i = 0; i < count; i++) {
        assert(ranges[i].first > 0 && ranges[i].last > 0);
        if (ranges[i].first > ranges[i].last)
            ranges[i] = (struct imap_range){ ranges[i].last, ranges[i].first };
        is_sorted = is_sorted && (i == 0 || ranges[i - 1].first <= ranges[i].first);
    }
    if (!is_sorted)
        qsort(ranges, count, sizeof *ranges, compare_ranges);
    for (size_t i = 0; i < count; i++) {
        struct imap_range *top = merged == 0 ? NULL : &ranges[merged - 1];

        if (top != NULL && (top->last == UINT32_MAX || ranges[i].first <= top->last + 1)) {
            if (ranges[i].last > top->last)
                top->last = ranges[i].last;
        } else {
            ranges[merged++] = ranges[i];
        }
    }
    return (struct imap_set){ ranges, merged };
}

struct imap_set imap_resolve_set(const struct imap_sequence_set *from, uint32_t star,
                                 struct arena *arena)
{
    struct imap_range *ranges;
    size_t count = 0;

    if (from->count == 0)
        return (struct imap_set){ NULL, 0 };
    ranges = arena_new_array(arena, struct imap_range, from->count); /* bounded by its reader */
    for (size_t i = 0; i < from->count; i++) {
        struct imap_range range = from->ranges[i];

        if (range.first == IMAP_STAR)
            range.first = star;
        if (range.last == IMAP_STAR)
            range.last = star;
        if (range.first != 0 && range.last != 0)
            ranges[count++] = range;
    }
    return imap_normalise_ranges(ranges, count);
}

/* Index of the first range that does not end before the number. */
static size_t find_range(const struct imap_set *set, uint32_t number)
{
    size_t low = 0;
    size_t high = set->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (set->ranges[middle].last < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool imap_set_has(const struct imap_set *set, uint32_t number)
{
    size_t i = find_range(set, number);

    return i < set->count && set->ranges[i].first <= number;
}

uint32_t imap_set_max(const struct imap_set *set)
{
    return set->count == 0 ? 0 : set->ranges[set->count - 1].last;
}

uint64_t imap_set_size(const struct imap_set *set)
{
    uint64_t size = 0;

    for (size_t i = 0; i < set->count; i++)
        size += (uint64_t)set->ranges[i].last - set->ranges[i].first + 1;
    return size;
}

uint32_t imap_set_next(const struct imap_set *set, uint32_t after)
{
    size_t i;

    if (after == UINT32_MAX)
        return 0;
    i = find_range(set, after + 1);
    if (i == set->count)
        return 0;
    return set->ranges[i].first > after ? set->ranges[i].first : after + 1;
}

void imap_write_set(struct buf *buf, const struct imap_set *set)
{
    assert(set->count > 0);
    for (size_t i = 0; i < set->count; i++) {
        if (i > 0)
            buf_byte(buf, ',');
        buf_u64(buf, set->ranges[i].first);
        if (set->ranges[i].last == set->ranges[i].first)
            continue;
        buf_byte(buf, ':');
        buf_u64(buf, set->ranges[i].last);
    }
}
