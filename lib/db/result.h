/* SPDX-License-Identifier: Apache-2.0 */
/*
 * db/result.h - the rows that a statement gave.
 *
 * Owned; what the getters return for octets is borrowed from the result. Rows and columns count from
 * 0. A getter must fit the column's type exactly (boolean, smallint, integer, bigint, timestamptz,
 * date; db_bytes: bytea and the text types), the column must be there, and the value must not be
 * NULL, except where said: all asserted, because the statement and its reader are both ours. May be
 * handed to another thread.
 */
#pragma once

#include "base/arena.h"
#include "base/bytes.h"
#include "base/err.h"

struct db_result;

void db_result_free(struct db_result **result);

size_t db_rows(const struct db_result *result);

/* By INSERT, UPDATE, DELETE; the rows of a SELECT. */
uint64_t db_affected(const struct db_result *result);

bool db_is_null(const struct db_result *result, size_t row, size_t col);
bool db_bool(const struct db_result *result, size_t row, size_t col);
int16_t db_i16(const struct db_result *result, size_t row, size_t col);
int32_t db_i32(const struct db_result *result, size_t row, size_t col);
int64_t db_i64(const struct db_result *result, size_t row, size_t col);

/* Microseconds since 1970 UTC (INT64_MAX: 'infinity'); days since 1970. */
int64_t db_time_usec(const struct db_result *result, size_t row, size_t col);
int64_t db_date_days(const struct db_result *result, size_t row, size_t col);

/* { NULL, 0 } when NULL. */
struct bytes db_bytes(const struct db_result *result, size_t row, size_t col);

/*
 * Arrays, copied into the arena. NULL gives no items. db_i64_array reads smallint[], integer[] and
 * bigint[]; an item of db_bytes_array that is NULL has ptr NULL, the octets of the others are borrowed
 * from the result. ERR_LIMIT: over the arena's ceiling. ERR_CORRUPT: more than one dimension, or a
 * NULL among numbers.
 */
MUST_USE bool db_i64_array(const struct db_result *result, size_t row, size_t col,
                           struct arena *arena, const int64_t **out, size_t *count,
                           struct err *err);
MUST_USE bool db_bytes_array(const struct db_result *result, size_t row, size_t col,
                             struct arena *arena, const struct bytes **out, size_t *count,
                             struct err *err);
