/* SPDX-License-Identifier: Apache-2.0 */
#include "peer.h"

#include "base/fd.h"

#include <sys/socket.h>
#include <unistd.h>

enum {
    STALL_MS = 300
};

struct net_stream *peer_play(struct peer *peer, struct bytes script, bool ends)
{
    struct net_options options = { .stall_ms = STALL_MS };
    struct net_stream *stream = NULL;
    struct err err = { 0 };
    int fds[2];
    int size = 1 << 20;

    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    (void)setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    peer->fd = fds[0];
    CHECK(fd_write_all(peer->fd, script, &err));
    if (ends)
        CHECK(shutdown(peer->fd, SHUT_WR) == 0);
    CHECK(net_open_fd(&fds[1], &options, &stream, &err));
    return stream;
}

struct ingest_client *peer_connect(struct peer *peer, struct bytes script, bool ends,
                                   const char *capabilities)
{
    struct net_stream *stream = peer_play(peer, script, ends);
    struct ingest_client_options options = { .stop_fd = -1, .stall_ms = STALL_MS };
    struct ingest_client *client = NULL;
    struct bytes words[16];
    struct imap_words list = { words, 0 };
    struct bytes in = bytes_of_text(capabilities);
    struct err err = { 0 };

    CHECK(ingest_open_client(&stream, &options, &client, &err));
    while (in.len > 0) {
        if (!scan_until_byte(&in, ' ', &words[list.count]))
            CHECK(scan_octets(&in, in.len, &words[list.count]));
        (void)!scan_byte(&in, ' ');
        list.count++;
    }
    ingest_set_capabilities(client, &list);
    return client;
}

const char *peer_heard(struct peer *peer)
{
    size_t len = strlen(peer->said);
    ssize_t got;

    while ((got = recv(peer->fd, peer->said + len, sizeof peer->said - 1 - len, MSG_DONTWAIT)) > 0)
        len += (size_t)got;
    peer->said[len] = '\0';
    return peer->said;
}

void peer_close(struct peer *peer)
{
    fd_close(&peer->fd);
}
