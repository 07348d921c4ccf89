/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/csv.h - comma-separated values (RFC 4180), row by row, in the memory of one row.
 *
 *     while there are octets:
 *         if (!csv_read_row(reader, &octets, &row, err)) ...
 *         if (row != NULL) use it, and call again with what is left
 *     csv_end_rows(reader, &row, err)        a last row may lack its line end
 *
 * Octets may come in pieces of any size. Beyond the RFC: LF alone ends a row too, a UTF-8 byte order
 * mark in front is passed over, and so are empty lines. Refused (ERR_SYNTAX): a quote within a field
 * that does not begin with one, octets behind the closing quote, a quote that is never closed, CR
 * without LF outside quotes, NUL. ERR_LIMIT: a row over CSV_ROW_BYTES or CSV_FIELDS_MAX. The text of
 * an error begins with the line. After a failure nothing more can be read. Pure; one thread.
 */
#pragma once

#include "base/bytes.h"
#include "base/err.h"

enum {
    CSV_ROW_BYTES = 64 << 10, /* of the fields together */
    CSV_FIELDS_MAX = 64,
};

struct csv_row {
    struct bytes fields[CSV_FIELDS_MAX]; /* unquoted; borrowed until the next call */
    size_t count;                        /* at least 1 */
    uint64_t line;                       /* where it begins, from 1 */
};

struct csv_reader;

struct csv_reader *csv_create_reader(void); /* never NULL */
void csv_free_reader(struct csv_reader **reader);

/* Consumes from the front of *in up to the end of a row, or all of it: then *out is NULL. */
MUST_USE bool csv_read_row(struct csv_reader *reader, struct bytes *in, const struct csv_row **out,
                           struct err *err);

/* No octets follow. *out: the last row, or NULL. */
MUST_USE bool csv_end_rows(struct csv_reader *reader, const struct csv_row **out, struct err *err);
