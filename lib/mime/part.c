/* SPDX-License-Identifier: Apache-2.0 */
#include "mime/part.h"

#include "mime/transfer.h"

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

bool mime_is_encoded_message(const struct mime_part *part)
{
    bool is_known;

    return part->is_message &&
           mime_transfer_of(part->content.encoding, &is_known) != MIME_TRANSFER_IDENTITY;
}

static bool has_file_name(const struct mime_part *part)
{
    static const struct bytes names[] = { BYTES_INIT("filename"), BYTES_INIT("filename*"),
                                          BYTES_INIT("name"), BYTES_INIT("name*") };
    const struct mime_content *content = &part->content;

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const struct mime_param *param =
            i < 2 ? mime_find_param(content->disposition_params, content->disposition_param_count,
                                    names[i])
                  : mime_find_param(content->params, content->param_count, names[i]);

        if (param != NULL && param->value.len > 0)
            return true;
    }
    return false;
}

static bool is_signature(const struct mime_part *part)
{
    const struct mime_part *parent = part->parent;

    return parent != NULL && parent->is_multipart && parent->children->next == part &&
           mime_part_is(parent, BYTES("multipart"), BYTES("signed"));
}

bool mime_is_attachment(const struct mime_part *part)
{
    const struct bytes *disposition = part->content.disposition;

    if (is_signature(part))
        return false;
    if ((disposition != NULL && bytes_equal_nocase(*disposition, BYTES("attachment"))) ||
        has_file_name(part))
        return true;
    return !part->is_multipart && !mime_part_is(part, BYTES("text"), BYTES(""));
}

bool mime_has_attachment(const struct mime_part *root)
{
    for (const struct mime_part *part = root; part != NULL; part = mime_next_part(part)) {
        if (mime_is_attachment(part))
            return true;
    }
    return false;
}
