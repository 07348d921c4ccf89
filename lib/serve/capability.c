/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serve/capability.c - what we say we can do. To add one: a row here; its commands.
 * Order: as they are sent, and as DESIGN 5 has them. A word stands here only when its tests pass.
 */
#include "net/tls.h"
#include "serve/internal.h"

enum when {
    ALWAYS,
    BEFORE_LOGIN,
    AFTER_LOGIN,
    CAN_START_TLS,
    LOGIN_CLOSED,
    LOGIN_OPEN,
};

// clang-format off
static const struct {
    const char *word;
    enum when when;
} capabilities[] = {
    { "IMAP4rev1",       ALWAYS },        /* RFC 3501 */
    { "STARTTLS",        CAN_START_TLS },
    { "LOGINDISABLED",   LOGIN_CLOSED },
    { "AUTH=PLAIN",      LOGIN_OPEN },    /* RFC 4616 */
    { "ID",              ALWAYS },        /* RFC 2971 */
    { "ENABLE",          ALWAYS },        /* RFC 5161 */
    { "IDLE",            AFTER_LOGIN },   /* RFC 2177 */
    { "UNSELECT",        AFTER_LOGIN },   /* RFC 3691 */
    { "NAMESPACE",       AFTER_LOGIN },   /* RFC 2342 */
    { "CHILDREN",        AFTER_LOGIN },   /* RFC 3348 */
    { "LITERAL-",        ALWAYS },        /* RFC 7888 */
    { "SASL-IR",         ALWAYS },        /* RFC 4959 */
    { "ACL",             AFTER_LOGIN },   /* RFC 4314: MYRIGHTS keeps Thunderbird from STORE */
    { "RIGHTS=texk",     AFTER_LOGIN },
    { "LIST-EXTENDED",   AFTER_LOGIN },   /* RFC 5258 */
    { "LIST-STATUS",     AFTER_LOGIN },   /* RFC 5819 */
    { "CONDSTORE",       AFTER_LOGIN },   /* RFC 7162 */
};
// clang-format on

static bool can_start_tls(const struct serve_session *session)
{
    return session->server->settings.tls != NULL && !net_is_encrypted(session->stream);
}

bool serve_allows_login(const struct serve_session *session)
{
    return net_is_encrypted(session->stream) ||
           (session->server->settings.allows_plain_loopback && net_peer_is_local(session->stream));
}

static bool holds(const struct serve_session *session, enum when when)
{
    bool is_stranger = session->login.token == NULL;

    switch (when) {
    case ALWAYS:
        return true;
    case BEFORE_LOGIN:
        return is_stranger;
    case AFTER_LOGIN:
        return !is_stranger;
    case CAN_START_TLS:
        return is_stranger && can_start_tls(session);
    case LOGIN_CLOSED:
        return is_stranger && !serve_allows_login(session);
    case LOGIN_OPEN:
        return is_stranger && serve_allows_login(session);
    }
    UNREACHABLE();
}

void serve_write_capabilities(const struct serve_session *session, struct buf *buf)
{
    const char *gap = "";

    for (size_t i = 0; i < ARRAY_LEN(capabilities); i++) {
        if (!holds(session, capabilities[i].when))
            continue;
        buf_text(buf, gap);
        buf_text(buf, capabilities[i].word);
        gap = " ";
    }
}

const char *serve_capability_code(struct serve_session *session)
{
    CLEANUP(buf_free) struct buf text = buf_create(4096);

    buf_text(&text, "CAPABILITY ");
    serve_write_capabilities(session, &text);
    buf_byte(&text, 0);
    assert(!text.has_failed);
    return arena_text(session->command, (const char *)text.ptr);
}

struct serve_reply serve_do_capability(struct serve_session *session,
                                       const struct imap_command *command)
{
    (void)command;
    buf_text(&session->out, "* CAPABILITY ");
    serve_write_capabilities(session, &session->out);
    buf_text(&session->out, "\r\n");
    return serve_ok("Done");
}
