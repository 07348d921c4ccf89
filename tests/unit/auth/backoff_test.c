/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"
#include "auth/backoff.h"

enum {
    SECOND = 1000000
};
static const int64_t now = INT64_C(1900000000) * SECOND;

static uint32_t wait_of(struct auth_failures pair, struct auth_failures remote,
                        struct auth_failures auditor)
{
    struct auth_history history = { pair, remote, auditor };

    return auth_seconds_to_wait(&history, now);
}

static const struct auth_failures none;

TEST(the_fifth_failure_is_the_first_that_makes_one_wait_and_waits_double)
{
    static const struct {
        int64_t count;
        uint32_t seconds;
    } cases[] = { { 0, 0 }, { 4, 0 },    { 5, 2 },    { 6, 4 },
                  { 7, 8 }, { 13, 512 }, { 14, 900 }, { 1000000, 900 } };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        CHECK_EQ_U64(wait_of((struct auth_failures){ cases[i].count, now }, none, none),
                     cases[i].seconds);
}

TEST(the_wait_counts_from_the_last_failure_and_is_rounded_up)
{
    CHECK_EQ_U64(wait_of((struct auth_failures){ 7, now - 3 * SECOND }, none, none), 5);
    CHECK_EQ_U64(wait_of((struct auth_failures){ 7, now - 8 * SECOND + 1 }, none, none), 1);
    CHECK_EQ_U64(wait_of((struct auth_failures){ 7, now - 8 * SECOND }, none, none), 0);
    CHECK_EQ_U64(wait_of((struct auth_failures){ 14, now + 3600 * (int64_t)SECOND }, none, none),
                 900);
}

TEST(an_address_has_twenty_failures_free_and_an_auditor_waits_a_minute_at_most)
{
    CHECK_EQ_U64(wait_of(none, (struct auth_failures){ 19, now }, none), 0);
    CHECK_EQ_U64(wait_of(none, (struct auth_failures){ 20, now }, none), 2);
    CHECK_EQ_U64(wait_of(none, (struct auth_failures){ 99, now }, none), 900);
    CHECK_EQ_U64(wait_of(none, none, (struct auth_failures){ 19, now }), 0);
    CHECK_EQ_U64(wait_of(none, none, (struct auth_failures){ 99, now }), 60);
}

TEST(the_longest_wait_holds)
{
    CHECK_EQ_U64(wait_of((struct auth_failures){ 6, now }, (struct auth_failures){ 22, now },
                         (struct auth_failures){ 20, now }),
                 8);
}

TEST(addresses_are_read_and_counted_as_what_one_customer_has)
{
    static const struct {
        const char *text, *address, *counted;
    } cases[] = {
        { "192.0.2.7", "192.0.2.7", "192.0.2.7" },
        { "::ffff:192.0.2.7", "192.0.2.7", "192.0.2.7" },
        { "2001:db8:1:2:3:4:5:6", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64" },
        { "fe80::1%eth0", "fe80::1", "fe80::/64" },
        { "::1", "::1", "::/64" },
    };
    static const char *const none_of_them[] = { "", "unix", "192.0.2", "192.0.2.7/24", "%eth0" };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct auth_remote remote = auth_read_remote(bytes_of_text(cases[i].text));

        CHECK(remote.is_known);
        CHECK_STR(remote.address, cases[i].address);
        CHECK_STR(remote.counted, cases[i].counted);
    }
    for (size_t i = 0; i < ARRAY_LEN(none_of_them); i++) {
        struct auth_remote remote = auth_read_remote(bytes_of_text(none_of_them[i]));

        CHECK(!remote.is_known);
        CHECK_STR(remote.counted, "0.0.0.0");
    }
    CHECK(!auth_read_remote(BYTES("192.0.2.7\0x")).is_known);
}
