/* SPDX-License-Identifier: Apache-2.0 */
#include "net/stream.h"

#include "base/fd.h"
#include "net/internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

enum {
    DEFAULT_MAX_READ_BYTES = 64 << 10,
    FIRST_READ_BYTES = 4 << 10,
    LARGE_READ_BYTES = 16 << 10, /* one TLS record */
    WRITE_BUFFER_BYTES = 16 << 10,
    KEEPALIVE_IDLE_S = 120, /* then every 30 s, 4 times: a dead peer is known after 4 minutes */
    KEEPALIVE_INTERVAL_S = 30,
    KEEPALIVE_COUNT = 4,
};

/* ---- creation ---- */

static void set_option(int fd, int level, int name, int value)
{
    (void)setsockopt(fd, level, name, &value, sizeof value); /* best effort */
}

static bool prepare_socket(int fd, struct err *err)
{
    int flags = fcntl(fd, F_GETFL);
    struct sockaddr_storage address;
    socklen_t len = sizeof address;

    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)
        return err_errno(err, "make socket non-blocking");
    if (getsockname(fd, (struct sockaddr *)&address, &len) != 0)
        return err_errno(err, "socket");
    if (address.ss_family == AF_UNIX)
        return true;
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
    set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S);
    set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_COUNT);
    return true;
}

bool net_open_fd(int *fd, const struct net_options *options, struct net_stream **out,
                 struct err *err)
{
    CLEANUP(fd_close) int own = fd_take(fd);
    struct net_options chosen = { 0 };
    struct net_stream *stream;

    if (options != NULL)
        chosen = *options;
    if (chosen.max_read_bytes == 0)
        chosen.max_read_bytes = DEFAULT_MAX_READ_BYTES;
    if (!prepare_socket(own, err))
        return false;
    stream = malloc(sizeof *stream);
    if (stream == NULL)
        return err_errno(err, "stream");
    *stream = (struct net_stream){
        .fd = own,
        .socket = net_create_socket_layer(&own),
        .in = buf_create(chosen.max_read_bytes),
        .out = buf_create(WRITE_BUFFER_BYTES),
        .read_size = FIRST_READ_BYTES,
        .stall_ms = chosen.stall_ms > 0 ? chosen.stall_ms : NET_STALL_DEFAULT_MS,
        .stop_fd = chosen.stop_fd != NULL ? *chosen.stop_fd : -1,
        .deadline = deadline_never(),
    };
    stream->top = stream->socket;
    if (stream->top == NULL) {
        free(stream);
        return err_fail(err, ERR_SYSTEM, "no memory for a stream");
    }
    *out = stream;
    return true;
}

void net_close(struct net_stream **stream)
{
    struct net_stream *dead = *stream;

    if (dead == NULL)
        return;
    for (struct net_layer *layer = dead->top; layer != NULL;) {
        struct net_layer *below = layer->below;

        layer->ops->close(layer);
        layer = below;
    }
    net_free_trace(&dead->trace);
    buf_free(&dead->in);
    buf_free(&dead->out);
    free(dead);
    *stream = NULL;
}

void net_shutdown(struct net_stream *stream)
{
    (void)shutdown(stream->fd, SHUT_RDWR);
}

void net_set_stall(struct net_stream *stream, int64_t stall_ms)
{
    stream->stall_ms = stall_ms;
}

void net_set_deadline(struct net_stream *stream, struct deadline deadline)
{
    stream->deadline = deadline;
}

void net_set_max_read(struct net_stream *stream, size_t max_read_bytes)
{
    /* What has been read already stays readable. */
    stream->in.max_bytes = max_read_bytes > stream->in.len ? max_read_bytes : stream->in.len;
}

/* ---- waiting ---- */

bool net_wait(struct net_stream *stream, enum net_progress progress, struct err *err)
{
    struct deadline stall = deadline_after_ms(stream->stall_ms);
    struct deadline end = deadline_earlier(stall, stream->deadline);
    struct pollfd polls[2] = { { .fd = stream->fd }, { .fd = stream->stop_fd, .events = POLLIN } };

    switch (progress) {
    case NET_DONE:
        return true;
    case NET_WANT_READ:
        polls[0].events = POLLIN;
        break;
    case NET_WANT_WRITE:
        polls[0].events = POLLOUT;
        break;
    case NET_ENDED:
        return err_fail(err, ERR_RETRY, "the peer closed the connection");
    case NET_FAILED:
        return false;
    }
    for (;;) {
        int ready = poll(polls, 2, deadline_poll_ms(end));

        if (ready > 0 && polls[1].revents != 0)
            return err_fail(err, ERR_RETRY, "asked to stop");
        if (ready > 0)
            return true;
        if (ready < 0 && errno != EINTR)
            return err_errno(err, "poll");
        if (deadline_has_passed(stream->deadline))
            return err_fail(err, ERR_RETRY, "time-out: the time for this exchange is over");
        if (deadline_has_passed(stall))
            return err_fail(err, ERR_RETRY, "time-out: nothing %s for %jd ms",
                            progress == NET_WANT_READ ? "received" : "accepted by the peer",
                            (intmax_t)stream->stall_ms);
    }
}

