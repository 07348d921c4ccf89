/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include "base/checked.h"

#include <stdalign.h>
#include <stddef.h>
#include <stdlib.h>

enum {
    BLOCK_BYTES = 8192
};

struct block {
    struct block *next;
    size_t size; /* of data */
    size_t used;
    alignas(max_align_t) uint8_t data[];
};

struct arena {
    struct block *first; /* newest in front; the last one is kept by a reset */
    size_t ceiling_bytes;
    size_t tried_bytes; /* handed out by arena_try_* since the last reset */
};

/* Null memory here is true exhaustion: the process ends and its supervisor starts another. */
static struct block *create_block(size_t need)
{
    size_t size = need > BLOCK_BYTES ? need : BLOCK_BYTES;
    struct block *block = size > SIZE_MAX - sizeof *block ? NULL : malloc(sizeof *block + size);

    assert(block != NULL);
    block->next = NULL;
    block->size = size;
    block->used = 0;
    return block;
}

struct arena *arena_create(size_t ceiling_bytes)
{
    struct arena *arena = malloc(sizeof *arena);

    assert(arena != NULL);
    *arena = (struct arena){ .ceiling_bytes = ceiling_bytes };
    return arena;
}

static void free_blocks(struct block *block, const struct block *keep)
{
    while (block != keep) {
        struct block *next = block->next;

        free(block);
        block = next;
    }
}

void arena_free(struct arena **arena)
{
    if (*arena == NULL)
        return;
    free_blocks((*arena)->first, NULL);
    free(*arena);
    *arena = NULL;
}

void arena_reset(struct arena *arena)
{
    struct block *oldest = arena->first;

    arena->tried_bytes = 0;
    while (oldest != NULL && oldest->next != NULL)
        oldest = oldest->next;
    if (oldest != NULL && oldest->size > BLOCK_BYTES)
        oldest = NULL;
    free_blocks(arena->first, oldest);
    arena->first = oldest;
    if (oldest != NULL)
        oldest->used = 0;
}

/* Not zeroed. */
static void *take_room(struct arena *arena, size_t size)
{
    size_t aligned;
    struct block *block = arena->first;
    void *room;

    assert(size <= SIZE_MAX - alignof(max_align_t));
    aligned = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    if (block == NULL || aligned > block->size - block->used) {
        block = create_block(aligned);
        block->next = arena->first;
        arena->first = block;
    }
    room = block->data + block->used;
    block->used += aligned;
    return room;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    return memset(take_room(arena, size), 0, size);
}

void *arena_copy(struct arena *arena, const void *from, size_t size)
{
    void *room = take_room(arena, size);

    if (size > 0)
        memcpy(room, from, size);
    return room;
}

void *arena_alloc_array(struct arena *arena, size_t count, size_t item_size)
{
    size_t size;
    bool fits = checked_mul(count, item_size, &size);

    assert(fits);
    return arena_alloc(arena, size);
}

char *arena_text(struct arena *arena, const char *text)
{
    size_t size = strlen(text) + 1;

    return arena_copy(arena, text, size);
}

static bool fail_over_ceiling(const struct arena *arena, struct err *err)
{
    return err_fail(err, ERR_LIMIT, "more than %zu bytes needed", arena->ceiling_bytes);
}

static bool count_tried(struct arena *arena, size_t size, struct err *err)
{
    if (size > arena->ceiling_bytes - arena->tried_bytes)
        return fail_over_ceiling(arena, err);
    arena->tried_bytes += size;
    return true;
}

bool arena_try_alloc(struct arena *arena, size_t count, size_t item_size, void **out,
                     struct err *err)
{
    size_t size;

    if (!checked_mul(count, item_size, &size))
        return fail_over_ceiling(arena, err);
    if (!count_tried(arena, size, err))
        return false;
    *out = arena_alloc(arena, size);
    return true;
}

bool arena_try_copy(struct arena *arena, struct bytes from, size_t max_bytes, struct bytes *out,
                    struct err *err)
{
    if (from.len > max_bytes)
        return err_fail(err, ERR_LIMIT, "%zu bytes, at most %zu accepted", from.len, max_bytes);
    if (!count_tried(arena, from.len, err))
        return false;
    *out = (struct bytes){ arena_copy(arena, from.ptr, from.len), from.len };
    return true;
}
