/* SPDX-License-Identifier: Apache-2.0 */
/*
 * search/needle.c - texts as a client sent them, to UTF-8. RFC 3501 §6.4.4.
 */
#include "mime/charset.h"
#include "search/internal.h"

enum {
    TEXT_BYTES = 8 * LIMIT_COMMAND_BYTES /* of one text in UTF-8: an octet becomes few */
};

struct converter {
    struct bytes charset;
    struct arena *arena;
    struct err *err;
};

static bool is_utf8_name(struct bytes charset)
{
    return charset.len == 0 || bytes_equal_nocase(charset, BYTES("UTF-8")) ||
           bytes_equal_nocase(charset, BYTES("US-ASCII"));
}

/* Clients say US-ASCII, or nothing, and send UTF-8: as Dovecot, that is understood. */
static struct bytes read_as(struct bytes charset)
{
    return is_utf8_name(charset) ? BYTES("UTF-8") : charset;
}

static bool check_charset(struct bytes charset, struct err *err)
{
    struct mime_charset_decoder *decoder = mime_open_charset(read_as(charset));
    bool is_known = mime_charset_is_known(decoder);

    mime_close_charset(&decoder);
    return is_known || err_fail(err, ERR_ABSENT, "unknown charset");
}

static bool convert_text(const struct converter *converter, struct bytes *text)
{
    CLEANUP(buf_free) struct buf utf8 = buf_create(TEXT_BYTES);
    struct mime_charset_decoder *decoder = mime_open_charset(read_as(converter->charset));
    struct bytes done;
    bool is_valid;

    mime_decode_charset(decoder, *text, &utf8);
    mime_finish_charset(decoder, &utf8);
    is_valid = mime_charset_errors(decoder) == 0;
    mime_close_charset(&decoder);
    if (!is_valid)
        return err_fail(converter->err, ERR_SYNTAX, "search text is not of its charset");
    return buf_done(&utf8, &done, converter->err) &&
           arena_try_copy(converter->arena, done, SIZE_MAX, text, converter->err);
}

/* Recursion: LIMIT_COMMAND_NESTING deep at most (imap/search_args.h). */
static bool convert(const struct converter *converter, const struct imap_search_key *key,
                    const struct imap_search_key **out)
{
    struct imap_search_key *copy = arena_new(converter->arena, struct imap_search_key);
    const struct imap_search_key **at = &copy->children;

    *copy = *key;
    copy->children = copy->next = NULL;
    if (copy->text.len > 0 && !convert_text(converter, &copy->text))
        return false;
    for (const struct imap_search_key *child = key->children; child != NULL; child = child->next) {
        const struct imap_search_key *converted;

        if (!convert(converter, child, &converted))
            return false;
        *at = converted;
        at = &((struct imap_search_key *)(uintptr_t)converted)->next;
    }
    *out = copy;
    return true;
}

bool search_convert_key(const struct imap_search_key *key, struct bytes charset,
                        struct arena *arena, const struct imap_search_key **out, struct err *err)
{
    struct converter converter = { .charset = charset, .arena = arena, .err = err };

    return check_charset(charset, err) && convert(&converter, key, out);
}
