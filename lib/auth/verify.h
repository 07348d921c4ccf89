/* SPDX-License-Identifier: Apache-2.0 */
/*
 * auth/verify.h - whether somebody may log in: the gate's side.
 *
 * A struct auth_verifier is what the gate remembers between logins: keyed hashes of the last good
 * passwords, and whose turn it is. Shared between threads under its own lock (base/locks.h,
 * LOCK_AUTH_VERIFIER), which is never held while anything is computed or asked.
 */
#pragma once

#include "base/clock.h"
#include "base/secret.h"
#include "db/pool.h"

struct auth_verifier;

enum {
    AUTH_SESSION_SECONDS = 24 * 3600, /* at most; a client that stays longer logs in again */
};

/*
 * seed       octets that stay the same when the gate restarts and that nobody else knows: what
 *            decides how a name is treated that no auditor has. Copied in a hashed form.
 * max_kdfs   password derivations at once, at least 1 (30 ms of one processor each).
 */
MUST_USE bool auth_create_verifier(struct bytes seed, uint32_t max_kdfs, struct auth_verifier **out,
                                   struct err *err);
void auth_free_verifier(struct auth_verifier **verifier); /* wipes */

struct auth_attempt {
    struct bytes name;
    struct bytes password;
    struct bytes remote; /* text of an address; anything else: not known */
    bool is_tls;
};

enum auth_verdict {
    AUTH_LET_IN,
    AUTH_SENT_AWAY, /* recorded and audited; why is for the audit trail only */
    AUTH_TOLD_TO_WAIT,
};

/* For CLEANUP: auth_free_admission. */
struct auth_admission {
    enum auth_verdict verdict;
    uint32_t wait_seconds; /* AUTH_TOLD_TO_WAIT; the rest of AUTH_LET_IN: */
    struct secret *token;
    int64_t auditor_id;
    int64_t session_id;
    int64_t expires_at_usec;
};
void auth_free_admission(struct auth_admission *admission);

/*
 * Decides, and writes down what it decided: a failure or a session, with its audit event, in one
 * transaction (READ COMMITTED, not retried). The connection is not held while the KDF runs. An
 * unknown name takes as long as a wrong password.
 *
 * False: nothing was decided and nobody let in. ERR_RETRY: the database, or no turn before the
 * deadline.
 */
MUST_USE bool auth_verify_login(struct auth_verifier *verifier, struct db_pool *pool,
                                const struct auth_attempt *attempt, struct deadline deadline,
                                struct auth_admission *out, struct err *err);

/* Derivations run so far: what tests of the keyed hashes count. */
uint64_t auth_count_kdfs(struct auth_verifier *verifier);

/* Forgets counted failures older than AUTH_FAILURES_KEPT_DAYS. */
enum {
    AUTH_FAILURES_KEPT_DAYS = 90
};
MUST_USE bool auth_forget_old_failures(struct db_pool *pool, struct deadline deadline,
                                       struct err *err);