/* ---- reading ---- */

struct bytes net_peek(const struct net_stream *stream)
{
    return bytes_slice(buf_bytes(&stream->in), stream->in_at, SIZE_MAX);
}

void net_consume(struct net_stream *stream, size_t size)
{
    assert(size <= stream->in.len - stream->in_at);
    stream->in_at += size;
    if (stream->in_at == stream->in.len) {
        buf_reset(&stream->in, SIZE_MAX);
        stream->in_at = 0;
    }
}

static enum net_progress read_layer(struct net_stream *stream, void *ptr, size_t size, size_t *got,
                                    struct err *err)
{
    enum net_progress progress = stream->top->ops->read(stream->top, ptr, size, got, err);

    if (progress == NET_ENDED)
        stream->has_ended = true;
    if (progress == NET_DONE && stream->trace != NULL)
        net_trace_octets(stream->trace, false, bytes_of(ptr, *got));
    return progress;
}

static enum net_progress read_once(struct net_stream *stream, size_t max_bytes, struct err *err)
{
    enum net_progress progress;
    size_t room;
    size_t got = 0;
    uint8_t *ptr;

    if (stream->has_ended)
        return NET_ENDED;
    buf_consume(&stream->in, stream->in_at);
    stream->in_at = 0;
    room = stream->in.max_bytes - stream->in.len;
    if (room == 0) {
        (void)err_fail(err, ERR_LIMIT, "more than %zu bytes without an end", stream->in.max_bytes);
        return NET_FAILED;
    }
    room = room < stream->read_size ? room : stream->read_size;
    room = room < max_bytes ? room : max_bytes;
    ptr = buf_reserve(&stream->in, room);
    if (ptr == NULL) {
        (void)err_fail(err, ERR_SYSTEM, "no memory to read into");
        return NET_FAILED;
    }
    progress = read_layer(stream, ptr, room, &got, err);
    if (progress == NET_DONE)
        buf_commit(&stream->in, got);
    if (progress == NET_DONE && got == stream->read_size && got < LARGE_READ_BYTES)
        stream->read_size *= 2;
    return progress;
}

bool net_fill(struct net_stream *stream, struct err *err)
{
    for (;;) {
        enum net_progress progress = read_once(stream, SIZE_MAX, err);

        if (progress == NET_DONE)
            return true;
        if (!net_wait(stream, progress, err))
            return false;
    }
}

bool net_read_some(struct net_stream *stream, void *ptr, size_t size, size_t *got, struct err *err)
{
    struct bytes waiting = bytes_slice(net_peek(stream), 0, size);

    assert(size > 0);
    if (waiting.len > 0) {
        memcpy(ptr, waiting.ptr, waiting.len);
        net_consume(stream, waiting.len);
        *got = waiting.len;
        return true;
    }
    for (;;) {
        enum net_progress progress = NET_ENDED;
        size_t have = 0;

        if (!stream->has_ended)
            progress = read_layer(stream, ptr, size, &have, err);
        if (progress == NET_DONE) {
            *got = have;
            return true;
        }
        if (!net_wait(stream, progress, err))
            return false;
    }
}

bool net_has_ended(const struct net_stream *stream)
{
    return stream->has_ended;
}

/* ---- writing ---- */

bool net_has_output(const struct net_stream *stream)
{
    return stream->out.len > stream->out_at;
}

enum net_progress net_try_flush(struct net_stream *stream, struct err *err)
{
    while (net_has_output(stream)) {
        struct bytes rest = bytes_slice(buf_bytes(&stream->out), stream->out_at, SIZE_MAX);
        enum net_progress progress;
        size_t put = 0;

        progress = stream->top->ops->write(stream->top, rest.ptr, rest.len, &put, err);
        if (progress != NET_DONE)
            return progress;
        stream->out_at += put;
    }
    buf_reset(&stream->out, SIZE_MAX);
    stream->out_at = 0;
    return NET_DONE;
}

bool net_flush(struct net_stream *stream, struct err *err)
{
    for (;;) {
        enum net_progress progress = net_try_flush(stream, err);

        if (progress == NET_DONE)
            return true;
        if (!net_wait(stream, progress, err))
            return false;
    }
}

/* Large octets go past the buffer. At least one of them has been sent on success. */
static bool write_past(struct net_stream *stream, struct bytes *octets, struct err *err)
{
    for (;;) {
        size_t put = 0;
        enum net_progress progress =
            stream->top->ops->write(stream->top, octets->ptr, octets->len, &put, err);

        if (progress == NET_DONE) {
            *octets = bytes_slice(*octets, put, SIZE_MAX);
            return true;
        }
        if (!net_wait(stream, progress, err))
            return false;
    }
}

