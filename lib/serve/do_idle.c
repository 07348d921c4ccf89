/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serve/do_idle.c - IDLE: the session is parked like any other and wakes when the watcher has found
 * news for it, when something must be said, or when the client speaks. RFC 2177, RFC 9051 §6.3.13.
 */
#include "net/stream.h"
#include "serve/internal.h"

struct serve_reply serve_do_idle(struct serve_session *session, const struct imap_command *command)
{
    const struct serve_limits *limits = &session->server->settings.limits;
    struct err err = { 0 };

    (void)command;
    if (session->state == SERVE_SELECTED && !serve_refresh_view(session, true, &err))
        return serve_reply_for(session, &err);
    buf_text(&session->out, "+ idling\r\n");
    session->awaits = SERVE_AWAITS_DONE;
    session->idle_end = deadline_after_ms(limits->idle_ms);
    session->alive_at = deadline_after_ms(limits->alive_ms);
    return serve_ok(""); /* not sent: serve_finish_idle gives the answer */
}

struct serve_reply serve_finish_idle(struct serve_session *session, struct bytes line)
{
    (void)session;
    return imap_is_done(line) ? serve_ok("Done") : serve_bad("DONE expected; IDLE is over");
}

/* What it may see was decided by the same query that reads it; a login that is over sees nothing. */
static void tell_news(struct serve_session *session)
{
    struct err err = { 0 };

    if (session->state != SERVE_SELECTED || serve_refresh_view(session, true, &err))
        return;
    if (err.code == ERR_ABSENT || err.code == ERR_DENIED)
        serve_say_bye(session, "UNAVAILABLE", "The selected mailbox is no longer there");
    else /* the watcher will find the same news again */
        log_warn(session->server->settings.log, "changes not told", F_U64("session", session->id),
                 F_ERR(&err));
}

void serve_attend_idle(struct serve_session *session)
{
    int64_t alive_ms = session->server->settings.limits.alive_ms;
    int64_t stall_ms = session->server->settings.limits.stall_ms;

    net_set_stall(session->stream, stall_ms < SERVE_IDLE_STALL_MS ? stall_ms : SERVE_IDLE_STALL_MS);
    if (session->looks) {
        tell_news(session);
        session->alive_at = deadline_after_ms(alive_ms);
    } else if (deadline_has_passed(session->alive_at)) {
        buf_text(&session->out, "* OK Still here\r\n");
        session->alive_at = deadline_after_ms(alive_ms);
    }
    (void)serve_flush(session);
    net_set_stall(session->stream, stall_ms);
    session->looks = false;
    arena_reset(session->command);
}
