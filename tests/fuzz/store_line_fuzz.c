/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/fuzz/store_line_fuzz.c - hostile catalogues: cut into lines, and each line read as its format says
 * or refused. The first octet says how large the pieces are in which the others come.
 */
#include "store/line.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    struct arena *arena;
    size_t octets; /* of lines and their ends */
};

static bool is_octets(enum store_kind kind)
{
    switch (kind) {
    case STORE_TEXT:
    case STORE_HEX:
    case STORE_HASH:
    case STORE_TEXTS:
    case STORE_RANGES:
    case STORE_OBJECT:
        return true;
    case STORE_NUMBER:
    case STORE_SECONDS:
    case STORE_BOOL:
    case STORE_TIME:
    case STORE_DATE:
    case STORE_FLAGS:
        return false;
    }
    abort();
}

static void check_value(const struct store_field *field, const struct store_value *value)
{
    if (value->is_null) {
        assert(field->is_nullable);
        return;
    }
    assert((value->octets.ptr != NULL) == is_octets(field->kind));
    if (field->kind == STORE_NUMBER)
        assert(value->number >= field->min && value->number <= field->max);
    if (field->kind == STORE_FLAGS)
        assert(value->number >= 0 && value->number <= 31);
    if (field->kind == STORE_BOOL)
        assert(value->number == 0 || value->number == 1);
    if (field->kind == STORE_HASH)
        assert(value->octets.len == 32);
    if (field->kind == STORE_TEXT)
        assert(memchr(value->octets.ptr, '\0', value->octets.len) == NULL);
}

static bool on_line(void *context, struct bytes line, struct err *err)
{
    struct seen *seen = context;
    struct store_line read;
    struct err why = { 0 };

    (void)err;
    seen->octets += line.len + 1;
    arena_reset(seen->arena);
    if (!store_read_line(line, seen->arena, &read, &why)) {
        assert(why.code == ERR_SYNTAX || why.code == ERR_LIMIT);
        return true;
    }
    for (size_t i = 0; read.type != STORE_LINE_UNKNOWN && i < store_count_fields(read.type); i++)
        check_value(&store_line_format(read.type)->fields[i], &read.values[i]);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct seen seen = { .arena = arena_create((size_t)3 * STORE_LINE_BYTES) };
    struct store_splitter splitter = store_create_splitter(on_line, &seen);
    size_t cut = size > 0 && data[0] > 0 ? data[0] : 4096;
    struct err err = { 0 };

    for (size_t at = 1; at < size; at += cut)
        assert(store_split_lines(&splitter, bytes_slice(bytes_of(data, size), at, cut), &err));
    if (store_end_lines(&splitter, &err))
        assert(size == 0 || seen.octets == size - 1);
    else
        assert(err.code == ERR_SYNTAX && seen.octets < size - 1);
    store_free_splitter(&splitter);
    arena_free(&seen.arena);
    return 0;
}
