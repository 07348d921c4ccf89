/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/issuer.h"

#include "base/locks.h"
#include "crypto/hash.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

enum {
    /* more than all who can be in one; of others that rest the soonest done is forgotten */
    ISSUERS_MAX = 256,
};

struct auth_issuer {
    struct crypto_sha256 name; /* of its token URL */
    unsigned running, waiting;
    struct deadline rests_until;
};

struct auth_issuers {
    pthread_mutex_t lock; /* LOCK_AUTH_ISSUERS: all below */
    pthread_cond_t has_left;
    struct auth_issuer issuers[ISSUERS_MAX];
    size_t count;
};

bool auth_create_issuers(struct auth_issuers **out, struct err *err)
{
    struct auth_issuers *issuers = calloc(1, sizeof *issuers);
    pthread_condattr_t attributes;

    if (issuers == NULL)
        return err_errno(err, "token endpoints");
    (void)pthread_mutex_init(&issuers->lock, NULL);
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC); /* as struct deadline */
    (void)pthread_cond_init(&issuers->has_left, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    *out = issuers;
    return true;
}

void auth_free_issuers(struct auth_issuers **issuers)
{
    if (*issuers == NULL)
        return;
    (void)pthread_cond_destroy(&(*issuers)->has_left);
    (void)pthread_mutex_destroy(&(*issuers)->lock);
    free(*issuers);
    *issuers = NULL;
}

/* ---- under the lock ------------------------------------------------------------------------------- */

static bool is_used(const struct auth_issuer *issuer)
{
    return issuer->running > 0 || issuer->waiting > 0;
}

/* One that nobody is in, and whose rest ends first. */
static struct auth_issuer *find_forgettable(struct auth_issuers *issuers)
{
    struct auth_issuer *best = NULL;

    for (size_t i = 0; i < issuers->count; i++) {
        struct auth_issuer *issuer = &issuers->issuers[i];

        if (!is_used(issuer) &&
            (best == NULL || issuer->rests_until.at_usec < best->rests_until.at_usec))
            best = issuer;
    }
    return best;
}

/* Its place; a new one if it has none. NULL: ISSUERS_MAX are in use. */
static struct auth_issuer *find_issuer(struct auth_issuers *issuers, const char *token_url)
{
    struct crypto_sha256 name = crypto_hash(bytes_of_text(token_url));
    struct auth_issuer *issuer;

    for (size_t i = 0; i < issuers->count; i++)
        if (bytes_equal(crypto_sha256_bytes(&issuers->issuers[i].name), crypto_sha256_bytes(&name)))
            return &issuers->issuers[i];
    issuer = issuers->count < ISSUERS_MAX ? &issuers->issuers[issuers->count++]
                                          : find_forgettable(issuers);
    if (issuer != NULL)
        *issuer = (struct auth_issuer){ .name = name, .rests_until = deadline_after_ms(0) };
    return issuer;
}

static bool check_rest(const struct auth_issuer *issuer, struct err *err)
{
    return deadline_has_passed(issuer->rests_until) ||
           err_fail(err, ERR_RETRY, "the token endpoint asked to be left alone, for %d s more",
                    (deadline_poll_ms(issuer->rests_until) + 999) / 1000);
}

static bool wait_for_turn(struct auth_issuers *issuers, struct auth_issuer *issuer,
                          struct deadline deadline, struct err *err)
{
    struct timespec until = { .tv_sec = (time_t)(deadline.at_usec / 1000000),
                              .tv_nsec = (long)(deadline.at_usec % 1000000 * 1000) };
    bool has_time = true;

    if (issuer->running >= AUTH_ISSUER_AT_ONCE && issuer->waiting >= AUTH_ISSUER_WAITING)
        return err_fail(err, ERR_RETRY, "too many accounts wait for this token endpoint");
    issuer->waiting++;
    while (has_time && issuer->running >= AUTH_ISSUER_AT_ONCE)
        has_time = pthread_cond_timedwait(&issuers->has_left, &issuers->lock, &until) != ETIMEDOUT;
    issuer->waiting--;
    return has_time || err_fail(err, ERR_RETRY, "the token endpoint is busy with other accounts");
}

/* ---- in and out ----------------------------------------------------------------------------------- */

bool auth_enter_issuer(struct auth_issuers *issuers, const char *token_url,
                       struct deadline deadline, struct auth_issuer **out, struct err *err)
{
    struct auth_issuer *issuer;
    bool is_in;

    (void)pthread_mutex_lock(&issuers->lock);
    issuer = find_issuer(issuers, token_url);
    if (issuer == NULL)
        is_in = err_fail(err, ERR_RETRY, "too many token endpoints are asked");
    else
        is_in = check_rest(issuer, err) && wait_for_turn(issuers, issuer, deadline, err) &&
                check_rest(issuer, err); /* who was in before us may have heard it */
    if (is_in) {
        issuer->running++;
        *out = issuer;
    }
    (void)pthread_mutex_unlock(&issuers->lock);
    return is_in;
}

void auth_leave_issuer(struct auth_issuers *issuers, struct auth_issuer *issuer,
                       int64_t rest_seconds)
{
    struct deadline rest;

    if (rest_seconds > AUTH_ISSUER_REST_MAX_SECONDS)
        rest_seconds = AUTH_ISSUER_REST_MAX_SECONDS;
    rest = deadline_after_ms(rest_seconds * 1000);
    (void)pthread_mutex_lock(&issuers->lock);
    assert(issuer->running > 0);
    issuer->running--;
    if (rest_seconds > 0 && rest.at_usec > issuer->rests_until.at_usec)
        issuer->rests_until = rest;
    (void)pthread_cond_broadcast(&issuers->has_left);
    (void)pthread_mutex_unlock(&issuers->lock);
}
