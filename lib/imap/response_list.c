/* SPDX-License-Identifier: Apache-2.0 */
/* LIST, LSUB, STATUS, NAMESPACE and ID responses. RFC 9051 §7.3, RFC 2971. */
#include "base/limits.h"
#include "imap/internal.h"

enum {
    NAMESPACES_MAX = 100
};

static const struct {
    struct bytes name;
    uint32_t bits;
} attributes[] = {
    { BYTES_INIT("\\Noselect"), IMAP_MAILBOX_NOSELECT },
    { BYTES_INIT("\\NonExistent"), IMAP_MAILBOX_NONEXISTENT | IMAP_MAILBOX_NOSELECT },
    { BYTES_INIT("\\Noinferiors"), IMAP_MAILBOX_NOINFERIORS },
    { BYTES_INIT("\\HasChildren"), IMAP_MAILBOX_HAS_CHILDREN },
    { BYTES_INIT("\\HasNoChildren"), IMAP_MAILBOX_HAS_NO_CHILDREN },
    { BYTES_INIT("\\Subscribed"), IMAP_MAILBOX_SUBSCRIBED },
    { BYTES_INIT("\\All"), IMAP_MAILBOX_ALL },
    { BYTES_INIT("\\Archive"), IMAP_MAILBOX_ARCHIVE },
    { BYTES_INIT("\\Drafts"), IMAP_MAILBOX_DRAFTS },
    { BYTES_INIT("\\Flagged"), IMAP_MAILBOX_FLAGGED },
    { BYTES_INIT("\\Junk"), IMAP_MAILBOX_JUNK },
    { BYTES_INIT("\\Sent"), IMAP_MAILBOX_SENT },
    { BYTES_INIT("\\Trash"), IMAP_MAILBOX_TRASH },
    { BYTES_INIT("\\Important"), IMAP_MAILBOX_IMPORTANT },
};

static uint32_t attribute_bits(const struct imap_words *words)
{
    uint32_t bits = 0;

    for (size_t i = 0; i < ARRAY_LEN(attributes); i++)
        if (imap_words_have(words, attributes[i].name))
            bits |= attributes[i].bits;
    return bits;
}

static bool take_wire_name(struct response_reader *r, struct bytes *out)
{
    if (!imap_take_text(r, true, out))
        return false;
    return out->len <= LIMIT_MAILBOX_NAME_BYTES ||
           err_fail(r->err, ERR_LIMIT, "mailbox name of %zu bytes", out->len);
}

bool imap_parse_list(struct response_reader *r, struct imap_list_response *out)
{
    imap_skip_spaces(r);
    if (!scan_byte(&r->in, '(') || !imap_take_words(r, &out->attribute_names) ||
        !scan_byte(&r->in, ')'))
        return imap_fail_response(r, "mailbox attributes");
    out->attributes = attribute_bits(&out->attribute_names);
    imap_skip_spaces(r);
    if (!imap_take_delimiter(r, &out->delimiter))
        return false;
    imap_skip_spaces(r);
    if (!take_wire_name(r, &out->wire_name))
        return false;
    imap_skip_spaces(r);
    /* Extended data of LIST-EXTENDED may follow: ("CHILDINFO" …). */
    if (r->in.len > 0 && r->in.ptr[0] == '(' && !imap_skip_value(r))
        return false;
    imap_skip_spaces(r);
    return r->in.len == 0 || imap_fail_response(r, "end of mailbox name");
}

/* Which member a STATUS item goes to. */
static uint64_t *status_member(struct imap_mailbox_status_response *out, uint32_t item)
{
    switch (item) {
    case IMAP_STATUS_MESSAGES:
        return &out->messages;
    case IMAP_STATUS_RECENT:
        return &out->recent;
    case IMAP_STATUS_UIDNEXT:
        return &out->uidnext;
    case IMAP_STATUS_UIDVALIDITY:
        return &out->uidvalidity;
    case IMAP_STATUS_UNSEEN:
        return &out->unseen;
    case IMAP_STATUS_DELETED:
        return &out->deleted;
    case IMAP_STATUS_SIZE:
        return &out->size_bytes;
    case IMAP_STATUS_HIGHESTMODSEQ:
        return &out->highestmodseq;
    }
    return NULL;
}

