/* SPDX-License-Identifier: Apache-2.0 */
/*
 * search/key.c - the keys of SEARCH and the SQL of each.
 *
 * To add one: a row (name, argument, fragment; "?" stands for the argument, which travels as a
 * parameter), an index in a migration if it needs one, a test against Dovecot's answer. p is the
 * table placement. RFC 9051 §6.4.4, RFC 5032.
 */
#include "search/internal.h"

/*
 * A look-up for each row, not a join: before the first ANALYZE a join was planned as a nested loop over
 * all messages of the account (5,000 messages: 9 s against 23 ms), and RLS keeps estimates poor.
 */
#define SIZE                                                                                       \
    "(SELECT m.size_bytes FROM message m WHERE m.account_id = p.account_id"                        \
    " AND m.message_id = p.message_id)"

// clang-format off
static const struct search_key_row rows[] = {
    [IMAP_SEARCH_AND]        = { "AND",        SEARCH_ARG_CHILDREN, NULL },
    [IMAP_SEARCH_OR]         = { "OR",         SEARCH_ARG_CHILDREN, NULL },
    [IMAP_SEARCH_NOT]        = { "NOT",        SEARCH_ARG_CHILDREN, NULL },
    [IMAP_SEARCH_ALL]        = { "ALL",        SEARCH_ARG_NONE,     "true" },
    [IMAP_SEARCH_SEQ_SET]    = { "SEQ",        SEARCH_ARG_SET,      "p.uid <@ (SELECT (?::text)::int8multirange)" },
    [IMAP_SEARCH_UID_SET]    = { "UID",        SEARCH_ARG_SET,      "p.uid <@ (SELECT (?::text)::int8multirange)" },
    [IMAP_SEARCH_FLAG]       = { "FLAG",       SEARCH_ARG_FLAG,     "(p.flags & ?) <> 0" },
    [IMAP_SEARCH_KEYWORD]    = { "KEYWORD",    SEARCH_ARG_KEYWORD,  NULL },
    [IMAP_SEARCH_RECENT]     = { "RECENT",     SEARCH_ARG_NONE,     "false" },
    [IMAP_SEARCH_BEFORE]     = { "BEFORE",     SEARCH_ARG_DATE,     "p.internal_day < ?" },
    [IMAP_SEARCH_ON]         = { "ON",         SEARCH_ARG_DATE,     "p.internal_day = ?" },
    [IMAP_SEARCH_SINCE]      = { "SINCE",      SEARCH_ARG_DATE,     "p.internal_day >= ?" },
    [IMAP_SEARCH_SENTBEFORE] = { "SENTBEFORE", SEARCH_ARG_LATER,    NULL },
    [IMAP_SEARCH_SENTON]     = { "SENTON",     SEARCH_ARG_LATER,    NULL },
    [IMAP_SEARCH_SENTSINCE]  = { "SENTSINCE",  SEARCH_ARG_LATER,    NULL },
    [IMAP_SEARCH_LARGER]     = { "LARGER",     SEARCH_ARG_NUMBER,   SIZE " > ?" },
    [IMAP_SEARCH_SMALLER]    = { "SMALLER",    SEARCH_ARG_NUMBER,   SIZE " < ?" },
    [IMAP_SEARCH_OLDER]      = { "OLDER",      SEARCH_ARG_NUMBER,   "extract(epoch FROM now() - p.internal_at) >= ?" },
    [IMAP_SEARCH_YOUNGER]    = { "YOUNGER",    SEARCH_ARG_NUMBER,   "extract(epoch FROM now() - p.internal_at) <= ?" },
    [IMAP_SEARCH_SUBJECT]    = { "SUBJECT",    SEARCH_ARG_LATER,    NULL },
    [IMAP_SEARCH_FROM]       = { "FROM",       SEARCH_ARG_LATER,    NULL },
    [IMAP_SEARCH_TO]         = { "TO",         SEARCH_ARG_LATER,    NULL },
    [IMAP_SEARCH_CC]         = { "CC",         SEARCH_ARG_LATER,    NULL },
    [IMAP_SEARCH_BCC]        = { "BCC",        SEARCH_ARG_LATER,    NULL },
    [IMAP_SEARCH_BODY]       = { "BODY",       SEARCH_ARG_LATER,    NULL },
    [IMAP_SEARCH_TEXT]       = { "TEXT",       SEARCH_ARG_LATER,    NULL },
    [IMAP_SEARCH_HEADER]     = { "HEADER",     SEARCH_ARG_LATER,    NULL },
    [IMAP_SEARCH_ATTACHMENT] = { "ATTACHMENT", SEARCH_ARG_LATER,    NULL },
    [IMAP_SEARCH_SHA256]     = { "SHA256",     SEARCH_ARG_LATER,    NULL },
};
// clang-format on

const struct search_key_row *search_key_row(enum imap_search_kind kind)
{
    assert((size_t)kind < ARRAY_LEN(rows) && rows[kind].name != NULL);
    return &rows[kind];
}

void search_write_key_names(const struct imap_search_key *key, struct buf *buf)
{
    if (key->kind != IMAP_SEARCH_AND) {
        if (buf->len > 0)
            buf_byte(buf, ' ');
        buf_text(buf, rows[key->kind].name);
    }
    for (const struct imap_search_key *child = key->children; child != NULL; child = child->next)
        search_write_key_names(child, buf);
}
