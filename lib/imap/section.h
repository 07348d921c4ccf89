/* SPDX-License-Identifier: Apache-2.0 */
/*
 * imap/section.h - which octets of a message BODY[…] means.
 *
 * Pure. Part numbers are those of RFC 3501 §6.4.5: a message that is not a multipart has part 1, its
 * body; numbers go on inside message/rfc822 with the parts of the message within.
 */
#pragma once

#include "imap/fetch_args.h"
#include "mime/part.h"

struct imap_section_range {
    uint64_t offset; /* within the message */
    uint64_t size_bytes;
    bool is_absent; /* no such part: NIL */
    bool is_fields; /* of the header in this range, only the named fields: mime_next_selected */
};

struct imap_section_range imap_find_section(const struct mime_part *root,
                                            const struct imap_section *section);

/* The range that BODY[…]<start.count> means, of a whole of size_bytes. */
struct imap_section_range imap_cut_section(struct imap_section_range whole,
                                           const struct imap_partial *partial);
