/* SPDX-License-Identifier: Apache-2.0 */
/*
 * imap/envelope.h - an ENVELOPE as values, from what imap_write_envelope wrote (imap/structure.h): so a
 * listing needs neither the octets of a message nor its parser.
 *
 * Values are as they stood in the header, unfolded, not decoded: mime_decode_words makes text of them.
 * NULL: there was no such field. Pure; borrowed from the input or in the arena. RFC 9051 §7.5.2.
 */
#pragma once

#include "base/arena.h"
#include "base/bytes.h"
#include "base/err.h"

struct imap_address {
    const struct bytes *name;
    const struct bytes *mailbox; /* name of a group, where host is NULL; at its end NULL */
    const struct bytes *host;
    const struct imap_address *next;
};

struct imap_envelope {
    const struct bytes *date, *subject, *in_reply_to, *message_id;
    const struct imap_address *from, *sender, *reply_to, *to, *cc, *bcc;
};

/* The whole of `stored`. ERR_CORRUPT: not an ENVELOPE. ERR_LIMIT: over the arena's ceiling. */
MUST_USE bool imap_read_envelope(struct bytes stored, struct arena *arena,
                                 struct imap_envelope *out, struct err *err);
