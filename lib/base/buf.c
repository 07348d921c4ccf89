/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <stdlib.h>

enum {
    FIRST_CAPACITY = 256
};

struct buf buf_create(size_t max_bytes)
{
    return (struct buf){ .max_bytes = max_bytes };
}

void buf_free(struct buf *buf)
{
    free(buf->ptr);
    *buf = (struct buf){ .max_bytes = buf->max_bytes };
}

void buf_reset(struct buf *buf, size_t keep_bytes)
{
    if (buf->cap > keep_bytes)
        buf_free(buf);
    buf->len = 0;
    buf->has_failed = false;
}

static bool grow(struct buf *buf, size_t need)
{
    size_t cap = buf->cap == 0 ? FIRST_CAPACITY : buf->cap;
    uint8_t *ptr;

    while (cap < need)
        cap = cap > buf->max_bytes / 2 ? buf->max_bytes : cap * 2;
    if (cap > buf->max_bytes)
        cap = buf->max_bytes;
    ptr = realloc(buf->ptr, cap);
    if (ptr == NULL)
        return false;
    buf->ptr = ptr;
    buf->cap = cap;
    return true;
}

uint8_t *buf_reserve(struct buf *buf, size_t size)
{
    if (buf->has_failed)
        return NULL;
    if (size > buf->max_bytes - buf->len ||
        ((buf->ptr == NULL || size > buf->cap - buf->len) && !grow(buf, buf->len + size))) {
        buf->has_failed = true;
        return NULL;
    }
    return buf->ptr + buf->len;
}

void buf_commit(struct buf *buf, size_t size)
{
    assert(size <= buf->cap - buf->len);
    buf->len += size;
}

void buf_consume(struct buf *buf, size_t size)
{
    assert(size <= buf->len);
    if (size == 0)
        return;
    buf->len -= size;
    if (buf->len > 0)
        memmove(buf->ptr, buf->ptr + size, buf->len);
}

void buf_text(struct buf *buf, const char *text)
{
    buf_append(buf, bytes_of_text(text));
}

void buf_u64(struct buf *buf, uint64_t value)
{
    uint8_t digits[20];
    size_t at = sizeof digits;

    do {
        digits[--at] = (uint8_t)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    buf_append(buf, (struct bytes){ digits + at, sizeof digits - at });
}

void buf_i64(struct buf *buf, int64_t value)
{
    if (value < 0)
        buf_byte(buf, '-');
    buf_u64(buf, value < 0 ? UINT64_C(0) - (uint64_t)value : (uint64_t)value);
}

void buf_u64_padded(struct buf *buf, uint64_t value, unsigned digits)
{
    uint64_t bound = 10;

    for (unsigned have = 1; have < digits; have++) {
        if (value < bound)
            for (unsigned i = have; i < digits; i++)
                buf_byte(buf, '0');
        if (value < bound)
            break;
        bound *= 10;
    }
    buf_u64(buf, value);
}

void buf_hex(struct buf *buf, struct bytes octets)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t *room = octets.len > SIZE_MAX / 2 ? NULL : buf_reserve(buf, octets.len * 2);

    if (room == NULL) {
        buf->has_failed = true;
        return;
    }
    for (size_t i = 0; i < octets.len; i++) {
        room[2 * i] = (uint8_t)digits[octets.ptr[i] >> 4];
        room[2 * i + 1] = (uint8_t)digits[octets.ptr[i] & 15];
    }
    buf->len += octets.len * 2;
}

bool buf_done(const struct buf *buf, struct bytes *out, struct err *err)
{
    if (buf->has_failed)
        return err_fail(err, ERR_LIMIT, "output of more than %zu bytes", buf->max_bytes);
    *out = buf_bytes(buf);
    return true;
}