bool net_write(struct net_stream *stream, struct bytes octets, struct err *err)
{
    if (stream->trace != NULL)
        net_trace_octets(stream->trace, true, octets);
    while (octets.len > 0) {
        size_t room = WRITE_BUFFER_BYTES - stream->out.len;
        struct bytes head = bytes_slice(octets, 0, room);

        if (!net_has_output(stream) && octets.len >= WRITE_BUFFER_BYTES) {
            if (!write_past(stream, &octets, err))
                return false;
            continue;
        }
        buf_append(&stream->out, head);
        if (stream->out.has_failed)
            return err_fail(err, ERR_SYSTEM, "no memory to write from");
        octets = bytes_slice(octets, head.len, SIZE_MAX);
        if (stream->out.len == WRITE_BUFFER_BYTES && !net_flush(stream, err))
            return false;
    }
    return true;
}

/* ---- without waiting ---- */

/* Gives back what a parked session does not need. */
static void trim(struct net_stream *stream)
{
    if (stream->in.len == 0)
        buf_free(&stream->in);
    if (!net_has_output(stream))
        buf_free(&stream->out);
    stream->read_size = FIRST_READ_BYTES;
}

enum net_progress net_try_fill(struct net_stream *stream, size_t max_bytes, struct err *err)
{
    enum net_progress progress;

    assert(max_bytes > 0);
    progress = read_once(stream, max_bytes, err);
    if (progress == NET_WANT_READ || progress == NET_WANT_WRITE)
        trim(stream);
    return progress;
}

enum net_progress net_try_handshake(struct net_stream *stream, struct err *err)
{
    return stream->top->ops->handshake(stream->top, err);
}

bool net_handshake(struct net_stream *stream, struct err *err)
{
    for (;;) {
        enum net_progress progress = net_try_handshake(stream, err);

        if (progress == NET_DONE)
            return true;
        if (!net_wait(stream, progress, err))
            return false;
    }
}

int net_fd(const struct net_stream *stream)
{
    return stream->fd;
}

bool net_has_buffered(const struct net_stream *stream)
{
    if (stream->in.len > stream->in_at)
        return true;
    for (const struct net_layer *layer = stream->top; layer != NULL; layer = layer->below)
        if (layer->ops->has_buffered(layer))
            return true;
    return false;
}

/* ---- facts ---- */

struct net_counters net_get_counters(const struct net_stream *stream)
{
    return net_get_socket_counters(stream->socket);
}

union any_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_storage room;
};

/* IPv4 that came over an IPv6 socket becomes IPv4. False: not known. */
static bool get_peer(const struct net_stream *stream, union any_address *peer)
{
    socklen_t len = sizeof *peer;

    memset(peer, 0, sizeof *peer);
    if (getpeername(stream->fd, &peer->any, &len) != 0)
        return false;
    if (peer->any.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&peer->v6.sin6_addr)) {
        struct in_addr v4;

        memcpy(&v4, &peer->v6.sin6_addr.s6_addr[12], sizeof v4);
        peer->v4 = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr = v4 };
    }
    return true;
}

void net_get_peer(const struct net_stream *stream, char text[NET_ADDRESS_TEXT_BYTES])
{
    union any_address peer;
    const void *octets = &peer.v4.sin_addr;

    (void)snprintf(text, NET_ADDRESS_TEXT_BYTES, "unknown");
    if (!get_peer(stream, &peer))
        return;
    if (peer.any.sa_family == AF_UNIX)
        (void)snprintf(text, NET_ADDRESS_TEXT_BYTES, "unix");
    if (peer.any.sa_family == AF_INET6)
        octets = &peer.v6.sin6_addr;
    if (peer.any.sa_family == AF_INET || peer.any.sa_family == AF_INET6)
        (void)inet_ntop(peer.any.sa_family, octets, text, NET_ADDRESS_TEXT_BYTES);
}

bool net_get_peer_network(const struct net_stream *stream, uint8_t out[NET_NETWORK_BYTES])
{
    static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
    union any_address peer;

    memset(out, 0, NET_NETWORK_BYTES);
    if (!get_peer(stream, &peer))
        return false;
    if (peer.any.sa_family == AF_INET) {
        memcpy(out, mapped, sizeof mapped);
        memcpy(out + sizeof mapped, &peer.v4.sin_addr, sizeof peer.v4.sin_addr);
    } else if (peer.any.sa_family == AF_INET6) {
        memcpy(out, &peer.v6.sin6_addr, NET_NETWORK_BYTES / 2);
    }
    return peer.any.sa_family == AF_INET || peer.any.sa_family == AF_INET6;
}

int64_t net_get_round_trip_usec(const struct net_stream *stream)
{
    struct tcp_info info = { 0 };
    socklen_t len = sizeof info;

    if (getsockopt(stream->fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
        return 0;
    return info.tcpi_rtt;
}

bool net_peer_is_local(const struct net_stream *stream)
{
    union any_address peer;

    if (!get_peer(stream, &peer))
        return false;
    if (peer.any.sa_family == AF_INET)
        return ntohl(peer.v4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    if (peer.any.sa_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(&peer.v6.sin6_addr);
    return peer.any.sa_family == AF_UNIX;
}
