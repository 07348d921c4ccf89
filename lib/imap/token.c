/* SPDX-License-Identifier: Apache-2.0 */
#include "imap/token.h"

#include "base/limits.h"
#include "imap/command_framer.h"
#include "imap/internal.h"
#include "imap/literal.h"

bool imap_is_atom_char(uint8_t c)
{
    return c > ' ' && c < 0x7f && c != '(' && c != ')' && c != '{' && c != '%' && c != '*' &&
           c != '"' && c != '\\' && c != ']';
}

bool imap_is_astring_char(uint8_t c)
{
    return imap_is_atom_char(c) || c == ']';
}

bool imap_is_list_char(uint8_t c)
{
    return imap_is_astring_char(c) || c == '%' || c == '*';
}

static bool is_tag_char(uint8_t c)
{
    return imap_is_astring_char(c) && c != '+';
}

bool imap_scan_line_end(struct bytes *in)
{
    return scan_text(in, BYTES("\r\n")) || scan_byte(in, '\n');
}

bool imap_scan_spaces(struct bytes *in)
{
    size_t before = in->len;

    while (scan_byte(in, ' '))
        ;
    return in->len < before;
}

bool imap_open_list(struct bytes *in)
{
    if (!scan_byte(in, '('))
        return false;
    (void)imap_scan_spaces(in);
    return true;
}

bool imap_has_next(struct bytes *in)
{
    return imap_scan_spaces(in) && in->len > 0 && in->ptr[0] != ')';
}

struct bytes imap_scan_while(struct bytes *in, bool (*is_member)(uint8_t c))
{
    struct bytes run = { in->ptr, 0 };

    while (run.len < in->len && is_member(in->ptr[run.len]))
        run.len++;
    *in = (struct bytes){ run.len == 0 ? in->ptr : in->ptr + run.len, in->len - run.len };
    return run;
}

bool imap_grow_items(struct arena *arena, void *items, size_t item_size, size_t count, size_t *room,
                     size_t max, struct err *err)
{
    void *old;
    void *wider = NULL;
    size_t wanted;

    if (count >= max)
        return err_fail(err, ERR_LIMIT, "more than %zu items", max);
    if (count < *room)
        return true;
    wanted = *room == 0 ? 8 : *room * 2;
    if (!arena_try_alloc(arena, wanted, item_size, &wider, err))
        return false;
    memcpy(&old, items, sizeof old);
    if (count > 0)
        memcpy(wider, old, count * item_size);
    memcpy(items, &wider, sizeof wider);
    *room = wanted;
    return true;
}

static bool read_run(struct bytes *in, bool (*is_member)(uint8_t c), const char *what,
                     struct bytes *out, struct err *err)
{
    struct bytes run = imap_scan_while(in, is_member);

    if (run.len == 0)
        return err_fail(err, ERR_SYNTAX, "%s expected", what);
    *out = run;
    return true;
}

bool imap_read_tag(struct bytes *in, struct bytes *out, struct err *err)
{
    struct bytes rest = *in;
    struct bytes tag;

    if (!read_run(&rest, is_tag_char, "tag", &tag, err))
        return false;
    if (tag.len > IMAP_TAG_BYTES)
        return err_fail(err, ERR_LIMIT, "tag of more than %d bytes", IMAP_TAG_BYTES);
    *in = rest;
    *out = tag;
    return true;
}

bool imap_read_atom(struct bytes *in, struct bytes *out, struct err *err)
{
    return read_run(in, imap_is_atom_char, "atom", out, err);
}

bool imap_read_space(struct bytes *in, struct err *err)
{
    return imap_scan_spaces(in) || err_fail(err, ERR_SYNTAX, "space expected");
}

static bool unescape(struct bytes raw, struct arena *arena, struct bytes *out, struct err *err)
{
    void *room = NULL;
    uint8_t *to;
    size_t len = 0;

    if (!arena_try_alloc(arena, raw.len, 1, &room, err))
        return false;
    to = room;
    for (size_t i = 0; i < raw.len; i++) {
        if (raw.ptr[i] == '\\')
            i++; /* never the last octet: imap_read_quoted saw to it */
        to[len++] = raw.ptr[i];
    }
    *out = bytes_of(room, len);
    return true;
}

