/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serve/do_status.c - STATUS, from the counters of the mailbox row. RFC 9051 §6.3.11.
 */
#include "imap/mailbox.h"
#include "serve/internal.h"

static void write_item(struct serve_session *session, uint32_t item,
                       const struct vault_mailbox_row *row)
{
    struct buf *out = &session->out;

    switch (item) {
    case IMAP_STATUS_MESSAGES:
        buf_u64(out, row->messages);
        break;
    case IMAP_STATUS_UIDNEXT:
        buf_u64(out, row->uidnext < UINT32_MAX ? row->uidnext : UINT32_MAX);
        break;
    case IMAP_STATUS_UIDVALIDITY:
        buf_u64(out, row->uidvalidity);
        break;
    case IMAP_STATUS_UNSEEN:
        buf_u64(out, session->server->settings.shows_all_seen ? 0 : row->unseen);
        break;
    case IMAP_STATUS_SIZE:
        buf_u64(out, row->octets);
        break;
    case IMAP_STATUS_HIGHESTMODSEQ:
        buf_u64(out, row->highestmodseq);
        break;
    case IMAP_STATUS_MAILBOXID:
        buf_text(out, "(M");
        buf_i64(out, row->account_id);
        buf_byte(out, '-');
        buf_i64(out, row->mailbox_id);
        buf_byte(out, ')');
        break;
    default: /* RECENT; DELETED: a captured \Deleted is shown as a keyword */
        buf_byte(out, '0');
        break;
    }
}

void serve_write_status(struct serve_session *session, uint32_t items,
                        const struct vault_mailbox_row *row)
{
    const char *gap = "";

    buf_byte(&session->out, '(');
    for (uint32_t item = 1; item != 0 && item <= items; item <<= 1) {
        if ((items & item) == 0)
            continue;
        buf_text(&session->out, gap);
        buf_append(&session->out, imap_status_name(item));
        buf_byte(&session->out, ' ');
        write_item(session, item, row);
        gap = " ";
    }
    buf_byte(&session->out, ')');
}

struct serve_reply serve_do_status(struct serve_session *session,
                                   const struct imap_command *command)
{
    struct vault_mailbox_row row;
    struct serve_name name;
    struct err err = { 0 };

    session->has_condstore =
        session->has_condstore || (command->mailbox.status_items & IMAP_STATUS_HIGHESTMODSEQ) != 0;
    if (!serve_find_mailbox(session, command->mailbox.mailbox, &name, &row, &err))
        return serve_reply_for(session, &err);
    buf_text(&session->out, "* STATUS ");
    imap_write_mailbox(&session->out, name.full);
    buf_byte(&session->out, ' ');
    serve_write_status(session, command->mailbox.status_items, &row);
    buf_text(&session->out, "\r\n");
    return serve_ok("Done");
}
