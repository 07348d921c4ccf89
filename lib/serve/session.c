/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serve/session.c - one turn of a session: read what is there, execute whole commands, park again.
 */
#include "net/stream.h"
#include "net/tls.h"
#include "serve/internal.h"

#include <stdlib.h>

enum {
    COMMAND_ARENA_BYTES = 16 << 20, /* what the sizes in one command may add up to */
    LOGOUT_MS = 2000,
};

const struct net_options serve_stream_options = {
    .max_read_bytes = SERVE_READ_BYTES,
    .stall_ms = SERVE_STALL_MS,
};

/* ---- beginning and end ------------------------------------------------------------------------ */

/* Whoever has not logged in holds a thread neither by not reading nor by never coming to an end. */
static void limit_stranger(struct net_stream *stream, const struct serve_server *server,
                           struct deadline login_deadline)
{
    int64_t stall_ms = server->settings.limits.stall_ms;

    net_set_stall(stream, stall_ms < SERVE_STRANGER_STALL_MS ? stall_ms : SERVE_STRANGER_STALL_MS);
    net_set_deadline(stream, login_deadline);
}

bool serve_create_session(struct serve_server *server, struct net_stream **stream, bool is_tls,
                          struct serve_session **out, struct err *err)
{
    struct serve_session *session = calloc(1, sizeof *session);

    if (session == NULL)
        return err_errno(err, "session");
    if (is_tls && !net_start_tls_server(*stream, server->settings.tls, err)) {
        free(session);
        return false;
    }
    session->server = server;
    session->state = is_tls ? SERVE_HANDSHAKE : SERVE_GREETING;
    session->login_deadline = deadline_after_ms(server->settings.limits.login_ms);
    session->deadline = session->login_deadline;
    limit_stranger(*stream, server, session->login_deadline);
    session->command_deadline = deadline_never();
    session->out = buf_create(LIMIT_RESPONSE_LINE_BYTES);
    session->stream = *stream;
    *stream = NULL;
    *out = session;
    return true;
}

void serve_free_session(struct serve_session **session)
{
    struct serve_session *dead = *session;
    struct err err = { 0 };

    if (dead == NULL)
        return;
    net_close(&dead->stream);
    if (dead->login.token != NULL && !auth_log_out(dead->server->settings.auth, dead->login.token,
                                                   deadline_after_ms(LOGOUT_MS), &err))
        log_warn(dead->server->settings.log, "logout not recorded", F_U64("session", dead->id),
                 F_ERR(&err));
    vault_close_reader(&dead->reader);
    auth_free_login(&dead->login);
    serve_close_view(&dead->view);
    imap_framer_free(&dead->framer);
    arena_free(&dead->command);
    arena_free(&dead->scratch);
    buf_free(&dead->out);
    free(dead);
    *session = NULL;
}

/* ---- what a state does ------------------------------------------------------------------------ */

static enum serve_turn turn_for(struct serve_session *session, enum net_progress progress,
                                const struct err *err)
{
    switch (progress) {
    case NET_DONE:
        return SERVE_TURN_AGAIN;
    case NET_WANT_READ:
        return SERVE_TURN_READ;
    case NET_WANT_WRITE:
        return SERVE_TURN_WRITE;
    case NET_ENDED:
        return SERVE_TURN_END;
    case NET_FAILED:
        log_debug(session->server->settings.log, "connection lost", F_U64("session", session->id),
                  F_ERR(err));
        return SERVE_TURN_END;
    }
    UNREACHABLE();
}

static void greet(struct serve_session *session)
{
    session->framer = imap_framer_create(imap_limits_before_login());
    buf_text(&session->out, "* OK [CAPABILITY ");
    serve_write_capabilities(session, &session->out);
    buf_text(&session->out, "] Holdfast ready\r\n");
    session->was_greeted = true;
    session->state = SERVE_NOT_AUTHENTICATED;
}

static enum serve_turn shake_hands(struct serve_session *session)
{
    struct err err = { 0 };
    enum net_progress progress = net_try_handshake(session->stream, &err);

    if (progress == NET_DONE)
        session->state = session->was_greeted ? SERVE_NOT_AUTHENTICATED : SERVE_GREETING;
    return turn_for(session, progress, &err);
}

