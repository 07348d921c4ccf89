/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8 and modified UTF-7. RFC 9051 appendix A.1, RFC 2152. */
#include "imap/internal.h"
#include "imap/mailbox.h"

static const uint8_t digits[64] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

bool imap_scan_utf8(struct bytes *in, uint32_t *out)
{
    static const uint32_t smallest[5] = { 0, 0, 0x80, 0x800, 0x10000 };
    uint8_t first = in->len == 0 ? 0x80 : in->ptr[0];
    size_t size = first < 0x80 ? 1 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    uint32_t code_point;

    if ((first >= 0x80 && first < 0xc2) || first > 0xf4 || in->len < size)
        return false;
    code_point = size == 1 ? first : first & (0x7fu >> size);
    for (size_t i = 1; i < size; i++) {
        if ((in->ptr[i] & 0xc0) != 0x80)
            return false;
        code_point = code_point << 6 | (in->ptr[i] & 0x3fu);
    }
    if (code_point < smallest[size] || code_point > 0x10ffff ||
        (code_point >= 0xd800 && code_point <= 0xdfff))
        return false;
    *in = bytes_of(in->ptr + size, in->len - size);
    *out = code_point;
    return true;
}

void imap_append_utf8(struct buf *buf, uint32_t code_point)
{
    if (code_point < 0x80) {
        buf_byte(buf, (uint8_t)code_point);
        return;
    }
    if (code_point < 0x800) {
        buf_byte(buf, (uint8_t)(0xc0 | code_point >> 6));
    } else {
        if (code_point < 0x10000) {
            buf_byte(buf, (uint8_t)(0xe0 | code_point >> 12));
        } else {
            buf_byte(buf, (uint8_t)(0xf0 | code_point >> 18));
            buf_byte(buf, (uint8_t)(0x80 | (code_point >> 12 & 0x3f)));
        }
        buf_byte(buf, (uint8_t)(0x80 | (code_point >> 6 & 0x3f)));
    }
    buf_byte(buf, (uint8_t)(0x80 | (code_point & 0x3f)));
}

bool imap_is_utf8(struct bytes text)
{
    uint32_t ignored;

    while (text.len > 0)
        if (!imap_scan_utf8(&text, &ignored))
            return false;
    return true;
}

static bool is_direct(uint32_t code_point)
{
    return code_point >= 0x20 && code_point <= 0x7e;
}

/* Bits on their way from 16-bit units to base64 digits. */
struct shift {
    struct buf *out;
    uint32_t bits;
    unsigned count; /* of bits waiting, under 6 between two calls */
    bool is_open;
};

static void put_unit(struct shift *shift, uint32_t unit)
{
    if (!shift->is_open)
        buf_byte(shift->out, '&');
    shift->is_open = true;
    shift->bits = shift->bits << 16 | unit;
    shift->count += 16;
    while (shift->count >= 6) {
        shift->count -= 6;
        buf_byte(shift->out, digits[shift->bits >> shift->count & 0x3f]);
    }
}

static void close_shift(struct shift *shift)
{
    if (!shift->is_open)
        return;
    if (shift->count > 0)
        buf_byte(shift->out, digits[shift->bits << (6 - shift->count) & 0x3f]);
    buf_byte(shift->out, '-');
    *shift = (struct shift){ .out = shift->out };
}

bool imap_encode_utf7(struct bytes utf8, struct buf *out, struct err *err)
{
    size_t before = out->len;
    struct shift shift = { .out = out };
    uint32_t code_point;

    while (utf8.len > 0) {
        if (!imap_scan_utf8(&utf8, &code_point) || code_point == 0) {
            out->len = before;
            return err_fail(err, ERR_SYNTAX, "not UTF-8, or NUL");
        }
        if (is_direct(code_point)) {
            close_shift(&shift);
            buf_byte(out, (uint8_t)code_point);
            if (code_point == '&')
                buf_byte(out, '-');
        } else if (code_point < 0x10000) {
            put_unit(&shift, code_point);
        } else {
            put_unit(&shift, 0xd800 + ((code_point - 0x10000) >> 10));
            put_unit(&shift, 0xdc00 + ((code_point - 0x10000) & 0x3ff));
        }
    }
    close_shift(&shift);
    return true;
}

static int digit_value(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (ascii_is_digit(c))
        return c - '0' + 52;
    return c == '+' ? 62 : c == ',' ? 63 : -1;
}

/* Takes a unit: *high is the first half of a surrogate pair, 0 when none is open. */
static bool take_unit(uint32_t unit, uint32_t *high, struct buf *out)
{
    bool is_low = unit >= 0xdc00 && unit <= 0xdfff;

    if (is_low != (*high != 0) || unit == 0 || is_direct(unit))
        return false;
    if (is_low) {
        imap_append_utf8(out, 0x10000 + ((*high - 0xd800) << 10) + (unit - 0xdc00));
        *high = 0;
    } else if (unit >= 0xd800 && unit <= 0xdbff) {
        *high = unit;
    } else {
        imap_append_utf8(out, unit);
    }
    return true;
}

/* Takes base64 digits and the "-" behind them. */
static bool take_shifted(struct bytes *in, struct buf *out)
{
    uint32_t bits = 0;
    unsigned count = 0;
    uint32_t high = 0;
    bool is_empty = true;
    int value;

    while (in->len > 0 && (value = digit_value(in->ptr[0])) >= 0) {
        *in = bytes_of(in->ptr + 1, in->len - 1);
        bits = bits << 6 | (uint32_t)value;
        count += 6;
        is_empty = false;
        if (count < 16)
            continue;
        count -= 16;
        if (!take_unit(bits >> count & 0xffff, &high, out))
            return false;
        bits &= (1u << count) - 1;
    }
    /* What is left over are fewer than six bits, all zero. */
    return !is_empty && count < 6 && bits == 0 && high == 0 && scan_byte(in, '-');
}

static bool decode(struct bytes in, struct buf *out)
{
    bool was_shifted = false; /* the last thing was a shift: another must not follow at once */

    while (in.len > 0) {
        if (scan_text(&in, BYTES("&-"))) {
            buf_byte(out, '&');
            was_shifted = false;
        } else if (scan_byte(&in, '&')) {
            if (was_shifted || !take_shifted(&in, out))
                return false;
            was_shifted = true;
        } else {
            if (!is_direct(in.ptr[0]))
                return false;
            buf_byte(out, in.ptr[0]);
            in = bytes_of(in.ptr + 1, in.len - 1);
            was_shifted = false;
        }
    }
    return true;
}

bool imap_decode_utf7(struct bytes encoded, struct buf *out, struct err *err)
{
    size_t before = out->len;

    if (decode(encoded, out))
        return true;
    out->len = before;
    return err_fail(err, ERR_SYNTAX, "not modified UTF-7");
}
