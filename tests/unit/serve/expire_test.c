/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/fake.h"

#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    LOGIN_MS = 1500,
    PAUSE_MS = 1700
};

static atomic_bool is_slow;

/* The loop's own: the machine may leave the loop without a processor whenever it likes. */
int epoll_wait(int fd, struct epoll_event *events, int max, int timeout)
{
    long count = syscall(SYS_epoll_pwait, fd, events, max, timeout, NULL, (size_t)0);

    if (count > 0 && is_slow)
        CHECK(usleep(PAUSE_MS * 1000) == 0);
    return (int)count;
}

/* The one thread is busy when the silent one's time is over, so that it waits for its end. Its octet
 * then must not make an event that names it after it is freed (seen by ASan). */
TEST(a_session_that_waits_for_its_end_makes_no_event)
{
    struct serve_settings settings = { .active_threads = 1,
                                       .allows_plain_loopback = true,
                                       .limits = { .login_ms = 100 } };
    struct fake_server *server = fake_start(&settings);
    struct peer silent;
    struct peer busy;

    peer_open(server, &silent);
    peer_open(server, &busy);
    fake.login_ms = LOGIN_MS;
    peer_send(&busy, "a LOGIN auditor secret\r\n");
    while (serve_counts(fake_get(server)).queued == 0)
        CHECK(usleep(1000) == 0);
    is_slow = true;
    peer_send(&silent, "a");
    CHECK_HAS(peer_until(&silent, "* BYE"), "* BYE Idle for too long");
    CHECK(peer_is_closed(&silent));
    CHECK_HAS(peer_until(&busy, "a "), "a OK");
    is_slow = false;
    peer_close(&silent);
    peer_close(&busy);
    fake_stop(&server);
}
