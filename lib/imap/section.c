/* SPDX-License-Identifier: Apache-2.0 */
#include "imap/section.h"

static const struct mime_part *find_child(const struct mime_part *part, uint32_t number)
{
    const struct mime_part *child = part->children;

    for (; child != NULL && number > 1; number--)
        child = child->next;
    return child;
}

/*
 * A number chooses among the parts of a multipart; of anything else 1 is the body itself. Where more
 * numbers follow a message/rfc822, they choose inside the message within.
 */
static const struct mime_part *find_part(const struct mime_part *part, const uint32_t *numbers,
                                         size_t count)
{
    for (size_t i = 0; i < count && part != NULL; i++) {
        bool is_last = i + 1 == count;

        if (part->is_multipart)
            part = find_child(part, numbers[i]);
        else if (numbers[i] != 1 || (!is_last && !part->is_message))
            part = NULL;
        if (part != NULL && part->is_message && !is_last)
            part = part->children;
    }
    return part;
}

static struct imap_section_range header_of(const struct mime_part *part)
{
    return (struct imap_section_range){ .offset = part->header_offset,
                                        .size_bytes = part->header_bytes };
}

static struct imap_section_range body_of(const struct mime_part *part)
{
    return (struct imap_section_range){ .offset = mime_body_offset(part),
                                        .size_bytes = part->body_bytes };
}

struct imap_section_range imap_find_section(const struct mime_part *root,
                                            const struct imap_section *section)
{
    const struct imap_section_range absent = { .is_absent = true };
    const struct mime_part *part = find_part(root, section->parts, section->part_count);
    const struct mime_part *message = part;
    struct imap_section_range range;

    if (part == NULL)
        return absent;
    if (section->part_count > 0)
        message = part->is_message ? part->children : NULL;
    switch (section->text) {
    case IMAP_SECTION_ALL:
        range = body_of(part);
        if (section->part_count == 0) {
            range.offset = 0;
            range.size_bytes += part->header_bytes;
        }
        return range;
    case IMAP_SECTION_MIME:
        return header_of(part);
    case IMAP_SECTION_HEADER:
        return message == NULL ? absent : header_of(message);
    case IMAP_SECTION_HEADER_FIELDS:
    case IMAP_SECTION_HEADER_FIELDS_NOT:
        range = message == NULL ? absent : header_of(message);
        range.is_fields = !range.is_absent;
        return range;
    case IMAP_SECTION_TEXT:
        return message == NULL ? absent : body_of(message);
    }
    UNREACHABLE();
}

struct imap_section_range imap_cut_section(struct imap_section_range whole,
                                           const struct imap_partial *partial)
{
    uint64_t start = partial->start;

    if (!partial->is_set)
        return whole;
    if (start > whole.size_bytes)
        start = whole.size_bytes;
    whole.offset += start;
    whole.size_bytes -= start;
    if (whole.size_bytes > partial->count)
        whole.size_bytes = partial->count;
    return whole;
}
