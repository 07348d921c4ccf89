/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serve/command.c - every command that a client may know, and what becomes of it.
 *
 * To add one: a row here, its function in do_<name>.c, its grammar in imap/ if new, a test. What is
 * not in the table is BAD; what would write is in it with serve_refuse_write, so that it is
 * NO [NOPERM] in every form and state, and audited. Nothing is allowed for being forgotten.
 */
#include "serve/internal.h"

// clang-format off
static const struct serve_command commands[] = {
    /* name                         with UID    allowed in             tells behind it run                       RFC 9051 (or as said) */
    { BYTES_INIT("CAPABILITY"),     UID_NEVER,  IN_ANY,                TELLS_NOTHING, serve_do_capability },    /* 6.1.1 */
    { BYTES_INIT("NOOP"),           UID_NEVER,  IN_ANY,                TELLS_NOTHING, serve_do_noop },          /* 6.1.2 */
    { BYTES_INIT("LOGOUT"),         UID_NEVER,  IN_ANY,                TELLS_NOTHING, serve_do_logout },        /* 6.1.3 */
    { BYTES_INIT("ID"),             UID_NEVER,  IN_ANY,                TELLS_ALL,     serve_do_id },            /* RFC 2971 */
    { BYTES_INIT("STARTTLS"),       UID_NEVER,  IN_NOT_AUTHENTICATED,  TELLS_NOTHING, serve_do_starttls },      /* 6.2.1 */
    { BYTES_INIT("AUTHENTICATE"),   UID_NEVER,  IN_NOT_AUTHENTICATED,  TELLS_NOTHING, serve_do_authenticate },  /* 6.2.2 */
    { BYTES_INIT("LOGIN"),          UID_NEVER,  IN_NOT_AUTHENTICATED,  TELLS_NOTHING, serve_do_login },         /* 6.2.3 */
    { BYTES_INIT("ENABLE"),         UID_NEVER,  IN_LOGGED_IN,          TELLS_ALL,     serve_do_enable },        /* 6.3.1 */
    { BYTES_INIT("SELECT"),         UID_NEVER,  IN_LOGGED_IN,          TELLS_NOTHING, serve_do_select },        /* 6.3.2 */
    { BYTES_INIT("EXAMINE"),        UID_NEVER,  IN_LOGGED_IN,          TELLS_NOTHING, serve_do_select },        /* 6.3.3 */
    { BYTES_INIT("LIST"),           UID_NEVER,  IN_LOGGED_IN,          TELLS_ALL,     serve_do_list },          /* 6.3.9 */
    { BYTES_INIT("LSUB"),           UID_NEVER,  IN_LOGGED_IN,          TELLS_ALL,     serve_do_lsub },          /* RFC 3501 6.3.9 */
    { BYTES_INIT("NAMESPACE"),      UID_NEVER,  IN_LOGGED_IN,          TELLS_ALL,     serve_do_namespace },     /* 6.3.10 */
    { BYTES_INIT("STATUS"),         UID_NEVER,  IN_LOGGED_IN,          TELLS_ALL,     serve_do_status },        /* 6.3.11 */
    { BYTES_INIT("SUBSCRIBE"),      UID_NEVER,  IN_LOGGED_IN,          TELLS_ALL,     serve_do_subscribe },     /* 6.3.7; changes nothing */
    { BYTES_INIT("MYRIGHTS"),       UID_NEVER,  IN_LOGGED_IN,          TELLS_ALL,     serve_do_myrights },      /* RFC 4314 3.5 */
    { BYTES_INIT("GETACL"),         UID_NEVER,  IN_LOGGED_IN,          TELLS_ALL,     serve_do_getacl },        /* RFC 4314 3.3 */
    { BYTES_INIT("LISTRIGHTS"),     UID_NEVER,  IN_LOGGED_IN,          TELLS_ALL,     serve_do_getacl },        /* RFC 4314 3.4 */
    { BYTES_INIT("IDLE"),           UID_NEVER,  IN_LOGGED_IN,          TELLS_NOTHING, serve_do_idle },          /* 6.3.13; RFC 2177 */
    { BYTES_INIT("CHECK"),          UID_NEVER,  IN_SELECTED,           TELLS_NOTHING, serve_do_noop },          /* RFC 3501 6.4.1 */
    { BYTES_INIT("CLOSE"),          UID_NEVER,  IN_SELECTED,           TELLS_NOTHING, serve_do_close },         /* 6.4.1; expunges nothing */
    { BYTES_INIT("UNSELECT"),       UID_NEVER,  IN_SELECTED,           TELLS_NOTHING, serve_do_close },         /* 6.4.2 */
    { BYTES_INIT("FETCH"),          UID_ALSO,   IN_SELECTED,           TELLS_NEW,     serve_do_fetch },         /* 6.4.5, 6.4.9 */
    { BYTES_INIT("SEARCH"),         UID_ALSO,   IN_SELECTED,           TELLS_NEW,     serve_do_search },        /* 6.4.4, 6.4.9 */

    { BYTES_INIT("APPEND"),         UID_NEVER,  IN_ANY,                TELLS_NOTHING, serve_refuse_write },     /* 6.3.12 */
    { BYTES_INIT("CREATE"),         UID_NEVER,  IN_ANY,                TELLS_NOTHING, serve_refuse_write },     /* 6.3.4 */
    { BYTES_INIT("DELETE"),         UID_NEVER,  IN_ANY,                TELLS_NOTHING, serve_refuse_write },     /* 6.3.5 */
    { BYTES_INIT("RENAME"),         UID_NEVER,  IN_ANY,                TELLS_NOTHING, serve_refuse_write },     /* 6.3.6 */
    { BYTES_INIT("UNSUBSCRIBE"),    UID_NEVER,  IN_ANY,                TELLS_NOTHING, serve_refuse_write },     /* 6.3.8 */
    { BYTES_INIT("EXPUNGE"),        UID_ALSO,   IN_ANY,                TELLS_NOTHING, serve_refuse_write },     /* 6.4.3, 6.4.9 */
    { BYTES_INIT("STORE"),          UID_ALSO,   IN_ANY,                TELLS_NOTHING, serve_refuse_write },     /* 6.4.6 */
    { BYTES_INIT("COPY"),           UID_ALSO,   IN_ANY,                TELLS_NOTHING, serve_refuse_write },     /* 6.4.7 */
    { BYTES_INIT("MOVE"),           UID_ALSO,   IN_ANY,                TELLS_NOTHING, serve_refuse_write },     /* 6.4.8 */
    { BYTES_INIT("REPLACE"),        UID_ALSO,   IN_ANY,                TELLS_NOTHING, serve_refuse_write },     /* RFC 8508 */
    { BYTES_INIT("SETACL"),         UID_NEVER,  IN_ANY,                TELLS_NOTHING, serve_refuse_write },     /* RFC 4314 3.1 */
    { BYTES_INIT("DELETEACL"),      UID_NEVER,  IN_ANY,                TELLS_NOTHING, serve_refuse_write },     /* RFC 4314 3.2 */
    { BYTES_INIT("SETMETADATA"),    UID_NEVER,  IN_ANY,                TELLS_NOTHING, serve_refuse_write },     /* RFC 5464 */
    { BYTES_INIT("SETANNOTATION"),  UID_NEVER,  IN_ANY,                TELLS_NOTHING, serve_refuse_write },     /* before RFC 5464 */
    { BYTES_INIT("SETQUOTA"),       UID_NEVER,  IN_ANY,                TELLS_NOTHING, serve_refuse_write },     /* RFC 9208 */
    { BYTES_INIT("RESETKEY"),       UID_NEVER,  IN_ANY,                TELLS_NOTHING, serve_refuse_write },     /* RFC 4467 */
    { BYTES_INIT("GENURLAUTH"),     UID_NEVER,  IN_ANY,                TELLS_NOTHING, serve_refuse_write },     /* RFC 4467: makes a key */
};
// clang-format on

