/* SPDX-License-Identifier: Apache-2.0 */
#include "imap/mailbox.h"

#include "imap/internal.h"
#include "imap/write.h"

enum {
    DECODED_ROOM = 4
}; /* a path has at most so many octets per octet of its wire name */

static bool is_control(uint8_t c)
{
    return c < 0x20 || c == 0x7f;
}

/* Written as %XX within a decoded component. */
static bool is_special(uint8_t c)
{
    return c == '%' || c == '*' || c == '/' || c == '\\';
}

/* Written as %XX within a component that stands for its raw octets only: its mark. */
static bool is_raw_only(uint8_t c)
{
    return c == '&' || is_control(c) || c > 0x7e;
}

static void append_escaped(struct buf *out, uint8_t c)
{
    static const char hex[] = "0123456789ABCDEF";

    buf_byte(out, '%');
    buf_byte(out, (uint8_t)hex[c >> 4]);
    buf_byte(out, (uint8_t)hex[c & 15]);
}

static bool has_control(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++)
        if (is_control(text.ptr[i]))
            return true;
    return false;
}

/* Takes up to the delimiter; *is_last when there was none. */
static struct bytes take_component(struct bytes *in, uint8_t delimiter, bool *is_last)
{
    ssize_t end = delimiter == IMAP_NO_DELIMITER ? -1 : bytes_find_byte(*in, delimiter);
    struct bytes component = bytes_slice(*in, 0, end < 0 ? in->len : (size_t)end);

    *is_last = end < 0;
    *in = end < 0 ? bytes_of(NULL, 0) : bytes_slice(*in, (size_t)end + 1, SIZE_MAX);
    return component;
}

static void append_component(struct bytes wire, bool is_first, struct buf *out)
{
    CLEANUP(buf_free) struct buf decoded = buf_create(wire.len * DECODED_ROOM);
    struct err ignored;
    bool is_decoded =
        imap_decode_utf7(wire, &decoded, &ignored) && !has_control(buf_bytes(&decoded));
    struct bytes from = is_decoded ? buf_bytes(&decoded) : wire;

    if (is_first && bytes_equal_nocase(from, BYTES("INBOX")))
        from = BYTES("INBOX");
    out->has_failed = out->has_failed || decoded.has_failed;
    for (size_t i = 0; i < from.len; i++) {
        uint8_t c = from.ptr[i];

        if (is_special(c) || (!is_decoded && is_raw_only(c)))
            append_escaped(out, c);
        else
            buf_byte(out, c);
    }
}

void imap_path_from_source(struct bytes wire_name, uint8_t delimiter, struct buf *out)
{
    bool is_first = true;
    bool is_last = false;

    while (!is_last) {
        struct bytes component = take_component(&wire_name, delimiter, &is_last);

        if (!is_first)
            buf_byte(out, '/');
        append_component(component, is_first, out);
        is_first = false;
    }
}

static bool scan_hex(struct bytes *in, uint8_t *out)
{
    uint8_t value = 0;

    for (size_t i = 0; i < 2; i++) {
        uint8_t c = i < in->len ? in->ptr[i] : 0;

        if (ascii_is_digit(c))
            value = (uint8_t)(value << 4 | (c - '0'));
        else if (c >= 'A' && c <= 'F')
            value = (uint8_t)(value << 4 | (c - 'A' + 10));
        else
            return false;
    }
    *in = bytes_of(in->ptr + 2, in->len - 2);
    *out = value;
    return true;
}

/* Undoes the escapes of one component; *is_raw when it has one that only raw octets need. */
static bool unescape(struct bytes in, struct buf *out, bool *is_raw)
{
    *is_raw = false;
    while (in.len > 0) {
        uint8_t c = in.ptr[0];

        in = bytes_of(in.ptr + 1, in.len - 1);
        if (c == '%') {
            if (!scan_hex(&in, &c) || (!is_special(c) && !is_raw_only(c)))
                return false;
            *is_raw = *is_raw || is_raw_only(c);
        } else if (is_special(c) || is_control(c)) {
            return false;
        }
        buf_byte(out, c);
    }
    return true;
}

