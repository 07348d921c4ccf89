/* SPDX-License-Identifier: Apache-2.0 */
#include "export/export.h"

enum {
    HASH_DIGITS = 64,
    NAME_BYTES = 512,
};

static bool is_hash(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!ascii_is_digit(text.ptr[i]) && (text.ptr[i] < 'a' || text.ptr[i] > 'f'))
            return false;
    return text.len == HASH_DIGITS;
}

static bool is_name(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] < 0x20 || text.ptr[i] >= 0x7f || text.ptr[i] == '\\')
            return false;
    return text.len > 0 && text.len <= NAME_BYTES && text.ptr[0] != '/';
}

bool export_is_sums(struct bytes text)
{
    struct bytes hash, name;

    if (text.len == 0)
        return false;
    while (text.len > 0)
        if (!scan_octets(&text, HASH_DIGITS, &hash) || !is_hash(hash) ||
            !scan_text(&text, BYTES("  ")) || !scan_until_byte(&text, '\n', &name) ||
            !is_name(name) || !scan_byte(&text, '\n'))
            return false;
    return true;
}
