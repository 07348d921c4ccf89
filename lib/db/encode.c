/* SPDX-License-Identifier: Apache-2.0 */
/*
 * db/encode.c - parameters in PostgreSQL's binary formats.
 *
 * Numbers are big-endian; timestamptz is int64 microseconds and date int32 days since 2000-01-01;
 * an array is: dimensions, has-nulls flag, item type, then length and lower bound, then every item
 * behind its length (-1: NULL).
 */
#include "base/checked.h"
#include "db/internal.h"

#include <endian.h>
#include <limits.h>
#include <stdlib.h>

/* 1970-01-01 to 2000-01-01. */
#define EPOCH_DAYS INT64_C(10957)
#define EPOCH_USEC (EPOCH_DAYS * INT64_C(86400000000))

/* The server takes 1 GiB; ours are batches of 8 MiB. */
#define ENCODED_MAX_BYTES ((size_t)256 << 20)

/* OIDs are fixed for all versions (src/include/catalog/pg_type.dat). */
static const struct {
    Oid scalar, array;
    size_t wire_bytes; /* of a scalar; 0: as long as its octets */
} types[] = {
    // clang-format off
    [DB_TYPE_NULL]  = { 0,    0,    0 },
    [DB_TYPE_BOOL]  = { 16,   1000, 1 },
    [DB_TYPE_I16]   = { 21,   1005, 2 },
    [DB_TYPE_I32]   = { 23,   1007, 4 },
    [DB_TYPE_I64]   = { 20,   1016, 8 },
    [DB_TYPE_TEXT]  = { 25,   1009, 0 },
    [DB_TYPE_BYTEA] = { 17,   1001, 0 },
    [DB_TYPE_TIME]  = { 1184, 1185, 8 },
    [DB_TYPE_DATE]  = { 1082, 1182, 4 },
    // clang-format on
};

Oid db_oid(enum db_type type, bool is_array)
{
    return is_array ? types[type].array : types[type].scalar;
}

static uint8_t *put_u32(uint8_t *at, uint32_t value)
{
    value = htobe32(value);
    memcpy(at, &value, sizeof value);
    return at + sizeof value;
}

static uint8_t *put_u64(uint8_t *at, uint64_t value)
{
    value = htobe64(value);
    memcpy(at, &value, sizeof value);
    return at + sizeof value;
}

static uint8_t *put_number(uint8_t *at, enum db_type type, int64_t number)
{
    switch (type) {
    case DB_TYPE_BOOL:
        *at = number != 0;
        return at + 1;
    case DB_TYPE_I16:
        at[0] = (uint8_t)((uint64_t)number >> 8);
        at[1] = (uint8_t)number;
        return at + 2;
    case DB_TYPE_I32:
        return put_u32(at, (uint32_t)(int32_t)number);
    case DB_TYPE_I64:
        return put_u64(at, (uint64_t)number);
    case DB_TYPE_TIME:
        return put_u64(at, (uint64_t)(number == INT64_MAX ? number : number - EPOCH_USEC));
    case DB_TYPE_DATE:
        return put_u32(at, (uint32_t)(int32_t)(number - EPOCH_DAYS));
    case DB_TYPE_NULL:
    case DB_TYPE_TEXT:
    case DB_TYPE_BYTEA:
        break;
    }
    UNREACHABLE();
}

static int64_t number_item(const struct db_value *array, size_t i)
{
    switch (array->type) {
    case DB_TYPE_BOOL:
        return ((const bool *)array->items)[i];
    case DB_TYPE_I16:
        return ((const int16_t *)array->items)[i];
    case DB_TYPE_I32:
        return ((const int32_t *)array->items)[i];
    case DB_TYPE_I64:
    case DB_TYPE_TIME:
    case DB_TYPE_DATE:
        return ((const int64_t *)array->items)[i];
    case DB_TYPE_NULL:
    case DB_TYPE_TEXT:
    case DB_TYPE_BYTEA:
        break;
    }
    UNREACHABLE();
}

static bool is_of_octets(const struct db_value *value)
{
    return value->type == DB_TYPE_TEXT || value->type == DB_TYPE_BYTEA;
}

static bool item_is_null(const struct db_value *array, size_t i)
{
    if (array->nulls != NULL && array->nulls[i])
        return true;
    return is_of_octets(array) && ((const struct bytes *)array->items)[i].ptr == NULL;
}

/* False: over ENCODED_MAX_BYTES. */
static bool measure_array(const struct db_value *array, size_t *size)
{
    size_t total = 12;

    if (array->count > 0)
        total += 8;
    if (array->count > ENCODED_MAX_BYTES / 4)
        return false;
    total += 4 * array->count;
    for (size_t i = 0; i < array->count; i++) {
        if (item_is_null(array, i))
            continue;
        if (!checked_add(total,
                         is_of_octets(array) ? ((const struct bytes *)array->items)[i].len
                                             : types[array->type].wire_bytes,
                         &total) ||
            total > ENCODED_MAX_BYTES)
            return false;
    }
    *size = total;
    return true;
}