static bool append_wire(struct bytes component, uint8_t delimiter, struct buf *out, struct err *err)
{
    CLEANUP(buf_free) struct buf plain = buf_create(component.len);
    size_t before = out->len;
    bool is_raw;

    if (!unescape(component, &plain, &is_raw))
        return err_fail(err, ERR_SYNTAX, "not a path of a source mailbox");
    if (is_raw)
        buf_append(out, buf_bytes(&plain));
    else if (!imap_encode_utf7(buf_bytes(&plain), out, err))
        return false;
    if (delimiter != IMAP_NO_DELIMITER &&
        bytes_find_byte(bytes_slice(buf_bytes(out), before, SIZE_MAX), delimiter) >= 0)
        return err_fail(err, ERR_SYNTAX, "the source's delimiter within a component");
    return true;
}

bool imap_path_to_source(struct bytes path, uint8_t delimiter, struct buf *out, struct err *err)
{
    CLEANUP(buf_free) struct buf wire = buf_create(out->max_bytes);
    CLEANUP(buf_free) struct buf again = buf_create(path.len + 1);
    struct bytes rest = path;
    bool is_first = true;
    bool is_last = false;

    while (!is_last) {
        struct bytes component = take_component(&rest, '/', &is_last);

        if (!is_first && delimiter == IMAP_NO_DELIMITER)
            return err_fail(err, ERR_SYNTAX, "the source has no hierarchy");
        if (!is_first)
            buf_byte(&wire, delimiter);
        if (!append_wire(component, delimiter, &wire, err))
            return false;
        is_first = false;
    }
    /* Paths that no wire name gives (an escape where none is due) end here. */
    imap_path_from_source(buf_bytes(&wire), delimiter, &again);
    if (wire.has_failed || !bytes_equal(buf_bytes(&again), path))
        return err_fail(err, ERR_SYNTAX, "not a path of a source mailbox");
    buf_append(out, buf_bytes(&wire));
    return true;
}

/* Is the whole first component INBOX, in any case? */
static bool starts_with_inbox(struct bytes name)
{
    return bytes_start_with_nocase(name, BYTES("INBOX")) && (name.len == 5 || name.ptr[5] == '/');
}

bool imap_decode_mailbox(struct bytes encoded, struct buf *out, struct err *err)
{
    size_t before = out->len;

    if (!starts_with_inbox(encoded))
        return imap_decode_utf7(encoded, out, err);
    buf_text(out, "INBOX");
    if (imap_decode_utf7(bytes_slice(encoded, 5, SIZE_MAX), out, err))
        return true;
    out->len = before;
    return false;
}

static void append_valid_utf8(struct bytes text, struct buf *out)
{
    uint32_t code_point;

    while (text.len > 0) {
        if (!imap_scan_utf8(&text, &code_point)) {
            code_point = 0xfffd;
            text = bytes_of(text.ptr + 1, text.len - 1);
        }
        imap_append_utf8(out, code_point == 0 ? 0xfffd : code_point);
    }
}

void imap_write_mailbox(struct buf *buf, struct bytes path)
{
    CLEANUP(buf_free) struct buf valid = buf_create(path.len * 3);
    CLEANUP(buf_free) struct buf encoded = buf_create(path.len * 12 + 8);
    struct err ignored;

    append_valid_utf8(path, &valid);
    if (!imap_encode_utf7(buf_bytes(&valid), &encoded, &ignored) || encoded.has_failed)
        buf->has_failed = true;
    imap_write_string(buf, buf_bytes(&encoded));
}

bool imap_list_matches(struct bytes pattern, struct bytes name)
{
    size_t nocase_len = starts_with_inbox(name) ? 5 : 0;
    size_t p = 0, n = 0;
    size_t star_p = SIZE_MAX, star_n = 0;       /* where the last "*" stands, and how far it took */
    size_t percent_p = SIZE_MAX, percent_n = 0; /* the last "%" behind it */

    while (n < name.len || p < pattern.len) {
        uint8_t c = p < pattern.len ? pattern.ptr[p] : 0;

        if (p < pattern.len && c == '*') {
            star_p = p++;
            star_n = n;
            percent_p = SIZE_MAX;
        } else if (p < pattern.len && c == '%') {
            percent_p = p++;
            percent_n = n;
        } else if (p < pattern.len && n < name.len &&
                   (c == name.ptr[n] ||
                    (n < nocase_len && ascii_lower(c) == ascii_lower(name.ptr[n])))) {
            p++;
            n++;
        } else if (percent_p != SIZE_MAX && percent_n < name.len && name.ptr[percent_n] != '/') {
            p = percent_p + 1;
            n = ++percent_n;
        } else if (star_p != SIZE_MAX && star_n < name.len) {
            p = star_p + 1;
            n = ++star_n;
            percent_p = SIZE_MAX;
        } else {
            return false;
        }
    }
    return true;
}
