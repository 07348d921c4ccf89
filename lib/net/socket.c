/* SPDX-License-Identifier: Apache-2.0 */
/* The lowest layer: a non-blocking stream socket, counted. */
#include "base/fd.h"
#include "net/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

struct socket_layer {
    struct net_layer layer; /* first: the ops cast */
    int fd;
    struct net_counters counters;
};

static struct socket_layer *socket_of(struct net_layer *layer)
{
    return (struct socket_layer *)(void *)layer;
}

static enum net_progress socket_handshake(struct net_layer *layer, struct err *err)
{
    (void)layer;
    (void)err;
    return NET_DONE;
}

static enum net_progress socket_read(struct net_layer *layer, void *ptr, size_t size, size_t *done,
                                     struct err *err)
{
    struct socket_layer *sock = socket_of(layer);
    ssize_t got;

    do
        got = recv(sock->fd, ptr, size, 0);
    while (got < 0 && errno == EINTR);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return NET_WANT_READ;
    if (got < 0) {
        (void)err_errno(err, "connection broken");
        return NET_FAILED;
    }
    if (got == 0)
        return NET_ENDED;
    sock->counters.bytes_in += (uint64_t)got;
    *done = (size_t)got;
    return NET_DONE;
}

static enum net_progress socket_write(struct net_layer *layer, const void *ptr, size_t size,
                                      size_t *done, struct err *err)
{
    struct socket_layer *sock = socket_of(layer);
    ssize_t put;

    do
        put = send(sock->fd, ptr, size, MSG_NOSIGNAL);
    while (put < 0 && errno == EINTR);
    if (put < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return NET_WANT_WRITE;
    if (put < 0) {
        (void)err_errno(err, "connection broken");
        return NET_FAILED;
    }
    sock->counters.bytes_out += (uint64_t)put;
    *done = (size_t)put;
    return NET_DONE;
}

static bool socket_has_buffered(const struct net_layer *layer)
{
    (void)layer;
    return false;
}

static void socket_close(struct net_layer *layer)
{
    struct socket_layer *sock = socket_of(layer);

    fd_close(&sock->fd);
    free(sock);
}

static const struct net_layer_ops socket_ops = {
    .handshake = socket_handshake,
    .read = socket_read,
    .write = socket_write,
    .has_buffered = socket_has_buffered,
    .close = socket_close,
};

struct net_layer *net_create_socket_layer(int *fd)
{
    struct socket_layer *sock = malloc(sizeof *sock);

    if (sock == NULL)
        return NULL;
    *sock = (struct socket_layer){ .layer.ops = &socket_ops, .fd = fd_take(fd) };
    return &sock->layer;
}

struct net_counters net_get_socket_counters(const struct net_layer *layer)
{
    return ((const struct socket_layer *)(const void *)layer)->counters;
}
