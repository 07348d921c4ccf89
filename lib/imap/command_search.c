/* SPDX-License-Identifier: Apache-2.0 */
/* Arguments of SEARCH. RFC 9051 §6.4.4, §9 (search-key); RFC 3501 (NEW, OLD, RECENT). */
#include "base/limits.h"
#include "imap/date.h"
#include "imap/flag.h"
#include "imap/internal.h"
#include "imap/token.h"

/* What stands behind the name of a key. */
enum key_argument {
    NOTHING,
    TEXT,
    FIELD_AND_TEXT,
    DATE,
    NUMBER,
    NZ_NUMBER,
    MODSEQ,
    UID_SET,
    KEY,
    TWO_KEYS
};

/*
 * To add a key: a row here, a kind in search_args.h, a row in lib/search/key.c.
 */
static const struct search_name {
    struct bytes name;
    enum imap_search_kind kind;
    enum key_argument argument;
    bool is_negated; /* NOT of the kind */
    uint8_t flag;
} names[] = {
    { BYTES_INIT("ALL"), IMAP_SEARCH_ALL, NOTHING, false, 0 },
    { BYTES_INIT("ANSWERED"), IMAP_SEARCH_FLAG, NOTHING, false, IMAP_FLAG_ANSWERED },
    { BYTES_INIT("BCC"), IMAP_SEARCH_BCC, TEXT, false, 0 },
    { BYTES_INIT("BEFORE"), IMAP_SEARCH_BEFORE, DATE, false, 0 },
    { BYTES_INIT("BODY"), IMAP_SEARCH_BODY, TEXT, false, 0 },
    { BYTES_INIT("CC"), IMAP_SEARCH_CC, TEXT, false, 0 },
    { BYTES_INIT("DELETED"), IMAP_SEARCH_FLAG, NOTHING, false, IMAP_FLAG_DELETED },
    { BYTES_INIT("DRAFT"), IMAP_SEARCH_FLAG, NOTHING, false, IMAP_FLAG_DRAFT },
    { BYTES_INIT("FLAGGED"), IMAP_SEARCH_FLAG, NOTHING, false, IMAP_FLAG_FLAGGED },
    { BYTES_INIT("FROM"), IMAP_SEARCH_FROM, TEXT, false, 0 },
    { BYTES_INIT("HEADER"), IMAP_SEARCH_HEADER, FIELD_AND_TEXT, false, 0 },
    { BYTES_INIT("KEYWORD"), IMAP_SEARCH_KEYWORD, TEXT, false, 0 },
    { BYTES_INIT("LARGER"), IMAP_SEARCH_LARGER, NUMBER, false, 0 },
    { BYTES_INIT("MODSEQ"), IMAP_SEARCH_MODSEQ, MODSEQ, false, 0 },
    { BYTES_INIT("NOT"), IMAP_SEARCH_NOT, KEY, false, 0 },
    { BYTES_INIT("OLD"), IMAP_SEARCH_RECENT, NOTHING, true, 0 },
    { BYTES_INIT("OLDER"), IMAP_SEARCH_OLDER, NZ_NUMBER, false, 0 },
    { BYTES_INIT("ON"), IMAP_SEARCH_ON, DATE, false, 0 },
    { BYTES_INIT("OR"), IMAP_SEARCH_OR, TWO_KEYS, false, 0 },
    { BYTES_INIT("RECENT"), IMAP_SEARCH_RECENT, NOTHING, false, 0 },
    { BYTES_INIT("SEEN"), IMAP_SEARCH_FLAG, NOTHING, false, IMAP_FLAG_SEEN },
    { BYTES_INIT("SENTBEFORE"), IMAP_SEARCH_SENTBEFORE, DATE, false, 0 },
    { BYTES_INIT("SENTON"), IMAP_SEARCH_SENTON, DATE, false, 0 },
    { BYTES_INIT("SENTSINCE"), IMAP_SEARCH_SENTSINCE, DATE, false, 0 },
    { BYTES_INIT("SINCE"), IMAP_SEARCH_SINCE, DATE, false, 0 },
    { BYTES_INIT("SMALLER"), IMAP_SEARCH_SMALLER, NUMBER, false, 0 },
    { BYTES_INIT("SUBJECT"), IMAP_SEARCH_SUBJECT, TEXT, false, 0 },
    { BYTES_INIT("TEXT"), IMAP_SEARCH_TEXT, TEXT, false, 0 },
    { BYTES_INIT("TO"), IMAP_SEARCH_TO, TEXT, false, 0 },
    { BYTES_INIT("UID"), IMAP_SEARCH_UID_SET, UID_SET, false, 0 },
    { BYTES_INIT("UNANSWERED"), IMAP_SEARCH_FLAG, NOTHING, true, IMAP_FLAG_ANSWERED },
    { BYTES_INIT("UNDELETED"), IMAP_SEARCH_FLAG, NOTHING, true, IMAP_FLAG_DELETED },
    { BYTES_INIT("UNDRAFT"), IMAP_SEARCH_FLAG, NOTHING, true, IMAP_FLAG_DRAFT },
    { BYTES_INIT("UNFLAGGED"), IMAP_SEARCH_FLAG, NOTHING, true, IMAP_FLAG_FLAGGED },
    { BYTES_INIT("UNKEYWORD"), IMAP_SEARCH_KEYWORD, TEXT, true, 0 },
    { BYTES_INIT("UNSEEN"), IMAP_SEARCH_FLAG, NOTHING, true, IMAP_FLAG_SEEN },
    { BYTES_INIT("YOUNGER"), IMAP_SEARCH_YOUNGER, NZ_NUMBER, false, 0 },
};

