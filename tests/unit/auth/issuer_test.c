/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/issuer.h"
#include "test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#define URL "https://login.example/token"
#define OTHER "https://login.other.example/token"

static struct auth_issuers *create(void)
{
    struct auth_issuers *issuers = NULL;
    struct err err = { 0 };

    CHECK(auth_create_issuers(&issuers, &err));
    return issuers;
}

/* NULL: not let in, *err says why. */
static struct auth_issuer *enter(struct auth_issuers *issuers, const char *url, int64_t ms,
                                 struct err *err)
{
    struct auth_issuer *issuer = NULL;

    *err = (struct err){ 0 };
    (void)!auth_enter_issuer(issuers, url, deadline_after_ms(ms), &issuer, err);
    return issuer;
}

TEST(a_few_ask_one_endpoint_at_a_time_and_others_are_not_kept_waiting)
{
    CLEANUP(auth_free_issuers) struct auth_issuers *issuers = create();
    struct auth_issuer *in[AUTH_ISSUER_AT_ONCE], *other;
    struct err err;

    for (int i = 0; i < AUTH_ISSUER_AT_ONCE; i++)
        CHECK((in[i] = enter(issuers, URL, 0, &err)) != NULL);
    CHECK(enter(issuers, URL, 0, &err) == NULL);
    CHECK_EQ_U64(err.code, ERR_RETRY);
    CHECK((other = enter(issuers, OTHER, 0, &err)) != NULL);
    auth_leave_issuer(issuers, other, 0);
    auth_leave_issuer(issuers, in[0], 0);
    CHECK((in[0] = enter(issuers, URL, 0, &err)) != NULL);
    for (int i = 0; i < AUTH_ISSUER_AT_ONCE; i++)
        auth_leave_issuer(issuers, in[i], 0);
}

TEST(an_endpoint_that_asked_for_rest_is_left_alone_and_the_others_are_not)
{
    CLEANUP(auth_free_issuers) struct auth_issuers *issuers = create();
    struct auth_issuer *in, *second, *third, *other;
    struct err err;

    CHECK((in = enter(issuers, URL, 0, &err)) != NULL);
    CHECK((third = enter(issuers, URL, 0, &err)) != NULL);
    CHECK((second = enter(issuers, URL, 0, &err)) != NULL);
    auth_leave_issuer(issuers, in, 300);
    auth_leave_issuer(issuers, second, 0); /* it was good once more: the rest stands */
    auth_leave_issuer(issuers, third, 60); /* nor does a shorter one end it */
    CHECK(enter(issuers, URL, 1000, &err) == NULL);
    CHECK_EQ_U64(err.code, ERR_RETRY);
    CHECK(strstr(err.text, "for 300 s more") != NULL || strstr(err.text, "for 299 s more") != NULL);
    CHECK((other = enter(issuers, OTHER, 0, &err)) != NULL);
    auth_leave_issuer(issuers, other, INT64_MAX); /* bounded, whatever it says */
    CHECK(enter(issuers, OTHER, 0, &err) == NULL);
    CHECK(strstr(err.text, "for 3600 s more") != NULL || strstr(err.text, "for 3599 s") != NULL);
}

TEST(of_more_endpoints_than_there_is_room_for_the_resting_ones_are_forgotten)
{
    CLEANUP(auth_free_issuers) struct auth_issuers *issuers = create();
    struct auth_issuer *held, *in;
    struct err err;
    char url[32];

    CHECK((held = enter(issuers, URL, 0, &err)) != NULL);
    for (int i = 0; i < 2000; i++) {
        (void)snprintf(url, sizeof url, "https://%d.example/", i);
        CHECK((in = enter(issuers, url, 0, &err)) != NULL);
        auth_leave_issuer(issuers, in, 60);
    }
    CHECK(enter(issuers, url, 0, &err) == NULL); /* the last one rests */
    auth_leave_issuer(issuers, held, 0);
}

struct crowd {
    struct auth_issuers *issuers;
    atomic_uint in, most, let_in, sent_away;
};

static void *run_one(void *context)
{
    struct crowd *crowd = context;

    for (int i = 0; i < 200; i++) {
        struct err err;
        struct auth_issuer *issuer = enter(crowd->issuers, URL, 60000, &err);
        unsigned in, most;

        if (issuer == NULL) {
            (void)atomic_fetch_add(&crowd->sent_away, 1);
            continue;
        }
        in = atomic_fetch_add(&crowd->in, 1) + 1;
        most = atomic_load(&crowd->most);
        while (in > most && !atomic_compare_exchange_weak(&crowd->most, &most, in))
            continue;
        (void)atomic_fetch_add(&crowd->let_in, 1);
        (void)atomic_fetch_sub(&crowd->in, 1);
        auth_leave_issuer(crowd->issuers, issuer, 0);
    }
    return NULL;
}

TEST(in_a_crowd_nobody_is_lost_and_no_more_than_a_few_are_in)
{
    struct crowd crowd = { .issuers = create() };
    pthread_t threads[AUTH_ISSUER_AT_ONCE + AUTH_ISSUER_WAITING];

    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        CHECK(pthread_create(&threads[i], NULL, run_one, &crowd) == 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        (void)pthread_join(threads[i], NULL);
    CHECK(atomic_load(&crowd.most) <= AUTH_ISSUER_AT_ONCE);
    CHECK_EQ_U64(atomic_load(&crowd.sent_away), 0);
    CHECK_EQ_U64(atomic_load(&crowd.let_in), 200 * ARRAY_LEN(threads));
    auth_free_issuers(&crowd.issuers);
}
