/* SPDX-License-Identifier: Apache-2.0 */
/*
 * auth/auditor.h - who the auditors are and what they may see: the operator's side.
 *
 * Each function that changes something is one transaction together with its audit event, READ
 * COMMITTED, not retried here. The connection is the owner's. Names: UTF-8 of 1 to
 * AUTH_NAME_MAX_BYTES octets without control characters.
 */
#pragma once

#include "base/arena.h"
#include "base/secret.h"
#include "db/db.h"

enum {
    AUTH_NAME_MAX_BYTES = 128,
    AUTH_NETWORKS_MAX = 64,
};

/*
 * password  see crypto/scram.h for what a password may be.
 * expires_at_usec  0: never. networks: "192.0.2.0/24", "2001:db8::/32"; none: from anywhere.
 *
 * ERR_DENIED: the name is taken. ERR_SYNTAX: the name, a network or the password is not one.
 */
struct auth_new_auditor {
    struct bytes name;
    const struct secret *password;
    int64_t expires_at_usec;
    const struct bytes *networks;
    size_t network_count;
};
MUST_USE bool auth_add_auditor(struct db *db, const struct auth_new_auditor *auditor,
                               int64_t *auditor_id, struct err *err);

/* Also ends the auditor's sessions. ERR_ABSENT: no such auditor. */
MUST_USE bool auth_set_password(struct db *db, struct bytes name, const struct secret *password,
                                struct err *err);

/* Of what is empty or 0 nothing was said. Either account or is_all. */
struct auth_grant_request {
    struct bytes auditor; /* name */
    struct bytes account; /* name */
    bool is_all;          /* every account, also those to come */
    struct bytes matter, since, until, query;
};

/*
 * A grant that is already there is success. ERR_ABSENT: no such auditor or account.
 * ERR_SYNTAX: neither or both of account and is_all. ERR_DENIED: matter, since, until or query are
 * given, which are served as views and not built yet.
 */
MUST_USE bool auth_grant(struct db *db, const struct auth_grant_request *request, int64_t *grant_id,
                         struct err *err);

/*
 * Takes back what a grant of the same request gave; with neither account nor is_all everything, and
 * the auditor's sessions end. It holds from the next statement of the auditor's sessions on.
 * revoked: NULL, or how many grants. ERR_ABSENT: no such auditor, account or grant.
 */
MUST_USE bool auth_revoke(struct db *db, const struct auth_grant_request *request,
                          uint64_t *revoked, struct err *err);

/* Texts and arrays live in the arena. */
struct auth_auditor {
    int64_t auditor_id;
    struct bytes name;
    int64_t created_at_usec;
    int64_t expires_at_usec;  /* 0: never */
    int64_t disabled_at_usec; /* 0: not */
    const struct bytes *networks;
    size_t network_count;
    int64_t live_sessions;
    int64_t last_login_usec; /* 0: never */
    int64_t grant_count;
};

struct auth_grant_row {
    int64_t grant_id;
    int64_t account_id;        /* 0: all accounts, or a matter */
    struct bytes account_name; /* empty: all accounts, or a matter */
    struct bytes matter_name;
    int64_t created_at_usec;
};

/* By name. */
MUST_USE bool auth_list_auditors(struct db *db, struct arena *arena,
                                 const struct auth_auditor **out, size_t *count, struct err *err);

/* One auditor and the grants in force. ERR_ABSENT. */
MUST_USE bool auth_show_auditor(struct db *db, struct bytes name, struct arena *arena,
                                struct auth_auditor *out, const struct auth_grant_row **grants,
                                size_t *grant_count, struct err *err);
