/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/text_internal.h - what the files that read and seal search text share.
 */
#pragma once

#include "store/text.h"
#include "vault/read.h"

/* A block and where it lies: in the spool, or in the segment of a pack. */
struct vault_text_place {
    int64_t run_id;
    int32_t ordinal;
    struct store_frame_facts facts;
    int64_t week;    /* days since 1970, in the spool */
    int64_t pack_id; /* 0: in the spool */
    uint64_t offset; /* in the segment */
    struct crypto_sha256 pack_sha256;
    const int64_t *ids; /* of its messages, as its records stand; borrowed */
    size_t id_count;
};

enum {
    VAULT_SEGMENTS_OPEN_MAX = 4
};

struct vault_open_segment {
    int64_t account_id, pack_id; /* 0: none */
    int fd;                      /* -1: it could not be opened */
};

/* What a reader keeps of search text between calls. */
struct vault_text_cache {
    struct store_text_reader *opener;
    bool has_block;
    struct crypto_sha256 sha256; /* of its stored octets */
    struct store_text_block block;
    uint8_t *stored; /* a block read from a segment */
    uint32_t notes;  /* of the record that is being given */
    struct vault_open_segment segments[VAULT_SEGMENTS_OPEN_MAX];
    size_t next_segment; /* to be replaced */
};

struct vault_text_cache *vault_need_text_cache(struct vault_reader *reader); /* never NULL */
void vault_free_text_cache(struct vault_text_cache **cache);

/* Its stored octets, not checked; borrowed until the next call. ptr NULL: not to be had. */
struct bytes vault_read_segment(struct vault_reader *reader, int64_t account_id,
                                const struct vault_text_place *place);
