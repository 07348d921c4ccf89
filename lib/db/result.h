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
uint64_t db_affected(const struct db_result *result); /* by INSERT, UPDATE, DELETE; rows of SELECT */

bool db_is_null(const struct db_result *result, size_t row, size_t col);
bool db_bool(const struct db_result *result, size_t row, size_t col);
int16_t db_i16(const struct db_result *result, size_t row, size_t col);
int32_t db_i32(const struct db_result *result, size_t row, size_t col);
int64_t db_i64(const struct db_result *result, size_t row, size_t col);
int64_t db_time_usec(const struct db_result *result, size_t row, size_t col); /* 1970; INT64_MAX: infinity */
int64_t db_date_days(const struct db_result *result, size_t row, size_t col);
struct bytes db_bytes(const struct db_result *result, size_t row, size_t col); /* NULL: { NULL, 0 } */

/*
 * Arrays, one-dimensional, copied into the arena. NULL gives no items; of the arrays of numbers no item may
 * be NULL, an item of db_bytes_array that is has ptr NULL (its octets are borrowed from the result).
 * db_i64_array reads smallint[], integer[] and bigint[]. ERR_LIMIT: over the arena's ceiling.
 */
MUST_USE bool db_i64_array(const struct db_result *result, size_t row, size_t col,
                           struct arena *arena, const int64_t **out, size_t *count,
                           struct err *err);
MUST_USE bool db_bytes_array(const struct db_result *result, size_t row, size_t col,
                             struct arena *arena, const struct bytes **out, size_t *count,
                             struct err *err);
