/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serve/do_misc.c - commands without much to them: NOOP, CHECK, ID, NAMESPACE, SUBSCRIBE, ACL.
 */
#include "imap/mailbox.h"
#include "serve/internal.h"

struct serve_reply serve_do_noop(struct serve_session *session, const struct imap_command *command)
{
    struct err err = { 0 };

    (void)command;
    if (session->state == SERVE_SELECTED && !serve_refresh_view(session, true, &err))
        return serve_reply_for(session, &err);
    return serve_ok("Done");
}

/* RFC 2971: what the client says of itself changes nothing here, and is not logged (content). */
struct serve_reply serve_do_id(struct serve_session *session, const struct imap_command *command)
{
    (void)command;
    buf_text(&session->out, "* ID (\"name\" \"Holdfast\")\r\n");
    return serve_ok("Done");
}

/* One personal namespace: Thunderbird hides shared ones that are not used. */
struct serve_reply serve_do_namespace(struct serve_session *session,
                                      const struct imap_command *command)
{
    (void)command;
    buf_text(&session->out, "* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n");
    return serve_ok("Done");
}

/* Everything that is shown counts as subscribed, so there is nothing to do. */
struct serve_reply serve_do_subscribe(struct serve_session *session,
                                      const struct imap_command *command)
{
    (void)session;
    (void)command;
    return serve_ok("Every mailbox is subscribed");
}

/* Clients ask for each name that LIST gave them, parents that cannot be selected included. */
static bool is_listed(struct serve_session *session, struct bytes encoded, struct serve_name *name,
                      struct err *err)
{
    const struct vault_mailbox_row *rows;
    struct vault_mailbox_row row;
    size_t count = 0;

    if (!serve_read_name(session, encoded, name, err))
        return false;
    switch (name->kind) {
    case SERVE_NAME_INBOX:
    case SERVE_NAME_ROOT:
        return true;
    case SERVE_NAME_ACCOUNT:
        return vault_list_mailboxes(session->reader, name->account, NULL, 1, session->command,
                                    &rows, &count, err) &&
               (count > 0 || err_fail(err, ERR_ABSENT, "no such mailbox"));
    case SERVE_NAME_MAILBOX:
        return vault_find_mailbox(session->reader, name->account, name->path, session->command,
                                  &row, err);
    case SERVE_NAME_OTHER:
        return err_fail(err, ERR_ABSENT, "no such mailbox");
    }
    UNREACHABLE();
}

/* lr: without "s" and "t" Thunderbird sends no STORE and raises no alert (traced: 0 against 3). */
struct serve_reply serve_do_myrights(struct serve_session *session,
                                     const struct imap_command *command)
{
    struct serve_name name;
    struct err err = { 0 };

    if (!is_listed(session, command->mailbox.mailbox, &name, &err))
        return serve_reply_for(session, &err);
    buf_text(&session->out, "* MYRIGHTS ");
    imap_write_mailbox(&session->out, name.full);
    buf_text(&session->out, " lr\r\n");
    return serve_ok("Done");
}

struct serve_reply serve_do_getacl(struct serve_session *session,
                                   const struct imap_command *command)
{
    (void)session;
    (void)command;
    return serve_no("NOPERM", "Rights of others are the operator's business");
}
