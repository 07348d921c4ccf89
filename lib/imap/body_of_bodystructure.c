/* SPDX-License-Identifier: Apache-2.0 */
/* BODY from BODYSTRUCTURE: the same less the extension data. RFC 9051 §9 (body-ext-1part). */
#include "imap/internal.h"
#include "imap/structure.h"

enum {
    NESTING_MAX = 2 * MIME_NESTING_MAX + 8, /* a message within is a list deeper than its part */
};

struct copier {
    struct bytes in;
    struct buf *out;
    bool has_failed;
};

static bool take(struct copier *copier, uint8_t c)
{
    if (!copier->has_failed && scan_byte(&copier->in, c))
        return true;
    copier->has_failed = true;
    return false;
}

static bool is_word_end(uint8_t c)
{
    return c == ' ' || c == '(' || c == ')' || c == '"';
}

/* One item: word, string or list. False: there is none. */
static bool take_item(struct copier *copier, struct bytes *out)
{
    struct bytes rest = copier->in;
    unsigned depth = 0;

    do {
        struct imap_literal literal;
        struct err ignored = { 0 };
        struct bytes octets;
        size_t len = 0;

        if (rest.len == 0)
            return false;
        if (scan_byte(&rest, '(')) {
            if (++depth > NESTING_MAX)
                return false;
        } else if (depth > 0 && scan_byte(&rest, ')')) {
            depth--;
        } else if (depth > 0 && scan_byte(&rest, ' ')) {
            continue;
        } else if (scan_byte(&rest, '"')) {
            while (len < rest.len && rest.ptr[len] != '"')
                len += rest.ptr[len] == '\\' ? 2 : 1;
            if (len >= rest.len || !scan_octets(&rest, len + 1, &octets))
                return false;
        } else if (rest.ptr[0] == '{') {
            if (!imap_read_literal(&rest, rest.len, &literal, &ignored) ||
                !scan_octets(&rest, (size_t)literal.size_bytes, &octets))
                return false;
        } else {
            while (len < rest.len && !is_word_end(rest.ptr[len]))
                len++;
            if (len == 0 || !scan_octets(&rest, len, &octets))
                return false;
        }
    } while (depth > 0);
    *out = bytes_slice(copier->in, 0, copier->in.len - rest.len);
    copier->in = rest;
    return true;
}

/* SP and an item, to the output too unless it is dropped. */
static struct bytes copy_item(struct copier *copier, bool has_space, bool is_dropped)
{
    struct bytes item = { 0 };

    if (has_space)
        (void)take(copier, ' ');
    copier->has_failed = copier->has_failed || !take_item(copier, &item);
    if (copier->has_failed)
        return bytes_of(NULL, 0);
    if (!is_dropped) {
        if (has_space)
            buf_byte(copier->out, ' ');
        buf_append(copier->out, item);
    }
    return item;
}

static void drop_extension(struct copier *copier)
{
    while (!copier->has_failed && copier->in.len > 0 && copier->in.ptr[0] == ' ')
        (void)copy_item(copier, true, true);
}

static void copy_body(struct copier *copier, unsigned depth);

static void copy_single(struct copier *copier, unsigned depth)
{
    struct bytes type = copy_item(copier, false, false);
    struct bytes subtype = copy_item(copier, true, false);

    for (unsigned i = 0; i < 5; i++) /* params, id, description, encoding, size */
        (void)copy_item(copier, true, false);
    if (bytes_equal_nocase(type, BYTES("\"message\"")) &&
        bytes_equal_nocase(subtype, BYTES("\"rfc822\""))) {
        (void)copy_item(copier, true, false);
        if (take(copier, ' '))
            buf_byte(copier->out, ' ');
        copy_body(copier, depth + 1);
        (void)copy_item(copier, true, false);
    } else if (bytes_equal_nocase(type, BYTES("\"text\""))) {
        (void)copy_item(copier, true, false);
    }
}

static void copy_body(struct copier *copier, unsigned depth)
{
    if (depth > MIME_NESTING_MAX)
        copier->has_failed = true;
    if (!take(copier, '('))
        return;
    buf_byte(copier->out, '(');
    if (copier->in.len > 0 && copier->in.ptr[0] == '(') {
        while (!copier->has_failed && copier->in.len > 0 && copier->in.ptr[0] == '(')
            copy_body(copier, depth + 1);
        (void)copy_item(copier, true, false);
    } else {
        copy_single(copier, depth);
    }
    drop_extension(copier);
    (void)take(copier, ')');
    buf_byte(copier->out, ')');
}

bool imap_write_body_of_bodystructure(struct buf *buf, struct bytes bodystructure, struct err *err)
{
    struct copier copier = { .in = bodystructure, .out = buf };

    copy_body(&copier, 0);
    if (copier.has_failed || copier.in.len > 0)
        return err_fail(err, ERR_CORRUPT, "stored BODYSTRUCTURE of %zu bytes is broken",
                        bodystructure.len);
    return true;
}
