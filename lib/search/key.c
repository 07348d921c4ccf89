/* SPDX-License-Identifier: Apache-2.0 */
/*
 * search/key.c - the keys of SEARCH and the SQL of each.
 *
 * To add one: a row (name, argument, fragment; "?" stands for the argument, which travels as a
 * parameter), an index in a migration if it needs one, a test against Dovecot's answer. p is the
 * table placement, i what message_index says. RFC 9051 §6.4.4, RFC 5032.
 */
#include "search/internal.h"

/*
 * A look-up for each row, not a join: before the first ANALYZE a join was planned as a nested loop over
 * all messages of the account (5,000 messages: 9 s against 23 ms), and RLS keeps estimates poor.
 */
#define SIZE                                                                                       \
    "(SELECT m.size_bytes FROM message m WHERE m.account_id = p.account_id"                        \
    " AND m.message_id = p.message_id)"

#define HASH                                                                                       \
    "starts_with((SELECT encode(m.sha256, 'hex') FROM message m WHERE m.account_id = p.account_id" \
    " AND m.message_id = p.message_id), ?)"

/*
 * i is the row of message_index, or all NULL. Each gives NULL where it does not know: without a row, with
 * one of another parser version (the first argument), and where a column was cut and what it has left
 * does not hold the text. A message without a date that can be read is of 1970-01-01, as in Dovecot.
 * The empty text asks for a field: without one the column is NULL.
 */
#define SENT_DAY "CASE WHEN i.parser_version = ? THEN coalesce(i.date_day, '1970-01-01')"
#define COLUMN(field)                                                                              \
    "CASE WHEN i.parser_version = ? THEN CASE WHEN strpos(i." field "_folded, ?) > 0 THEN true"    \
    " WHEN i.notes <> '[]' AND i.notes @> '[\"texts-cut\"]' THEN NULL ELSE false END END",         \
        "CASE WHEN i.parser_version = ? THEN i." field "_folded IS NOT NULL END"

/* Not folded there: but for ASCII letters, the key HEADER knows better. */
#define MESSAGE_ID                                                                                 \
    "CASE WHEN i.parser_version = ?"                                                               \
    " THEN coalesce(strpos(lower(i.message_id_text COLLATE \"C\"), ?) > 0, false) END",            \
        "CASE WHEN i.parser_version = ? THEN i.message_id_text IS NOT NULL END"

// clang-format off
static const struct search_key_row rows[] = {
    [IMAP_SEARCH_AND]        = { "AND",        SEARCH_ARG_CHILDREN, NULL, NULL },
    [IMAP_SEARCH_OR]         = { "OR",         SEARCH_ARG_CHILDREN, NULL, NULL },
    [IMAP_SEARCH_NOT]        = { "NOT",        SEARCH_ARG_CHILDREN, NULL, NULL },
    [IMAP_SEARCH_ALL]        = { "ALL",        SEARCH_ARG_NONE,     "true", NULL },
    [IMAP_SEARCH_SEQ_SET]    = { "SEQ",        SEARCH_ARG_SET,      "p.uid <@ (SELECT (?::text)::int8multirange)", NULL },
    [IMAP_SEARCH_UID_SET]    = { "UID",        SEARCH_ARG_SET,      "p.uid <@ (SELECT (?::text)::int8multirange)", NULL },
    [IMAP_SEARCH_FLAG]       = { "FLAG",       SEARCH_ARG_FLAG,     "(p.flags & ?) <> 0", NULL },
    [IMAP_SEARCH_KEYWORD]    = { "KEYWORD",    SEARCH_ARG_KEYWORD,  NULL, NULL },
    [IMAP_SEARCH_RECENT]     = { "RECENT",     SEARCH_ARG_NONE,     "false", NULL },
    [IMAP_SEARCH_BEFORE]     = { "BEFORE",     SEARCH_ARG_DATE,     "p.internal_day < ?", NULL },
    [IMAP_SEARCH_ON]         = { "ON",         SEARCH_ARG_DATE,     "p.internal_day = ?", NULL },
    [IMAP_SEARCH_SINCE]      = { "SINCE",      SEARCH_ARG_DATE,     "p.internal_day >= ?", NULL },
    [IMAP_SEARCH_SENTBEFORE] = { "SENTBEFORE", SEARCH_ARG_SENT,     SENT_DAY " < ? END", NULL },
    [IMAP_SEARCH_SENTON]     = { "SENTON",     SEARCH_ARG_SENT,     SENT_DAY " = ? END", NULL },
    [IMAP_SEARCH_SENTSINCE]  = { "SENTSINCE",  SEARCH_ARG_SENT,     SENT_DAY " >= ? END", NULL },
    [IMAP_SEARCH_LARGER]     = { "LARGER",     SEARCH_ARG_NUMBER,   SIZE " > ?", NULL },
    [IMAP_SEARCH_SMALLER]    = { "SMALLER",    SEARCH_ARG_NUMBER,   SIZE " < ?", NULL },
    [IMAP_SEARCH_OLDER]      = { "OLDER",      SEARCH_ARG_NUMBER,   "extract(epoch FROM now() - p.internal_at) >= ?", NULL },
    [IMAP_SEARCH_YOUNGER]    = { "YOUNGER",    SEARCH_ARG_NUMBER,   "extract(epoch FROM now() - p.internal_at) <= ?", NULL },
    [IMAP_SEARCH_SUBJECT]    = { "SUBJECT",    SEARCH_ARG_COLUMN,   COLUMN("subject") },
    [IMAP_SEARCH_FROM]       = { "FROM",       SEARCH_ARG_COLUMN,   COLUMN("from") },
    [IMAP_SEARCH_TO]         = { "TO",         SEARCH_ARG_COLUMN,   COLUMN("to") },
    [IMAP_SEARCH_CC]         = { "CC",         SEARCH_ARG_COLUMN,   COLUMN("cc") },
    [IMAP_SEARCH_BCC]        = { "BCC",        SEARCH_ARG_COLUMN,   COLUMN("bcc") },
    [IMAP_SEARCH_BODY]       = { "BODY",       SEARCH_ARG_TEXT,     "NULL::boolean", NULL },
    [IMAP_SEARCH_TEXT]       = { "TEXT",       SEARCH_ARG_TEXT,     "NULL::boolean", NULL },
    [IMAP_SEARCH_HEADER]     = { "HEADER",     SEARCH_ARG_TEXT,     "NULL::boolean", NULL },
    [IMAP_SEARCH_ATTACHMENT] = { "ATTACHMENT", SEARCH_ARG_PARTS,    "CASE WHEN i.parser_version = ? THEN i.has_attachment END", NULL },
    [IMAP_SEARCH_MESSAGE_ID] = { "MESSAGE-ID", SEARCH_ARG_COLUMN,   MESSAGE_ID },
    [IMAP_SEARCH_MODSEQ]     = { "MODSEQ",     SEARCH_ARG_NUMBER,   "p.modseq >= ?", NULL },
    [IMAP_SEARCH_SHA256]     = { "SHA256",     SEARCH_ARG_HASH,     HASH, NULL },
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
