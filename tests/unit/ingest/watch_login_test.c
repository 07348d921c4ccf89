/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"
#include "ingest/watch_login.h"
#include "test.h"

#include <poll.h>

enum {
    ORDERS = 100,
    PATIENCE_MS = 60000,
};

/* No gate listens there: each login ends with that. */
static const struct ingest_settings settings = {
    .gate_socket = "/nonexistent/gate.sock",
    .stop_fd = -1,
};

static struct ingest_logins *create(void)
{
    struct ingest_logins *logins = NULL;
    struct err err = { 0 };

    CHECK(ingest_create_logins(&settings, &logins, &err));
    return logins;
}

static void start(struct ingest_logins *logins, void *who)
{
    struct arena *arena = arena_create(1 << 20);
    struct ingest_login_order order = {
        .who = who,
        .lease = { .job_id = 1, .fence = 1, .account_id = 1 },
        .mailbox = BYTES("INBOX"),
        .work = arena_new(arena, struct source_work),
    };
    struct err err = { 0 };

    CHECK(ingest_start_login(logins, &order, &arena, &err));
    CHECK(arena == NULL);
}

TEST(every_login_that_began_ends_once_and_only_a_few_are_under_way)
{
    CLEANUP(ingest_free_logins) struct ingest_logins *logins = create();
    unsigned ended[ORDERS] = { 0 };
    struct ingest_login_end end;
    size_t started = 0, taken = 0;

    while (taken < ORDERS) {
        struct pollfd fds = { .fd = ingest_logins_fd(logins), .events = POLLIN };

        for (; started < ORDERS && ingest_can_start_login(logins); started++)
            start(logins, &ended[started]);
        CHECK(started - taken <= INGEST_LOGINS_AT_ONCE);
        CHECK(poll(&fds, 1, PATIENCE_MS) == 1);
        while (ingest_take_login(logins, &end)) {
            ++*(unsigned *)end.who;
            CHECK(end.stream == NULL && end.failure.code != ERR_NONE);
            taken++;
        }
    }
    for (size_t i = 0; i < ORDERS; i++)
        CHECK_EQ_U64(ended[i], 1);
    CHECK(!ingest_take_login(logins, &end));
}

TEST(logins_that_nobody_takes_are_freed)
{
    CLEANUP(ingest_free_logins) struct ingest_logins *logins = create();
    unsigned who;

    while (ingest_can_start_login(logins))
        start(logins, &who);
}
