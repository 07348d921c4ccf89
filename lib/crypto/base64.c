/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void crypto_write_base64(struct buf *out, struct bytes octets)
{
    for (size_t i = 0; i < octets.len; i += 3) {
        size_t have = octets.len - i;
        uint32_t group = (uint32_t)octets.ptr[i] << 16;

        if (have > 1)
            group |= (uint32_t)octets.ptr[i + 1] << 8;
        if (have > 2)
            group |= octets.ptr[i + 2];
        buf_byte(out, (uint8_t)alphabet[group >> 18]);
        buf_byte(out, (uint8_t)alphabet[group >> 12 & 63]);
        buf_byte(out, have > 1 ? (uint8_t)alphabet[group >> 6 & 63] : '=');
        buf_byte(out, have > 2 ? (uint8_t)alphabet[group & 63] : '=');
    }
}

/* 0 … 63, or 64 for what is not in the alphabet. */
static uint32_t value_of(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return (uint32_t)(c - 'A');
    if (c >= 'a' && c <= 'z')
        return (uint32_t)(c - 'a' + 26);
    if (ascii_is_digit(c))
        return (uint32_t)(c - '0' + 52);
    if (c == '+')
        return 62;
    return c == '/' ? 63 : 64;
}

/* Four characters, of which padding are "=" at the end, become 3 - padding octets. */
static bool decode_group(const uint8_t *text, size_t padding, uint8_t out[3])
{
    uint32_t group = 0;

    for (size_t i = 0; i < 4; i++) {
        uint32_t value = i < 4 - padding ? value_of(text[i]) : 0;

        if (value == 64)
            return false;
        group = group << 6 | value;
    }
    out[0] = (uint8_t)(group >> 16);
    out[1] = (uint8_t)(group >> 8);
    out[2] = (uint8_t)group;
    return (padding < 1 || out[2] == 0) && (padding < 2 || out[1] == 0);
}

bool crypto_read_base64(struct bytes text, struct buf *out, struct err *err)
{
    size_t before = out->len;
    size_t padding = 0;

    if (text.len % 4 != 0)
        return err_fail(err, ERR_SYNTAX, "base64: %zu characters are not whole groups of four",
                        text.len);
    if (text.len > 0 && text.ptr[text.len - 1] == '=')
        padding = text.ptr[text.len - 2] == '=' ? 2 : 1;
    for (size_t i = 0; i < text.len; i += 4) {
        size_t missing = i + 4 == text.len ? padding : 0;
        uint8_t octets[3];

        if (!decode_group(text.ptr + i, missing, octets)) {
            out->len = before;
            return err_fail(err, ERR_SYNTAX, "base64: wrong character in group %zu", i / 4);
        }
        buf_append(out, bytes_of(octets, 3 - missing));
    }
    return true;
}
