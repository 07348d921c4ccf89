/* SPDX-License-Identifier: Apache-2.0 */
#include "export/name.h"

/* What stays as it is; besides letters and digits. */
static bool is_plain(uint8_t c)
{
    return ascii_is_alpha(c) || ascii_is_digit(c) || bytes_find_byte(BYTES("._@+=,()&- "), c) >= 0;
}

/* Names that stand for devices on Windows, whatever follows behind a dot. */
static bool is_device(struct bytes name)
{
    static const struct bytes devices[] = { BYTES_INIT("con"), BYTES_INIT("prn"), BYTES_INIT("aux"),
                                            BYTES_INIT("nul") };
    struct bytes stem = name;
    ssize_t dot = bytes_find_byte(name, '.');

    if (dot >= 0)
        stem.len = (size_t)dot;
    for (size_t i = 0; i < ARRAY_LEN(devices); i++)
        if (bytes_equal_nocase(stem, devices[i]))
            return true;
    return stem.len == 4 && ascii_is_digit(stem.ptr[3]) &&
           (bytes_start_with_nocase(stem, BYTES("com")) ||
            bytes_start_with_nocase(stem, BYTES("lpt")));
}

/* The dot of a level that would end as our own names do; name.len: none. */
static size_t suffix_dot(struct bytes name)
{
    static const struct bytes ours[] = { BYTES_INIT(".mbox"), BYTES_INIT(".eml"),
                                         BYTES_INIT(".maildir") };

    for (size_t i = 0; i < ARRAY_LEN(ours); i++)
        if (bytes_end_with_nocase(name, ours[i]))
            return name.len - ours[i].len;
    return name.len;
}

static bool must_escape(struct bytes name, size_t at, size_t dot)
{
    uint8_t c = name.ptr[at];
    bool is_border = at == 0 || at + 1 == name.len;

    return !is_plain(c) || at == dot || (is_border && (c == '.' || c == ' ')) ||
           (at == 0 && (c == '-' || is_device(name)));
}

void export_write_level(struct bytes name, size_t max, struct buf *out)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t dot = suffix_dot(name);
    size_t used = 0;

    if (name.len == 0)
        buf_text(out, "%_");
    for (size_t i = 0; i < name.len; i++) {
        bool is_escaped = must_escape(name, i, dot);

        used += is_escaped ? 3 : 1;
        if (used > max) {
            buf_text(out, "%~");
            return;
        }
        if (!is_escaped) {
            buf_byte(out, name.ptr[i]);
            continue;
        }
        buf_byte(out, '%');
        buf_byte(out, (uint8_t)digits[name.ptr[i] >> 4]);
        buf_byte(out, (uint8_t)digits[name.ptr[i] & 15]);
    }
}

void export_write_mailbox_name(struct bytes account, struct bytes path, int64_t mailbox_id,
                               const char *suffix, struct buf *out)
{
    size_t start, left = EXPORT_MAILBOX_NAME_BYTES;
    struct bytes level;
    bool is_last = false;

    buf_text(out, "mail/");
    export_write_level(account, EXPORT_ACCOUNT_NAME_BYTES, out);
    while (!is_last) {
        is_last = !scan_until_byte(&path, '/', &level);
        if (is_last)
            level = path;
        else
            path = bytes_slice(path, 1, SIZE_MAX);
        buf_byte(out, '/');
        start = out->len;
        export_write_level(level, left, out);
        if (out->has_failed || out->len - start >= left)
            break; /* was cut, or nothing is left: the levels below are in the manifest */
        left -= out->len - start;
    }
    buf_byte(out, '.');
    buf_i64(out, mailbox_id);
    buf_text(out, suffix);
}
