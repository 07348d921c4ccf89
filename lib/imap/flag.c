/* SPDX-License-Identifier: Apache-2.0 */
#include "imap/flag.h"

#include "base/limits.h"
#include "imap/internal.h"
#include "imap/token.h"

static const struct {
    struct bytes name;
    uint8_t flag;
} system_flags[] = {
    { BYTES_INIT("\\Answered"), IMAP_FLAG_ANSWERED },
    { BYTES_INIT("\\Flagged"), IMAP_FLAG_FLAGGED },
    { BYTES_INIT("\\Deleted"), IMAP_FLAG_DELETED },
    { BYTES_INIT("\\Seen"), IMAP_FLAG_SEEN },
    { BYTES_INIT("\\Draft"), IMAP_FLAG_DRAFT },
};

static const struct bytes reserved[] = {
    BYTES_INIT(IMAP_KEYWORD_GONE_AT_SOURCE),
    BYTES_INIT(IMAP_KEYWORD_SOURCE_DELETED),
    BYTES_INIT(IMAP_KEYWORD_NOT_ORIGINAL),
};

static bool is_flag_char(uint8_t c)
{
    return c != ' ' && c != '(' && c != ')' && c != '\r' && c != '\n' && c != '\0';
}

static bool take_system_flag(struct bytes word, struct imap_flags *flags)
{
    if (word.ptr[0] != '\\')
        return false;
    for (size_t i = 0; i < ARRAY_LEN(system_flags); i++) {
        if (bytes_equal_nocase(word, system_flags[i].name)) {
            flags->system = (uint8_t)(flags->system | system_flags[i].flag);
            return true;
        }
    }
    if (bytes_equal_nocase(word, BYTES("\\Recent")))
        flags->has_recent = true;
    else if (bytes_equal(word, BYTES("\\*")))
        flags->has_wildcard = true;
    else
        return false;
    return true;
}

static bool has_keyword(const struct bytes *keywords, size_t count, struct bytes word)
{
    for (size_t i = 0; i < count; i++)
        if (bytes_equal_nocase(keywords[i], word))
            return true;
    return false;
}

bool imap_read_flags(struct bytes *in, struct arena *arena, struct imap_flags *out, struct err *err)
{
    struct bytes rest = *in;
    struct imap_flags flags = { 0 };
    struct bytes *keywords = NULL;
    size_t room = 0;

    if (!scan_byte(&rest, '('))
        return err_fail(err, ERR_SYNTAX, "flag list expected");
    for (;;) {
        struct bytes word;

        while (scan_byte(&rest, ' '))
            ;
        if (scan_byte(&rest, ')'))
            break;
        word = imap_scan_while(&rest, is_flag_char);
        if (word.len == 0)
            return err_fail(err, ERR_SYNTAX, "flag list not closed");
        if (take_system_flag(word, &flags))
            continue;
        if (word.len > LIMIT_KEYWORD_BYTES || flags.keyword_count == LIMIT_KEYWORDS_PER_MAILBOX) {
            flags.dropped++;
            continue;
        }
        if (has_keyword(keywords, flags.keyword_count, word))
            continue;
        if (!imap_grow_items(arena, &keywords, sizeof *keywords, flags.keyword_count, &room,
                             LIMIT_KEYWORDS_PER_MAILBOX, err))
            return false;
        keywords[flags.keyword_count++] = word;
    }
    flags.keywords = keywords;
    *in = rest;
    *out = flags;
    return true;
}

static void write_keyword(struct buf *buf, struct bytes keyword)
{
    for (size_t i = 0; i < keyword.len; i++) {
        uint8_t c = keyword.ptr[i];

        buf_byte(buf, imap_is_astring_char(c) || (c == '\\' && i == 0) ? c : '_');
    }
}

void imap_write_flags(struct buf *buf, const struct imap_flags *flags)
{
    const char *separator = "";

    buf_byte(buf, '(');
    for (size_t i = 0; i < ARRAY_LEN(system_flags); i++) {
        if ((flags->system & system_flags[i].flag) == 0)
            continue;
        buf_text(buf, separator);
        buf_append(buf, system_flags[i].name);
        separator = " ";
    }
    if (flags->has_recent) {
        buf_text(buf, separator);
        buf_text(buf, "\\Recent");
        separator = " ";
    }
    for (size_t i = 0; i < flags->keyword_count; i++) {
        buf_text(buf, separator);
        write_keyword(buf, flags->keywords[i]);
        separator = " ";
    }
    if (flags->has_wildcard) {
        buf_text(buf, separator);
        buf_text(buf, "\\*");
    }
    buf_byte(buf, ')');
}

bool imap_keyword_is_reserved(struct bytes keyword)
{
    for (size_t i = 0; i < ARRAY_LEN(reserved); i++)
        if (bytes_equal_nocase(keyword, reserved[i]))
            return true;
    return false;
}

static bool is_reserved_behind_underscores(struct bytes keyword)
{
    while (scan_byte(&keyword, '_'))
        ;
    return imap_keyword_is_reserved(keyword);
}

bool imap_keyword_is_escaped(struct bytes source_keyword)
{
    return is_reserved_behind_underscores(source_keyword) ||
           bytes_equal(source_keyword, BYTES(IMAP_STORED_NOT_ORIGINAL));
}

void imap_escape_keyword(struct bytes source_keyword, struct buf *out)
{
    if (bytes_equal(source_keyword, BYTES(IMAP_STORED_NOT_ORIGINAL))) {
        buf_text(out, IMAP_KEYWORD_NOT_ORIGINAL);
        return;
    }
    if (is_reserved_behind_underscores(source_keyword))
        buf_byte(out, '_');
    buf_append(out, source_keyword);
}

struct bytes imap_unescape_keyword(struct bytes shown)
{
    struct bytes rest = shown;

    if (bytes_equal_nocase(shown, BYTES(IMAP_KEYWORD_NOT_ORIGINAL)))
        return BYTES(IMAP_STORED_NOT_ORIGINAL);
    return is_reserved_behind_underscores(shown) && scan_byte(&rest, '_') ? rest : shown;
}