static const struct {
    struct bytes name;
    uint32_t bit;
} returns[] = {
    { BYTES_INIT("MIN"), IMAP_RETURN_MIN },   { BYTES_INIT("MAX"), IMAP_RETURN_MAX },
    { BYTES_INIT("ALL"), IMAP_RETURN_ALL },   { BYTES_INIT("COUNT"), IMAP_RETURN_COUNT },
    { BYTES_INIT("SAVE"), IMAP_RETURN_SAVE },
};

struct search_reader {
    struct bytes *in;
    struct arena *arena;
    struct err *err;
    size_t key_count;
    size_t depth;
};

static bool read_key(struct search_reader *r, struct imap_search_key *out);
static bool read_keys(struct search_reader *r, struct imap_search_key *out);

/* The keys that a client can make us keep are counted; the helpers of NEW and OLD go with them. */
static bool count_key(struct search_reader *r)
{
    if (++r->key_count > LIMIT_SEARCH_KEYS)
        return err_fail(r->err, ERR_LIMIT, "more than %u search keys", LIMIT_SEARCH_KEYS);
    return true;
}

static bool go_deeper(struct search_reader *r)
{
    if (++r->depth > LIMIT_COMMAND_NESTING)
        return err_fail(r->err, ERR_LIMIT, "search keys nested more than %u deep",
                        LIMIT_COMMAND_NESTING);
    return true;
}

static struct imap_search_key *new_key(struct search_reader *r, enum imap_search_kind kind)
{
    struct imap_search_key *key = arena_new(r->arena, struct imap_search_key);

    key->kind = kind;
    return key;
}

/* *out becomes NOT of what it was. */
static void negate(struct search_reader *r, struct imap_search_key *out)
{
    struct imap_search_key *child = new_key(r, IMAP_SEARCH_ALL);

    *child = *out;
    *out = (struct imap_search_key){ .kind = IMAP_SEARCH_NOT, .children = child };
}

/* NEW: RECENT UNSEEN */
static void make_new(struct search_reader *r, struct imap_search_key *out)
{
    struct imap_search_key *recent = new_key(r, IMAP_SEARCH_RECENT);
    struct imap_search_key *unseen = new_key(r, IMAP_SEARCH_FLAG);

    unseen->flag = IMAP_FLAG_SEEN;
    negate(r, unseen);
    recent->next = unseen;
    *out = (struct imap_search_key){ .kind = IMAP_SEARCH_AND, .children = recent };
}

static bool read_space_and_text(struct search_reader *r, struct bytes *out)
{
    return imap_read_space(r->in, r->err) && imap_read_astring(r->in, r->arena, out, r->err);
}

static bool read_space_and_key(struct search_reader *r, struct imap_search_key **out)
{
    *out = new_key(r, IMAP_SEARCH_ALL);
    return imap_read_space(r->in, r->err) && read_key(r, *out);
}

static bool read_children(struct search_reader *r, size_t count, struct imap_search_key *out)
{
    struct imap_search_key *first, *second;

    if (!go_deeper(r) || !read_space_and_key(r, &first))
        return false;
    if (count == 2) {
        if (!read_space_and_key(r, &second))
            return false;
        first->next = second;
    }
    out->children = first;
    r->depth--;
    return true;
}

static bool read_key_set(struct search_reader *r, enum imap_search_kind kind,
                         struct imap_search_key *out)
{
    out->kind = kind;
    return imap_read_set(r->in, LIMIT_SET_RANGES, r->arena, &out->set, r->err);
}

static bool read_nz(struct search_reader *r, struct imap_search_key *out)
{
    uint32_t number;

    if (!imap_read_nz_number(r->in, &number, r->err))
        return false;
    out->number = number;
    return true;
}

/*
 * ["/flags/\\Seen" all] 17: who keeps one MODSEQ for all of a message ignores which part was meant
 * (RFC 7162 §3.1.5).
 */
static bool read_modseq(struct search_reader *r, struct imap_search_key *out)
{
    struct bytes ignored;

    if (!imap_read_space(r->in, r->err))
        return false;
    if (r->in->len > 0 && r->in->ptr[0] == '"' &&
        (!imap_read_string(r->in, r->arena, &ignored, r->err) || !imap_read_space(r->in, r->err) ||
         !imap_read_atom(r->in, &ignored, r->err) || !imap_read_space(r->in, r->err)))
        return false;
    return imap_read_number64(r->in, &out->number, r->err);
}

