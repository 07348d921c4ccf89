/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/ingest/peer.h - a source that follows a script, octet for octet.
 *
 * The script is all that the peer will ever say; it lies in a socket before the client starts. What
 * the client said is read afterwards.
 */
#pragma once

#include "ingest/client.h"
#include "test.h"

struct peer {
    int fd;
    char said[64 << 10]; /* by the client, NUL-terminated */
};

/* ends: the connection ends behind the script. */
struct net_stream *peer_play(struct peer *peer, struct bytes script, bool ends);

/* The same as an open client, with these capabilities ("SASL-IR LITERAL+"). */
struct ingest_client *peer_connect(struct peer *peer, struct bytes script, bool ends,
                                   const char *capabilities);

/* All that the client has said so far. */
const char *peer_heard(struct peer *peer);
void peer_close(struct peer *peer);
