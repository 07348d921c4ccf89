/* SPDX-License-Identifier: Apache-2.0 */
/* FETCH responses: items in any order, unknown ones skipped. RFC 9051 §7.5.2. */
#include "imap/internal.h"

/* Takes an item's name: a word, with "[section]" and "<origin>" as parts of it. */
static struct bytes take_item_name(struct response_reader *r)
{
    struct bytes start = r->in;
    size_t len = 0;
    bool is_section = false;
    bool is_quoted = false;

    for (; len < start.len; len++) {
        uint8_t c = start.ptr[len];

        if (is_quoted && c == '\\')
            len += len + 1 < start.len;
        else if (is_section && c == '"')
            is_quoted = !is_quoted;
        else if (c == '[' && !is_quoted)
            is_section = true;
        else if (c == ']' && !is_quoted)
            is_section = false;
        else if (!is_section && (c == ' ' || c == '(' || c == ')'))
            break;
    }
    r->in = bytes_of(start.ptr + len, start.len - len);
    return bytes_of(start.ptr, len);
}

static bool take_body(struct response_reader *r, struct imap_fetch_response *out, bool *is_pending)
{
    struct response_string string;

    if (!imap_take_string(r, false, &string))
        return false;
    if (string.is_pending) {
        *is_pending = true;
        return true;
    }
    out->has |= IMAP_HAS_BODY;
    out->body = string.octets;
    out->body_bytes = string.size_bytes;
    out->body_kind = string.is_nil        ? IMAP_BODY_NIL
                     : string.is_streamed ? IMAP_BODY_STREAMED
                                          : IMAP_BODY_TEXT;
    return true;
}

static bool take_in_parentheses(struct response_reader *r, struct bytes *out)
{
    if (!scan_byte(&r->in, '('))
        return imap_fail_response(r, "(");
    imap_skip_spaces(r);
    *out = imap_take_word(r);
    imap_skip_spaces(r);
    return scan_byte(&r->in, ')') || imap_fail_response(r, ")");
}

static bool take_id(struct response_reader *r, uint32_t bit, struct bytes *id,
                    struct imap_fetch_response *out)
{
    if (r->in.len == 0 || r->in.ptr[0] != '(') /* THREADID NIL */
        return imap_skip_value(r);
    out->has |= bit;
    return take_in_parentheses(r, id);
}

static bool take_labels(struct response_reader *r, struct imap_fetch_response *out)
{
    if (r->in.len == 0 || r->in.ptr[0] != '(')
        return imap_skip_value(r);
    if (!imap_take_texts(r, &out->gm_labels))
        return false;
    out->has |= IMAP_HAS_GM_LABELS;
    return true;
}

static bool take_modseq(struct response_reader *r, struct imap_fetch_response *out)
{
    struct bytes number;

    if (!take_in_parentheses(r, &number))
        return false;
    if (!scan_u64(&number, &out->modseq) || number.len > 0)
        return imap_fail_response(r, "MODSEQ");
    out->has |= IMAP_HAS_MODSEQ;
    return true;
}

static bool take_uid(struct response_reader *r, struct imap_fetch_response *out)
{
    uint64_t number;

    if (!imap_take_u64(r, &number))
        return false;
    if (number > 0 && number <= UINT32_MAX) {
        out->uid.n = (uint32_t)number;
        out->has |= IMAP_HAS_UID;
    }
    return true;
}

static bool take_internaldate(struct response_reader *r, struct imap_fetch_response *out)
{
    struct err ignored;

    if (!imap_read_date_time(&r->in, &out->internaldate, &ignored))
        return imap_skip_value(r);
    out->has |= IMAP_HAS_INTERNALDATE;
    return true;
}

static bool take_number(struct response_reader *r, uint32_t bit, uint64_t *number,
                        struct imap_fetch_response *out)
{
    struct bytes before = r->in;

    if (!scan_u64(&r->in, number)) { /* RFC822.SIZE NIL, negative sizes: seen in the wild */
        r->in = before;
        return imap_skip_value(r);
    }
    out->has |= bit;
    return true;
}

static bool take_flags(struct response_reader *r, struct imap_fetch_response *out)
{
    struct err ignored;

    /* NIL, a NUL, no list at all: nothing is known of the flags, and the message is still one. */
    if (!imap_read_flags(&r->in, r->arena, &out->flags, &ignored))
        return imap_skip_value(r);
    out->has |= IMAP_HAS_FLAGS;
    return true;
}

/* Not BODY[]<0>: a range of a body is none. */
static bool is_body(struct bytes name, struct bytes *section)
{
    size_t front = sizeof "BODY[" - 1;

    *section = (struct bytes){ NULL, 0 };
    if (bytes_start_with_nocase(name, BYTES("BODY[")) && name.ptr[name.len - 1] == ']') {
        *section = bytes_slice(name, front, name.len - front - 1);
        return true;
    }
    return bytes_equal_nocase(name, BYTES("BINARY[]")) || bytes_equal_nocase(name, BYTES("RFC822"));
}

static bool take_item(struct response_reader *r, struct bytes name, struct imap_fetch_response *out,
                      bool *is_pending)
{
    struct bytes section;

    if (is_body(name, &section)) {
        out->section = section;
        return take_body(r, out, is_pending);
    }
    if (bytes_equal_nocase(name, BYTES("UID")))
        return take_uid(r, out);
    if (bytes_equal_nocase(name, BYTES("FLAGS")))
        return take_flags(r, out);
    if (bytes_equal_nocase(name, BYTES("INTERNALDATE")))
        return take_internaldate(r, out);
    if (bytes_equal_nocase(name, BYTES("RFC822.SIZE")))
        return take_number(r, IMAP_HAS_RFC822_SIZE, &out->rfc822_size, out);
    if (bytes_equal_nocase(name, BYTES("MODSEQ")))
        return take_modseq(r, out);
    if (bytes_equal_nocase(name, BYTES("X-GM-MSGID")))
        return take_number(r, IMAP_HAS_GM_MSGID, &out->gm_msgid, out);
    if (bytes_equal_nocase(name, BYTES("X-GM-THRID")))
        return take_number(r, IMAP_HAS_GM_THRID, &out->gm_thrid, out);
    if (bytes_equal_nocase(name, BYTES("X-GM-LABELS")))
        return take_labels(r, out);
    if (bytes_equal_nocase(name, BYTES("EMAILID")))
        return take_id(r, IMAP_HAS_EMAILID, &out->emailid, out);
    if (bytes_equal_nocase(name, BYTES("THREADID")))
        return take_id(r, IMAP_HAS_THREADID, &out->threadid, out);
    return imap_skip_value(r);
}

bool imap_parse_fetch(struct response_reader *r, struct imap_fetch_response *out,
                      bool *is_pending_body)
{
    *is_pending_body = false;
    imap_skip_spaces(r);
    if (!scan_byte(&r->in, '('))
        return imap_fail_response(r, "fetch items");
    for (;;) {
        struct bytes name;

        imap_skip_spaces(r);
        if (scan_byte(&r->in, ')'))
            return true;
        name = take_item_name(r);
        if (name.len == 0)
            return imap_fail_response(r, "fetch item");
        imap_skip_spaces(r);
        if (!take_item(r, name, out, is_pending_body))
            return false;
        if (*is_pending_body)
            return true;
    }
}
