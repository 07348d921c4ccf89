/* SPDX-License-Identifier: Apache-2.0 */
#include "export/message_id.h"

#include "mime/header.h"

#include <stdlib.h>

/* A value that begins with folding still has its blank. */
static struct bytes trim(struct bytes text)
{
    while (text.len > 0 && (text.ptr[0] == ' ' || text.ptr[0] == '\t'))
        text = bytes_slice(text, 1, SIZE_MAX);
    return text;
}

void export_find_message_id(struct bytes message, struct buf *out)
{
    struct bytes header =
        bytes_slice(message, 0, mime_header_size(bytes_slice(message, 0, EXPORT_HEADER_BYTES)));
    struct mime_field field;

    while (mime_read_field(&header, &field)) {
        struct bytes value = bytes_slice(field.value, 0, EXPORT_MESSAGE_ID_BYTES);
        uint8_t *room;

        if (!bytes_equal_nocase(field.name, BYTES("Message-ID")))
            continue;
        room = buf_reserve(out, value.len);
        if (room != NULL && value.len > 0) {
            struct bytes text = trim(bytes_of(room, mime_unfold(value, room)));

            memmove(room, text.ptr, text.len);
            buf_commit(out, text.len);
        }
        return;
    }
}

struct bytes export_id_of(struct bytes value)
{
    ssize_t first = bytes_find_byte(value, '<');
    ssize_t last;

    if (first < 0)
        return bytes_of("", 0);
    value = bytes_slice(value, (size_t)first, SIZE_MAX);
    last = bytes_find_byte(value, '>');
    return last < 0 ? bytes_of("", 0) : bytes_slice(value, 0, (size_t)last + 1);
}

void export_write_mih(struct bytes value, struct buf *out)
{
    struct bytes id = export_id_of(value);
    size_t from = out->len;
    struct crypto_md5 hash;

    if (id.len == 0)
        return;
    hash = crypto_hash_md5(id);
    buf_hex(out, bytes_of(hash.octets, sizeof hash.octets));
    for (size_t i = from; i < out->len; i++)
        out->ptr[i] = ascii_upper(out->ptr[i]);
}
