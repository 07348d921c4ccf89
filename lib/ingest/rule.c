/* SPDX-License-Identifier: Apache-2.0 */
#include "ingest/rule.h"

#include "imap/mailbox.h"
#include "imap/response.h"

static const struct {
    uint32_t attribute;
    struct bytes name;
} special_uses[] = {
    { IMAP_MAILBOX_ALL, BYTES_INIT("\\All") },
    { IMAP_MAILBOX_ARCHIVE, BYTES_INIT("\\Archive") },
    { IMAP_MAILBOX_DRAFTS, BYTES_INIT("\\Drafts") },
    { IMAP_MAILBOX_FLAGGED, BYTES_INIT("\\Flagged") },
    { IMAP_MAILBOX_JUNK, BYTES_INIT("\\Junk") },
    { IMAP_MAILBOX_SENT, BYTES_INIT("\\Sent") },
    { IMAP_MAILBOX_TRASH, BYTES_INIT("\\Trash") },
    { IMAP_MAILBOX_IMPORTANT, BYTES_INIT("\\Important") },
};

struct bytes ingest_special_use_of(uint32_t attributes)
{
    for (size_t i = 0; i < ARRAY_LEN(special_uses); i++)
        if ((attributes & special_uses[i].attribute) != 0)
            return special_uses[i].name;
    return (struct bytes){ NULL, 0 };
}

void ingest_write_special_uses(struct buf *out, uint32_t attributes)
{
    size_t start = out->len;

    for (size_t i = 0; i < ARRAY_LEN(special_uses); i++) {
        if ((attributes & special_uses[i].attribute) == 0)
            continue;
        if (out->len > start)
            buf_byte(out, ' ');
        buf_append(out, special_uses[i].name);
    }
}

static bool names_use(struct bytes pattern)
{
    return pattern.len > 0 && pattern.ptr[0] == '\\';
}

/* 0: none has this name. */
static uint32_t use_of(struct bytes name)
{
    for (size_t i = 0; i < ARRAY_LEN(special_uses); i++)
        if (bytes_equal_nocase(name, special_uses[i].name))
            return special_uses[i].attribute;
    return 0;
}

bool ingest_check_pattern(struct bytes pattern, struct err *err)
{
    return !names_use(pattern) || use_of(pattern) != 0 ||
           err_fail(err, ERR_SYNTAX,
                    "'%.*s' is no special use: there are \\All, \\Archive, \\Drafts, \\Flagged, "
                    "\\Junk, \\Sent, \\Trash and \\Important",
                    (int)pattern.len, (const char *)pattern.ptr);
}

bool ingest_pattern_matches(struct bytes pattern, struct bytes path, uint32_t attributes)
{
    return names_use(pattern) ? (attributes & use_of(pattern)) != 0
                              : imap_list_matches(pattern, path);
}

static const struct bytes *find_match(const struct bytes *patterns, size_t count, struct bytes path,
                                      uint32_t attributes)
{
    for (size_t i = 0; i < count; i++)
        if (ingest_pattern_matches(patterns[i], path, attributes))
            return &patterns[i];
    return NULL;
}

bool ingest_is_wanted(const struct source_account_settings *account, struct bytes path,
                      uint32_t attributes, struct bytes *rule)
{
    const struct bytes *exclude =
        find_match(account->exclude, account->exclude_count, path, attributes);

    *rule = exclude != NULL ? *exclude : BYTES("");
    return exclude == NULL &&
           (account->include_count == 0 ||
            find_match(account->include, account->include_count, path, attributes) != NULL);
}
