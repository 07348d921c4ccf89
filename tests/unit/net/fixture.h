/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/net/fixture.h - certificates, pairs of connected streams, and a peer in a thread.
 */
#pragma once

#include "net/stream.h"
#include "net/tls.h"

#include <pthread.h>

/* A temporary folder of this process, removed at its end. */
const char *fixture_folder(void);

/* folder/name, in memory that lives until the process ends. */
const char *fixture_path(const char *name);
void fixture_write(const char *path, const char *text);

/*
 * Writes folder/NAME.crt and NAME.key (EC P-256). names: "DNS:a,IP:127.0.0.1", or NULL for none. The
 * certificate is valid from from_day to to_day, counted from today. issuer: the NAME of an earlier
 * one, or NULL for self-signed.
 */
void fixture_certificate(const char *name, const char *names, long from_day, long to_day,
                         const char *issuer);

/* The pin of the key of folder/NAME.crt, as `openssl` makes it. */
void fixture_pin(const char *name, struct net_pin *out);

/* Contexts over such files. */
struct net_tls *fixture_server(const char *name);
struct net_tls *fixture_client(const char *ca_name);

/* Two ends of one Unix socket pair; options of the first (NULL: stall time of 5 s). */
void fixture_pair(const struct net_options *options, struct net_stream **a, struct net_stream **b);

/* The other side of a conversation, in a thread of its own. It must not CHECK. */
struct peer {
    pthread_t thread;
    struct net_stream *stream;
    struct net_tls *tls;
    void (*run)(struct peer *peer);
    struct err err; /* what ended it, if anything did */
    bool is_content;
    const void *argument;
};
void peer_start(struct peer *peer);
void peer_join(struct peer *peer); /* closes its stream too */

/* Ready-made conversations. */
void peer_shake_hands(struct peer *peer); /* then waits for the other side's end */
void peer_echo(struct peer *peer);        /* with TLS when tls is set */
