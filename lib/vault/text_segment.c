/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/text_segment.c - blocks out of the text segments beside packs. A segment is derived: whatever
 * is wrong with it means only that the block is not to be had.
 */
#include "base/fd.h"
#include "base/sys.h"
#include "vault/internal.h"
#include "vault/seal_internal.h"
#include "vault/text_internal.h"

#include <stdlib.h>

struct vault_text_cache *vault_need_text_cache(struct vault_reader *reader)
{
    struct vault_text_cache *cache = reader->text;

    if (cache != NULL)
        return cache;
    cache = calloc(1, sizeof *cache);
    assert(cache != NULL);
    cache->opener = store_create_text_reader();
    for (size_t i = 0; i < VAULT_SEGMENTS_OPEN_MAX; i++)
        cache->segments[i].fd = -1;
    reader->text = cache;
    return cache;
}

void vault_free_text_cache(struct vault_text_cache **cache)
{
    if (*cache == NULL)
        return;
    store_free_text_reader(&(*cache)->opener);
    for (size_t i = 0; i < VAULT_SEGMENTS_OPEN_MAX; i++)
        fd_close(&(*cache)->segments[i].fd);
    free((*cache)->stored);
    free(*cache);
    *cache = NULL;
}

/* -1: it cannot be opened, which is remembered too. */
static int open_segment(struct vault_reader *reader, int64_t account_id,
                        const struct vault_text_place *place)
{
    struct vault_text_cache *cache = reader->text;
    struct vault_open_segment *segment;
    struct err ignored = { 0 };

    for (size_t i = 0; i < VAULT_SEGMENTS_OPEN_MAX; i++) {
        segment = &cache->segments[i];
        if (segment->account_id == account_id && segment->pack_id == place->pack_id)
            return segment->fd;
    }
    segment = &cache->segments[cache->next_segment];
    cache->next_segment = (cache->next_segment + 1) % VAULT_SEGMENTS_OPEN_MAX;
    fd_close(&segment->fd);
    segment->account_id = account_id;
    segment->pack_id = place->pack_id;
    if (reader->opener.open == NULL ||
        !reader->opener.open(reader->opener.context, VAULT_FILE_TEXT, account_id, place->pack_id,
                             crypto_sha256_bytes(&place->pack_sha256), &segment->fd, &ignored))
        segment->fd = -1;
    return segment->fd;
}

struct bytes vault_read_segment(struct vault_reader *reader, int64_t account_id,
                                const struct vault_text_place *place)
{
    struct vault_text_cache *cache = reader->text;
    uint32_t size = place->facts.stored_bytes;
    int fd = open_segment(reader, account_id, place);
    struct err ignored = { 0 };

    if (fd < 0 || size > STORE_STORED_BYTES_MAX)
        return bytes_of(NULL, 0);
    if (cache->stored == NULL)
        cache->stored = malloc(STORE_STORED_BYTES_MAX);
    if (cache->stored == NULL ||
        !vault_read_pack_octets(&fd, place->offset, cache->stored, size, &ignored))
        return bytes_of(NULL, 0);
    return bytes_of(cache->stored, size);
}
