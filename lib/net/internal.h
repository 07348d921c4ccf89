/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net/internal.h - how a stream is made of layers. For the files of lib/net alone.
 *
 *     net_stream   buffers, waiting, deadlines
 *       top layer  TLS (tls_layer.c), when started
 *         …
 *       socket     recv and send (socket.c)
 *
 * A layer never waits. It takes octets from the one below and hands its own up. Another layer
 * (COMPRESS=DEFLATE) is another file with a struct net_layer_ops.
 */
#pragma once

#include "base/buf.h"
#include "net/stream.h"
#include "net/tls.h"
#include "net/trace.h"

struct net_layer;

/* NET_DONE means at least one octet, told in *done. NET_ENDED comes from read only. */
struct net_layer_ops {
    enum net_progress (*handshake)(struct net_layer *layer, struct err *err);
    enum net_progress (*read)(struct net_layer *layer, void *ptr, size_t size, size_t *done,
                              struct err *err);
    enum net_progress (*write)(struct net_layer *layer, const void *ptr, size_t size, size_t *done,
                               struct err *err);
    bool (*has_buffered)(const struct net_layer *layer);
    void (*close)(struct net_layer *layer); /* frees itself, not the one below */
};

struct net_layer {
    const struct net_layer_ops *ops;
    struct net_layer *below; /* owned; NULL below the socket */
};

struct net_tls_layer;
struct net_trace;

struct net_stream {
    int fd; /* borrowed from the socket layer */
    struct net_layer *top;
    struct net_layer *socket;  /* borrowed: the lowest */
    struct net_tls_layer *tls; /* borrowed: one between them, or NULL */
    struct net_trace *trace;   /* or NULL */
    struct buf in;             /* from in_at on: read and not consumed */
    size_t in_at;
    size_t read_size; /* what the next read asks for */
    struct buf out;   /* from out_at on: written and not sent */
    size_t out_at;
    int64_t stall_ms;
    int stop_fd; /* -1: none */
    struct deadline deadline;
    bool has_ended;
};

/* socket.c. Moves *fd into the layer. */
struct net_layer *net_create_socket_layer(int *fd);
struct net_counters net_get_socket_counters(const struct net_layer *layer);

/* stream.c: waits as progress asks. False: stalled, deadline, or progress is an end or a failure. */
MUST_USE bool net_wait(struct net_stream *stream, enum net_progress progress, struct err *err);

/* trace.c */
void net_trace_octets(struct net_trace *trace, bool is_from_us, struct bytes octets);
void net_free_trace(struct net_trace **trace);
