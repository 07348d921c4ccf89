/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include <stdalign.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/checked.h"

enum { BLOCK_BYTES = 8192 };

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

void *arena_alloc(struct arena *arena, size_t size)
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
    memset(room, 0, aligned);
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
    char *copy = arena_alloc(arena, size);

    memcpy(copy, text, size);
    return copy;
}

bool arena_try_alloc(struct arena *arena, size_t count, size_t item_size, void **out,
                     struct err *err)
{
    size_t size;

    if (!checked_mul(count, item_size, &size) || size > arena->ceiling_bytes - arena->tried_bytes)
        return err_fail(err, ERR_LIMIT, "more than %zu bytes needed", arena->ceiling_bytes);
    arena->tried_bytes += size;
    *out = arena_alloc(arena, size);
    return true;
}

bool arena_try_copy(struct arena *arena, struct bytes from, size_t max_bytes, struct bytes *out,
                    struct err *err)
{
    void *room = NULL;

    if (from.len > max_bytes)
        return err_fail(err, ERR_LIMIT, "%zu bytes, at most %zu accepted", from.len, max_bytes);
    if (!arena_try_alloc(arena, from.len, 1, &room, err))
        return false;
    if (from.len > 0)
        memcpy(room, from.ptr, from.len);
    *out = (struct bytes){ room, from.len };
    return true;
}
