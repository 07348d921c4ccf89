/* SPDX-License-Identifier: Apache-2.0 */
/* SEARCH, ESEARCH and VANISHED responses. RFC 9051 §7.3.4, RFC 3501 §7.2.5, RFC 7162 §3.2.10. */
#include "base/limits.h"
#include "imap/internal.h"

static size_t count_words(struct bytes in)
{
    size_t count = 0;

    for (size_t i = 0; i < in.len; i++)
        if (in.ptr[i] != ' ' && (i == 0 || in.ptr[i - 1] == ' '))
            count++;
    return count;
}

/* "(MODSEQ n)" behind the numbers, RFC 7162 §3.1.5. */
static bool take_search_modseq(struct response_reader *r, struct imap_search_response *out)
{
    if (!scan_text_nocase(&r->in, BYTES("MODSEQ ")) || !imap_take_u64(r, &out->modseq) ||
        !scan_byte(&r->in, ')'))
        return imap_fail_response(r, "MODSEQ");
    return true;
}

bool imap_parse_search(struct response_reader *r, struct imap_search_response *out)
{
    void *room = NULL;
    uint32_t *numbers;

    if (!arena_try_alloc(r->arena, count_words(r->in), sizeof *numbers, &room, r->err))
        return false;
    numbers = room;
    out->numbers = numbers;
    for (;;) {
        imap_skip_spaces(r);
        if (r->in.len == 0)
            return true;
        if (scan_byte(&r->in, '(')) {
            if (!take_search_modseq(r, out))
                return false;
        } else if (scan_u32(&r->in, &numbers[out->count])) {
            out->count++;
            if (r->in.len > 0 && r->in.ptr[0] != ' ')
                return imap_fail_response(r, "space");
        } else {
            return imap_fail_response(r, "number");
        }
    }
}

static bool take_set(struct response_reader *r, struct imap_set *out)
{
    struct imap_sequence_set set;

    if (!imap_read_set(&r->in, LIMIT_RESPONSE_LINE_BYTES, r->arena, &set, r->err))
        return false;
    if (set.has_star || set.is_saved_result)
        return imap_fail_response(r, "numbers");
    *out = imap_resolve_set(&set, 0, r->arena);
    return true;
}

static bool take_correlator(struct response_reader *r, struct imap_search_response *out)
{
    if (!scan_text_nocase(&r->in, BYTES("(TAG ")))
        return true;
    if (!imap_take_text(r, true, &out->tag) || !scan_byte(&r->in, ')'))
        return imap_fail_response(r, "tag");
    return true;
}

static bool take_return_value(struct response_reader *r, struct bytes name,
                              struct imap_search_response *out)
{
    if (bytes_equal_nocase(name, BYTES("ALL"))) {
        out->has_all = true;
        return take_set(r, &out->all);
    }
    if (bytes_equal_nocase(name, BYTES("MIN"))) {
        out->has_min = true;
        return scan_u32(&r->in, &out->min);
    }
    if (bytes_equal_nocase(name, BYTES("MAX"))) {
        out->has_max = true;
        return scan_u32(&r->in, &out->max);
    }
    if (bytes_equal_nocase(name, BYTES("COUNT"))) {
        out->has_count = true;
        return imap_take_u64(r, &out->match_count);
    }
    if (bytes_equal_nocase(name, BYTES("MODSEQ")))
        return imap_take_u64(r, &out->modseq);
    return imap_skip_value(r);
}

bool imap_parse_esearch(struct response_reader *r, struct imap_search_response *out)
{
    imap_skip_spaces(r);
    if (!take_correlator(r, out))
        return false;
    for (;;) {
        struct bytes name;

        imap_skip_spaces(r);
        if (r->in.len == 0)
            return true;
        name = imap_take_word(r);
        if (name.len == 0)
            return imap_fail_response(r, "search return item");
        if (bytes_equal_nocase(name, BYTES("UID"))) {
            out->is_uid = true;
            continue;
        }
        imap_skip_spaces(r);
        if (!take_return_value(r, name, out))
            return imap_fail_response(r, "search return value");
    }
}

bool imap_parse_vanished(struct response_reader *r, struct imap_vanished_response *out)
{
    imap_skip_spaces(r);
    out->is_earlier = scan_text_nocase(&r->in, BYTES("(EARLIER)"));
    imap_skip_spaces(r);
    return take_set(r, &out->uids);
}
