/* SPDX-License-Identifier: Apache-2.0 */
/*
 * audit/append.h - appending audit events, and reading them.
 *
 * The database decides who is speaking: the process from its login role, the session from the
 * token (schema/0001, audit_append). One statement; inside a transaction the rows commit with it, so
 * that what is done and what is said about it are one. No retry here: the caller's transaction
 * decides. Threads: as the connection.
 */
#pragma once

#include "audit/event.h"
#include "base/arena.h"
#include "db/db.h"

enum {
    AUDIT_APPEND_MAX = 1000
}; /* events of one call */

/*
 * ERR_SYNTAX: a token that is not 64 hex digits. ERR_LIMIT: too many events, or the fields of one
 * are over AUDIT_DETAIL_BYTES. Otherwise as db_run.
 */
MUST_USE bool audit_append_one(struct db *db, const struct audit_event *event, struct err *err);
MUST_USE bool audit_append_many(struct db *db, const struct audit_event *events, size_t count,
                                struct err *err);

/* A row, as it stands. Texts live in the arena. */
struct audit_row {
    int64_t event_id;
    int64_t at_usec;
    struct bytes process;      /* database role */
    int64_t session_id;        /* 0: none */
    int64_t auditor_id;        /* 0: none */
    struct bytes auditor_name; /* empty: none */
    struct bytes event;
    int64_t account_id;  /* 0: none */
    int64_t mailbox_id;  /* 0: none */
    struct bytes detail; /* JSON */
};

/* Zero or empty: no condition. */
struct audit_query {
    int64_t after_event_id;
    int64_t since_usec; /* at or after */
    int64_t until_usec; /* before */
    struct bytes auditor_name;
    int64_t account_id;
    struct bytes event; /* a kind's name */
    size_t max_rows;    /* 0: LIMIT_PAGE_ROWS, which is also the most */
};

/*
 * One page, oldest first; the next page begins after its last event_id; fewer rows than max_rows:
 * the end. The connection is the owner's.
 */
MUST_USE bool audit_list(struct db *db, const struct audit_query *query, struct arena *arena,
                         const struct audit_row **out, size_t *count, struct err *err);
