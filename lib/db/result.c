/* SPDX-License-Identifier: Apache-2.0 */
/*
 * db/result.c - values out of PostgreSQL's binary formats (described in encode.c).
 */
#include "db/result.h"

#include "db/internal.h"

#include <endian.h>
#include <stdlib.h>

#define EPOCH_DAYS INT64_C(10957)
#define EPOCH_USEC (EPOCH_DAYS * INT64_C(86400000000))

enum {
    OID_JSONB = 3802
};

/* "char", name, text, json, xml, varchar, char(n), void; bytea stands with them in db_bytes. */
static const Oid octet_types[] = { 17, 18, 19, 25, 114, 142, 1042, 1043, 2278, OID_JSONB };
static const Oid octet_arrays[] = { 1001, 1002, 1003, 1009, 1014, 1015 };

bool db_wrap_result(PGresult *pg, const char *what, struct db_result **out, struct err *err)
{
    struct db_result *result = malloc(sizeof *result);

    if (result == NULL) {
        PQclear(pg);
        return err_fail(err, ERR_SYSTEM, "%s: no memory for its result", what);
    }
    *result = (struct db_result){ .pg = pg, .what = what };
    *out = result;
    return true;
}

void db_result_free(struct db_result **result)
{
    if (*result == NULL)
        return;
    PQclear((*result)->pg);
    free(*result);
    *result = NULL;
}

size_t db_rows(const struct db_result *result)
{
    return (size_t)PQntuples(result->pg);
}

uint64_t db_affected(const struct db_result *result)
{
    struct bytes digits = bytes_of_text(PQcmdTuples(result->pg));
    uint64_t count = 0;

    if (!scan_u64(&digits, &count))
        return 0; /* a command that counts nothing: "" */
    return count;
}

static Oid type_of(const struct db_result *result, size_t row, size_t col)
{
    assert(row < (size_t)PQntuples(result->pg));
    assert(col < (size_t)PQnfields(result->pg));
    return PQftype(result->pg, (int)col);
}

bool db_is_null(const struct db_result *result, size_t row, size_t col)
{
    (void)type_of(result, row, col);
    return PQgetisnull(result->pg, (int)row, (int)col) != 0;
}

/* The octets of a number of `size` bytes that is there and of this type. */
static const uint8_t *number(const struct db_result *result, size_t row, size_t col,
                             enum db_type type, size_t size)
{
    assert(type_of(result, row, col) == db_oid(type, false) && "getter and column type differ");
    assert(!PQgetisnull(result->pg, (int)row, (int)col) && "NULL in a column read as a value");
    assert((size_t)PQgetlength(result->pg, (int)row, (int)col) == size);
    return (const uint8_t *)PQgetvalue(result->pg, (int)row, (int)col);
}

static uint16_t get_u16(const uint8_t *at)
{
    return (uint16_t)((unsigned)at[0] << 8 | at[1]);
}

static uint32_t get_u32(const uint8_t *at)
{
    uint32_t value;

    memcpy(&value, at, sizeof value);
    return be32toh(value);
}

static uint64_t get_u64(const uint8_t *at)
{
    uint64_t value;

    memcpy(&value, at, sizeof value);
    return be64toh(value);
}

bool db_bool(const struct db_result *result, size_t row, size_t col)
{
    return *number(result, row, col, DB_TYPE_BOOL, 1) != 0;
}

int16_t db_i16(const struct db_result *result, size_t row, size_t col)
{
    return (int16_t)get_u16(number(result, row, col, DB_TYPE_I16, 2));
}

int32_t db_i32(const struct db_result *result, size_t row, size_t col)
{
    return (int32_t)get_u32(number(result, row, col, DB_TYPE_I32, 4));
}

int64_t db_i64(const struct db_result *result, size_t row, size_t col)
{
    return (int64_t)get_u64(number(result, row, col, DB_TYPE_I64, 8));
}

int64_t db_time_usec(const struct db_result *result, size_t row, size_t col)
{
    int64_t value = (int64_t)get_u64(number(result, row, col, DB_TYPE_TIME, 8));

    return value == INT64_MAX || value == INT64_MIN ? value : value + EPOCH_USEC;
}

int64_t db_date_days(const struct db_result *result, size_t row, size_t col)
{
    return (int32_t)get_u32(number(result, row, col, DB_TYPE_DATE, 4)) + EPOCH_DAYS;
}

static bool is_one_of(Oid type, const Oid *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (list[i] == type)
            return true;
    return false;
}

