/* SPDX-License-Identifier: Apache-2.0 */
/*
 * auth/refusal.h - asks that an endpoint refuses again and again are not made by everybody.
 *
 * The accounts of a tenant share one grant. When its secret has expired, each of thousands would ask the endpoint in vain,
 * and once an hour again: that looks like an attack. After AUTH_REFUSALS of one ask in a row it is made once in a while, and
 * others are told what was answered. A changed grant is another ask. Kept in memory; shared between threads.
 */
#pragma once

#include "base/err.h"
#include "crypto/hash.h"

enum {
    AUTH_REFUSALS = 4,
    AUTH_REFUSAL_REST_MS = 60000,
};

struct auth_refusals;

MUST_USE bool auth_create_refusals(int64_t rest_ms, struct auth_refusals **out, struct err *err);
void auth_free_refusals(struct auth_refusals **refusals);

/* ERR_DENIED: it was refused lately, as the text says. */
MUST_USE bool auth_check_refusals(struct auth_refusals *refusals, const struct crypto_sha256 *ask,
                                  struct err *err);

/* How it ended. refusal: NULL when it was not refused. */
void auth_note_ask(struct auth_refusals *refusals, const struct crypto_sha256 *ask,
                   const struct err *refusal);
