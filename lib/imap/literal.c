/* SPDX-License-Identifier: Apache-2.0 */
#include "imap/literal.h"

#include "imap/internal.h"

bool imap_read_literal(struct bytes *in, uint64_t max_bytes, struct imap_literal *out,
                       struct err *err)
{
    struct bytes rest = *in;
    struct imap_literal lit = { 0 };

    lit.may_hold_nul = scan_byte(&rest, '~');
    if (!scan_byte(&rest, '{') || !scan_u64(&rest, &lit.size_bytes) || lit.size_bytes > INT64_MAX)
        return err_fail(err, ERR_SYNTAX, "literal header expected");
    lit.awaits_continuation = !scan_byte(&rest, '+');
    if (!scan_byte(&rest, '}') || !imap_scan_line_end(&rest))
        return err_fail(err, ERR_SYNTAX, "literal header not closed");
    if (lit.size_bytes > max_bytes)
        return err_fail(err, ERR_LIMIT, "literal of %ju bytes, at most %ju accepted",
                        (uintmax_t)lit.size_bytes, (uintmax_t)max_bytes);

    *in = rest;
    *out = lit;
    return true;
}

struct bytes imap_trim_line_end(struct bytes text)
{
    if (text.len > 0 && text.ptr[text.len - 1] == '\n') {
        text.len--;
        if (text.len > 0 && text.ptr[text.len - 1] == '\r')
            text.len--;
    }
    return text;
}

bool imap_find_literal_header(struct bytes line, struct imap_literal *out, bool *is_too_large,
                              size_t *header_bytes)
{
    struct bytes text = imap_trim_line_end(line);
    size_t digits_end;
    size_t at;
    bool is_plus;
    struct bytes digits;
    struct imap_literal lit = { 0 };

    if (text.len < 3 || text.ptr[text.len - 1] != '}')
        return false;
    is_plus = text.ptr[text.len - 2] == '+';
    digits_end = text.len - (is_plus ? 2 : 1);
    for (at = digits_end; at > 0 && ascii_is_digit(text.ptr[at - 1]);)
        at--;
    if (at == digits_end || at == 0 || text.ptr[at - 1] != '{')
        return false;

    digits = bytes_slice(text, at, digits_end - at);
    *is_too_large = !scan_u64(&digits, &lit.size_bytes) || lit.size_bytes > INT64_MAX;
    lit.awaits_continuation = !is_plus;
    lit.may_hold_nul = at >= 2 && text.ptr[at - 2] == '~';
    *header_bytes = line.len - (at - 1) + (lit.may_hold_nul ? 1 : 0);
    *out = lit;
    return true;
}
