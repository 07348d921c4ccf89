/* SPDX-License-Identifier: Apache-2.0 */
/* A stored ENVELOPE, and one made of a header: what is written is always read. */
#include "imap/envelope.h"
#include "imap/structure.h"
#include "mime/parser.h"

#include <stdlib.h>

#define PROMISE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_create(64 << 20);
    struct mime_parser *parser = mime_create_parser();
    struct buf text = buf_create(64 << 20);
    struct imap_envelope envelope;
    struct err err = { 0 };

    if (!imap_read_envelope(bytes_of(data, size), arena, &envelope, &err))
        PROMISE(err.code == ERR_CORRUPT || err.code == ERR_LIMIT);
    err_clear(&err);
    mime_feed_parser(parser, bytes_of(data, size));
    imap_write_envelope(&text, mime_finish_parser(parser)->envelope);
    PROMISE(!text.has_failed && imap_read_envelope(buf_bytes(&text), arena, &envelope, &err));
    buf_free(&text);
    mime_free_parser(&parser);
    arena_free(&arena);
    return 0;
}
