/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net/stream.h - buffered octets over a socket, plain or TLS, blocking or parked in epoll.
 *
 * One stream is one connection. It is created on a connected socket (net_open_fd, net_connect,
 * net_accept), may be upgraded to TLS in place (net/tls.h) and may be traced (net/trace.h).
 * Blocking calls wait with poll(2), never longer than the stall time without one octet moving, nor
 * past the deadline if one is set. The net_try_* calls never wait: they are for a server that parks
 * its idle sessions in one epoll loop.
 *
 * Errors: ERR_RETRY when the connection broke, ended or stalled; ERR_LIMIT when the read buffer is
 * full (a line longer than the session accepts); ERR_SYNTAX when the peer breaks TLS; ERR_DENIED for
 * a certificate that is refused. After ERR_RETRY and ERR_SYNTAX nothing but net_close makes sense.
 *
 * A stream belongs to one thread at a time (net_shutdown alone may come from another). SIGPIPE is
 * never raised. Reader to start with: net_fill, net_peek, net_consume.
 */
#pragma once

#include "base/bytes.h"
#include "base/clock.h"
#include "base/err.h"

struct net_stream;

enum {
    NET_STALL_DEFAULT_MS = 60000,
    NET_ADDRESS_TEXT_BYTES = 64, /* "fe80::1%eth0" */
};

struct net_options {
    size_t max_read_bytes; /* ceiling of the read buffer, hence of the longest line; 0: 64 KiB */
    int64_t stall_ms;      /* longest wait without one octet; 0: NET_STALL_DEFAULT_MS */
    /* when it becomes readable, blocking calls end with ERR_RETRY; NULL: none */
    const int *stop_fd;
};

/* Moves *fd, a connected stream socket, into a stream: non-blocking, and for TCP keepalive and
 * TCP_NODELAY. *fd is -1 afterwards, also on failure. options may be NULL: the defaults. */
MUST_USE bool net_open_fd(int *fd, const struct net_options *options, struct net_stream **out,
                          struct err *err);

/* Closes without waiting: what was not flushed is lost; TLS says close_notify if that does not wait. */
void net_close(struct net_stream **stream);

/* Ends the connection under a thread that may wait on it; its call then fails. From any thread. */
void net_shutdown(struct net_stream *stream);

void net_set_stall(struct net_stream *stream, int64_t stall_ms);
void net_set_deadline(struct net_stream *stream,
                      struct deadline deadline);                         /* of all waits in all */
void net_set_max_read(struct net_stream *stream, size_t max_read_bytes); /* after login: more */

/* ---- reading ---- */

/* What has arrived and was not consumed, borrowed until the next call on the stream. */
struct bytes net_peek(const struct net_stream *stream);

/* Takes size octets from the front of what net_peek shows. */
void net_consume(struct net_stream *stream, size_t size);

/* Waits for at least one octet more behind what net_peek shows. At the end of the stream it fails
 * with ERR_RETRY, and net_has_ended is true. */
MUST_USE bool net_fill(struct net_stream *stream, struct err *err);

/*
 * For literals: takes at least one octet and at most size; from the buffer while it holds any,
 * otherwise straight from the socket into ptr.
 */
MUST_USE bool net_read_some(struct net_stream *stream, void *ptr, size_t size, size_t *got,
                            struct err *err);

bool net_has_ended(
    const struct net_stream *stream); /* the peer closed; the buffer may hold octets */

/* ---- writing ---- */

/* Appends to the write buffer; when that is full, writes (and waits). octets are copied. */
MUST_USE bool net_write(struct net_stream *stream, struct bytes octets, struct err *err);
MUST_USE bool net_flush(struct net_stream *stream, struct err *err);

/* ---- without waiting ---- */

enum net_progress {
    NET_DONE,       /* it happened; for net_try_fill: there are new octets */
    NET_WANT_READ,  /* call again when net_fd is readable */
    NET_WANT_WRITE, /* call again when net_fd is writable (TLS may need it for reading too) */
    NET_ENDED,      /* the peer closed in order */
    NET_FAILED,     /* *err says why */
};

/*
 * Reads what is there, at most max_bytes, behind what net_peek shows. On NET_WANT_* an empty read
 * buffer and an empty write buffer are given back, so that a parked session costs next to nothing.
 * Before parking call it until it does not say NET_DONE: octets inside TLS do not wake epoll.
 */
MUST_USE enum net_progress net_try_fill(struct net_stream *stream, size_t max_bytes,
                                        struct err *err);

/* Writes as much of the write buffer as goes. */
MUST_USE enum net_progress net_try_flush(struct net_stream *stream, struct err *err);

/* NET_DONE when the TLS handshake is over, at once on a plain stream. */
MUST_USE enum net_progress net_try_handshake(struct net_stream *stream, struct err *err);

int net_fd(const struct net_stream *stream); /* borrowed, for epoll */

/* Octets that can be had without the socket: in the read buffer or inside TLS. */
bool net_has_buffered(const struct net_stream *stream);
bool net_has_output(const struct net_stream *stream); /* written and not flushed */

/* ---- facts ---- */

struct net_counters {
    uint64_t bytes_in, bytes_out; /* on the wire, TLS included */
};
struct net_counters net_get_counters(const struct net_stream *stream);

/* The peer's address without port, "unix" for a Unix socket. IPv4 in IPv6 is shown as IPv4. */
void net_get_peer(const struct net_stream *stream, char text[NET_ADDRESS_TEXT_BYTES]);

enum {
    NET_NETWORK_BYTES = 16
};

/* What stands for one customer of a network: an IPv4 address (as ::ffff:a.b.c.d), or the /64 of an
 * IPv6 address. False: a Unix socket, or not known. */
bool net_get_peer_network(const struct net_stream *stream, uint8_t out[NET_NETWORK_BYTES]);

/* How long an answer takes at least, as TCP has seen so far; 0: not known, or no TCP. */
int64_t net_get_round_trip_usec(const struct net_stream *stream);

bool net_peer_is_local(const struct net_stream *stream); /* loopback or Unix socket */