static void put_array(uint8_t *at, const struct db_value *array)
{
    bool has_nulls = false;

    for (size_t i = 0; i < array->count && !has_nulls; i++)
        has_nulls = item_is_null(array, i);
    at = put_u32(at, array->count > 0 ? 1 : 0);
    at = put_u32(at, has_nulls ? 1 : 0);
    at = put_u32(at, types[array->type].scalar);
    if (array->count == 0)
        return;
    at = put_u32(at, (uint32_t)array->count);
    at = put_u32(at, 1);
    for (size_t i = 0; i < array->count; i++) {
        if (item_is_null(array, i)) {
            at = put_u32(at, UINT32_MAX);
        } else if (is_of_octets(array)) {
            struct bytes item = ((const struct bytes *)array->items)[i];

            at = put_u32(at, (uint32_t)item.len);
            if (item.len > 0)
                memcpy(at, item.ptr, item.len);
            at += item.len;
        } else {
            at = put_u32(at, (uint32_t)types[array->type].wire_bytes);
            at = put_number(at, array->type, number_item(array, i));
        }
    }
}

/* How long the value is on the wire. */
static bool measure(const struct db_value *value, size_t *size)
{
    *size = 0;
    if (value->type == DB_TYPE_NULL)
        return true;
    if (value->is_array) {
        assert(value->count == 0 || value->items != NULL);
        return measure_array(value, size) && *size <= ENCODED_MAX_BYTES;
    }
    *size = is_of_octets(value) ? value->octets.len : types[value->type].wire_bytes;
    return *size <= ENCODED_MAX_BYTES;
}

/* Octets are sent from where they are. */
static bool needs_scratch(const struct db_value *value)
{
    return value->type != DB_TYPE_NULL && (value->is_array || !is_of_octets(value));
}

/* Arrays for so many values, on the heap beyond DB_ARGS_MAX. */
static bool make_room(struct db_encoded *out, size_t count, struct err *err)
{
    out->bytes = 0;
    out->many = NULL;
    out->types = out->few.types;
    out->values = out->few.values;
    out->lengths = out->few.lengths;
    out->formats = out->few.formats;
    if (count <= DB_ARGS_MAX)
        return true;
    if (count > DB_ASSEMBLED_ARGS_MAX)
        return err_fail(err, ERR_LIMIT, "more than %d parameters", DB_ASSEMBLED_ARGS_MAX);
    out->many = calloc(count, sizeof(char *) + sizeof(Oid) + 2 * sizeof(int));
    if (out->many == NULL)
        return err_fail(err, ERR_SYSTEM, "no memory for %zu parameters", count);
    out->values = out->many; /* first, for its alignment */
    out->types = (Oid *)(out->values + count);
    out->lengths = (int *)(out->types + count);
    out->formats = out->lengths + count;
    return true;
}

void db_free_encoded(struct db_encoded *encoded)
{
    free(encoded->many);
    encoded->many = NULL;
}

/* Sets the lengths; *total is what scratch must hold. */
static bool measure_all(struct db_args args, struct db_encoded *out, size_t *total, struct err *err)
{
    for (size_t i = 0; i < args.count; i++) {
        size_t size;

        if (!measure(&args.values[i], &size) || out->bytes + size > ENCODED_MAX_BYTES)
            return err_fail(err, ERR_LIMIT, "parameters over %zu bytes", ENCODED_MAX_BYTES);
        out->lengths[i] = (int)size;
        out->bytes += size;
        *total += needs_scratch(&args.values[i]) ? size : 0;
    }
    return true;
}

static void put_all(struct db_args args, uint8_t *at, struct db_encoded *out)
{
    for (size_t i = 0; i < args.count; i++) {
        const struct db_value *value = &args.values[i];

        out->types[i] = db_oid(value->type, value->is_array);
        out->formats[i] = 1;
        out->values[i] = (const char *)at;
        if (value->type == DB_TYPE_NULL)
            out->values[i] = NULL;
        else if (value->is_array)
            put_array(at, value);
        else if (is_of_octets(value))
            out->values[i] = out->lengths[i] > 0 ? (const char *)value->octets.ptr : "";
        else
            (void)put_number(at, value->type, value->number);
        at += needs_scratch(value) ? (size_t)out->lengths[i] : 0;
    }
}

bool db_encode(struct db_args args, struct buf *scratch, struct db_encoded *out, struct err *err)
{
    size_t total = 0;
    uint8_t *at;

    if (!make_room(out, args.count, err))
        return false;
    if (!measure_all(args, out, &total, err)) {
        db_free_encoded(out);
        return false;
    }
    buf_reset(scratch, 256u << 10);
    at = buf_reserve(scratch, total + 1);
    if (at == NULL) {
        db_free_encoded(out);
        return err_fail(err, ERR_SYSTEM, "no memory for parameters of %zu bytes", total);
    }
    put_all(args, at, out);
    return true;
}
