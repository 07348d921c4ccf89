/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens of structured fields. RFC 5322 §3.2, §4.1; RFC 2045 §5.1. 8-bit octets count as letters. */
#include "mime/internal.h"

struct mime_lexer mime_lex(struct bytes value)
{
    static const uint8_t nothing[1];
    const uint8_t *at = value.len == 0 ? nothing : value.ptr;

    return (struct mime_lexer){ .at = at, .end = at + value.len };
}

bool mime_is_atext(uint8_t c)
{
    return ascii_is_alpha(c) || ascii_is_digit(c) || c >= 0x80 ||
           (c > ' ' && c < 0x7f && memchr("!#$%&'*+-/=?^_`{|}~", c, 19) != NULL);
}

static bool is_token_char(uint8_t c)
{
    return (mime_is_atext(c) && c != '/' && c != '?' && c != '=') || c == '.';
}

static bool is_phrase_char(uint8_t c)
{
    return mime_is_atext(c) || c == '.';
}

static enum mime_scan at_end_or_more(const struct mime_lexer *lex)
{
    return lex->at < lex->end ? MIME_SCAN_MORE : MIME_SCAN_END;
}

static void append(struct buf *out, const uint8_t *from, const uint8_t *to)
{
    buf_append(out, bytes_of(from, (size_t)(to - from)));
}

/* May a backslash quote this octet? */
static bool is_quotable(uint8_t c)
{
    return c != '\r' && c != '\n' && c != '\0';
}

/* A line end in front of the last blank of a value folds nothing. */
static bool is_last_fold(const struct mime_lexer *lex)
{
    return *lex->at == '\n' && lex->end - lex->at <= 2;
}

/* Comments nest. Of one that is not closed, what stands before its last escape or line end is kept. */
static enum mime_scan skip_comment(struct mime_lexer *lex)
{
    const uint8_t *start = ++lex->at;
    const uint8_t *kept = start;
    unsigned level = 1;

    for (; lex->at < lex->end && !is_last_fold(lex); lex->at++) {
        if (*lex->at == '(') {
            level++;
        } else if (*lex->at == ')' && --level == 0) {
            lex->comment = bytes_of(start, (size_t)(lex->at - start));
            lex->at++;
            return at_end_or_more(lex);
        } else if (*lex->at == '\\') {
            if (lex->at + 1 == lex->end)
                break;
            kept = lex->at;
            lex->at += is_quotable(lex->at[1]) ? 1 : 0;
        } else if (*lex->at == '\n') {
            kept = lex->at;
        }
    }
    lex->at = lex->end;
    lex->comment = bytes_of(start, (size_t)(kept - start));
    return MIME_SCAN_BAD;
}

enum mime_scan mime_skip_cfws(struct mime_lexer *lex)
{
    while (lex->at < lex->end) {
        if (*lex->at == ' ' || *lex->at == '\t' || *lex->at == '\r' || *lex->at == '\n')
            lex->at++;
        else if (*lex->at != '(')
            break;
        else if (skip_comment(lex) == MIME_SCAN_BAD)
            return MIME_SCAN_BAD;
    }
    return at_end_or_more(lex);
}

/* A run of such octets, which may be empty, and the CFWS behind it. */
static enum mime_scan scan_run(struct mime_lexer *lex, bool (*is_member)(uint8_t c),
                               struct buf *out)
{
    const uint8_t *start = lex->at;

    while (lex->at < lex->end && is_member(*lex->at))
        lex->at++;
    append(out, start, lex->at);
    return mime_skip_cfws(lex);
}

enum mime_scan mime_scan_atom(struct mime_lexer *lex, struct buf *out)
{
    if (lex->at == lex->end || !mime_is_atext(*lex->at))
        return MIME_SCAN_BAD;
    return scan_run(lex, mime_is_atext, out);
}

enum mime_scan mime_scan_token(struct mime_lexer *lex, struct buf *out)
{
    return scan_run(lex, is_token_char, out);
}