/* ---- one command ------------------------------------------------------------------------------ */

static void count_answer(struct serve_session *session, const struct serve_reply *reply)
{
    bool is_stranger = session->state == SERVE_NOT_AUTHENTICATED;

    /* A stranger's are never forgiven: each refused write of his makes a row of the audit. */
    if (reply->condition == SERVE_OK)
        session->bad_count = is_stranger ? session->bad_count : 0;
    else if (reply->condition == SERVE_BAD || is_stranger)
        session->bad_count++;
    if (session->bad_count >= SERVE_BAD_MAX && session->state != SERVE_ENDED)
        serve_say_bye(session, NULL, "Too many errors");
}

static void start_tls(struct serve_session *session)
{
    struct err err = { 0 };

    session->starts_tls = false;
    if (!serve_flush(session))
        return;
    if (!net_start_tls_server(session->stream, session->server->settings.tls, &err)) {
        log_warn(session->server->settings.log, "STARTTLS refused", F_U64("session", session->id),
                 F_ERR(&err));
        session->is_broken =
            true; /* octets behind STARTTLS: nothing more is said (RFC 9051 §6.2.1) */
        return;
    }
    session->state = SERVE_HANDSHAKE;
}

static void answer(struct serve_session *session, struct bytes tag, struct serve_reply reply)
{
    serve_answer(session, tag, &reply);
    count_answer(session, &reply);
    if (session->starts_tls)
        start_tls(session);
    else
        (void)serve_flush(session);
}

static bool is_login(const struct serve_command *row)
{
    return row->run == serve_do_login || row->run == serve_do_authenticate;
}

/* May this command run, as far as its name and our state tell? Otherwise *reply is its answer. */
static bool judge(struct serve_session *session, const struct serve_command *row,
                  struct serve_reply *reply)
{
    if (row == NULL)
        *reply = serve_bad("Unknown command");
    else if (serve_is_refused(row))
        return true; /* in every state the same */
    else if (!serve_is_allowed(session, row))
        *reply = serve_bad("Command is not allowed in this state");
    else if (is_login(row) && !serve_allows_login(session))
        *reply = serve_no("PRIVACYREQUIRED", "Log in over TLS only");
    else
        return true;
    return false;
}

/* Everything but CAPABILITY, LOGOUT and what strangers may do asks whether the login still holds. */
static bool needs_login(const struct serve_session *session, const struct serve_command *row)
{
    return session->login.token != NULL && row->run != serve_do_capability &&
           row->run != serve_do_logout;
}

/* What changed meanwhile, behind the command's own answers: from here on sequence numbers and counts
 * are the new ones (README 3). A failure is not the command's. */
static void tell_news(struct serve_session *session, const struct serve_command *row, bool is_uid)
{
    struct err err = { 0 };

    if (session->state != SERVE_SELECTED || session->is_broken || row->tells == TELLS_NOTHING ||
        !deadline_has_passed(session->refresh_at))
        return;
    if (!serve_refresh_view(session, is_uid || row->tells == TELLS_ALL, &err))
        log_warn(session->server->settings.log, "changes not told", F_U64("session", session->id),
                 F_ERR(&err));
}

static struct serve_reply execute(struct serve_session *session, const struct serve_command *row,
                                  const struct imap_frame_head *head)
{
    struct imap_command command = { .tag = head->tag, .name = head->name, .is_uid = head->is_uid };
    struct serve_reply reply;
    struct err err = { 0 };

    if (needs_login(session, row) && !serve_check_login(session, &err))
        return serve_reply_for(session, &err);
    if (!serve_is_refused(row) &&
        !imap_parse_command(imap_framer_text(session->framer), session->command, &command, &err))
        return serve_bad(arena_text(session->command, err.text));
    reply = row->run(session, &command);
    if (reply.condition == SERVE_OK)
        tell_news(session, row, head->is_uid);
    return reply;
}

