/* SPDX-License-Identifier: Apache-2.0 */
#include "imap/envelope.h"

#include "imap/token.h"

struct envelope_reader {
    struct bytes in;
    struct arena *arena;
    struct err *err;
};

/* A string; NULL for NIL. */
static bool read_value(struct envelope_reader *r, const struct bytes **out)
{
    struct bytes value;
    bool is_nil;
    void *room;

    if (!imap_read_nstring(&r->in, r->arena, &value, &is_nil, r->err) ||
        !arena_try_alloc(r->arena, 1, sizeof value, &room, r->err))
        return false;
    *out = NULL;
    if (!is_nil) {
        *(struct bytes *)room = value;
        *out = room;
    }
    return true;
}

static bool expect(struct envelope_reader *r, uint8_t c)
{
    return scan_byte(&r->in, c) || err_fail(r->err, ERR_SYNTAX, "not where it should be");
}

/* "(" name SP route SP mailbox SP host ")" */
static bool read_address(struct envelope_reader *r, struct imap_address *out)
{
    const struct bytes *route;

    return expect(r, '(') && read_value(r, &out->name) && expect(r, ' ') && read_value(r, &route) &&
           expect(r, ' ') && read_value(r, &out->mailbox) && expect(r, ' ') &&
           read_value(r, &out->host) && expect(r, ')');
}

/* NIL, or "(" 1*address ")" */
static bool read_list(struct envelope_reader *r, const struct imap_address **out)
{
    const struct imap_address **at = out;

    *out = NULL;
    if (scan_text_nocase(&r->in, BYTES("NIL")))
        return true;
    if (!expect(r, '('))
        return false;
    while (!scan_byte(&r->in, ')')) {
        struct imap_address *address;
        void *room;

        if (!arena_try_alloc(r->arena, 1, sizeof *address, &room, r->err))
            return false;
        address = room;
        if (!read_address(r, address))
            return false;
        *at = address;
        at = &address->next;
    }
    return true;
}

static bool read_all(struct envelope_reader *r, struct imap_envelope *out)
{
    return expect(r, '(') && read_value(r, &out->date) && expect(r, ' ') &&
           read_value(r, &out->subject) && expect(r, ' ') && read_list(r, &out->from) &&
           expect(r, ' ') && read_list(r, &out->sender) && expect(r, ' ') &&
           read_list(r, &out->reply_to) && expect(r, ' ') && read_list(r, &out->to) &&
           expect(r, ' ') && read_list(r, &out->cc) && expect(r, ' ') && read_list(r, &out->bcc) &&
           expect(r, ' ') && read_value(r, &out->in_reply_to) && expect(r, ' ') &&
           read_value(r, &out->message_id) && expect(r, ')');
}

bool imap_read_envelope(struct bytes stored, struct arena *arena, struct imap_envelope *out,
                        struct err *err)
{
    struct envelope_reader r = { .in = stored, .arena = arena, .err = err };
    struct imap_envelope envelope;

    if (!read_all(&r, &envelope) || r.in.len > 0) {
        if (err->code == ERR_LIMIT)
            return false;
        err_clear(err);
        return err_fail(err, ERR_CORRUPT, "a stored ENVELOPE is damaged");
    }
    *out = envelope;
    return true;
}
