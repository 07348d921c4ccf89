/* SPDX-License-Identifier: Apache-2.0 */
/*
 * audit/internal.h - events as they travel to the database.
 */
#pragma once

#include "audit/append.h"
#include "base/buf.h"

/* Appends the fields as one JSON object. ERR_LIMIT over AUDIT_DETAIL_BYTES. */
MUST_USE bool audit_write_detail(const struct audit_field *fields, struct buf *out,
                                 struct err *err);

/* Empty, or 64 lower case hex digits; ERR_SYNTAX otherwise. */
MUST_USE bool audit_check_token(struct bytes token, struct err *err);

/* An event with its detail made: what a row needs. Borrows. */
struct audit_line {
    enum audit_kind kind;
    struct bytes token;
    int64_t account_id;
    int64_t mailbox_id;
    struct bytes detail;
};

/* One statement, at most AUDIT_APPEND_MAX lines. */
MUST_USE bool audit_append_lines(struct db *db, const struct audit_line *lines, size_t count,
                                 struct err *err);
