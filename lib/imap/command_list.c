/* SPDX-License-Identifier: Apache-2.0 */
/* Arguments of LIST, LSUB and STATUS. RFC 9051 §6.3.9, §6.3.11; RFC 5258, RFC 5819, RFC 8440. */
#include "imap/internal.h"
#include "imap/token.h"

static const struct {
    struct bytes name;
    uint32_t bit;
} status_items[] = {
    { BYTES_INIT("MESSAGES"), IMAP_STATUS_MESSAGES },
    { BYTES_INIT("RECENT"), IMAP_STATUS_RECENT },
    { BYTES_INIT("UIDNEXT"), IMAP_STATUS_UIDNEXT },
    { BYTES_INIT("UIDVALIDITY"), IMAP_STATUS_UIDVALIDITY },
    { BYTES_INIT("UNSEEN"), IMAP_STATUS_UNSEEN },
    { BYTES_INIT("DELETED"), IMAP_STATUS_DELETED },
    { BYTES_INIT("SIZE"), IMAP_STATUS_SIZE },
    { BYTES_INIT("HIGHESTMODSEQ"), IMAP_STATUS_HIGHESTMODSEQ },
    { BYTES_INIT("MAILBOXID"), IMAP_STATUS_MAILBOXID },
};

static const struct {
    struct bytes name;
    uint32_t bit;
    bool in_select;
    bool in_return;
} list_options[] = {
    { BYTES_INIT("SUBSCRIBED"), IMAP_LIST_SUBSCRIBED, true, true },
    { BYTES_INIT("REMOTE"), IMAP_LIST_REMOTE, true, false },
    { BYTES_INIT("RECURSIVEMATCH"), IMAP_LIST_RECURSIVEMATCH, true, false },
    { BYTES_INIT("SPECIAL-USE"), IMAP_LIST_SPECIAL_USE, true, true },
    { BYTES_INIT("CHILDREN"), IMAP_LIST_CHILDREN, false, true },
    { BYTES_INIT("STATUS"), IMAP_LIST_STATUS, false, true },
    { BYTES_INIT("MYRIGHTS"), IMAP_LIST_MYRIGHTS, false, true },
};

struct bytes imap_status_name(uint32_t item)
{
    for (size_t i = 0; i < ARRAY_LEN(status_items); i++)
        if (status_items[i].bit == item)
            return status_items[i].name;
    assert(0 && "one IMAP_STATUS_* bit");
    return (struct bytes){ NULL, 0 };
}

static bool read_status_item(struct bytes *in, uint32_t *bits, struct err *err)
{
    struct bytes name;

    if (!imap_read_atom(in, &name, err))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(status_items); i++) {
        if (bytes_equal_nocase(name, status_items[i].name)) {
            *bits |= status_items[i].bit;
            return true;
        }
    }
    return err_fail(err, ERR_SYNTAX, "unknown STATUS item");
}

bool imap_read_status_items(struct bytes *in, uint32_t *out, struct err *err)
{
    if (!imap_open_list(in))
        return err_fail(err, ERR_SYNTAX, "STATUS items expected");
    *out = 0;
    do {
        if (!read_status_item(in, out, err))
            return false;
    } while (imap_has_next(in));
    return scan_byte(in, ')') || err_fail(err, ERR_SYNTAX, "STATUS items not closed");
}

static bool read_option(struct bytes *in, bool is_return, uint32_t *bits,
                        struct imap_list_args *args, struct err *err)
{
    struct bytes name;

    if (!imap_read_atom(in, &name, err))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(list_options); i++) {
        if (!bytes_equal_nocase(name, list_options[i].name) ||
            !(is_return ? list_options[i].in_return : list_options[i].in_select))
            continue;
        *bits |= list_options[i].bit;
        if (list_options[i].bit != IMAP_LIST_STATUS)
            return true;
        return imap_read_space(in, err) && imap_read_status_items(in, &args->status_items, err);
    }
    return err_fail(err, ERR_SYNTAX, "unknown LIST option");
}

/* "(" [option *(SP option)] ")" */
static bool read_options(struct bytes *in, bool is_return, uint32_t *bits,
                         struct imap_list_args *args, struct err *err)
{
    if (!imap_open_list(in))
        return err_fail(err, ERR_SYNTAX, "LIST options expected");
    args->is_extended = true;
    if (scan_byte(in, ')'))
        return true;
    do {
        if (!read_option(in, is_return, bits, args, err))
            return false;
    } while (imap_has_next(in));
    return scan_byte(in, ')') || err_fail(err, ERR_SYNTAX, "LIST options not closed");
}

static bool read_patterns(struct bytes *in, struct arena *arena, struct imap_list_args *args,
                          struct err *err)
{
    bool is_list = imap_open_list(in);
    struct bytes *patterns = NULL;
    size_t room = 0;

    args->is_extended = args->is_extended || is_list;
    do {
        if (!imap_grow_items(arena, &patterns, sizeof *patterns, args->pattern_count, &room,
                             IMAP_LIST_PATTERNS_MAX, err) ||
            !imap_read_list_mailbox(in, arena, &patterns[args->pattern_count], err))
            return false;
        args->pattern_count++;
    } while (is_list && imap_has_next(in));
    args->patterns = patterns;
    return !is_list || scan_byte(in, ')') || err_fail(err, ERR_SYNTAX, "patterns not closed");
}

static bool check_selection(const struct imap_list_args *args, struct err *err)
{
    if ((args->select & IMAP_LIST_RECURSIVEMATCH) != 0 &&
        (args->select & (IMAP_LIST_SUBSCRIBED | IMAP_LIST_SPECIAL_USE)) == 0)
        return err_fail(err, ERR_SYNTAX, "RECURSIVEMATCH needs another selection option");
    return true;
}

bool imap_read_list_args(struct bytes *in, struct arena *arena, struct imap_command *out,
                         struct err *err)
{
    struct imap_list_args args = { 0 };

    if (in->len > 0 && in->ptr[0] == '(') {
        if (!read_options(in, false, &args.select, &args, err) || !imap_read_space(in, err))
            return false;
    }
    if (!imap_read_list_mailbox(in, arena, &args.reference, err) || !imap_read_space(in, err) ||
        !read_patterns(in, arena, &args, err) || !check_selection(&args, err))
        return false;
    if (imap_has_next(in) && (!scan_text_nocase(in, BYTES("RETURN")) || !imap_scan_spaces(in)))
        return err_fail(err, ERR_SYNTAX, "RETURN expected");
    if (in->len > 0 && !read_options(in, true, &args.returns, &args, err))
        return false;
    out->list = args;
    return true;
}

bool imap_read_lsub_args(struct bytes *in, struct arena *arena, struct imap_command *out,
                         struct err *err)
{
    struct imap_list_args args = { 0 };
    struct bytes *pattern = arena_new(arena, struct bytes);

    if (!imap_read_list_mailbox(in, arena, &args.reference, err) || !imap_read_space(in, err) ||
        !imap_read_list_mailbox(in, arena, pattern, err))
        return false;
    args.patterns = pattern;
    args.pattern_count = 1;
    out->list = args;
    return true;
}
