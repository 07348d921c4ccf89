/* SPDX-License-Identifier: Apache-2.0 */
#include "mime/part.h"

const struct mime_part *mime_next_part(const struct mime_part *part)
{
    if (part->children != NULL)
        return part->children;
    while (part != NULL && part->next == NULL)
        part = part->parent;
    return part == NULL ? NULL : part->next;
}

const struct mime_param *mime_find_param(const struct mime_param *params, size_t count,
                                         struct bytes name)
{
    for (size_t i = 0; i < count; i++)
        if (bytes_equal_nocase(params[i].name, name))
            return &params[i];
    return NULL;
}

bool mime_part_is(const struct mime_part *part, struct bytes type, struct bytes subtype)
{
    struct bytes own_type = BYTES("text");
    struct bytes own_subtype = BYTES("plain");

    if (part->is_message) {
        own_type = BYTES("message");
        own_subtype = BYTES("rfc822");
    } else if (part->content.type != NULL && part->content.type->len > 0) {
        own_type = *part->content.type;
        own_subtype = part->content.subtype;
    }
    return bytes_equal_nocase(own_type, type) &&
           (subtype.len == 0 || bytes_equal_nocase(own_subtype, subtype));
}
