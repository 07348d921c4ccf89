/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first octet chooses the format and how the file is read; the rest is an mbox. Messages follow one
 * another without overlap, within the file; the un-quoter gives as many octets as the scan announced, however
 * it is fed; and without Content-Length the borders are those that a reader of whole lines finds.
 */
#include "base/buf.h"
#include "ingest/mbox.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct file {
    struct bytes octets;
    size_t at_most;
};

static bool read_at(void *context, uint64_t offset, uint8_t *room, size_t size, size_t *got,
                    struct err *err)
{
    const struct file *file = context;
    struct bytes some = { 0 };

    (void)err;
    if (offset < file->octets.len)
        some =
            bytes_slice(file->octets, (size_t)offset, size < file->at_most ? size : file->at_most);
    if (some.len > 0)
        memcpy(room, some.ptr, some.len);
    *got = some.len;
    return true;
}

static bool gather(void *context, struct bytes octets, struct err *err)
{
    (void)err;
    buf_append(context, octets);
    return true;
}

static void unquote(enum ingest_mbox_format format, struct bytes quoted, size_t chunk,
                    struct buf *out)
{
    struct ingest_unquoter unquoter = ingest_begin_unquoting(format, gather, out);
    struct err err = { 0 };

    for (size_t at = 0; at < quoted.len; at += chunk)
        assert(ingest_unquote(&unquoter, bytes_slice(quoted, at, chunk), &err));
    assert(ingest_end_unquoting(&unquoter, &err));
}

static bool is_empty_line(struct bytes line)
{
    return bytes_equal(line, BYTES("\n")) || bytes_equal(line, BYTES("\r\n"));
}

static bool has_time(struct bytes line)
{
    for (size_t i = 1; i + 2 < line.len; i++)
        if (line.ptr[i] == ':' && ascii_is_digit(line.ptr[i - 1]) &&
            ascii_is_digit(line.ptr[i + 1]) && ascii_is_digit(line.ptr[i + 2]))
            return true;
    return false;
}

static bool is_field(struct bytes line)
{
    ssize_t colon = bytes_find_byte(bytes_slice(line, 0, 128), ':');

    for (ssize_t i = 0; i < colon; i++)
        if (line.ptr[i] <= ' ' || line.ptr[i] >= 0x7f)
            return false;
    return colon > 0;
}

static bool is_separator(struct bytes line, bool is_behind_empty_line, struct bytes behind)
{
    int64_t usec;
    int16_t zone;
    bool has_date, is_header = is_field(behind) || bytes_start_with(behind, BYTES(">From "));

    if (!bytes_start_with(line, BYTES("From ")))
        return false;
    line = bytes_slice(line, 0, INGEST_MBOX_LINE_BYTES);
    if (line.len > 0 && line.ptr[line.len - 1] == '\n')
        line.len -= line.len > 1 && line.ptr[line.len - 2] == '\r' ? 2 : 1;
    has_date = ingest_read_separator_date(line, &usec, &zone);
    if (has_date)
        return is_behind_empty_line || is_header;
    while (line.len > 0 && line.ptr[line.len - 1] == ' ')
        line.len--;
    return is_behind_empty_line && is_header && (line.len == 4 || has_time(line));
}

/* The end of the message that begins at `at`, found line by line. */
static size_t slow_end(struct bytes text, size_t at)
{
    size_t empty = 0;

    while (at < text.len) {
        struct bytes rest = bytes_slice(text, at, SIZE_MAX);
        ssize_t lf = bytes_find_byte(rest, '\n');
        struct bytes line = bytes_slice(rest, 0, lf < 0 ? rest.len : (size_t)lf + 1);

        if (is_separator(line, empty > 0, bytes_slice(rest, line.len, SIZE_MAX)))
            break;
        empty = is_empty_line(line) ? line.len : 0;
        at += line.len;
    }
    return at - empty;
}

static void check_message(enum ingest_mbox_format format, struct bytes text,
                          const struct ingest_mbox_message *message, uint64_t end_before)
{
    CLEANUP(buf_free) struct buf whole = buf_create(64 << 20);
    CLEANUP(buf_free) struct buf pieces = buf_create(64 << 20);
    struct bytes quoted;

    assert(message->line_offset >= end_before && message->offset >= message->line_offset + 5);
    assert(message->bytes > 0 && message->offset + message->bytes <= text.len);
    assert(bytes_start_with(message->separator, BYTES("From ")));
    quoted = bytes_slice(text, (size_t)message->offset, (size_t)message->bytes);
    unquote(format, quoted, quoted.len, &whole);
    unquote(format, quoted, 3, &pieces);
    assert(whole.len == message->size_bytes && bytes_equal(buf_bytes(&whole), buf_bytes(&pieces)));
    if (format == INGEST_MBOXRD || format == INGEST_MBOXO)
        assert(slow_end(text, (size_t)message->offset) == message->offset + message->bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes text = bytes_slice(bytes_of(data, size), 1, SIZE_MAX);
    enum ingest_mbox_format format =
        size > 0 ? (enum ingest_mbox_format)(data[0] & 3) : INGEST_MBOXRD;
    struct file file = { text, size > 0 && (data[0] & 4) != 0 ? 7 : SIZE_MAX };
    struct ingest_mbox *mbox = ingest_open_mbox(format, read_at, &file);
    struct ingest_mbox_message message;
    struct err err = { 0 };
    uint64_t end = 0;
    int64_t usec;
    int16_t zone;
    bool has_one = true;

    while (ingest_next_message(mbox, &message, &has_one, &err) && has_one) {
        check_message(format, text, &message, end);
        end = message.offset + message.bytes;
        if (ingest_read_separator_date(message.separator, &usec, &zone))
            assert(zone > -24 * 60 && zone < 24 * 60);
    }
    assert(!has_one || err.code == ERR_SYNTAX);
    ingest_close_mbox(&mbox);
    return 0;
}
