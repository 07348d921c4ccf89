/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bytes.h"

#include "base/checked.h"

bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool bytes_equal_nocase(struct bytes a, struct bytes b)
{
    return a.len == b.len && bytes_start_with_nocase(a, b);
}

int bytes_compare(struct bytes a, struct bytes b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common == 0 ? 0 : memcmp(a.ptr, b.ptr, common);

    if (order != 0)
        return order;
    return a.len < b.len ? -1 : a.len > b.len;
}

bool bytes_start_with(struct bytes b, struct bytes prefix)
{
    return b.len >= prefix.len && (prefix.len == 0 || memcmp(b.ptr, prefix.ptr, prefix.len) == 0);
}

bool bytes_start_with_nocase(struct bytes b, struct bytes prefix)
{
    if (b.len < prefix.len)
        return false;
    for (size_t i = 0; i < prefix.len; i++)
        if (ascii_lower(b.ptr[i]) != ascii_lower(prefix.ptr[i]))
            return false;
    return true;
}

bool bytes_end_with_nocase(struct bytes b, struct bytes suffix)
{
    return b.len >= suffix.len &&
           bytes_equal_nocase(bytes_slice(b, b.len - suffix.len, SIZE_MAX), suffix);
}

ssize_t bytes_find(struct bytes b, struct bytes needle)
{
    const uint8_t *at;

    if (needle.len == 0)
        return 0;
    if (b.len < needle.len)
        return -1;
    at = memmem(b.ptr, b.len, needle.ptr, needle.len);
    return at == NULL ? -1 : at - b.ptr;
}

ssize_t bytes_find_byte(struct bytes b, uint8_t byte)
{
    const uint8_t *at = b.len == 0 ? NULL : memchr(b.ptr, byte, b.len);

    return at == NULL ? -1 : at - b.ptr;
}

static void advance(struct bytes *in, size_t count)
{
    in->ptr += count;
    in->len -= count;
}

bool scan_byte(struct bytes *in, uint8_t byte)
{
    if (in->len == 0 || in->ptr[0] != byte)
        return false;
    advance(in, 1);
    return true;
}

bool scan_text(struct bytes *in, struct bytes text)
{
    if (!bytes_start_with(*in, text))
        return false;
    if (text.len > 0)
        advance(in, text.len);
    return true;
}

bool scan_text_nocase(struct bytes *in, struct bytes text)
{
    if (!bytes_start_with_nocase(*in, text))
        return false;
    if (text.len > 0)
        advance(in, text.len);
    return true;
}

bool scan_u64(struct bytes *in, uint64_t *out)
{
    uint64_t value = 0;
    size_t count = 0;

    while (count < in->len && ascii_is_digit(in->ptr[count])) {
        if (!checked_mul(value, UINT64_C(10), &value) ||
            !checked_add(value, (uint64_t)(in->ptr[count] - '0'), &value))
            return false;
        count++;
    }
    if (count == 0)
        return false;
    advance(in, count);
    *out = value;
    return true;
}

bool scan_u32(struct bytes *in, uint32_t *out)
{
    struct bytes rest = *in;
    uint64_t value;

    if (!scan_u64(&rest, &value) || value > UINT32_MAX)
        return false;
    *in = rest;
    *out = (uint32_t)value;
    return true;
}

bool scan_digits(struct bytes *in, size_t count, uint32_t *out)
{
    uint32_t value = 0;

    assert(count <= 9);
    if (in->len < count)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!ascii_is_digit(in->ptr[i]))
            return false;
        value = value * 10 + (uint32_t)(in->ptr[i] - '0');
    }
    advance(in, count);
    *out = value;
    return true;
}

bool scan_octets(struct bytes *in, size_t count, struct bytes *out)
{
    if (in->len < count)
        return false;
    *out = (struct bytes){ in->ptr, count };
    if (count > 0)
        advance(in, count);
    return true;
}

bool scan_until_byte(struct bytes *in, uint8_t stop, struct bytes *out)
{
    ssize_t at = bytes_find_byte(*in, stop);

    return at >= 0 && scan_octets(in, (size_t)at, out);
}
