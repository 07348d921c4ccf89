/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/refusal.h"

#include "base/clock.h"
#include "base/locks.h"

#include <pthread.h>
#include <stdlib.h>

enum {
    ASKS_MAX = 64, /* remembered; of more the one that is forgotten costs a few asks */
};

struct ask {
    struct crypto_sha256 key;
    unsigned refused; /* in a row; 0: the place is free */
    struct deadline rests_until;
    struct err refusal; /* the last one */
};

struct auth_refusals {
    int64_t rest_ms;
    pthread_mutex_t lock; /* LOCK_AUTH_REFUSALS: all below */
    struct ask asks[ASKS_MAX];
};

bool auth_create_refusals(int64_t rest_ms, struct auth_refusals **out, struct err *err)
{
    struct auth_refusals *refusals = calloc(1, sizeof *refusals);

    if (refusals == NULL)
        return err_errno(err, "refusals");
    refusals->rest_ms = rest_ms;
    (void)pthread_mutex_init(&refusals->lock, NULL);
    *out = refusals;
    return true;
}

void auth_free_refusals(struct auth_refusals **refusals)
{
    if (*refusals == NULL)
        return;
    (void)pthread_mutex_destroy(&(*refusals)->lock);
    free(*refusals);
    *refusals = NULL;
}

/* ---- under the lock ------------------------------------------------------------------------------- */

static struct ask *find(struct auth_refusals *refusals, const struct crypto_sha256 *key)
{
    for (size_t i = 0; i < ASKS_MAX; i++)
        if (refusals->asks[i].refused > 0 &&
            bytes_equal(crypto_sha256_bytes(&refusals->asks[i].key), crypto_sha256_bytes(key)))
            return &refusals->asks[i];
    return NULL;
}

/* A free place, or that whose rest ends first. */
static struct ask *make(struct auth_refusals *refusals, const struct crypto_sha256 *key)
{
    struct ask *best = &refusals->asks[0];

    for (size_t i = 0; i < ASKS_MAX && best->refused > 0; i++)
        if (refusals->asks[i].refused == 0 ||
            refusals->asks[i].rests_until.at_usec < best->rests_until.at_usec)
            best = &refusals->asks[i];
    *best = (struct ask){ .key = *key };
    return best;
}

/* ---- both ends of an ask -------------------------------------------------------------------------- */

bool auth_check_refusals(struct auth_refusals *refusals, const struct crypto_sha256 *ask,
                         struct err *err)
{
    struct ask *known;
    bool may_ask;

    (void)pthread_mutex_lock(&refusals->lock);
    known = find(refusals, ask);
    may_ask =
        known == NULL || known->refused < AUTH_REFUSALS || deadline_has_passed(known->rests_until);
    if (!may_ask) {
        *err = known->refusal;
        err_set_context(err, "asked again in %d s",
                        (deadline_poll_ms(known->rests_until) + 999) / 1000);
    }
    (void)pthread_mutex_unlock(&refusals->lock);
    return may_ask;
}

void auth_note_ask(struct auth_refusals *refusals, const struct crypto_sha256 *ask,
                   const struct err *refusal)
{
    struct ask *known;

    (void)pthread_mutex_lock(&refusals->lock);
    known = find(refusals, ask);
    if (refusal != NULL) {
        if (known == NULL)
            known = make(refusals, ask);
        known->refused++;
        known->refusal = *refusal;
        known->rests_until = deadline_after_ms(refusals->rest_ms);
    } else if (known != NULL) {
        known->refused = 0;
    }
    (void)pthread_mutex_unlock(&refusals->lock);
}
