/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mime/address.h - the addresses of From, To and their kin, one after the other.
 *
 * Lenient: every value gives some list. Where a piece that ENVELOPE must show is missing or broken,
 * a word in capitals stands for it, the same as Dovecot's: a NIL host would mean a group (RFC 3501
 * §7.4.2). Display names are unquoted and unfolded, not decoded (mime/word.h).
 *
 * Pure; memory for one address at a time, whatever the length of the list. RFC 5322 §3.4, §4.4.
 */
#pragma once

#include "base/buf.h"
#include "base/bytes.h"

enum mime_address_kind {
    MIME_ADDRESS_MAILBOX,
    MIME_ADDRESS_GROUP_START, /* mailbox is the group's name */
    MIME_ADDRESS_GROUP_END,
};

struct mime_address {
    enum mime_address_kind kind;
    struct bytes name;    /* has_name: display name, or the comment behind the address */
    struct bytes route;   /* has_route: "@a,@b" */
    struct bytes mailbox; /* local part */
    struct bytes domain;
    bool has_name, has_route;
    bool is_broken; /* a piece was missing or not as RFC 5322 has it */
};

struct mime_address_reader { /* all private */
    struct bytes rest;
    bool is_in_group;
    bool is_at_start; /* of an address, or of the first mailbox of a group */
    bool is_done;
    struct buf *scratch;
};

/* The ceiling that the scratch buffer needs: a route may come out longer than it was. */
static inline size_t mime_address_scratch_bytes(struct bytes value)
{
    return 2 * value.len + 64;
}

/* scratch: of that ceiling at least; each address overwrites it. */
struct mime_address_reader mime_read_addresses(struct bytes value, struct buf *scratch);

/* The next one, borrowed from the scratch buffer until the next call; false at the end. Every
 * GROUP_START is followed by its GROUP_END. */
MUST_USE bool mime_next_address(struct mime_address_reader *reader, struct mime_address *out);

/*
 * Appends the list as one text in one form, as Dovecot's SEARCH FROM, TO … reads it: addresses and
 * groups between ", ", each address in "<>", display names that are not all atoms in quotes, comments as
 * display names; encoded words are still encoded. Behind a list with something broken in it stands the value itself,
 * so that nothing of it is lost.
 */
void mime_write_address_list(struct bytes value, struct buf *out);
