/* SPDX-License-Identifier: Apache-2.0 */
/* A message; its first octet chooses the size of the chunks in which the header end is looked for. */
#include "mime/header.h"

#include <stdlib.h>

#define PROMISE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t find_in_chunks(struct bytes message, size_t step)
{
    struct mime_header_end end = { 0 };

    for (size_t at = 0; at < message.len && !end.is_found; at += step) {
        struct bytes chunk = bytes_slice(message, at, step);

        mime_find_header_end(&end, &chunk);
        PROMISE(end.is_found || chunk.len == 0);
    }
    return (size_t)end.header_bytes;
}

/* The fields, joined, are the header up to its empty line. */
static void check_fields(struct bytes header)
{
    struct bytes rest = header;
    struct mime_field field;
    uint8_t *room = malloc(header.len + 1);

    while (mime_read_field(&rest, &field)) {
        PROMISE(field.octets.len > 0 && field.octets.ptr + field.octets.len == rest.ptr);
        PROMISE(field.name.len + field.value.len <= field.octets.len);
        PROMISE(room == NULL || mime_unfold(field.value, room) <= field.value.len);
    }
    PROMISE(bytes_equal(rest, BYTES("")) || bytes_equal(rest, BYTES("\n")) ||
            bytes_equal(rest, BYTES("\r\n")));
    free(room);
}

static uint64_t check_selection(struct bytes header, bool is_not)
{
    static const struct bytes names[] = { BYTES_INIT("To"), BYTES_INIT("subject") };
    struct mime_selection selection = { names, 2, is_not };
    struct mime_selection_at at = { 0 };
    struct bytes piece = BYTES("");
    uint64_t sum = 0;

    while (mime_next_selected(header, &selection, &at, &piece)) {
        PROMISE(piece.len > 0);
        sum += piece.len;
    }
    PROMISE(sum == mime_selected_bytes(header, &selection));
    PROMISE(is_not || bytes_equal(piece, BYTES("\r\n")));
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes message = size > 0 ? bytes_of(data + 1, size - 1) : bytes_of(NULL, 0);
    size_t header_bytes = mime_header_size(message);
    struct bytes header = bytes_slice(message, 0, header_bytes);

    PROMISE(header_bytes <= message.len);
    PROMISE(header_bytes == find_in_chunks(message, size > 0 ? (size_t)data[0] % 16 + 1 : 1));
    check_fields(header);
    /* Both choices together: the header, with at most two line ends added. */
    PROMISE(check_selection(header, true) + check_selection(header, false) <= header.len + 4);
    return 0;
}
