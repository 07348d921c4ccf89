/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whatever a peer sends as compressed octets: reading ends, each success brings octets, never more than
 * there is room for, and a failure says that the peer is wrong.
 */
#include "net/compress.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    OCTETS_MAX = 60 << 10, /* what a socket takes without a reader */
    READ_MAX = 4 << 20,
    ROOM = 1000,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct net_stream *stream = NULL;
    enum net_progress progress = NET_DONE;
    struct err err = { 0 };
    int ends[2];

    if (size > OCTETS_MAX || socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
        return 0;
    if (write(ends[1], data, size) != (ssize_t)size)
        abort();
    (void)close(ends[1]);
    if (!net_open_fd(&ends[0], NULL, &stream, &err) || !net_start_compress(stream, &err))
        abort();
    for (size_t total = 0; progress == NET_DONE && total < READ_MAX;) {
        size_t had = net_peek(stream).len;

        progress = net_try_fill(stream, ROOM, &err);
        if (progress == NET_DONE) {
            assert(net_peek(stream).len > had && net_peek(stream).len <= had + ROOM);
            total += net_peek(stream).len - had;
            net_consume(stream, net_peek(stream).len);
        }
    }
    assert(progress == NET_DONE || progress == NET_ENDED || progress == NET_FAILED);
    assert(progress != NET_FAILED || err.code == ERR_SYNTAX);
    net_close(&stream);
    return 0;
}
