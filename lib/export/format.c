/* SPDX-License-Identifier: Apache-2.0 */
#include "export/internal.h"

// clang-format off
static const struct export_format formats[] = {
    { "mbox",    ".mbox",    export_add_mbox,    export_end_mbox },
    { "eml",     ".eml",     export_add_eml,     export_end_folder },
    { "maildir", ".maildir", export_add_maildir, export_end_folder },
};
// clang-format on

const struct export_format *export_find_format(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(formats); i++)
        if (strcmp(formats[i].name, name) == 0)
            return &formats[i];
    return NULL;
}

bool export_knows_format(const char *name)
{
    return export_find_format(name) != NULL;
}