bool imap_read_quoted(struct bytes *in, struct arena *arena, struct bytes *out, struct err *err)
{
    struct bytes rest = *in;
    bool has_escape = false;
    size_t len = 0;

    if (!scan_byte(&rest, '"'))
        return err_fail(err, ERR_SYNTAX, "quoted string expected");
    while (len < rest.len && rest.ptr[len] != '"') {
        uint8_t c = rest.ptr[len];

        if (c == '\r' || c == '\n' || c == '\0')
            return err_fail(err, ERR_SYNTAX, "CR, LF or NUL in quoted string");
        if (c == '\\') {
            has_escape = true;
            len++;
            if (len == rest.len || (rest.ptr[len] != '"' && rest.ptr[len] != '\\'))
                return err_fail(err, ERR_SYNTAX, "only \\\" and \\\\ are escapes");
        }
        len++;
    }
    if (len == rest.len)
        return err_fail(err, ERR_SYNTAX, "quoted string not closed");

    if (has_escape) {
        if (!unescape(bytes_slice(rest, 0, len), arena, out, err))
            return false;
    } else {
        *out = bytes_of(rest.ptr, len);
    }
    *in = bytes_of(rest.ptr + len + 1, rest.len - len - 1);
    return true;
}

bool imap_read_string(struct bytes *in, struct arena *arena, struct bytes *out, struct err *err)
{
    struct bytes rest = *in;
    struct imap_literal lit;
    struct bytes octets;

    if (in->len > 0 && in->ptr[0] == '"')
        return imap_read_quoted(in, arena, out, err);
    if (!imap_read_literal(&rest, INT64_MAX, &lit, err)) {
        err->code = ERR_NONE;
        return err_fail(err, ERR_SYNTAX, "string expected");
    }
    if (lit.size_bytes > rest.len || !scan_octets(&rest, (size_t)lit.size_bytes, &octets))
        return err_fail(err, ERR_SYNTAX, "literal cut short");
    if (lit.may_hold_nul || bytes_find_byte(octets, '\0') >= 0)
        return err_fail(err, ERR_SYNTAX, "NUL or literal8 where text is expected");
    *in = rest;
    *out = octets;
    return true;
}

static bool read_string_or_run(struct bytes *in, struct arena *arena, bool (*is_member)(uint8_t c),
                               struct bytes *out, struct err *err)
{
    if (in->len > 0 && is_member(in->ptr[0]))
        return read_run(in, is_member, "string", out, err);
    return imap_read_string(in, arena, out, err);
}

bool imap_read_astring(struct bytes *in, struct arena *arena, struct bytes *out, struct err *err)
{
    return read_string_or_run(in, arena, imap_is_astring_char, out, err);
}

bool imap_read_list_mailbox(struct bytes *in, struct arena *arena, struct bytes *out,
                            struct err *err)
{
    return read_string_or_run(in, arena, imap_is_list_char, out, err);
}

bool imap_read_nstring(struct bytes *in, struct arena *arena, struct bytes *out, bool *is_nil,
                       struct err *err)
{
    struct bytes rest = *in;

    if (scan_text_nocase(&rest, BYTES("NIL")) &&
        (rest.len == 0 || !imap_is_astring_char(rest.ptr[0]))) {
        *in = rest;
        *out = (struct bytes){ NULL, 0 };
        *is_nil = true;
        return true;
    }
    if (!imap_read_string(in, arena, out, err))
        return false;
    *is_nil = false;
    return true;
}

bool imap_read_number(struct bytes *in, uint32_t *out, struct err *err)
{
    return scan_u32(in, out) || err_fail(err, ERR_SYNTAX, "number expected");
}

bool imap_read_nz_number(struct bytes *in, uint32_t *out, struct err *err)
{
    struct bytes rest = *in;
    uint32_t number;

    if (!scan_u32(&rest, &number) || number == 0)
        return err_fail(err, ERR_SYNTAX, "number from 1 to 4294967295 expected");
    *in = rest;
    *out = number;
    return true;
}

bool imap_read_number64(struct bytes *in, uint64_t *out, struct err *err)
{
    struct bytes rest = *in;
    uint64_t number;

    if (!scan_u64(&rest, &number) || number > INT64_MAX)
        return err_fail(err, ERR_SYNTAX, "number expected");
    *in = rest;
    *out = number;
    return true;
}
