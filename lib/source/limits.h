/* SPDX-License-Identifier: Apache-2.0 */
/*
 * source/limits.h - what an account may use and which of its mailboxes are watched, as the operator says.
 *
 * For the CLI, on a connection of the owner's role. One connection, one thread.
 */
#pragma once

#include "base/arena.h"
#include "base/bytes.h"
#include "base/err.h"

struct db;

enum {
    SOURCE_LIMIT_BY_PROVIDER = -1, /* as the provider is known to bear */
    SOURCE_WATCHED_MAX = 16,       /* mailboxes of one account: each is a connection */
};

struct source_limits {
    bool sets_connections, sets_bytes, sets_watch; /* what is to be changed */
    int32_t max_connections;                       /* at once, > 0 */
    int64_t daily_bytes;                           /* octets a day (UTC); 0: no budget */
    const struct bytes *watch;                     /* archive paths; none: nothing is watched */
    size_t watch_count;
};

/* What an account may use, and uses now. */
struct source_limit_facts {
    int32_t max_connections;
    bool is_own; /* the operator said so; otherwise as the provider is known to bear */
    int32_t connections;
    int64_t daily_bytes; /* 0: no budget; SOURCE_LIMIT_BY_PROVIDER */
    uint64_t today_bytes;
};

MUST_USE bool source_show_limits(struct db *db, int64_t account_id, struct source_limit_facts *out,
                                 struct err *err);

/* Inside the caller's transaction. The account becomes due again, its back-off forgotten. ERR_ABSENT: no such account, or it was removed.
 * ERR_SYNTAX: a number or path that cannot be. */
MUST_USE bool source_set_limits(struct db *db, int64_t account_id,
                                const struct source_limits *limits, struct err *err);

/* Archive paths of the mailboxes that are held in IDLE; the arena's. */
MUST_USE bool source_list_watched(struct db *db, int64_t account_id, struct arena *arena,
                                  const struct bytes **paths, size_t *count, struct err *err);

/* Ids of the source that turned out to stand for more than one message, and are not trusted any more. */
struct source_distrust {
    struct bytes kind; /* "X-GM-MSGID", "EMAILID" */
    struct bytes host, login;
    int64_t since_usec;
};

MUST_USE bool source_list_distrust(struct db *db, int64_t account_id, struct arena *arena,
                                   const struct source_distrust **out, size_t *count,
                                   struct err *err);
