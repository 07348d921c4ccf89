/* SPDX-License-Identifier: Apache-2.0 */
/*
 * search/column.c - what the columns of message_index would say of a message, from its octets.
 */
#include "mime/date.h"
#include "search/internal.h"
#include "text/fold.h"
#include "vault/write.h"

void search_summarise(const struct mime_part *root, const struct mime_parser *parser,
                      struct arena *arena, struct mime_summary *out)
{
    static const struct mime_envelope none = { 0 };

    arena_reset(arena);
    mime_summarise_upto(root->envelope != NULL ? root->envelope : &none, mime_parser_header(parser),
                        MIME_SUMMARY_WHOLE, arena, out);
}

/* The date as it is written; none, or one that is not stored, is 1970-01-01 as in key.c. */
static bool is_sent(const struct imap_search_key *key, const struct mime_summary *summary)
{
    int64_t day = 0;

    if (summary->has_date && vault_is_date(summary->date.usec, 0))
        day = mime_date_day(&summary->date);
    if (key->kind == IMAP_SEARCH_SENTON)
        return day == key->days;
    return (day < key->days) == (key->kind == IMAP_SEARCH_SENTBEFORE);
}

static struct bytes column_of(enum imap_search_kind kind, const struct mime_summary *summary)
{
    if (kind == IMAP_SEARCH_SUBJECT)
        return summary->subject;
    if (kind == IMAP_SEARCH_FROM)
        return summary->from;
    if (kind == IMAP_SEARCH_TO)
        return summary->to;
    if (kind == IMAP_SEARCH_MESSAGE_ID)
        return summary->message_id;
    assert(kind == IMAP_SEARCH_CC || kind == IMAP_SEARCH_BCC);
    return kind == IMAP_SEARCH_CC ? summary->cc : summary->bcc;
}

bool search_column_has(const struct search_node *node, const struct mime_part *root,
                       const struct mime_summary *summary)
{
    CLEANUP(buf_free) struct buf folded = { 0 };
    struct bytes text;

    if (node->key->kind == IMAP_SEARCH_ATTACHMENT)
        return mime_has_attachment(root);
    if (search_key_row(node->key->kind)->arg == SEARCH_ARG_SENT)
        return is_sent(node->key, summary);
    text = column_of(node->key->kind, summary);
    if (node->needle.len == 0 || text.len == 0)
        return text.ptr != NULL && node->needle.len == 0;
    folded = buf_create(text.len * TEXT_FOLD_GROWTH_MAX);
    text_fold_line(text, &folded);
    return memmem(folded.ptr, folded.len, node->needle.ptr, node->needle.len) != NULL;
}
