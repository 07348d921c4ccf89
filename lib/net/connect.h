/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net/connect.h - from a host name to a stream, from an address to listening sockets.
 */
#pragma once

#include "net/stream.h"

enum {
    NET_CONNECT_DEFAULT_MS = 15000,
    NET_CONNECT_PARTS = 2,
};

struct net_target {
    const char *host; /* name or address literal, without brackets */
    uint16_t port;
    /* for each address of the host; for all, which share it, NET_CONNECT_PARTS times as much; 0:
     * NET_CONNECT_DEFAULT_MS */
    int64_t connect_ms;
    struct net_options options; /* of the stream */
};

/*
 * Resolves host and tries its addresses in turn until one accepts. All failures are ERR_RETRY and
 * the text says which: the name cannot be resolved, refused, time-out, unreachable, asked to stop. The resolver's
 * own wait is bounded by resolv.conf, not by connect_ms.
 */
MUST_USE bool net_connect(const struct net_target *target, struct net_stream **out,
                          struct err *err);

/* ERR_ABSENT: no such socket. ERR_RETRY: nobody listens on it. */
MUST_USE bool net_connect_unix(const char *path, const struct net_options *options,
                               struct net_stream **out, struct err *err);

/*
 * Listens on host:port, on each address that the name has; host "" or "*": every address, IPv6 and
 * IPv4. port 0 takes any free one (net_get_port tells). Sockets are non-blocking and close-on-exec.
 *
 * ERR_DENIED: a port that needs privilege; ERR_RETRY: in use; the text names host and port.
 */
enum {
    NET_LISTEN_MAX = 8
}; /* sockets of one address setting */
MUST_USE bool net_listen(const char *host, uint16_t port, int fds[NET_LISTEN_MAX], size_t *count,
                         struct err *err);

/* Replaces a socket left at path by a dead process. mode: of the socket file, as 0600. */
MUST_USE bool net_listen_unix(const char *path, unsigned mode, int *out, struct err *err);

uint16_t net_get_port(int fd);

/*
 * Takes one waiting connection. NET_DONE: *out is set. NET_WANT_READ: none waits (or it went away).
 * NET_FAILED: out of descriptors (ERR_SYSTEM): stop accepting for a while.
 */
MUST_USE enum net_progress net_accept(int listen_fd, const struct net_options *options,
                                      struct net_stream **out, struct err *err);
