/* SPDX-License-Identifier: Apache-2.0 */
/*
 * auth/backoff.h - how long somebody must wait after failed logins. Pure; any thread.
 *
 * Failures of the last AUTH_BACKOFF_WINDOW_MINUTES are counted three ways, and the longest wait
 * holds. After the n-th failure from the free count on one waits 2, 4, 8, … seconds:
 *
 *     one auditor from one address    free 5    at most 15 min   guessing a password
 *     any auditor from one address    free 20   at most 15 min   trying names; a whole office may sit
 *                                                                behind the address, hence more
 *     one auditor from any address    free 20   at most 1 min    guessing from many machines; short,
 *                                                                since strangers can cause it
 *
 * An attempt that is told to wait is not itself a failure: a client with an old password, which
 * tries for ever, locks nobody out for longer.
 */
#pragma once

#include "base/bytes.h"

enum {
    AUTH_BACKOFF_WINDOW_MINUTES = 15
};

struct auth_failures {
    int64_t count;
    int64_t last_usec; /* 0: never */
};

struct auth_history {
    struct auth_failures pair, remote, auditor;
};

/* 0: may try now. now_usec: of the clock that wrote last_usec (the database's). */
uint32_t auth_seconds_to_wait(const struct auth_history *history, int64_t now_usec);

enum {
    AUTH_REMOTE_TEXT_BYTES = 64
};

/* Where a login comes from, as text that SQL's inet reads. */
struct auth_remote {
    bool is_known;
    char address[AUTH_REMOTE_TEXT_BYTES]; /* "192.0.2.7", "2001:db8::1"; "" when not known */
    char counted[AUTH_REMOTE_TEXT_BYTES]; /* what failures are counted under: IPv6 by /64, of which
                                             one customer has the whole; "0.0.0.0": not known */
};

/* An IPv4 address in IPv6 counts as IPv4; a zone ("%eth0") is dropped; what is no address is "not
 * known". */
struct auth_remote auth_read_remote(struct bytes text);