const struct serve_command *serve_find_command(struct bytes name, bool is_uid)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        if (bytes_equal(commands[i].name, name) &&
            (is_uid ? commands[i].uid != UID_NEVER : commands[i].uid != UID_ONLY))
            return &commands[i];
    return NULL;
}

bool serve_is_refused(const struct serve_command *row)
{
    return row->run == serve_refuse_write;
}

bool serve_is_allowed(const struct serve_session *session, const struct serve_command *row)
{
    switch (session->state) {
    case SERVE_NOT_AUTHENTICATED:
        return (row->states & IN_NOT_AUTHENTICATED) != 0;
    case SERVE_AUTHENTICATED:
        return (row->states & IN_AUTHENTICATED) != 0;
    case SERVE_SELECTED:
        return (row->states & IN_SELECTED) != 0;
    case SERVE_HANDSHAKE:
    case SERVE_GREETING:
    case SERVE_ENDED:
        return false;
    }
    UNREACHABLE();
}

struct serve_reply serve_refuse_write(struct serve_session *session,
                                      const struct imap_command *command)
{
    struct bytes name = command->name;
    uint64_t count = session->login.token != NULL ? 1 : serve_count_refusal(session->server);
    struct audit_event event = {
        .kind = AUDIT_REFUSED_WRITE,
        .account_id = session->view != NULL ? session->view->mailbox.row.account_id : 0,
        .mailbox_id = session->view != NULL ? session->view->mailbox.row.mailbox_id : 0,
        .fields =
            count == 1
                ? AUDIT_FIELDS(AUDIT_TEXT("command", name), AUDIT_BOOL("uid", command->is_uid))
                : AUDIT_FIELDS(AUDIT_TEXT("command", name), AUDIT_BOOL("uid", command->is_uid),
                               AUDIT_I64("count", (int64_t)count)),
    };
    struct err err = { 0 };

    /* Whether the row can be written or not, the answer is NO. It waits, so that no client fills the
     * queue by which all others are given content. */
    if (count > 0 && !serve_audit(session, event, &err))
        log_error(session->server->settings.log, "refused write not recorded",
                  F_U64("session", session->id), F_ERR(&err));
    return serve_no("NOPERM", "This archive is read-only");
}
