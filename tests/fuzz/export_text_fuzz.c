/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an export writes about hostile mail: quoting that a reader of README.md undoes, however the
 * message was cut; names without "..", control characters or trailing dots; Message-IDs and cells that
 * stay within their bounds. The first octet chooses the cut.
 */
#include "export/manifest.h"
#include "export/mbox.h"
#include "export/message_id.h"
#include "export/name.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool gather(void *context, struct bytes octets, struct err *err)
{
    (void)err;
    buf_append(context, octets);
    return true;
}

static void quote(struct bytes message, size_t chunk, struct buf *out)
{
    struct export_quoter quoter = export_begin_quoting(gather, out);
    struct err err = { 0 };

    for (size_t at = 0; at < message.len; at += chunk)
        if (!export_quote(&quoter, bytes_slice(message, at, chunk), &err))
            assert(0);
    if (!export_end_quoting(&quoter, &err))
        assert(0);
    assert(quoter.written == out->len && out->len == message.len + quoter.quoted_lines);
}

static bool is_separator(struct bytes line)
{
    return bytes_start_with(line, BYTES("From "));
}

/* By the README, line by line. */
static void check_unquoted(struct bytes text, struct bytes message)
{
    size_t from = 0; /* in message */

    while (text.len > 0) {
        ssize_t lf = bytes_find_byte(text, '\n');
        size_t len = lf < 0 ? text.len : (size_t)lf + 1, signs = 0;
        struct bytes line = bytes_slice(text, 0, len);

        assert(!is_separator(line));
        text = bytes_slice(text, len, SIZE_MAX);
        while (signs < line.len && line.ptr[signs] == '>')
            signs++;
        if (signs > 0 && is_separator(bytes_slice(line, signs, SIZE_MAX)))
            line = bytes_slice(line, 1, SIZE_MAX);
        assert(bytes_equal(line, bytes_slice(message, from, line.len)));
        from += line.len;
    }
    assert(from == message.len);
}

static void check_mbox(struct bytes message, size_t chunk)
{
    CLEANUP(buf_free) struct buf whole = buf_create(64 << 20);
    CLEANUP(buf_free) struct buf pieces = buf_create(64 << 20);

    quote(message, message.len + 1, &whole);
    quote(message, chunk, &pieces);
    assert(bytes_equal(buf_bytes(&whole), buf_bytes(&pieces)));
    check_unquoted(buf_bytes(&whole), message);
}

static void check_name(struct bytes path)
{
    CLEANUP(buf_free) struct buf name = buf_create(1024);
    struct bytes rest, level;

    export_write_mailbox_name(path, path, INT64_MAX, ".maildir", &name);
    assert(!name.has_failed && name.len < 500);
    rest = buf_bytes(&name);
    for (size_t i = 0; i < rest.len; i++)
        assert(rest.ptr[i] >= 0x20 && rest.ptr[i] < 0x7f && rest.ptr[i] != '\\');
    while (scan_until_byte(&rest, '/', &level) && scan_byte(&rest, '/'))
        assert(level.len > 0 && level.ptr[0] != '.' && level.ptr[0] != '-' &&
               level.ptr[level.len - 1] != '.' && level.ptr[level.len - 1] != ' ');
    assert(rest.len > 0 && rest.ptr[0] != '.');
}

static void check_id(struct bytes message)
{
    CLEANUP(buf_free) struct buf id = buf_create(EXPORT_MESSAGE_ID_BYTES);
    CLEANUP(buf_free) struct buf text = buf_create(16 << 10);
    CLEANUP(buf_free) struct buf cell = buf_create(40 << 10);

    export_find_message_id(message, &id);
    assert(!id.has_failed);
    export_write_mih(buf_bytes(&id), &text);
    assert(text.len == 0 || text.len == 32);
    export_write_plain(buf_bytes(&id), &text);
    assert(!text.has_failed);
    export_write_csv_text(bytes_slice(message, 0, 10000), &cell);
    assert(!cell.has_failed &&
           (cell.len == 0 || bytes_find_byte(BYTES("=+-@\t\r\n"), cell.ptr[0]) < 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes text = bytes_of(data, size);

    if (size == 0)
        return 0;
    text = bytes_slice(text, 1, SIZE_MAX);
    check_mbox(text, 1 + data[0] % 17);
    check_name(text);
    check_id(text);
    return 0;
}
