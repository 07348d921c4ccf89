/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/buf.h - growing output with a ceiling.
 *
 * A buffer is created with the largest size it may reach. An append past it (or one for which there
 * is no memory) marks the buffer failed and further appends do nothing, so that a writer is a plain
 * list of appends and buf_done() tells once, at the end. One thread at a time.
 *
 *     CLEANUP(buf_free) struct buf line = buf_create(LIMIT_RESPONSE_LINE_BYTES);
 *     buf_text(&line, "* ");
 *     buf_u64(&line, exists);
 *     buf_text(&line, " EXISTS\r\n");
 *     if (!buf_done(&line, &octets, err)) ...
 */
#pragma once

#include "base/bytes.h"
#include "base/err.h"

struct buf {
    uint8_t *ptr; /* owned */
    size_t len;
    size_t cap;
    size_t max_bytes; /* ceiling given at creation */
    bool has_failed;
};

/* Allocates nothing yet. */
struct buf buf_create(size_t max_bytes);
void buf_free(struct buf *buf);

/* Empties the buffer and forgives a failure; memory up to keep_bytes is kept for the next use. */
void buf_reset(struct buf *buf, size_t keep_bytes);

static inline void buf_append(struct buf *buf, struct bytes octets);
static inline void buf_byte(struct buf *buf, uint8_t byte);
void buf_text(struct buf *buf, const char *text);
void buf_u64(struct buf *buf, uint64_t value);
void buf_i64(struct buf *buf, int64_t value);
void buf_u64_padded(struct buf *buf, uint64_t value, unsigned digits); /* with leading zeros */
void buf_hex(struct buf *buf, struct bytes octets);                    /* lower case */

/* Makes room for size octets behind the content; the caller fills it and says how much with
 * buf_commit. NULL when the room cannot be had; the buffer is then failed. */
uint8_t *buf_reserve(struct buf *buf, size_t size);
void buf_commit(struct buf *buf, size_t size);

/* Removes size octets from the front, moving the rest down. */
void buf_consume(struct buf *buf, size_t size);

/* What is in it now, borrowed until the next call; also of a failed buffer (what fitted). */
static inline struct bytes buf_bytes(const struct buf *buf)
{
    return (struct bytes){ buf->ptr, buf->len };
}

/* Here so that the compiler sees them: text is made of short appends. */
static inline void buf_append(struct buf *buf, struct bytes octets)
{
    uint8_t *room;

    if (octets.len == 0)
        return;
    if (!buf->has_failed && octets.len <= buf->cap - buf->len)
        room = buf->ptr + buf->len;
    else if ((room = buf_reserve(buf, octets.len)) == NULL)
        return;
    memcpy(room, octets.ptr, octets.len);
    buf->len += octets.len;
}

static inline void buf_byte(struct buf *buf, uint8_t byte)
{
    if (buf->len < buf->cap && !buf->has_failed)
        buf->ptr[buf->len++] = byte;
    else
        buf_append(buf, (struct bytes){ &byte, 1 });
}

/* Success: *out is all that was appended, borrowed. Failure: ERR_LIMIT. */
MUST_USE bool buf_done(const struct buf *buf, struct bytes *out, struct err *err);
