/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/arena.h - memory for many small values that live and die together.
 *
 * Arenas are named for a lifetime: session, command, message. Nothing in a longer-lived struct
 * points into a shorter-lived arena. Sizes that we choose do not fail (true exhaustion ends the
 * process, which is built to be killed); sizes chosen outside do: arena_try_copy. One thread at a
 * time.
 */
#pragma once

#include "base/bytes.h"
#include "base/err.h"

struct arena;

/* ceiling_bytes: what arena_try_* may hand out in all between two resets. */
struct arena *arena_create(size_t ceiling_bytes);
void arena_free(struct arena **arena);

/* Gives everything back; the first block is kept for the next use. */
void arena_reset(struct arena *arena);

/* Zeroed, aligned for any type, never NULL. For sizes fixed in our own code. */
MALLOC_LIKE void *arena_alloc(struct arena *arena, size_t size);
#define arena_new(arena, type) ((type *)arena_alloc((arena), sizeof(type)))
#define arena_new_array(arena, type, count)                                                        \
    ((type *)arena_alloc_array((arena), (count), sizeof(type)))
MALLOC_LIKE void *arena_alloc_array(struct arena *arena, size_t count, size_t item_size);

/* A copy of size octets, where that many are known to be few enough; never NULL. */
void *arena_copy(struct arena *arena, const void *from, size_t size);

/* NUL-terminated copy of text that we wrote ourselves. */
char *arena_text(struct arena *arena, const char *text);

/* Zeroed memory of a size from outside. ERR_LIMIT over the ceiling. */
MUST_USE bool arena_try_alloc(struct arena *arena, size_t count, size_t item_size, void **out,
                              struct err *err);

/* Copies from into the arena. ERR_LIMIT when longer than max_bytes or over the ceiling. */
MUST_USE bool arena_try_copy(struct arena *arena, struct bytes from, size_t max_bytes,
                             struct bytes *out, struct err *err);
