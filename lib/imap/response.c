/* SPDX-License-Identifier: Apache-2.0 */
#include "imap/response.h"

#include "imap/internal.h"
#include "imap/token.h"

static const struct {
    struct bytes name;
    enum imap_response_kind kind;
} kinds[] = {
    { BYTES_INIT("CAPABILITY"), IMAP_RESPONSE_CAPABILITY },
    { BYTES_INIT("ENABLED"), IMAP_RESPONSE_ENABLED },
    { BYTES_INIT("LIST"), IMAP_RESPONSE_LIST },
    { BYTES_INIT("XLIST"), IMAP_RESPONSE_LIST },
    { BYTES_INIT("LSUB"), IMAP_RESPONSE_LSUB },
    { BYTES_INIT("STATUS"), IMAP_RESPONSE_MAILBOX_STATUS },
    { BYTES_INIT("SEARCH"), IMAP_RESPONSE_SEARCH },
    { BYTES_INIT("ESEARCH"), IMAP_RESPONSE_ESEARCH },
    { BYTES_INIT("FLAGS"), IMAP_RESPONSE_FLAGS },
    { BYTES_INIT("NAMESPACE"), IMAP_RESPONSE_NAMESPACE },
    { BYTES_INIT("VANISHED"), IMAP_RESPONSE_VANISHED },
    { BYTES_INIT("ID"), IMAP_RESPONSE_ID },
}, numbered[] = {
    { BYTES_INIT("EXISTS"), IMAP_RESPONSE_EXISTS },
    { BYTES_INIT("RECENT"), IMAP_RESPONSE_RECENT },
    { BYTES_INIT("EXPUNGE"), IMAP_RESPONSE_EXPUNGE },
    { BYTES_INIT("FETCH"), IMAP_RESPONSE_FETCH },
};

bool imap_words_have(const struct imap_words *words, struct bytes word)
{
    for (size_t i = 0; i < words->count; i++)
        if (bytes_equal_nocase(words->words[i], word))
            return true;
    return false;
}

static bool parse_numbered(struct response_reader *r, uint32_t number, struct imap_response *out)
{
    bool is_pending_body = false;

    imap_skip_spaces(r);
    out->name = imap_take_word(r);
    for (size_t i = 0; i < ARRAY_LEN(numbered); i++)
        if (bytes_equal_nocase(out->name, numbered[i].name))
            out->kind = numbered[i].kind;
    if (out->kind != IMAP_RESPONSE_FETCH) {
        out->number = number;
        return true;
    }
    out->fetch = (struct imap_fetch_response){ .seq = { number } };
    if (!imap_parse_fetch(r, &out->fetch, &is_pending_body))
        return false;
    return !is_pending_body || imap_fail_response(r, "octets of literal");
}

static bool parse_data(struct response_reader *r, struct imap_response *out)
{
    switch (out->kind) {
    case IMAP_RESPONSE_CAPABILITY:
    case IMAP_RESPONSE_ENABLED:
        return imap_take_words(r, &out->words);
    case IMAP_RESPONSE_LIST:
    case IMAP_RESPONSE_LSUB:
        return imap_parse_list(r, &out->list);
    case IMAP_RESPONSE_MAILBOX_STATUS:
        return imap_parse_mailbox_status(r, &out->mailbox_status);
    case IMAP_RESPONSE_SEARCH:
        return imap_parse_search(r, &out->search);
    case IMAP_RESPONSE_ESEARCH:
        return imap_parse_esearch(r, &out->search);
    case IMAP_RESPONSE_FLAGS:
        imap_skip_spaces(r);
        return imap_read_flags(&r->in, r->arena, &out->flags, r->err);
    case IMAP_RESPONSE_NAMESPACE:
        return imap_parse_namespace(r, &out->namespace);
    case IMAP_RESPONSE_ID:
        return imap_parse_id(r, &out->id);
    case IMAP_RESPONSE_VANISHED:
        return imap_parse_vanished(r, &out->vanished);
    case IMAP_RESPONSE_OTHER:
        return true;
    case IMAP_RESPONSE_CONTINUATION:
    case IMAP_RESPONSE_STATUS:
    case IMAP_RESPONSE_EXISTS:
    case IMAP_RESPONSE_RECENT:
    case IMAP_RESPONSE_EXPUNGE:
    case IMAP_RESPONSE_FETCH:
        break;
    }
    UNREACHABLE();
}

static bool parse_untagged(struct response_reader *r, struct imap_response *out)
{
    struct bytes before;
    enum imap_condition ignored;
    uint32_t number;

    imap_skip_spaces(r);
    before = r->in;
    if (scan_u32(&r->in, &number) && r->in.len > 0 && r->in.ptr[0] == ' ')
        return parse_numbered(r, number, out);
    r->in = before;
    out->name = imap_take_word(r);
    if (out->name.len == 0)
        return imap_fail_response(r, "name");
    if (imap_word_to_condition(out->name, &ignored))
        return imap_parse_status(r, out->name, out);
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (bytes_equal_nocase(out->name, kinds[i].name))
            out->kind = kinds[i].kind;
    return parse_data(r, out);
}

bool imap_parse_response(const struct imap_received *received, struct arena *arena,
                         struct imap_response *out, struct err *err)
{
    struct response_reader r = { received->text, received, arena, err, false };
    struct imap_response response = { 0 };

    if (scan_byte(&r.in, '+')) {
        imap_skip_spaces(&r);
        response.kind = IMAP_RESPONSE_CONTINUATION;
        response.status.text = r.in;
    } else if (scan_text(&r.in, BYTES("* "))) {
        if (!parse_untagged(&r, &response))
            return false;
    } else {
        if (!imap_read_tag(&r.in, &response.tag, err) || !imap_read_space(&r.in, err))
            return false;
        response.name = imap_take_word(&r);
        if (!imap_parse_status(&r, response.name, &response))
            return false;
    }
    *out = response;
    return true;
}

bool imap_peek_fetch(const struct imap_received *received, struct arena *arena,
                     struct imap_fetch_response *out)
{
    struct err ignored;
    struct response_reader r = { received->text, received, arena, &ignored, true };
    struct imap_fetch_response fetch = { 0 };
    bool is_pending_body = false;

    if (!scan_text(&r.in, BYTES("* ")))
        return false;
    imap_skip_spaces(&r); /* as lenient as imap_parse_response */
    if (!scan_u32(&r.in, &fetch.seq.n) || !scan_byte(&r.in, ' '))
        return false;
    imap_skip_spaces(&r);
    if (!bytes_equal_nocase(imap_take_word(&r), BYTES("FETCH")) ||
        !imap_parse_fetch(&r, &fetch, &is_pending_body) || !is_pending_body)
        return false;
    *out = fetch;
    return true;
}
