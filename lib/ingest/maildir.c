/* SPDX-License-Identifier: Apache-2.0 */
#include "ingest/maildir.h"

#include "base/limits.h"
#include "vault/flag.h"

static bool is_name(struct bytes name)
{
    for (size_t i = 0; i < name.len; i++)
        if (name.ptr[i] <= ' ' || name.ptr[i] == 0x7f)
            return false;
    return name.len > 0 && name.len <= LIMIT_KEYWORD_BYTES;
}

void ingest_read_maildir_keywords(struct bytes file, struct ingest_maildir_keywords *out)
{
    struct bytes line;
    uint32_t number;

    *out = (struct ingest_maildir_keywords){ 0 };
    file = bytes_slice(file, 0, INGEST_MAILDIR_KEYWORDS_BYTES);
    while (scan_until_byte(&file, '\n', &line)) {
        file = bytes_slice(file, 1, SIZE_MAX);
        if (line.len > 0 && line.ptr[line.len - 1] == '\r')
            line.len--;
        if (scan_u32(&line, &number) && number < INGEST_MAILDIR_KEYWORDS && scan_byte(&line, ' ') &&
            is_name(line))
            out->names[number] = line;
    }
}

static uint8_t flag_of(uint8_t letter)
{
    switch (letter) {
    case 'D':
        return VAULT_FLAG_DRAFT;
    case 'F':
        return VAULT_FLAG_FLAGGED;
    case 'R':
        return VAULT_FLAG_ANSWERED;
    case 'S':
        return VAULT_FLAG_SEEN;
    case 'T':
        return VAULT_FLAG_DELETED;
    default:
        return 0; /* P: passed */
    }
}

/* Without its folders, which may be called anything. */
static struct bytes last_name(struct bytes path)
{
    size_t start = path.len;

    while (start > 0 && path.ptr[start - 1] != '/')
        start--;
    return bytes_slice(path, start, SIZE_MAX);
}

size_t ingest_find_maildir_info(struct bytes name)
{
    static const struct bytes marks[] = { BYTES_INIT(":"), BYTES_INIT(";2,"), BYTES_INIT("!2,") };

    for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
        ssize_t at = bytes_find(name, marks[i]);

        if (at >= 0)
            return (size_t)at;
    }
    return name.len;
}

void ingest_read_maildir_flags(struct bytes path, const struct ingest_maildir_keywords *known,
                               struct ingest_maildir_flags *out)
{
    struct bytes name = last_name(path);
    struct bytes info = bytes_slice(name, ingest_find_maildir_info(name) + 1, SIZE_MAX);
    bool has[INGEST_MAILDIR_KEYWORDS] = { 0 };

    *out = (struct ingest_maildir_flags){ 0 };
    if (!scan_text(&info, BYTES("2,")))
        return;
    for (size_t i = 0; i < info.len; i++) {
        uint8_t letter = info.ptr[i];

        if (letter >= 'a' && letter <= 'z')
            has[letter - 'a'] = true;
        else
            out->system |= flag_of(letter);
    }
    for (size_t i = 0; i < INGEST_MAILDIR_KEYWORDS; i++)
        if (has[i] && known->names[i].len > 0)
            out->keywords[out->keyword_count++] = known->names[i];
        else
            out->has_unnamed = out->has_unnamed || has[i];
}
