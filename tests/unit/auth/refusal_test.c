/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/refusal.h"
#include "test.h"

static const struct crypto_sha256 one = { { 1 } }, other = { { 2 } };
static const struct err refusal = { ERR_DENIED, "HTTP 401, invalid_client" };

static struct auth_refusals *refused(int64_t rest_ms, int times)
{
    struct auth_refusals *refusals = NULL;
    struct err err = { 0 };

    CHECK(auth_create_refusals(rest_ms, &refusals, &err));
    for (int i = 0; i < times; i++) {
        CHECK(auth_check_refusals(refusals, &one, &err));
        auth_note_ask(refusals, &one, &refusal);
    }
    return refusals;
}

TEST(what_was_refused_a_few_times_in_a_row_is_not_asked_for_a_while)
{
    CLEANUP(auth_free_refusals) struct auth_refusals *refusals = refused(60000, AUTH_REFUSALS);
    struct err err = { 0 };

    CHECK(!auth_check_refusals(refusals, &one, &err));
    CHECK_EQ_U64(err.code, ERR_DENIED);
    CHECK_STR(err.text, "asked again in 60 s: HTTP 401, invalid_client");
    CHECK(auth_check_refusals(refusals, &other, &err));
}

TEST(after_that_while_it_is_asked_once_more)
{
    CLEANUP(auth_free_refusals) struct auth_refusals *refusals = refused(0, 10 * AUTH_REFUSALS);
    struct err err = { 0 };

    CHECK(auth_check_refusals(refusals, &one, &err));
}

TEST(what_was_given_once_is_not_in_a_row)
{
    CLEANUP(auth_free_refusals) struct auth_refusals *refusals = refused(60000, AUTH_REFUSALS - 1);
    struct err err = { 0 };

    auth_note_ask(refusals, &one, NULL);
    auth_note_ask(refusals, &one, &refusal);
    CHECK(auth_check_refusals(refusals, &one, &err));
}

TEST(more_asks_than_are_remembered_cost_the_oldest_its_rest)
{
    CLEANUP(auth_free_refusals) struct auth_refusals *refusals = refused(60000, AUTH_REFUSALS);
    struct crypto_sha256 many = { { 3 } };
    struct err err = { 0 };

    for (uint8_t i = 0; i < 200; i++) {
        many.octets[1] = i;
        auth_note_ask(refusals, &many, &refusal);
    }
    CHECK(auth_check_refusals(refusals, &one, &err));
}