enum mime_scan mime_scan_dot_atom(struct mime_lexer *lex, struct buf *out)
{
    enum mime_scan scan = mime_scan_atom(lex, out);

    while (scan == MIME_SCAN_MORE && *lex->at == '.') {
        lex->at++;
        buf_byte(out, '.');
        scan = mime_skip_cfws(lex) == MIME_SCAN_MORE ? mime_scan_atom(lex, out) : MIME_SCAN_BAD;
    }
    return scan;
}

/* Dots anywhere, as addresses of mobile phones have them; no blanks around them. */
enum mime_scan mime_scan_loose_dot_atom(struct mime_lexer *lex, struct buf *out)
{
    enum mime_scan scan;

    do {
        bool has_dot = false;

        for (; mime_lexer_is_at(lex, '.'); lex->at++) {
            buf_byte(out, '.');
            has_dot = true;
        }
        if (has_dot && lex->at == lex->end)
            return MIME_SCAN_END;
        if (mime_lexer_is_at(lex, '@'))
            return has_dot ? MIME_SCAN_MORE : MIME_SCAN_BAD;
        scan = mime_scan_atom(lex, out);
    } while (scan == MIME_SCAN_MORE && *lex->at == '.');
    return scan;
}

enum mime_scan mime_scan_quoted(struct mime_lexer *lex, struct buf *out)
{
    const uint8_t *start = ++lex->at;

    for (; lex->at < lex->end && !is_last_fold(lex); lex->at++) {
        if (*lex->at == '"') {
            append(out, start, lex->at);
            lex->at++;
            return mime_skip_cfws(lex);
        }
        if (*lex->at == '\n') { /* folding: the line end goes, the blank stays */
            append(out, start, lex->at > start && lex->at[-1] == '\r' ? lex->at - 1 : lex->at);
            start = lex->at + 1;
        } else if (*lex->at == '\\') {
            if (lex->at + 1 == lex->end)
                break;
            append(out, start, lex->at);
            lex->at += is_quotable(lex->at[1]) ? 1 : 0;
            start = lex->at;
        }
    }
    lex->at = lex->end;
    return MIME_SCAN_BAD;
}

enum mime_scan mime_scan_phrase(struct mime_lexer *lex, struct buf *out)
{
    enum mime_scan scan;

    if (lex->at == lex->end)
        return MIME_SCAN_END;
    if (*lex->at == '.')
        return MIME_SCAN_BAD;
    for (;;) {
        if (*lex->at == '"')
            scan = mime_scan_quoted(lex, out);
        else
            scan = scan_run(lex, is_phrase_char, out);
        if (scan != MIME_SCAN_MORE)
            return scan;
        if (!is_phrase_char(*lex->at) && *lex->at != '"')
            return MIME_SCAN_MORE;
        buf_byte(out, ' ');
    }
}

static enum mime_scan scan_domain_literal(struct mime_lexer *lex, struct buf *out)
{
    const uint8_t *start = lex->at;

    for (; lex->at < lex->end; lex->at++) {
        if (*lex->at == '[' && lex->at > start)
            break;
        if (*lex->at == '\\') {
            if (++lex->at == lex->end)
                break;
        } else if (*lex->at == ']') {
            lex->at++;
            append(out, start, lex->at);
            return mime_skip_cfws(lex);
        }
    }
    return MIME_SCAN_BAD;
}

enum mime_scan mime_scan_domain(struct mime_lexer *lex, struct buf *out)
{
    lex->at++;
    if (mime_skip_cfws(lex) != MIME_SCAN_MORE)
        return MIME_SCAN_BAD;
    return *lex->at == '[' ? scan_domain_literal(lex, out) : mime_scan_dot_atom(lex, out);
}

void mime_unescape(struct bytes text, struct buf *out)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '\\' && i + 1 < text.len && is_quotable(text.ptr[i + 1]))
            buf_byte(out, text.ptr[++i]);
        else if (text.ptr[i] != '\n') /* folding */
            buf_byte(out, text.ptr[i]);
    }
}
