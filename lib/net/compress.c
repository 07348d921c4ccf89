/* SPDX-License-Identifier: Apache-2.0 */
#include "net/compress.h"

#include "net/internal.h"

#include <stdlib.h>
#include <zlib.h>

enum {
    READ_WINDOW_BITS = -15,  /* raw; any window that a peer may use */
    WRITE_WINDOW_BITS = -13, /* 8 KB: 32 KB of memory; commands do not repeat from farther away */
    WRITE_MEMORY_LEVEL = 6,  /* 32 KB more */
    CHUNK_BYTES = 16 << 10,  /* compressed octets that are read at a time; plain ones written */
    PENDING_BYTES = CHUNK_BYTES + 256, /* what a chunk that does not compress becomes */
};

struct compress_layer {
    struct net_layer layer;
    z_stream reader, writer;
    uint8_t *in; /* from reader.next_in on: received, not inflated */
    size_t in_cap;
    bool may_have_more;             /* the last inflate filled all the room it had */
    size_t barren_bytes;            /* received since the last octet of content */
    uint8_t pending[PENDING_BYTES]; /* from pending_at on: deflated, not sent */
    size_t pending_len, pending_at;
    size_t accepted; /* plain octets that `pending` stands for; told when all of it is sent */
};

static struct compress_layer *compress_of(struct net_layer *layer)
{
    return (struct compress_layer *)(void *)layer;
}

static enum net_progress pass_handshake(struct net_layer *layer, struct err *err)
{
    return layer->below->ops->handshake(layer->below, err);
}

/* ---- reading ---- */

/* NET_DONE: *done octets, at least one. NET_WANT_READ: all that came is used up. */
static enum net_progress inflate_some(struct compress_layer *compress, void *ptr, size_t size,
                                      size_t *done, struct err *err)
{
    z_stream *z = &compress->reader;
    uInt room = size < UINT32_MAX ? (uInt)size : UINT32_MAX;
    int status;

    z->next_out = ptr;
    z->avail_out = room;
    status = inflate(z, Z_SYNC_FLUSH);
    compress->may_have_more = z->avail_out == 0;
    *done = room - z->avail_out;
    if (*done > 0) {
        compress->barren_bytes = 0;
        return NET_DONE; /* what is wrong behind it shows next time */
    }
    if ((status == Z_OK || status == Z_BUF_ERROR) && z->avail_in == 0)
        return NET_WANT_READ;
    if (status == Z_MEM_ERROR)
        (void)err_fail(err, ERR_SYSTEM, "no memory to inflate");
    else
        (void)err_fail(err, ERR_SYNTAX, "the peer sends what is not compressed (RFC 4978)");
    return NET_FAILED;
}

static enum net_progress refill(struct compress_layer *compress, struct err *err)
{
    struct net_layer *below = compress->layer.below;
    enum net_progress progress;
    size_t got = 0;

    if (compress->in == NULL) {
        compress->in = malloc(CHUNK_BYTES);
        compress->in_cap = CHUNK_BYTES;
    }
    if (compress->in == NULL) {
        (void)err_fail(err, ERR_SYSTEM, "no memory to read into");
        return NET_FAILED;
    }
    progress = below->ops->read(below, compress->in, compress->in_cap, &got, err);
    if (progress != NET_DONE) {
        free(compress->in); /* a stream that waits holds none */
        compress->in = NULL;
    }
    compress->reader.next_in = compress->in;
    compress->reader.avail_in = (uInt)got;
    compress->barren_bytes += got;
    return progress;
}

static enum net_progress compress_read(struct net_layer *layer, void *ptr, size_t size,
                                       size_t *done, struct err *err)
{
    struct compress_layer *compress = compress_of(layer);

    while (compress->barren_bytes <= NET_BARREN_BYTES) {
        enum net_progress progress = NET_WANT_READ;

        if (compress->reader.avail_in > 0 || compress->may_have_more)
            progress = inflate_some(compress, ptr, size, done, err);
        if (progress != NET_WANT_READ)
            return progress;
        progress = refill(compress, err);
        if (progress != NET_DONE)
            return progress;
    }
    (void)err_fail(err, ERR_SYNTAX, "the peer sends compressed octets that stand for nothing");
    return NET_FAILED;
}