static void run_command(struct serve_session *session)
{
    struct imap_frame_head head = imap_framer_head(session->framer);
    const struct serve_command *row = serve_find_command(head.name, head.is_uid);
    struct serve_reply reply = serve_bad("");

    if (head.tag.len == 0)
        reply = serve_bad("A command begins with a tag");
    else if (judge(session, row, &reply))
        reply = execute(session, row, &head);
    if (session->awaits != SERVE_AWAITS_COMMAND) { /* its answer comes later */
        memcpy(session->pending_tag, head.tag.ptr, head.tag.len);
        session->pending_tag[head.tag.len] = '\0';
        (void)serve_flush(session);
        return;
    }
    answer(session, head.tag, reply);
}

/* A literal of a command that will not run is not asked for, or dropped when it comes anyway. */
static void consider_literal(struct serve_session *session)
{
    struct imap_frame_head head = imap_framer_head(session->framer);
    const struct serve_command *row = serve_find_command(head.name, head.is_uid);
    struct serve_reply reply;

    if (head.tag.len == 0 || !judge(session, row, &reply) || serve_is_refused(row)) {
        imap_framer_refuse(session->framer);
        return;
    }
    imap_framer_accept(session->framer);
    if (imap_framer_literal(session->framer).awaits_continuation) {
        buf_text(&session->out, "+ OK\r\n");
        (void)serve_flush(session);
    }
}

static struct serve_reply reply_for_fault(enum imap_framer_fault fault)
{
    switch (fault) {
    case IMAP_FAULT_NONE:
        break; /* refused by consider_literal, whose reason judge has repeated */
    case IMAP_FAULT_COMMAND_TOO_LONG:
        return serve_bad("Command is too long");
    case IMAP_FAULT_LITERAL_TOO_LONG:
    case IMAP_FAULT_LITERAL_MINUS:
        return (struct serve_reply){ SERVE_BAD, "TOOBIG", "Literal is too long" };
    }
    return serve_bad("Literal is not accepted here");
}

static void answer_refused(struct serve_session *session)
{
    struct imap_frame_head head = imap_framer_head(session->framer);
    const struct serve_command *row = serve_find_command(head.name, head.is_uid);
    struct serve_reply reply = serve_bad("");

    if (head.tag.len == 0)
        reply = serve_bad("A command begins with a tag");
    else if (judge(session, row, &reply))
        reply = serve_is_refused(row) ? execute(session, row, &head)
                                      : reply_for_fault(imap_framer_fault(session->framer));
    answer(session, head.tag, reply);
}

/* More than is worth dropping. What would have written is recorded all the same. */
static void close_input(struct serve_session *session)
{
    struct imap_frame_head head = imap_framer_head(session->framer);
    const struct serve_command *row = serve_find_command(head.name, head.is_uid);

    if (head.tag.len > 0 && row != NULL && serve_is_refused(row))
        (void)execute(session, row, &head);
    if (session->state != SERVE_ENDED)
        serve_say_bye(session, NULL, "Too much input");
}

static void finish_line(struct serve_session *session)
{
    struct bytes line = imap_framer_text(session->framer);
    enum serve_awaits awaited = session->awaits;

    session->awaits = SERVE_AWAITS_COMMAND;
    answer(session, bytes_of_text(session->pending_tag),
           awaited == SERVE_AWAITS_SASL ? serve_finish_authenticate(session, line)
                                        : serve_finish_idle(session, line));
}

static enum imap_frame feed(struct serve_session *session)
{
    struct bytes in = net_peek(session->stream);
    size_t had = in.len;
    enum imap_frame frame = session->awaits != SERVE_AWAITS_COMMAND
                                ? imap_framer_feed_line(session->framer, &in)
                                : imap_framer_feed(session->framer, &in);

    net_consume(session->stream, had - in.len);
    return frame;
}

/* Takes what belongs to one command from what has arrived. */
static void take_input(struct serve_session *session)
{
    enum imap_frame frame = feed(session);

    while (frame == IMAP_FRAME_LITERAL) { /* fed again also when nothing more has arrived */
        consider_literal(session);
        frame = feed(session);
    }
    switch (frame) {
    case IMAP_FRAME_LITERAL:
    case IMAP_FRAME_MORE:
        if (session->command_deadline.at_usec == deadline_never().at_usec)
            session->command_deadline =
                deadline_after_ms(session->server->settings.limits.command_ms);
        return;
    case IMAP_FRAME_COMMAND:
        run_command(session);
        break;
    case IMAP_FRAME_LINE:
        finish_line(session);
        break;
    case IMAP_FRAME_REFUSED:
        answer_refused(session);
        break;
    case IMAP_FRAME_CLOSE:
        close_input(session);
        break;
    }
    session->command_deadline = deadline_never();
    arena_reset(session->command);
}

