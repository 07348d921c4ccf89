/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serve/server.h - the read-only IMAP endpoint: listeners, sessions, threads.
 *
 * One thread runs serve_run: it accepts connections and keeps the parked sessions in one epoll loop.
 * What a client sends is read and answered by a small set of threads made on demand (README 1).
 *
 * A server may be shared as its comments say; its lock is LOCK_SERVE_SERVER (base/locks.h).
 */
#pragma once

#include "audit/writer.h"
#include "auth/client.h"
#include "base/err.h"
#include "base/log.h"
#include "conf/conf.h"
#include "net/tls.h"

enum {
    SERVE_SESSIONS_MAX = 10500, /* DESIGN 11: 10,000 idle ones, and some that come and go */
    SERVE_STRANGERS_MAX = 1000, /* sessions that have not logged in */
    SERVE_STRANGERS_PER_NETWORK_MAX = 64, /* of them from one address or IPv6 /64: a dozen mail
                                           * clients behind it may start at once */
    SERVE_LOGIN_MS = 60 * 1000,           /* from accept to the end of login, all in all */
    SERVE_IDLE_MS = 30 * 60 * 1000,   /* RFC 9051 §5.4; of IDLE in all, whatever is told in it */
    SERVE_ALIVE_MS = 2 * 60 * 1000,   /* "Still here" in IDLE: routers forget silent connections */
    SERVE_WATCH_MS = 5000,            /* all sessions in IDLE are looked after so often, by one
                                       * statement; hints make it sooner, when they come */
    SERVE_REFRESH_MS = 1000,          /* between commands changes are looked for so often at most */
    SERVE_COMMAND_MS = 5 * 60 * 1000, /* from the first to the last octet of one command */
    SERVE_STALL_MS = 60 * 1000,       /* a client that does not read its answer */
    SERVE_SLOW_MS = 60 * 1000,        /* what a client may be behind SERVE_RATE_MIN */
    SERVE_RATE_MIN = 2048,            /* octets a second: a modem. Who takes less keeps a thread for
                                       * nothing, and could for ever */
    SERVE_IDLE_STALL_MS = 5000,       /* news in IDLE fit any socket buffer that is read at all */
    SERVE_STRANGER_STALL_MS = 5000,   /* before login: those answers fit any socket buffer */
    SERVE_WAIT_NOTICE_MS = 2000,      /* waiting for a thread: told so after this */
    SERVE_TURN_MS = 250,              /* pipelined commands in one go while others wait */
    SERVE_BAD_MAX = 20,               /* BAD answers in a row */
    SERVE_REFUSALS_BURST = 200,       /* strangers' refused writes with an audit row each; beyond it
                                       * one row a second stands for all since the last */
    SERVE_LOGIN_TRIES_MAX = 5,        /* refused logins in one session */
    SERVE_STOP_MS = 3500,             /* what active commands are given at the end */
};

struct db_pool;
struct vault_watch;

struct serve_limits {
    /* 0: the constants above */
    int64_t login_ms, idle_ms, command_ms, stall_ms, wait_notice_ms, alive_ms, watch_ms, refresh_ms,
        slow_ms;
};

struct serve_settings {
    const struct log *log;
    const struct conf_addresses *listen;     /* plain with STARTTLS; NULL or none: off */
    const struct conf_addresses *listen_tls; /* implicit TLS */
    struct net_tls *tls;                     /* NULL: no STARTTLS; required for listen_tls */
    bool allows_plain_loopback;              /* LOGIN without TLS for peers on this machine */
    bool shows_all_seen;                     /* [imapd] flags = seen */
    uint32_t active_threads;                 /* at least 1 */
    struct serve_limits limits;
    int stop_fd; /* readable: finish and return; -1: never */

    struct db_pool *pool; /* of the reader's role; NULL in tests that log nobody in */
    /* of that pool; 0: not known. One auditor gets three quarters at most */
    size_t read_connections;
    struct db_pool *primary;   /* the same role, for the question whether a login still holds */
    struct vault_watch *watch; /* on the primary; NULL: IDLE hears nothing (tests) */
    const struct auth_client *auth; /* the gate */
    struct audit_writer *audit;
};

struct serve_server;

/* Listens on all addresses. Borrows everything in *settings, which is copied. */
MUST_USE bool serve_create(const struct serve_settings *settings, struct serve_server **out,
                           struct err *err);

/*
 * Serves until stop_fd is readable; then parked sessions get BYE and active ones SERVE_STOP_MS.
 * Success  every session and thread has ended.
 * Failure  ERR_RETRY: some thread did not end in time; nothing it uses may be freed, only exit helps.
 */
MUST_USE bool serve_run(struct serve_server *server, struct err *err);
void serve_free(struct serve_server **server); /* after serve_run, or when it never ran */

/* Takes over a connected socket as if it had been accepted; from any thread. */
MUST_USE bool serve_add_connection(struct serve_server *server, int *fd, bool is_tls,
                                   struct err *err);

/* The port of the first listener of its kind, 0 when there is none: for listeners on port 0. */
uint16_t serve_get_port(const struct serve_server *server, bool is_tls);

struct serve_counts {
    size_t sessions, parked, queued, threads; /* now */
};
struct serve_counts serve_counts(struct serve_server *server);
