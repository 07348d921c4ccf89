/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/serve/fake.h - a server on socket pairs, and a vault, gate and audit of a few lines.
 *
 * fake.c defines the functions of vault/read.h, auth/client.h, auth/session.h and audit/writer.h that
 * serve calls, so that no database is needed; the real ones are met in tests/integration. The fake
 * archive: account "alice" with INBOX (fake.messages messages, UIDs from 1), "Projects/2001" (empty)
 * and "Über"; auditor "auditor" with password "secret".
 */
#pragma once

#include "serve/server.h"
#include "test.h"

#include <stdatomic.h>

enum {
    FAKE_SIZE = 400
}; /* octets of a message */

struct fake {
    atomic_uint messages;     /* in INBOX */
    atomic_uint modseq;       /* of INBOX; message 1 has it too */
    atomic_uint corrupt_uid;  /* its octets cannot be read */
    atomic_uint breaks_uid;   /* its octets end in an error when half of them were given */
    atomic_int index_version; /* of the row of message_index that each message has; 0: none */
    atomic_uint mailboxes;    /* further ones, "many/<n>" */
    atomic_bool is_revoked;
    atomic_bool is_withdrawn; /* the grant: no row is seen any more */
    atomic_uint polls;        /* the watcher asked so often */
    atomic_uint waiting;      /* for so many sessions, the last time */
    atomic_uint disposed;     /* UIDs 1 … of INBOX are gone */
    atomic_bool watch_fails;
    atomic_bool audit_fails;
    atomic_uint login_ms;    /* how long a login takes */
    atomic_uint page_ms;     /* how long a page of rows takes */
    atomic_bool holds_pages; /* none ends until this is false */
    atomic_uint auditor;     /* who logs in: 7 and this */
    atomic_uint pages;       /* rows were asked for so often */
    atomic_uint logouts;
    atomic_uint events[AUDIT_KIND_COUNT];
    atomic_uint waits;      /* for events to be committed */
    char last_detail[2048]; /* texts of the fields of the last event */
};
extern struct fake fake;

/* A running server; fake is reset. NULL: the defaults of tests (4 threads, long limits). */
struct fake_server;
struct fake_server *fake_start(const struct serve_settings *changes);
void fake_stop(struct fake_server **server); /* stops it and checks that everything ended */
struct serve_server *fake_get(struct fake_server *server);
void fake_hint(void); /* INBOX has changed: what a NOTIFY does */
bool fake_wait_parked(struct fake_server *server, size_t sessions); /* within 5 s */

/* A client. */
struct peer {
    int fd;
    char text[1 << 16]; /* what the last peer_* call read */
    size_t len;
};
void peer_open(struct fake_server *server, struct peer *peer); /* reads the greeting */
void peer_close(struct peer *peer);
void peer_send(struct peer *peer, const char *text);
/* Reads up to and with the line that begins with `front`; the end of the stream ends it too. */
const char *peer_until(struct peer *peer, const char *front);
/* Sends "t <command>CRLF" and reads its answer. */
const char *peer_ask(struct peer *peer, const char *command);
void peer_login(struct peer *peer);
bool peer_is_closed(struct peer *peer); /* waits for the end of the stream, at most 5 s */

#define CHECK_HAS(text, part) CHECK(strstr((text), (part)) != NULL)
#define CHECK_LACKS(text, part) CHECK(strstr((text), (part)) == NULL)