/* ---- the turn --------------------------------------------------------------------------------- */

static enum serve_turn fill(struct serve_session *session)
{
    struct err err = { 0 };

    if (!serve_flush(session))
        return SERVE_TURN_END;
    return turn_for(session, net_try_fill(session->stream, SERVE_READ_BYTES, &err), &err);
}

static bool has_had_its_turn(const struct serve_session *session, struct deadline turn_end)
{
    return atomic_load(&session->server->is_stopping) || session->yields ||
           (atomic_load(&session->server->is_crowded) && deadline_has_passed(turn_end));
}

static bool is_late(const struct serve_session *session)
{
    return session->login.token == NULL && deadline_has_passed(session->login_deadline);
}

static enum serve_turn say_farewell(struct serve_session *session)
{
    if (session->state == SERVE_HANDSHAKE || session->state == SERVE_ENDED)
        return SERVE_TURN_END;
    if (session->ending == SERVE_ENDS_STOPPING)
        serve_say_bye(session, "UNAVAILABLE", "Server is shutting down");
    else if (session->ending == SERVE_ENDS_OVER)
        serve_say_bye(session, "EXPIRED", "This session is over");
    else
        serve_say_bye(session, NULL, "Idle for too long");
    net_set_stall(session->stream, LOGOUT_MS);
    (void)serve_flush(session);
    return SERVE_TURN_END;
}

static enum serve_turn converse(struct serve_session *session)
{
    struct deadline turn_end = deadline_after_ms(SERVE_TURN_MS);

    session->yields = false;
    if (session->awaits == SERVE_AWAITS_DONE)
        serve_attend_idle(session);
    while (!session->is_broken) {
        enum serve_turn turn = SERVE_TURN_AGAIN;

        if (is_late(session))
            return say_farewell(session);
        switch (session->state) {
        case SERVE_HANDSHAKE:
            turn = shake_hands(session);
            break;
        case SERVE_GREETING:
            greet(session);
            break;
        case SERVE_NOT_AUTHENTICATED:
        case SERVE_AUTHENTICATED:
        case SERVE_SELECTED:
            if (net_peek(session->stream).len == 0)
                turn = fill(session);
            else if (has_had_its_turn(session, turn_end))
                return SERVE_TURN_AGAIN;
            else
                take_input(session);
            break;
        case SERVE_ENDED:
            (void)serve_flush(session);
            return SERVE_TURN_END;
        }
        if (turn != SERVE_TURN_AGAIN)
            return turn;
    }
    return SERVE_TURN_END;
}

/* Gives back what a parked session does not need (README 2). */
static void rest(struct serve_session *session)
{
    bool is_between_commands = session->command_deadline.at_usec == deadline_never().at_usec;
    struct deadline idle = deadline_after_ms(session->server->settings.limits.idle_ms);

    arena_free(&session->command);
    arena_free(&session->scratch);
    buf_free(&session->out);
    if (session->reader != NULL)
        vault_trim_reader(session->reader);
    if (session->framer != NULL && is_between_commands && session->state != SERVE_ENDED)
        imap_framer_shrink(session->framer);
    if (session->awaits == SERVE_AWAITS_DONE)
        idle = session->idle_end;
    session->deadline = session->login.token == NULL
                            ? session->login_deadline
                            : deadline_earlier(idle, session->command_deadline);
}

enum serve_turn serve_take_turn(struct serve_session *session)
{
    enum serve_turn turn;

    if (session->ending != SERVE_GOES_ON)
        return say_farewell(session);
    session->patience_usec = session->server->settings.limits.slow_ms * 1000;
    session->command = arena_create(COMMAND_ARENA_BYTES);
    session->scratch = arena_create(COMMAND_ARENA_BYTES);
    turn = converse(session);
    rest(session);
    return turn;
}
