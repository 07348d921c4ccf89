/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every message has a tree whose parts lie within their parents, one behind the other, within the
 * limits; the chunks it came in do not matter; the stored form gives the same tree. The first octet
 * of the input says how it is cut.
 */
#include "mime/parser.h"
#include "mime/structure.h"
#include "mime/summary.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t check_part(const struct mime_part *part, uint64_t from, uint64_t to)
{
    uint64_t at = mime_body_offset(part);
    uint32_t count = 1;
    uint32_t children = 0;

    assert(part->header_offset >= from && part->header_bytes <= to - part->header_offset);
    assert(part->body_bytes <= to - mime_body_offset(part));
    assert(part->header_lines <= part->header_bytes && part->body_lines <= part->body_bytes);
    assert(part->depth < MIME_NESTING_MAX);
    assert(part->is_multipart + part->is_message + part->is_opaque <= 1);
    assert(!part->is_message || part->child_count == 1);
    assert(part->children == NULL || part->is_message || part->is_multipart);
    for (const struct mime_part *child = part->children; child != NULL; child = child->next) {
        assert(child->parent == part && child->depth == part->depth + 1);
        count += check_part(child, at, mime_body_offset(part) + part->body_bytes);
        at = mime_body_offset(child) + child->body_bytes;
        children++;
    }
    assert(children == part->child_count);
    return count;
}

/* What a listener is told: bodies joined, for the leaves; headers and ends pair. */
struct heard {
    struct buf bodies;
    uint32_t headers, ends;
};

static void hear_header(void *context, const struct mime_part *part, struct bytes header)
{
    struct heard *heard = context;

    (void)part;
    assert(header.len <= MIME_HEADER_KEPT_MAX);
    heard->headers++;
}

static void hear_body(void *context, const struct mime_part *part, struct bytes octets)
{
    struct heard *heard = context;

    assert(!part->is_message && octets.len > 0);
    if (!part->is_multipart)
        buf_append(&heard->bodies, octets);
}

static void hear_end(void *context, const struct mime_part *part)
{
    struct heard *heard = context;

    (void)part;
    heard->ends++;
}

static void check_heard(const struct heard *heard, const struct mime_part *root,
                        struct bytes message)
{
    struct bytes heard_bodies = buf_bytes(&heard->bodies);
    uint32_t count = 0;

    for (const struct mime_part *part = root; part != NULL; part = mime_next_part(part)) {
        count++;
        if (part->is_message || part->is_multipart)
            continue;
        assert(bytes_equal(bytes_slice(heard_bodies, 0, part->body_bytes),
                           bytes_slice(message, mime_body_offset(part), part->body_bytes)));
        heard_bodies = bytes_slice(heard_bodies, part->body_bytes, SIZE_MAX);
    }
    assert(heard_bodies.len == 0 && heard->headers == count && heard->ends == count);
}

static const struct mime_part *parse(struct mime_parser *parser, struct bytes message, size_t chunk,
                                     struct buf *stored)
{
    const struct mime_part *root;
    struct heard heard = { .bodies = buf_create(64 << 20) };

    mime_listen(parser, &(struct mime_listener){ &heard, hear_header, hear_body, hear_end });
    for (size_t at = 0; at < message.len; at += chunk)
        mime_feed_parser(parser, bytes_slice(message, at, chunk));
    root = mime_finish_parser(parser);
    assert(root->header_offset == 0 && root->header_bytes + root->body_bytes == message.len);
    assert(check_part(root, 0, message.len) == mime_parser_part_count(parser));
    assert(mime_parser_part_count(parser) <= MIME_PARTS_MAX);
    assert(mime_parser_header(parser).len <= MIME_HEADER_KEPT_MAX);
    check_heard(&heard, root, message);
    buf_free(&heard.bodies);
    mime_write_structure(stored, root);
    return root;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes message = bytes_slice(bytes_of(data, size), 1, SIZE_MAX);
    struct mime_parser *whole = mime_create_parser();
    struct mime_parser *pieces = mime_create_parser();
    struct arena *arena = arena_create(64 << 20);
    struct buf first = buf_create(64 << 20);
    struct buf second = buf_create(64 << 20);
    struct err err = { 0 };
    const struct mime_part *root;
    const struct mime_part *again;
    struct mime_summary summary;

    root = parse(whole, message, SIZE_MAX / 2, &first);
    (void)parse(pieces, message, size == 0 ? 1 : data[0] % 64 + 1u, &second);
    assert(bytes_equal(buf_bytes(&first), buf_bytes(&second)));
    assert(mime_parser_notes(whole) == mime_parser_notes(pieces));
    assert(mime_read_structure(buf_bytes(&first), arena, &again, &err));
    buf_reset(&second, SIZE_MAX);
    mime_write_structure(&second, again);
    assert(bytes_equal(buf_bytes(&first), buf_bytes(&second)));
    mime_summarise(root->envelope, mime_parser_header(whole), arena, &summary);
    assert(summary.subject.len <= MIME_SUMMARY_TEXT_MAX);
    buf_free(&first);
    buf_free(&second);
    arena_free(&arena);
    mime_free_parser(&whole);
    mime_free_parser(&pieces);
    return 0;
}
