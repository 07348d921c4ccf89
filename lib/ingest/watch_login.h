/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest/watch_login.h - logins of watches: the blocking code of the workers, a few at once, each in a thread.
 *
 *     ingest_start_login   gives a thread all it needs; the database is not for it
 *     ingest_logins_fd     readable when one has ended
 *     ingest_take_login    what became of it
 *
 * One thread owns it and calls all of this; between it and its threads only a login goes over and its outcome
 * comes back.
 */
#pragma once

#include "ingest/run.h"
#include "net/stream.h"

enum {
    /* so many silent sources, and news and logins of the others still go on */
    INGEST_LOGINS_AT_ONCE = 8,
    INGEST_LOGIN_STALL_MS = 10000,
};

struct ingest_logins;

MUST_USE bool ingest_create_logins(const struct ingest_settings *settings,
                                   struct ingest_logins **out, struct err *err);

/* Waits for those that run; they end early when settings->stop_fd is readable. */
void ingest_free_logins(struct ingest_logins **logins);

bool ingest_can_start_login(struct ingest_logins *logins);
int ingest_logins_fd(const struct ingest_logins *logins);

struct ingest_login_order {
    void *who;                 /* whose it is, for its end */
    struct source_lease lease; /* the gate gives the secret for it */
    /* to be opened, as on the wire; borrowed until the login was taken */
    struct bytes mailbox;
    const struct source_work *work; /* lies in the arena */
};

/* ingest_can_start_login said so. Takes *arena over on success. */
MUST_USE bool ingest_start_login(struct ingest_logins *logins,
                                 const struct ingest_login_order *order, struct arena **arena,
                                 struct err *err);

struct ingest_login_end {
    void *who;
    struct net_stream *stream; /* the mailbox is open (EXAMINE); the caller's. NULL: */
    struct err failure;        /* ERR_ABSENT: no IDLE there, or: */
    bool is_of_mailbox;        /* this one cannot be opened; others of the account may be */
};

/* False: none has ended. */
bool ingest_take_login(struct ingest_logins *logins, struct ingest_login_end *out);