struct bytes db_bytes(const struct db_result *result, size_t row, size_t col)
{
    Oid type = type_of(result, row, col);
    struct bytes octets;

    assert(is_one_of(type, octet_types, ARRAY_LEN(octet_types)) && "column is not octets or text");
    if (PQgetisnull(result->pg, (int)row, (int)col))
        return (struct bytes){ NULL, 0 };
    octets = bytes_of(PQgetvalue(result->pg, (int)row, (int)col),
                      (size_t)PQgetlength(result->pg, (int)row, (int)col));
    /* jsonb travels behind a version byte. */
    return type == OID_JSONB ? bytes_slice(octets, 1, octets.len) : octets;
}

static bool take_u32(struct bytes *in, uint32_t *out)
{
    struct bytes octets;

    if (!scan_octets(in, 4, &octets))
        return false;
    *out = get_u32(octets.ptr);
    return true;
}

/* Leaves *in at the first item. */
static bool read_array_header(struct bytes *in, size_t *count)
{
    uint32_t dimensions, has_nulls, item_type, len, lower_bound;

    if (!take_u32(in, &dimensions) || !take_u32(in, &has_nulls) || !take_u32(in, &item_type))
        return false;
    *count = 0;
    if (dimensions == 0)
        return true;
    if (dimensions != 1 || !take_u32(in, &len) || !take_u32(in, &lower_bound) || len > in->len / 4)
        return false;
    *count = len;
    return true;
}

/* *item has ptr NULL for NULL. */
static bool read_array_item(struct bytes *in, struct bytes *item)
{
    uint32_t len;

    if (!take_u32(in, &len))
        return false;
    if (len == UINT32_MAX) {
        *item = (struct bytes){ NULL, 0 };
        return true;
    }
    return scan_octets(in, len, item);
}

static struct bytes array_octets(const struct db_result *result, size_t row, size_t col)
{
    if (PQgetisnull(result->pg, (int)row, (int)col))
        return BYTES("\0\0\0\0\0\0\0\0\0\0\0\0"); /* as an empty array */
    return bytes_of(PQgetvalue(result->pg, (int)row, (int)col),
                    (size_t)PQgetlength(result->pg, (int)row, (int)col));
}

bool db_i64_array(const struct db_result *result, size_t row, size_t col, struct arena *arena,
                  const int64_t **out, size_t *count, struct err *err)
{
    Oid type = type_of(result, row, col);
    struct bytes in = array_octets(result, row, col), item;
    size_t len;
    void *memory;
    int64_t *values;

    assert((type == db_oid(DB_TYPE_I16, true) || type == db_oid(DB_TYPE_I32, true) ||
            type == db_oid(DB_TYPE_I64, true)) &&
           "column is not an array of numbers");
    if (!read_array_header(&in, &len))
        return err_fail(err, ERR_CORRUPT, "%s: column %zu: bad array", result->what, col);
    if (!arena_try_alloc(arena, len + 1, sizeof *values, &memory, err))
        return err_wrap(err, "%s: column %zu", result->what, col);
    values = memory;
    for (size_t i = 0; i < len; i++) {
        if (!read_array_item(&in, &item) || (item.len != 2 && item.len != 4 && item.len != 8))
            return err_fail(err, ERR_CORRUPT, "%s: column %zu: bad array item", result->what, col);
        if (item.len == 2)
            values[i] = (int16_t)get_u16(item.ptr);
        else if (item.len == 4)
            values[i] = (int32_t)get_u32(item.ptr);
        else
            values[i] = (int64_t)get_u64(item.ptr);
    }
    *out = values;
    *count = len;
    return true;
}

bool db_bytes_array(const struct db_result *result, size_t row, size_t col, struct arena *arena,
                    const struct bytes **out, size_t *count, struct err *err)
{
    struct bytes in = array_octets(result, row, col);
    size_t len;
    void *memory;
    struct bytes *values;

    assert(is_one_of(type_of(result, row, col), octet_arrays, ARRAY_LEN(octet_arrays)) &&
           "column is not an array of octets or text");
    if (!read_array_header(&in, &len))
        return err_fail(err, ERR_CORRUPT, "%s: column %zu: bad array", result->what, col);
    if (!arena_try_alloc(arena, len + 1, sizeof *values, &memory, err))
        return err_wrap(err, "%s: column %zu", result->what, col);
    values = memory;
    for (size_t i = 0; i < len; i++)
        if (!read_array_item(&in, &values[i]))
            return err_fail(err, ERR_CORRUPT, "%s: column %zu: bad array item", result->what, col);
    *out = values;
    *count = len;
    return true;
}
