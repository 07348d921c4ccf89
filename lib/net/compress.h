/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net/compress.h - DEFLATE on a stream, from here on and in both directions (RFC 4978).
 *
 * Raw deflate over whatever the stream was, TLS or plain; both sides are alike. Costs about 140 KB of
 * memory: 40 KB to read (windows of 32 KB are the peer's right), 80 KB to write, 16 KB while octets wait
 * to be read.
 */
#pragma once

#include "net/stream.h"

enum {
    NET_BARREN_BYTES = 1 << 20
};

/*
 * A client calls it when it has taken the tagged OK, a server when it has flushed it: octets that
 * net_peek still shows are taken as compressed ones. What is written and not flushed is sent before,
 * as it is.
 *
 * Reading fails with ERR_SYNTAX on what is not deflate, on octets behind its end, and on more than
 * NET_BARREN_BYTES in a row that stand for nothing. It never gives more than the reader has room for: that
 * a few octets stand for very many is for the reader's own limits.
 */
MUST_USE bool net_start_compress(struct net_stream *stream, struct err *err);
