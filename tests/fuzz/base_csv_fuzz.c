/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/fuzz/base_csv_fuzz.c - rows within their limits whatever comes, and the same rows and the same
 * error in pieces of any size. The first octet says how large the pieces are.
 */
#include "base/buf.h"
#include "base/csv.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void note_row(const struct csv_row *row, struct buf *seen)
{
    size_t octets = 0;

    assert(row->count >= 1 && row->count <= CSV_FIELDS_MAX && row->line >= 1);
    buf_u64(seen, row->line);
    for (size_t i = 0; i < row->count; i++) {
        octets += row->fields[i].len;
        buf_byte(seen, ',');
        buf_append(seen, row->fields[i]);
    }
    buf_byte(seen, '\n');
    assert(octets <= CSV_ROW_BYTES);
}

static void read_rows(struct bytes in, size_t piece, struct buf *seen, struct err *err)
{
    struct csv_reader *reader = csv_create_reader();
    const struct csv_row *row = NULL;
    bool is_right = true;

    while (is_right && in.len > 0) {
        struct bytes now = bytes_slice(in, 0, piece);

        in = bytes_slice(in, now.len, SIZE_MAX);
        while (is_right && now.len > 0) {
            is_right = csv_read_row(reader, &now, &row, err);
            if (is_right && row != NULL)
                note_row(row, seen);
        }
    }
    if (is_right && csv_end_rows(reader, &row, err) && row != NULL)
        note_row(row, seen);
    assert(err->code == ERR_NONE || err->code == ERR_SYNTAX || err->code == ERR_LIMIT);
    csv_free_reader(&reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t piece = size > 0 && data[0] > 0 ? data[0] : 1;
    struct bytes in = bytes_slice(bytes_of(data, size), 1, SIZE_MAX);
    struct buf whole = buf_create(64 << 20), pieces = buf_create(64 << 20);
    struct err whole_err = { 0 }, pieces_err = { 0 };

    read_rows(in, SIZE_MAX, &whole, &whole_err);
    read_rows(in, piece, &pieces, &pieces_err);
    assert(bytes_equal(buf_bytes(&whole), buf_bytes(&pieces)));
    assert(whole_err.code == pieces_err.code && strcmp(whole_err.text, pieces_err.text) == 0);
    buf_free(&whole);
    buf_free(&pieces);
    return 0;
}
