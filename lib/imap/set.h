/* SPDX-License-Identifier: Apache-2.0 */
/*
 * imap/set.h - UIDs, sequence numbers, and sets of them.
 *
 * A sequence-set as sent ("5:2,7,10:*") is a struct imap_sequence_set; "*" in it has no value yet.
 * imap_resolve_set makes it a struct imap_set: sorted, disjoint, not adjacent, no 0. Whether the
 * numbers are UIDs or sequence numbers the command says, and the caller wraps them accordingly.
 *
 * Pure; ranges live in the arena that the caller gives. RFC 9051 §9 (sequence-set), §6.4.4.1 ("$").
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

struct imap_uid {
    uint32_t n; /* 1 … 2^32-1 */
};

struct imap_seq {
    uint32_t n; /* 1 … 2^32-1 */
};

struct imap_range {
    uint32_t first, last; /* both included, first <= last */
};

/* As sent. Ends in any order; IMAP_STAR stands for "*". */
enum {
    IMAP_STAR = 0
};
struct imap_sequence_set {
    const struct imap_range *ranges;
    size_t count;
    bool has_star;
    bool is_saved_result; /* "$" (RFC 5182); then count is 0 */
};

/* Sorted, disjoint, not adjacent. */
struct imap_set {
    const struct imap_range *ranges;
    size_t count;
};

/* Reads a sequence-set. ERR_SYNTAX (also 0 and numbers over 2^32-1), ERR_LIMIT over max_ranges. */
MUST_USE bool imap_read_set(struct bytes *in, size_t max_ranges, struct arena *arena,
                            struct imap_sequence_set *out, struct err *err);

/*
 * star: the largest number in use, or 0 in an empty mailbox, where "*" and "n:*" are then nothing.
 * "n:*" with n over star is star:n (RFC 9051 §9): the last message is always in it. A caller with
 * sequence numbers refuses (BAD) a set whose imap_set_max is over EXISTS.
 */
struct imap_set imap_resolve_set(const struct imap_sequence_set *from, uint32_t star,
                                 struct arena *arena);

/* Sorts and merges count ranges in place (ends in any order, no 0) into a set that borrows them. */
struct imap_set imap_normalise_ranges(struct imap_range *ranges, size_t count);

bool imap_set_has(const struct imap_set *set, uint32_t number); /* binary search */
uint32_t imap_set_max(const struct imap_set *set);              /* 0 when empty */
uint64_t imap_set_size(const struct imap_set *set);             /* how many numbers */

/* The smallest member over `after` (start with 0), or 0 when there is none:
 *     for (uint32_t n = 0; (n = imap_set_next(&set, n)) != 0;) */
uint32_t imap_set_next(const struct imap_set *set, uint32_t after);

/* "2:5,7"; an empty set cannot be written (asserts). */
void imap_write_set(struct buf *buf, const struct imap_set *set);
