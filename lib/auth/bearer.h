/* SPDX-License-Identifier: Apache-2.0 */
/*
 * auth/bearer.h - OAuth access tokens for source accounts: kept while they are good, fetched when not.
 *
 *     cached and good ------------------------------------------------------> given
 *     not so --lock the token's row--> fetched by somebody meanwhile ---------> given
 *                                  --> lock the grant, note that it is asked (exchange.h), ask the endpoint
 *                                        --> keep the rotated refresh token and the access token
 *                                            in one transaction --commit----> given
 *                                        --> refused: ERR_DENIED, or later: ERR_RETRY
 *
 * A token is renewed max(300 s, a tenth of its life) before it expires, at most half of its life
 * before, moved by some jitter, and when a source has refused it; while the endpoint cannot be reached, an older one is given as long as
 * it lasts. Exchanges with endpoints have database connections of their own, AUTH_EXCHANGES at a time,
 * and AUTH_EXCHANGES_WAITING may wait for one, fewer of one endpoint (issuer.h): whoever needs only a password never waits for any
 * endpoint. Shared between threads.
 */
#pragma once

#include "auth/secret.h"
#include "base/clock.h"
#include "db/pool.h"

enum {
    AUTH_EXCHANGES = 8,
    AUTH_EXCHANGES_WAITING = 16,
    AUTH_EXCHANGE_MS = 8000, /* with the endpoint: below what a visitor of the gate waits */
    /* who has waited in line for longer does not send a refresh token */
    AUTH_EXCHANGE_MIN_MS = 4000,
    /* A refused token that is younger is not replaced: the next one would be no better, and one
     * mailbox without permission would have the endpoint throttle the token that all others share. */
    AUTH_REPLACE_SECONDS = 60,
};

struct auth_bearers;

/* target: copied. quick: connections for what waits for no endpoint; borrowed like master, both outlive
 * it. oauth_start must have been called. */
MUST_USE bool auth_create_bearers(const struct db_target *target, struct db_pool *quick,
                                  const struct crypto_key *master, struct auth_bearers **out,
                                  struct err *err);
void auth_free_bearers(struct auth_bearers **bearers); /* nobody may be using it */

struct auth_bearer_ask {
    int64_t account_id, job_id;
    int64_t credential_id;      /* whose grant it is; 0: the account's own */
    const struct secret *grant; /* opened (oauth/grant.h) */
    struct bytes login;         /* the mailbox */
    struct bytes refused;       /* SHA-256 of a token that the source did not take; empty: none */
};

/*
 * ERR_DENIED: the endpoint refuses and a human must act, as the text says. ERR_RETRY: the endpoint
 * or the database does not answer, or too many wait. ERR_CORRUPT: what is stored does not open.
 */
MUST_USE bool auth_get_bearer(struct auth_bearers *bearers, const struct auth_bearer_ask *ask,
                              struct deadline deadline, struct secret **out, struct err *err);

/* Deletes tokens that expired an hour ago. */
MUST_USE bool auth_forget_old_bearers(struct auth_bearers *bearers, struct deadline deadline,
                                      struct err *err);

/* ---- for the operator's commands, on a connection of the owner's role ---------------------------- */

/* When the kept token of this grant for this login expires; 0: none is kept. */
MUST_USE bool auth_find_bearer(struct db *db, const struct crypto_key *master,
                               const struct secret *grant, struct bytes login,
                               int64_t *expires_usec, struct err *err);

/* The next login asks the endpoint: after a new consent. */
MUST_USE bool auth_forget_bearer(struct db *db, const struct crypto_key *master,
                                 const struct secret *grant, struct bytes login, struct err *err);
