/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serve/do_select.c - SELECT and EXAMINE, which are answered alike; CLOSE and UNSELECT.
 *
 * Refusing SELECT makes Thunderbird, mutt, NeoMutt, mbsync, aerc and imapflow unusable (traced), so
 * it is EXAMINE under another name. RFC 9051 §6.3.2.
 */
#include "serve/internal.h"

static void deselect(struct serve_session *session)
{
    serve_close_view(&session->view);
    session->state = SERVE_AUTHENTICATED;
}

static void write_view(struct serve_session *session)
{
    const struct serve_view *view = session->view;
    struct buf *out = &session->out;
    uint64_t uidnext = view->mailbox.row.uidnext;
    uint32_t unseen = view->mailbox.first_unseen_uid;

    serve_write_known_flags(session);
    buf_text(out, "* OK [PERMANENTFLAGS ()] Read-only mailbox\r\n* ");
    buf_u64(out, view->exists);
    buf_text(out, " EXISTS\r\n* 0 RECENT\r\n");
    if (unseen != 0 && !session->server->settings.shows_all_seen) {
        buf_text(out, "* OK [UNSEEN ");
        buf_u64(out, vault_count_through_uid(&view->mailbox, unseen));
        buf_text(out, "] First unseen\r\n");
    }
    buf_text(out, "* OK [UIDVALIDITY ");
    buf_u64(out, view->mailbox.row.uidvalidity);
    buf_text(out, "] UIDs valid\r\n* OK [UIDNEXT ");
    buf_u64(out, uidnext < UINT32_MAX ? uidnext : UINT32_MAX);
    buf_text(out, "] Predicted next UID\r\n* OK [HIGHESTMODSEQ ");
    buf_u64(out, view->modseq);
    buf_text(out, "] Highest\r\n");
}

struct serve_reply serve_do_select(struct serve_session *session,
                                   const struct imap_command *command)
{
    struct vault_mailbox_row row;
    struct serve_name name;
    struct audit_event event = { .kind = AUDIT_EXAMINE };
    struct audit_ticket ticket = { 0 };
    struct err err = { 0 };

    if (session->state == SERVE_SELECTED)
        deselect(session); /* also when the new one cannot be opened (RFC 9051 §6.3.2) */
    if (!serve_read_select_params(session, &command->mailbox, &err) ||
        !serve_find_mailbox(session, command->mailbox.mailbox, &name, &row, &err))
        return serve_reply_for(session, &err);
    event.account_id = row.account_id;
    event.mailbox_id = row.mailbox_id;
    if (!serve_begin_audit(session, event, &ticket, &err) ||
        !serve_open_view(session, &row, &session->view, &err))
        return serve_reply_for(session, &err);
    if (!serve_end_audit(session, ticket, &err)) {
        serve_close_view(&session->view);
        return serve_reply_for(session, &err);
    }
    session->state = SERVE_SELECTED;
    session->refresh_at = deadline_after_ms(session->server->settings.limits.refresh_ms);
    write_view(session);
    return (struct serve_reply){ SERVE_OK, "READ-ONLY", "Done" };
}

struct serve_reply serve_do_close(struct serve_session *session, const struct imap_command *command)
{
    (void)command;
    deselect(session);
    return serve_ok("Done");
}
