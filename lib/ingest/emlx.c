/* SPDX-License-Identifier: Apache-2.0 */
#include "ingest/emlx.h"

#include "base/checked.h"
#include "vault/flag.h"

#define SECONDS_MAX UINT64_C(253402300799) /* the end of the year 9999 */

enum {
    COUNT_BYTES_MAX = 32, /* of the first line */
};

bool ingest_is_emlx(struct bytes name)
{
    return name.len > BYTES(".emlx").len && bytes_end_with_nocase(name, BYTES(".emlx"));
}

bool ingest_is_partial_emlx(struct bytes name)
{
    return name.len > BYTES(".partial.emlx").len &&
           bytes_end_with_nocase(name, BYTES(".partial.emlx"));
}

bool ingest_read_emlx(struct bytes head, uint64_t file_bytes, uint64_t *offset, uint64_t *bytes,
                      struct err *err)
{
    struct bytes rest = bytes_slice(head, 0, COUNT_BYTES_MAX);
    uint64_t count, start, end;

    if (!scan_u64(&rest, &count))
        return err_fail(err, ERR_SYNTAX, "an .emlx begins with the length of its message");
    while (scan_byte(&rest, ' '))
        ;
    (void)!scan_byte(&rest, '\r');
    if (!scan_byte(&rest, '\n'))
        return err_fail(err, ERR_SYNTAX, "an .emlx begins with the length of its message");
    start = (uint64_t)(rest.ptr - head.ptr);
    if (count == 0 || !checked_add(start, count, &end) || end > file_bytes)
        return err_fail(err, ERR_SYNTAX, "is shorter than its message of %ju octets",
                        (uintmax_t)count);
    *offset = start;
    *bytes = count;
    return true;
}

/* The number behind "<key>name</key>": <integer>12</integer>, <real>12.5</real>. */
static bool find_number(struct bytes tail, struct bytes key, uint64_t *out)
{
    ssize_t at = bytes_find(tail, key);
    struct bytes rest;

    if (at < 0)
        return false;
    rest = bytes_slice(tail, (size_t)at + key.len, SIZE_MAX);
    while (rest.len > 0 && rest.ptr[0] <= ' ')
        rest = bytes_slice(rest, 1, SIZE_MAX);
    return (scan_text(&rest, BYTES("<integer>")) || scan_text(&rest, BYTES("<real>"))) &&
           scan_u64(&rest, out);
}

void ingest_read_emlx_facts(struct bytes tail, struct ingest_emlx_facts *out)
{
    static const struct {
        uint8_t bit;
        uint8_t flag;
    } flags[] = { { 0, VAULT_FLAG_SEEN },
                  { 1, VAULT_FLAG_DELETED },
                  { 2, VAULT_FLAG_ANSWERED },
                  { 4, VAULT_FLAG_FLAGGED },
                  { 6, VAULT_FLAG_DRAFT } };
    uint64_t number;

    *out = (struct ingest_emlx_facts){ 0 };
    tail = bytes_slice(tail, 0, INGEST_EMLX_TAIL_BYTES);
    if (find_number(tail, BYTES("<key>flags</key>"), &number))
        for (size_t i = 0; i < ARRAY_LEN(flags); i++)
            if ((number >> flags[i].bit & 1) != 0)
                out->flags |= flags[i].flag;
    out->has_date = find_number(tail, BYTES("<key>date-received</key>"), &number) && number > 0 &&
                    number <= SECONDS_MAX;
    if (out->has_date)
        out->received_usec = (int64_t)number * 1000000;
}
