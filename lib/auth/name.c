/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/internal.h"

/* How many octets the UTF-8 sequence (RFC 3629) at the front has; 0: none, or a control character. */
static size_t character_length(struct bytes in)
{
    uint8_t first = in.ptr[0];
    uint8_t second = in.len > 1 ? in.ptr[1] : 0;
    size_t len = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;

    if (first < 0x20 || first == 0x7f || (first >= 0x80 && first < 0xc2) || first > 0xf4 ||
        len > in.len)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((in.ptr[i] & 0xc0) != 0x80)
            return 0;
    if ((first == 0xc2 && second < 0xa0) ||                                     /* C1 controls */
        (first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) || /* surrogates */
        (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f))
        return 0;
    return len;
}

bool auth_is_name(struct bytes name)
{
    struct bytes rest = name;

    if (name.len == 0 || name.len > AUTH_NAME_MAX_BYTES)
        return false;
    while (rest.len > 0) {
        size_t len = character_length(rest);

        if (len == 0)
            return false;
        rest = bytes_slice(rest, len, SIZE_MAX);
    }
    return true;
}

bool auth_check_name(struct bytes name, struct err *err)
{
    return auth_is_name(name) ||
           err_fail(err, ERR_SYNTAX,
                    "a name is UTF-8 text of 1 to %d octets without control characters",
                    AUTH_NAME_MAX_BYTES);
}
