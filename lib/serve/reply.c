/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serve/reply.c - what goes out: untagged data in pieces, one tagged answer, BYE.
 *
 * Whoever reads slowly keeps a thread. So waiting for a client is measured: he begins each turn with
 * SERVE_SLOW_MS of patience, waiting uses it up, each octet he is sent earns 1/SERVE_RATE_MIN second of
 * it back, and more than at the beginning it never is. (Before login the time for that is the limit.)
 */
#include "net/stream.h"
#include "serve/internal.h"

enum {
    PIECE_BYTES = 64 << 10, /* written under one deadline: what it earns is within SERVE_SLOW_MS */
    PUSH_BYTES = 8 << 10, /* handed to the stream from here on; the stream's own buffer is 16 KiB */
};

static bool fail_stream(struct serve_session *session, const struct err *err)
{
    if (!session->is_broken)
        log_debug(session->server->settings.log, "client does not take its answer",
                  F_U64("session", session->id), F_ERR(err));
    session->is_broken = true;
    buf_reset(&session->out, 0);
    return false;
}

static int64_t now_usec(void)
{
    return deadline_after_ms(0).at_usec; /* monotonic */
}

/* Writes a piece, or with none what the stream holds back. */
static bool write_piece(struct serve_session *session, const struct bytes *piece, struct err *err)
{
    int64_t most = session->server->settings.limits.slow_ms * 1000;
    int64_t began = now_usec();
    bool is_ok;

    if (piece != NULL)
        session->patience_usec += (int64_t)piece->len * 1000000 / SERVE_RATE_MIN;
    if (session->patience_usec > most)
        session->patience_usec = most;
    if (session->login.token != NULL)
        net_set_deadline(session->stream,
                         (struct deadline){ .at_usec = began + session->patience_usec });
    is_ok =
        piece != NULL ? net_write(session->stream, *piece, err) : net_flush(session->stream, err);
    session->patience_usec -= now_usec() - began;
    return is_ok;
}

static bool write_pieces(struct serve_session *session, struct bytes octets, struct err *err)
{
    for (size_t at = 0; at < octets.len; at += PIECE_BYTES) {
        struct bytes piece = bytes_slice(octets, at, PIECE_BYTES);

        if (!write_piece(session, &piece, err))
            return false;
    }
    return true;
}

static bool hand_over(struct serve_session *session)
{
    struct bytes octets;
    struct err err = { 0 };

    if (session->is_broken)
        return false;
    if (!buf_done(&session->out, &octets, &err) || !write_pieces(session, octets, &err))
        return fail_stream(session, &err);
    buf_reset(&session->out, 2 * PUSH_BYTES);
    return true;
}

bool serve_push(struct serve_session *session)
{
    if (session->is_broken)
        return false;
    if (session->out.len < PUSH_BYTES && !session->out.has_failed)
        return true;
    return hand_over(session);
}

bool serve_push_octets(struct serve_session *session, struct bytes octets)
{
    struct err err = { 0 };

    if (octets.len < PUSH_BYTES) {
        buf_append(&session->out, octets);
        return serve_push(session);
    }
    if (!hand_over(session))
        return false;
    return write_pieces(session, octets, &err) || fail_stream(session, &err);
}

bool serve_flush(struct serve_session *session)
{
    struct err err = { 0 };

    if (!hand_over(session))
        return false;
    return write_piece(session, NULL, &err) || fail_stream(session, &err);
}

/* ---- answers ---------------------------------------------------------------------------------- */

/* Error texts of the grammar may quote a client's octet. */
static void write_text(struct buf *out, const char *text)
{
    for (; *text != '\0'; text++)
        buf_byte(out, *text < ' ' || *text > '~' ? (uint8_t)'?' : (uint8_t)*text);
}

static void write_condition(struct buf *out, const char *word, const char *code, const char *text)
{
    buf_text(out, word);
    if (code != NULL) {
        buf_text(out, " [");
        write_text(out, code);
        buf_text(out, "]");
    }
    buf_byte(out, ' ');
    write_text(out, text);
    buf_text(out, "\r\n");
}

void serve_answer(struct serve_session *session, struct bytes tag, const struct serve_reply *reply)
{
    static const char *const words[] = {
        [SERVE_OK] = "OK",
        [SERVE_NO] = "NO",
        [SERVE_BAD] = "BAD",
    };

    buf_append(&session->out, tag.len > 0 ? tag : BYTES("*"));
    buf_byte(&session->out, ' ');
    write_condition(&session->out, words[reply->condition], reply->code, reply->text);
    (void)!serve_push(session);
}

void serve_say_bye(struct serve_session *session, const char *code, const char *text)
{
    write_condition(&session->out, "* BYE", code, text);
    session->state = SERVE_ENDED;
}

struct serve_reply serve_ok(const char *text)
{
    return (struct serve_reply){ SERVE_OK, NULL, text };
}

struct serve_reply serve_no(const char *code, const char *text)
{
    return (struct serve_reply){ SERVE_NO, code, text };
}

struct serve_reply serve_bad(const char *text)
{
    return (struct serve_reply){ SERVE_BAD, NULL, text };
}

/* RFC 5530. What the client may learn stands here; why it happened stands in the log. */
static const struct serve_reply replies[] = {
    [ERR_NONE] = { SERVE_NO, "SERVERBUG", "Internal error" },
    [ERR_SYNTAX] = { SERVE_BAD, NULL, "Syntax error" },
    [ERR_LIMIT] = { SERVE_NO, "LIMIT", "Over a limit of this server" },
    [ERR_ABSENT] = { SERVE_NO, "NONEXISTENT", "No such mailbox or message" },
    [ERR_DENIED] = { SERVE_NO, "NOPERM", "Not permitted" },
    [ERR_RETRY] = { SERVE_NO, "UNAVAILABLE", "Try again later" },
    [ERR_CORRUPT] = { SERVE_NO, "CORRUPTION", "Stored data are damaged; the operator is told" },
    [ERR_SYSTEM] = { SERVE_NO, "UNAVAILABLE", "Try again later" },
};

struct serve_reply serve_reply_for(struct serve_session *session, const struct err *err)
{
    const struct log *log = session->server->settings.log;
    struct serve_reply reply = replies[err->code];

    switch (err->code) {
    case ERR_SYNTAX:
        reply.text = arena_text(session->command, err->text);
        break;
    case ERR_LIMIT:
    case ERR_ABSENT:
    case ERR_DENIED:
        break;
    case ERR_RETRY:
        log_warn(log, "command failed", F_U64("session", session->id), F_ERR(err));
        break;
    case ERR_NONE:
    case ERR_CORRUPT:
    case ERR_SYSTEM:
        log_error(log, "command failed", F_U64("session", session->id), F_ERR(err));
        break;
    }
    return reply;
}