static bool take_status_value(struct response_reader *r, struct bytes name,
                              struct imap_mailbox_status_response *out)
{
    for (uint32_t item = 1; item < IMAP_STATUS_MAILBOXID; item <<= 1) {
        if (!bytes_equal_nocase(name, imap_status_name(item)))
            continue;
        if (!imap_take_u64(r, status_member(out, item)))
            return false;
        out->has |= item;
        return true;
    }
    if (!bytes_equal_nocase(name, imap_status_name(IMAP_STATUS_MAILBOXID)))
        return imap_skip_value(r);
    if (!scan_byte(&r->in, '('))
        return imap_fail_response(r, "mailbox id");
    out->mailbox_id = imap_take_word(r);
    out->has |= IMAP_STATUS_MAILBOXID;
    return scan_byte(&r->in, ')') || imap_fail_response(r, "mailbox id");
}

bool imap_parse_mailbox_status(struct response_reader *r, struct imap_mailbox_status_response *out)
{
    imap_skip_spaces(r);
    if (!take_wire_name(r, &out->wire_name))
        return false;
    imap_skip_spaces(r);
    if (!scan_byte(&r->in, '('))
        return imap_fail_response(r, "status items");
    for (;;) {
        struct bytes name;

        imap_skip_spaces(r);
        if (scan_byte(&r->in, ')'))
            return true;
        name = imap_take_word(r);
        imap_skip_spaces(r);
        if (name.len == 0 || !take_status_value(r, name, out))
            return imap_fail_response(r, "status item");
    }
}

static bool take_namespace(struct response_reader *r, struct imap_namespace *out)
{
    if (!scan_byte(&r->in, '(') || !imap_take_text(r, false, &out->prefix))
        return imap_fail_response(r, "namespace");
    imap_skip_spaces(r);
    if (!imap_take_delimiter(r, &out->delimiter))
        return false;
    for (imap_skip_spaces(r); !scan_byte(&r->in, ')'); imap_skip_spaces(r))
        if (!imap_skip_value(r)) /* namespace extensions */
            return false;
    return true;
}

static bool take_namespaces(struct response_reader *r, const struct imap_namespace **out,
                            size_t *count)
{
    struct imap_namespace *list = NULL;
    size_t room = 0;

    *count = 0;
    imap_skip_spaces(r);
    if (scan_text_nocase(&r->in, BYTES("NIL")))
        return true;
    if (!scan_byte(&r->in, '('))
        return imap_fail_response(r, "namespaces");
    for (imap_skip_spaces(r); !scan_byte(&r->in, ')'); imap_skip_spaces(r)) {
        if (!imap_grow_items(r->arena, &list, sizeof *list, *count, &room, NAMESPACES_MAX, r->err))
            return false;
        list[*count] = (struct imap_namespace){ 0 };
        if (!take_namespace(r, &list[*count]))
            return false;
        ++*count;
    }
    *out = list;
    return true;
}

bool imap_parse_namespace(struct response_reader *r, struct imap_namespace_response *out)
{
    return take_namespaces(r, &out->personal, &out->personal_count) &&
           take_namespaces(r, &out->others, &out->others_count) &&
           take_namespaces(r, &out->shared, &out->shared_count);
}

/* One field of ID: its name, and a value that may be NIL. */
static bool take_id_field(struct response_reader *r, struct imap_id_response *out)
{
    struct response_string value;
    struct bytes field;

    if (!imap_take_text(r, true, &field))
        return false;
    imap_skip_spaces(r);
    if (!imap_take_string(r, true, &value))
        return false;
    if (bytes_equal_nocase(field, BYTES("name")))
        out->name = value.octets;
    return true;
}

bool imap_parse_id(struct response_reader *r, struct imap_id_response *out)
{
    imap_skip_spaces(r);
    if (scan_text_nocase(&r->in, BYTES("NIL")))
        return true;
    if (!scan_byte(&r->in, '('))
        return imap_fail_response(r, "ID");
    for (imap_skip_spaces(r); !scan_byte(&r->in, ')'); imap_skip_spaces(r))
        if (!take_id_field(r, out))
            return false;
    return true;
}
