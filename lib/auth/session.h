/* SPDX-License-Identifier: Apache-2.0 */
/*
 * auth/session.h - login sessions: tokens that the database knows by their hash only.
 */
#pragma once

#include "base/secret.h"
#include "db/db.h"
#include "db/pool.h"

/*
 * A token for a reading child of the CLI (show, search, export), audited. accounts: its scope;
 * count 0: all accounts. ttl_seconds: at most AUTH_OPERATOR_TTL_MAX_SECONDS (ERR_LIMIT). The
 * connection is the owner's; its own transaction.
 */
enum {
    AUTH_OPERATOR_TTL_MAX_SECONDS = 7 * 24 * 3600
};
MUST_USE bool auth_mint_operator_session(struct db *db, const int64_t *accounts, size_t count,
                                         int64_t ttl_seconds, struct secret **token,
                                         struct err *err);

/* Ends a session at once; one that has ended already is success. Owner's or gate's connection. */
MUST_USE bool auth_end_session(struct db *db, const struct secret *token, struct err *err);

/*
 * Forgets sessions that ended AUTH_SESSIONS_KEPT_DAYS ago, but each auditor's latest; a part of them when
 * there are very many. The gate's connection. What sessions did stands in the audit.
 */
enum {
    AUTH_SESSIONS_KEPT_DAYS = 30,
    AUTH_SESSIONS_FORGOTTEN_AT_ONCE = 10000,
};
MUST_USE bool auth_forget_old_sessions(struct db_pool *pool, struct deadline deadline,
                                       struct err *err);

struct auth_session_state {
    int64_t session_id;
    int64_t auditor_id;      /* 0: the operator */
    int64_t expires_at_usec; /* never later than what stands in the auditor's row */
};

/*
 * Whether the session still lives, asked on the primary before each command (DESIGN 2): one round
 * trip. ERR_DENIED: it is over (expired, revoked, auditor disabled). ERR_RETRY: the database cannot
 * be asked just now.
 */
MUST_USE bool auth_session_state(struct db_pool *pool, const struct secret *token,
                                 struct deadline deadline, struct auth_session_state *out,
                                 struct err *err);
