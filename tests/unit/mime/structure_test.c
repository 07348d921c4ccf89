/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"
#include "mime/parser.h"
#include "mime/structure.h"

static const char message[] =
    "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; "
    "charset=x\r\n"
    "Content-Language: de, en\r\nContent-Disposition: attachment; filename=f\r\n\r\nx\r\n--b\r\n"
    "Content-Type: message/rfc822\r\n\r\nSubject: s\r\n\r\ny\r\n--b--\r\n";

static struct bytes store(struct buf *buf)
{
    struct mime_parser *parser = mime_create_parser();

    mime_feed_parser(parser, bytes_of_text(message));
    mime_write_structure(buf, mime_finish_parser(parser));
    mime_free_parser(&parser);
    return buf_bytes(buf);
}

TEST(a_stored_tree_is_the_same_tree)
{
    CLEANUP(buf_free) struct buf buf = buf_create(10000);
    CLEANUP(arena_free) struct arena *arena = arena_create(100000);
    const struct mime_part *root, *text;
    struct err err = { 0 };

    CHECK(mime_read_structure(store(&buf), arena, &root, &err));
    CHECK(root->is_multipart && root->child_count == 2);
    text = root->children;
    CHECK_BYTES(*text->content.type, BYTES("text"));
    CHECK_BYTES(text->content.params[0].value, BYTES("x"));
    CHECK_BYTES(text->content.languages[1], BYTES("en"));
    CHECK_BYTES(bytes_slice(bytes_of_text(message), (size_t)mime_body_offset(text),
                            (size_t)text->body_bytes),
                BYTES("x"));
    CHECK(text->next->is_message && text->next->children->body_bytes == 1);
}

TEST(a_stored_tree_that_was_cut_or_has_more_behind_it_is_corrupt)
{
    CLEANUP(buf_free) struct buf buf = buf_create(10000);
    struct bytes stored = store(&buf);
    const struct mime_part *root = NULL;

    for (size_t len = 0; len < stored.len; len++) {
        CLEANUP(arena_free) struct arena *arena = arena_create(100000);
        struct err err = { 0 };

        CHECK(!mime_read_structure(bytes_slice(stored, 0, len), arena, &root, &err));
        CHECK_EQ_U64(err.code, ERR_CORRUPT);
    }
    CLEANUP(arena_free) struct arena *arena = arena_create(100000);
    struct err err = { 0 };

    buf_byte(&buf, 0);
    CHECK(!mime_read_structure(buf_bytes(&buf), arena, &root, &err));
    CHECK(root == NULL);
}

TEST(a_part_outside_of_its_parent_is_corrupt)
{
    static const uint8_t stored[] = { 1, 1, 0, 2, 3, 0, 0, 0, 1, 0, 0, 2, 2, 0, 0, 0, 0 };
    CLEANUP(arena_free) struct arena *arena = arena_create(100000);
    const struct mime_part *root = NULL;
    struct err err = { 0 };

    CHECK(!mime_read_structure(bytes_of(stored, sizeof stored), arena, &root, &err));
    CHECK_STR(err.text, "stored structure: part outside of its parent");
}
