/* SPDX-License-Identifier: Apache-2.0 */
/*
 * db/value.h - the parameters of a statement: typed values, sent in binary.
 *
 *     DB_ARGS(DB_I64(account_id), DB_BYTEA(sha256), DB_TIME(now_usec))
 *
 * A value borrows the octets and arrays it is made from until the call it is given to returns.
 * The type of each must be the one that the statement's "-- args:" line declares (asserted); DB_NULL
 * fits every type. Plain values; any thread.
 */
#pragma once

#include "base/bytes.h"

/* SQL type behind each: boolean, smallint, integer, bigint, text, bytea, timestamptz, date. */
enum db_type {
    DB_TYPE_NULL, /* of a value only: NULL of whatever type is declared */
    DB_TYPE_BOOL,
    DB_TYPE_I16,
    DB_TYPE_I32,
    DB_TYPE_I64,
    DB_TYPE_TEXT,
    DB_TYPE_BYTEA,
    DB_TYPE_TIME,
    DB_TYPE_DATE,
};

struct db_value {
    enum db_type type;
    bool is_array;
    int64_t number;      /* of a scalar; microseconds or days since 1970 of TIME and DATE */
    struct bytes octets; /* of a scalar TEXT or BYTEA */
    const void *items; /* of an array: `count` of bool, int16_t, int32_t, int64_t or struct bytes */
    const bool *nulls; /* of an array: NULL, or which items are NULL */
    size_t count;
};

struct db_args {
    const struct db_value *values;
    size_t count;
};

#define DB_ARGS(...)                                                                               \
    ((struct db_args){ (const struct db_value[]){ __VA_ARGS__ },                                   \
                       sizeof((const struct db_value[]){ __VA_ARGS__ }) /                          \
                           sizeof(struct db_value) })
#define DB_NO_ARGS ((struct db_args){ NULL, 0 })

#define DB_NULL ((struct db_value){ .type = DB_TYPE_NULL })
#define DB_BOOL(v) db_scalar(DB_TYPE_BOOL, (v) ? 1 : 0)
#define DB_I16(v) db_scalar(DB_TYPE_I16, (int16_t)(v))
#define DB_I32(v) db_scalar(DB_TYPE_I32, (int32_t)(v))
#define DB_I64(v) db_scalar(DB_TYPE_I64, (int64_t)(v))
#define DB_TIME(v) db_scalar(DB_TYPE_TIME, (v)) /* usec since 1970 UTC; INT64_MAX: 'infinity' */
#define DB_DATE(v) db_scalar(DB_TYPE_DATE, (v)) /* days since 1970 */
#define DB_TEXT(b) ((struct db_value){ .type = DB_TYPE_TEXT, .octets = (b) }) /* UTF-8, no NUL */
#define DB_BYTEA(b) ((struct db_value){ .type = DB_TYPE_BYTEA, .octets = (b) })

/* Arrays: pointer to the first item and how many; the pointer may be NULL when there are none. */
#define DB_BOOLS(p, n) db_array(DB_TYPE_BOOL, (1 ? (p) : (const bool *)NULL), (n))
#define DB_I16S(p, n) db_array(DB_TYPE_I16, (1 ? (p) : (const int16_t *)NULL), (n))
#define DB_I32S(p, n) db_array(DB_TYPE_I32, (1 ? (p) : (const int32_t *)NULL), (n))
#define DB_I64S(p, n) db_array(DB_TYPE_I64, (1 ? (p) : (const int64_t *)NULL), (n))
#define DB_TIMES(p, n) db_array(DB_TYPE_TIME, (1 ? (p) : (const int64_t *)NULL), (n))
#define DB_DATES(p, n) db_array(DB_TYPE_DATE, (1 ? (p) : (const int64_t *)NULL), (n))
#define DB_TEXTS(p, n) db_array(DB_TYPE_TEXT, (1 ? (p) : (const struct bytes *)NULL), (n))
#define DB_BYTEAS(p, n) db_array(DB_TYPE_BYTEA, (1 ? (p) : (const struct bytes *)NULL), (n))
/* An item of DB_TEXTS or DB_BYTEAS whose ptr is NULL is a NULL: give empty octets a pointer. */

static inline struct db_value db_scalar(enum db_type type, int64_t number)
{
    return (struct db_value){ .type = type, .number = number };
}

static inline struct db_value db_array(enum db_type type, const void *items, size_t count)
{
    return (struct db_value){ .type = type, .is_array = true, .items = items, .count = count };
}

/* The array with those of its items NULL for which nulls[i] holds (any item type). */
static inline struct db_value db_with_nulls(struct db_value array, const bool *nulls)
{
    array.nulls = nulls;
    return array;
}

/* The value, or NULL when the condition does not hold. */
static inline struct db_value db_null_unless(bool condition, struct db_value value)
{
    return condition ? value : DB_NULL;
}
