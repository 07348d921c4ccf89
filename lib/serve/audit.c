/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serve/audit.c - the session's events on their way to lib/audit.
 */
#include "serve/internal.h"

bool serve_begin_audit(struct serve_session *session, struct audit_event event,
                       struct audit_ticket *ticket, struct err *err)
{
    if (session->server->settings.audit == NULL)
        return err_fail(err, ERR_RETRY, "no audit");
    if (session->login.token != NULL)
        event.token = secret_bytes(session->login.token);
    return audit_submit(session->server->settings.audit, &event, ticket, err);
}

bool serve_end_audit(struct serve_session *session, struct audit_ticket ticket, struct err *err)
{
    return audit_wait(session->server->settings.audit, ticket, deadline_after_ms(AUDIT_WAIT_MS),
                      err) ||
           err_wrap(err, "audit");
}

bool serve_audit(struct serve_session *session, struct audit_event event, struct err *err)
{
    struct audit_ticket ticket = { 0 };

    return serve_begin_audit(session, event, &ticket, err) && serve_end_audit(session, ticket, err);
}
