/* SPDX-License-Identifier: Apache-2.0 */
/*
 * auth/issuer.h - how often one token endpoint is asked: a few at a time, and not while it wants to rest.
 *
 * A tenant's accounts share one endpoint. At most AUTH_ISSUER_AT_ONCE exchanges with it run at a time and
 * AUTH_ISSUER_WAITING wait, so that a slow one leaves places for the others; and once it has said 429 or
 * Retry-After (RFC 6585 §4, RFC 9110 §10.2.3) nobody asks it before that time has passed. Kept in memory: another
 * machine's gate learns it by an answer of its own. Shared between threads.
 */
#pragma once

#include "base/clock.h"
#include "base/err.h"

enum {
    AUTH_ISSUER_AT_ONCE = 4,
    AUTH_ISSUER_WAITING = 8,
    AUTH_ISSUER_REST_MAX_SECONDS = 3600,
};

struct auth_issuers;
struct auth_issuer; /* one of them, while somebody is in it */

MUST_USE bool auth_create_issuers(struct auth_issuers **out, struct err *err);
void auth_free_issuers(struct auth_issuers **issuers); /* nobody may be in one */

/* Waits for a turn with this endpoint. ERR_RETRY: it rests, as the text says for how long; too many wait;
 * the deadline. Success: leave it again. */
MUST_USE bool auth_enter_issuer(struct auth_issuers *issuers, const char *token_url,
                                struct deadline deadline, struct auth_issuer **out,
                                struct err *err);

/* rest_seconds: what it asked for; 0: nothing. */
void auth_leave_issuer(struct auth_issuers *issuers, struct auth_issuer *issuer,
                       int64_t rest_seconds);
