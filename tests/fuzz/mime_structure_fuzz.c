/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What mime_read_structure accepts is what mime_write_structure writes, octet for octet, and a tree
 * within the limits whose parts lie within their parents; what it refuses is corrupt, or too large.
 */
#include "mime/structure.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_tree(const struct mime_part *root)
{
    uint32_t count = 0;

    for (const struct mime_part *part = root; part != NULL; part = mime_next_part(part)) {
        const struct mime_part *parent = part->parent;

        assert(++count <= MIME_PARTS_MAX && part->depth < MIME_NESTING_MAX);
        if (parent == NULL)
            continue;
        assert(part->header_offset >= mime_body_offset(parent));
        assert(mime_body_offset(part) + part->body_bytes <=
               mime_body_offset(parent) + parent->body_bytes);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_create(4 << 20);
    struct buf again = buf_create(size);
    const struct mime_part *root = NULL;
    struct err err = { 0 };

    if (mime_read_structure(bytes_of(data, size), arena, &root, &err)) {
        check_tree(root);
        mime_write_structure(&again, root);
        assert(!again.has_failed && bytes_equal(buf_bytes(&again), bytes_of(data, size)));
    } else {
        assert(root == NULL && (err.code == ERR_CORRUPT || err.code == ERR_LIMIT));
    }
    buf_free(&again);
    arena_free(&arena);
    return 0;
}