static bool compress_has_buffered(const struct net_layer *layer)
{
    const struct compress_layer *compress = (const struct compress_layer *)(const void *)layer;

    return compress->reader.avail_in > 0 || compress->may_have_more;
}

/* ---- writing ---- */

static void deflate_chunk(struct compress_layer *compress, const void *ptr, size_t size)
{
    z_stream *z = &compress->writer;
    int status;

    /* zlib's next_in is not const, and it does not write there */
    z->next_in = (Bytef *)(uintptr_t)ptr;
    z->avail_in = (uInt)size;
    z->next_out = compress->pending;
    z->avail_out = PENDING_BYTES;
    status = deflate(z, Z_SYNC_FLUSH);
    assert(status == Z_OK && z->avail_in == 0 && z->avail_out > 0); /* PENDING_BYTES is enough */
    compress->pending_at = 0;
    compress->pending_len = PENDING_BYTES - z->avail_out;
    compress->accepted = size;
}

/* The caller repeats a write that had to wait with the same octets in front: they are compressed once. */
static enum net_progress compress_write(struct net_layer *layer, const void *ptr, size_t size,
                                        size_t *done, struct err *err)
{
    struct compress_layer *compress = compress_of(layer);
    struct net_layer *below = layer->below;

    if (compress->accepted == 0)
        deflate_chunk(compress, ptr, size < CHUNK_BYTES ? size : CHUNK_BYTES);
    while (compress->pending_at < compress->pending_len) {
        size_t put = 0;
        enum net_progress progress =
            below->ops->write(below, compress->pending + compress->pending_at,
                              compress->pending_len - compress->pending_at, &put, err);

        if (progress != NET_DONE)
            return progress;
        compress->pending_at += put;
    }
    *done = compress->accepted;
    compress->accepted = 0;
    return NET_DONE;
}

/* ---- its life ---- */

static void compress_close(struct net_layer *layer)
{
    struct compress_layer *compress = compress_of(layer);

    (void)inflateEnd(&compress->reader);
    (void)deflateEnd(&compress->writer);
    free(compress->in);
    free(compress);
}

static const struct net_layer_ops compress_ops = {
    .handshake = pass_handshake,
    .read = compress_read,
    .write = compress_write,
    .has_buffered = compress_has_buffered,
    .close = compress_close,
};

/* What was read ahead is the first that is inflated. */
static bool take_read_ahead(struct compress_layer *compress, struct net_stream *stream)
{
    struct bytes ahead = net_peek(stream);

    if (ahead.len == 0)
        return true;
    compress->in_cap = ahead.len > CHUNK_BYTES ? ahead.len : CHUNK_BYTES;
    compress->in = malloc(compress->in_cap);
    if (compress->in == NULL)
        return false;
    memcpy(compress->in, ahead.ptr, ahead.len);
    compress->reader.next_in = compress->in;
    compress->reader.avail_in = (uInt)ahead.len;
    return true;
}

bool net_start_compress(struct net_stream *stream, struct err *err)
{
    struct compress_layer *compress;

    if (!net_flush(stream, err))
        return false;
    compress = calloc(1, sizeof *compress);
    if (compress == NULL)
        return err_errno(err, "compression");
    compress->layer.ops = &compress_ops;
    if (inflateInit2(&compress->reader, READ_WINDOW_BITS) != Z_OK ||
        deflateInit2(&compress->writer, Z_DEFAULT_COMPRESSION, Z_DEFLATED, WRITE_WINDOW_BITS,
                     WRITE_MEMORY_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK ||
        !take_read_ahead(compress, stream)) {
        compress_close(&compress->layer);
        return err_fail(err, ERR_SYSTEM, "no memory for compression");
    }
    net_consume(stream, net_peek(stream).len);
    compress->layer.below = stream->top;
    stream->top = &compress->layer;
    return true;
}
