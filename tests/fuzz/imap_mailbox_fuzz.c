/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mailbox names: first octet the delimiter, then a name; behind a LF a LIST pattern. Also the
 * small readers that stand alone: sets, dates, keywords.
 */
#include "imap/date.h"
#include "imap/flag.h"
#include "imap/mailbox.h"
#include "imap/set.h"
#include "imap/token.h"

#include <stdlib.h>

#define PROMISE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

enum {
    ROOM = 1 << 20
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Without regard to the case of a leading INBOX. */
static bool is_same_name(struct bytes a, struct bytes b)
{
    if (bytes_start_with(a, BYTES("INBOX")))
        return bytes_equal_nocase(bytes_slice(a, 0, 5), bytes_slice(b, 0, 5)) &&
               bytes_equal(bytes_slice(a, 5, SIZE_MAX), bytes_slice(b, 5, SIZE_MAX));
    return bytes_equal(a, b);
}

static void check_paths(struct bytes name, uint8_t delimiter)
{
    struct buf path = buf_create(ROOM);
    struct buf back = buf_create(ROOM);
    struct err err = { 0 };

    imap_path_from_source(name, delimiter, &path);
    PROMISE(!path.has_failed && imap_is_utf8(buf_bytes(&path)));
    PROMISE(imap_path_to_source(buf_bytes(&path), delimiter, &back, &err));
    PROMISE(is_same_name(buf_bytes(&back), name));
    buf_reset(&back, ROOM);
    /* Any octets may be asked about as a path; what is accepted comes from a wire name. */
    if (imap_path_to_source(name, delimiter, &back, &err)) {
        buf_reset(&path, ROOM);
        imap_path_from_source(buf_bytes(&back), delimiter, &path);
        PROMISE(bytes_equal(buf_bytes(&path), name));
    } else {
        PROMISE(err.code == ERR_SYNTAX && back.len == 0);
    }
    buf_free(&path);
    buf_free(&back);
}

static void check_utf7(struct bytes name)
{
    struct buf one = buf_create(ROOM);
    struct buf two = buf_create(ROOM);
    struct err err = { 0 };

    if (imap_decode_utf7(name, &one, &err)) {
        PROMISE(imap_is_utf8(buf_bytes(&one)));
        PROMISE(imap_encode_utf7(buf_bytes(&one), &two, &err));
        PROMISE(bytes_equal(buf_bytes(&two), name));
    } else {
        PROMISE(err.code == ERR_SYNTAX && one.len == 0);
    }
    buf_reset(&one, ROOM);
    buf_reset(&two, ROOM);
    if (imap_encode_utf7(name, &one, &err)) {
        PROMISE(imap_is_utf8(name) && imap_decode_utf7(buf_bytes(&one), &two, &err));
        PROMISE(bytes_equal(buf_bytes(&two), name));
    } else {
        PROMISE(one.len == 0);
    }
    buf_free(&one);
    buf_free(&two);
}

static void check_written(struct bytes path)
{
    struct arena *arena = arena_create(ROOM);
    struct buf out = buf_create(ROOM);
    struct bytes in, value;
    struct err err = { 0 };

    imap_write_mailbox(&out, path);
    in = buf_bytes(&out);
    PROMISE(imap_read_astring(&in, arena, &value, &err) && in.len == 0);
    for (size_t i = 0; i < value.len; i++)
        PROMISE(value.ptr[i] >= ' ' && value.ptr[i] < 0x7f);
    buf_free(&out);
    arena_free(&arena);
}

/* Slow and obviously right. */
static bool slow_match(struct bytes pattern, struct bytes name)
{
    uint8_t c;

    if (pattern.len == 0)
        return name.len == 0;
    c = pattern.ptr[0];
    pattern = bytes_slice(pattern, 1, SIZE_MAX);
    if (c != '*' && c != '%')
        return name.len > 0 && name.ptr[0] == c &&
               slow_match(pattern, bytes_slice(name, 1, SIZE_MAX));
    for (size_t i = 0;; i++) {
        if (slow_match(pattern, bytes_slice(name, i, SIZE_MAX)))
            return true;
        if (i == name.len || (c == '%' && name.ptr[i] == '/'))
            return false;
    }
}

static void check_small_readers(struct bytes name)
{
    struct arena *arena = arena_create(ROOM);
    struct buf out = buf_create(ROOM);
    struct imap_sequence_set sequence;
    struct imap_date_time when, again;
    struct bytes in = name;
    struct err err = { 0 };
    int64_t days;

    if (!imap_read_set(&in, 1000, arena, &sequence, &err))
        PROMISE(in.ptr == name.ptr && in.len == name.len);
    in = name;
    if (!imap_read_date(&in, &days, &err))
        PROMISE(in.len == name.len);
    in = name;
    if (imap_read_date_time(&in, &when, &err)) {
        imap_write_date_time(&out, when);
        in = buf_bytes(&out);
        PROMISE(imap_read_date_time(&in, &again, &err) && in.len == 0);
        PROMISE(again.usec == when.usec && again.zone_minutes == when.zone_minutes);
    }
    buf_reset(&out, ROOM);
    imap_escape_keyword(name, &out);
    PROMISE(!imap_keyword_is_reserved(buf_bytes(&out)) ||
            bytes_equal(name, BYTES(IMAP_STORED_NOT_ORIGINAL)));
    PROMISE(bytes_equal(imap_unescape_keyword(buf_bytes(&out)), name));
    buf_free(&out);
    arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes rest = size > 0 ? bytes_of(data + 1, size - 1) : bytes_of(NULL, 0);
    struct bytes name = rest;

    check_paths(rest, size > 0 ? data[0] : 0);
    check_utf7(rest);
    check_written(rest);
    check_small_readers(rest);
    if (scan_until_byte(&rest, '\n', &name)) {
        rest = bytes_slice(rest, 1, SIZE_MAX);
        (void)imap_list_matches(rest, name);
        if (!bytes_start_with_nocase(name, BYTES("INBOX")) && rest.len <= 8 && name.len <= 16)
            PROMISE(imap_list_matches(rest, name) == slow_match(rest, name));
    }
    return 0;
}
