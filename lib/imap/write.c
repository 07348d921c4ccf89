/* SPDX-License-Identifier: Apache-2.0 */
#include "imap/write.h"

#include "imap/token.h"

bool imap_is_quotable(struct bytes value)
{
    if (value.len > IMAP_QUOTED_MAX_BYTES)
        return false;
    for (size_t i = 0; i < value.len; i++) {
        uint8_t c = value.ptr[i];

        if (c == '\0' || c == '\r' || c == '\n' || c >= 0x80)
            return false;
    }
    return true;
}

static bool is_run(struct bytes value, bool (*is_member)(uint8_t c))
{
    for (size_t i = 0; i < value.len; i++)
        if (!is_member(value.ptr[i]))
            return false;
    return value.len > 0;
}

bool imap_is_atom(struct bytes value)
{
    return is_run(value, imap_is_atom_char);
}

bool imap_is_astring_atom(struct bytes value)
{
    return is_run(value, imap_is_astring_char);
}

void imap_write_quoted(struct buf *buf, struct bytes value)
{
    size_t done = 0;

    assert(imap_is_quotable(value));
    buf_byte(buf, '"');
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] != '"' && value.ptr[i] != '\\')
            continue;
        buf_append(buf, bytes_slice(value, done, i - done));
        buf_byte(buf, '\\');
        done = i;
    }
    buf_append(buf, bytes_slice(value, done, value.len - done));
    buf_byte(buf, '"');
}

void imap_write_literal_header(struct buf *buf, uint64_t size_bytes)
{
    buf_byte(buf, '{');
    buf_u64(buf, size_bytes);
    buf_text(buf, "}\r\n");
}

void imap_write_literal(struct buf *buf, struct bytes value)
{
    imap_write_literal_header(buf, value.len);
    buf_append(buf, value);
}

void imap_write_string(struct buf *buf, struct bytes value)
{
    if (imap_is_quotable(value))
        imap_write_quoted(buf, value);
    else
        imap_write_literal(buf, value);
}

bool imap_try_write_inline(struct buf *buf, struct bytes value)
{
    if (!imap_is_quotable(value))
        return false;
    if (imap_is_astring_atom(value) && !bytes_equal_nocase(value, BYTES("NIL")))
        buf_append(buf, value);
    else
        imap_write_quoted(buf, value);
    return true;
}

void imap_write_astring(struct buf *buf, struct bytes value)
{
    if (!imap_try_write_inline(buf, value))
        imap_write_literal(buf, value);
}

void imap_write_nstring(struct buf *buf, const struct bytes *value)
{
    if (value == NULL)
        buf_text(buf, "NIL");
    else
        imap_write_string(buf, *value);
}