static bool read_argument(struct search_reader *r, enum key_argument argument,
                          struct imap_search_key *out)
{
    switch (argument) {
    case NOTHING:
        return true;
    case TEXT:
        return read_space_and_text(r, &out->text);
    case FIELD_AND_TEXT:
        return read_space_and_text(r, &out->field) && read_space_and_text(r, &out->text);
    case DATE:
        return imap_read_space(r->in, r->err) && imap_read_date(r->in, &out->days, r->err);
    case NUMBER:
        return imap_read_space(r->in, r->err) && imap_read_number64(r->in, &out->number, r->err);
    case NZ_NUMBER:
        return imap_read_space(r->in, r->err) && read_nz(r, out);
    case MODSEQ:
        return read_modseq(r, out);
    case UID_SET:
        return imap_read_space(r->in, r->err) && read_key_set(r, out->kind, out);
    case KEY:
        return read_children(r, 1, out);
    case TWO_KEYS:
        return read_children(r, 2, out);
    }
    UNREACHABLE();
}

static bool read_named_key(struct search_reader *r, struct imap_search_key *out)
{
    struct bytes name;

    if (!imap_read_atom(r->in, &name, r->err))
        return err_fail(r->err, ERR_SYNTAX, "search key expected");
    if (bytes_equal_nocase(name, BYTES("NEW"))) {
        make_new(r, out);
        return true;
    }
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (!bytes_equal_nocase(name, names[i].name))
            continue;
        out->kind = names[i].kind;
        out->flag = names[i].flag;
        if (!read_argument(r, names[i].argument, out))
            return false;
        if (names[i].is_negated)
            negate(r, out);
        return true;
    }
    return err_fail(r->err, ERR_SYNTAX, "unknown search key");
}

/* Reads one key. Recursion ends at LIMIT_COMMAND_NESTING. */
static bool read_key(struct search_reader *r, struct imap_search_key *out)
{
    uint8_t c = r->in->len == 0 ? 0 : r->in->ptr[0];

    if (!count_key(r))
        return false;
    if (imap_open_list(r->in)) {
        if (!go_deeper(r) || !read_keys(r, out))
            return false;
        r->depth--;
        return scan_byte(r->in, ')') || err_fail(r->err, ERR_SYNTAX, "search keys not closed");
    }
    if (ascii_is_digit(c) || c == '*' || c == '$')
        return read_key_set(r, IMAP_SEARCH_SEQ_SET, out);
    return read_named_key(r, out);
}

/* key *(SP key) */
static bool read_keys(struct search_reader *r, struct imap_search_key *out)
{
    struct imap_search_key *last = NULL;

    out->kind = IMAP_SEARCH_AND;
    do {
        struct imap_search_key *key = new_key(r, IMAP_SEARCH_ALL);

        if (!read_key(r, key))
            return false;
        if (last == NULL)
            out->children = key;
        else
            last->next = key;
        last = key;
    } while (imap_has_next(r->in));
    return true;
}

static bool read_return(struct bytes *in, uint32_t *bits, struct err *err)
{
    struct bytes name;

    if (!imap_read_atom(in, &name, err))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(returns); i++) {
        if (bytes_equal_nocase(name, returns[i].name)) {
            *bits |= returns[i].bit;
            return true;
        }
    }
    return err_fail(err, ERR_SYNTAX, "unknown RETURN option");
}

/* "RETURN (" [option *(SP option)] ") " */
static bool read_returns(struct bytes *in, struct imap_search_args *args, struct err *err)
{
    if (!scan_text_nocase(in, BYTES("RETURN ")))
        return true;
    (void)imap_scan_spaces(in);
    if (!imap_open_list(in))
        return err_fail(err, ERR_SYNTAX, "RETURN options expected");
    args->has_return = true;
    if (!scan_byte(in, ')')) {
        do {
            if (!read_return(in, &args->returns, err))
                return false;
        } while (imap_has_next(in));
        if (!scan_byte(in, ')'))
            return err_fail(err, ERR_SYNTAX, "RETURN options not closed");
    }
    if (args->returns == 0)
        args->returns = IMAP_RETURN_ALL;
    return imap_read_space(in, err);
}

bool imap_read_search_args(struct bytes *in, struct arena *arena, struct imap_command *out,
                           struct err *err)
{
    struct imap_search_args args = { 0 };
    struct search_reader r = { .in = in, .arena = arena, .err = err };

    if (!read_returns(in, &args, err))
        return false;
    if (scan_text_nocase(in, BYTES("CHARSET")) &&
        (!imap_read_space(in, err) || !imap_read_astring(in, arena, &args.charset, err) ||
         !imap_read_space(in, err)))
        return false;
    if (!read_keys(&r, &args.key))
        return false;
    out->search = args;
    return true;
}
