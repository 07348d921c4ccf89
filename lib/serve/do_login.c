/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serve/do_login.c - STARTTLS, LOGIN, AUTHENTICATE PLAIN, LOGOUT, and whether a login still holds.
 * The gate decides about passwords; here nothing is kept but the token. RFC 9051 §6.2, RFC 4616.
 */
#include "auth/session.h"
#include "crypto/base64.h"
#include "net/stream.h"
#include "net/tls.h"
#include "serve/internal.h"

enum {
    LOGIN_MS = 20000, /* the gate may queue it behind other key derivations */
    CHECK_MS = 5000,
    OPEN_PACK_MS = 5000,
    SASL_BYTES = 4096,
};

struct serve_reply serve_do_starttls(struct serve_session *session,
                                     const struct imap_command *command)
{
    (void)command;
    if (session->server->settings.tls == NULL || net_is_encrypted(session->stream))
        return serve_bad("TLS is active already, or not offered here");
    session->starts_tls = true;
    return serve_ok("Begin TLS now");
}

struct serve_reply serve_do_logout(struct serve_session *session,
                                   const struct imap_command *command)
{
    (void)command;
    serve_say_bye(session, NULL, "Logging out");
    return serve_ok("Done");
}

/* ---- logging in --------------------------------------------------------------------------------- */

static bool open_pack(void *context, enum vault_file file, int64_t account_id, int64_t pack_id,
                      struct bytes sha256, int *fd, struct err *err)
{
    struct serve_session *session = context;

    (void)sha256; /* the gate finds it by the pack's row; frames are checked by their own hashes */
    return auth_open_pack(session->server->settings.auth, session->login.token, account_id, pack_id,
                          file == VAULT_FILE_TEXT, deadline_after_ms(OPEN_PACK_MS), fd, err);
}

static struct serve_reply reply_for_refusal(struct serve_session *session, const struct err *err)
{
    struct serve_reply reply = serve_reply_for(session, err);

    if (err->code == ERR_DENIED)
        reply = serve_no("AUTHENTICATIONFAILED", "Name or password is wrong");
    else if (err->code == ERR_LIMIT)
        reply = serve_no("LIMIT", "Too many failed logins; try again later");
    if (++session->login_tries >= SERVE_LOGIN_TRIES_MAX)
        serve_say_bye(session, NULL, "Too many failed logins");
    return reply;
}

static bool begin_reading(struct serve_session *session, struct err *err)
{
    struct vault_pack_opener opener = { .open = open_pack, .context = session };

    return vault_open_reader(session->server->settings.pool, session->login.token, &opener,
                             &session->reader, err);
}

static struct serve_reply log_in(struct serve_session *session, struct bytes name,
                                 const struct secret *password)
{
    char remote[NET_ADDRESS_TEXT_BYTES];
    struct err err = { 0 };

    if (session->server->settings.auth == NULL)
        return serve_no("UNAVAILABLE", "Nobody can log in here");
    net_get_peer(session->stream, remote);
    if (!auth_log_in(session->server->settings.auth, name, password, remote,
                     net_is_encrypted(session->stream), deadline_after_ms(LOGIN_MS),
                     &session->login, &err))
        return reply_for_refusal(session, &err);
    if (!begin_reading(session, &err)) {
        serve_say_bye(session, "UNAVAILABLE", "Try again later");
        return serve_reply_for(session, &err);
    }
    session->state = SERVE_AUTHENTICATED;
    session->login_tries = 0;
    imap_framer_set_limits(session->framer, imap_limits_after_login());
    net_set_stall(session->stream, session->server->settings.limits.stall_ms);
    net_set_deadline(session->stream, deadline_never());
    session->yields = !serve_join_auditor(session, session->login.auditor_id);
    log_info(session->server->settings.log, "logged in", F_U64("session", session->id),
             F_I64("auditor", session->login.auditor_id),
             F_I64("login_session", session->login.session_id));
    return (struct serve_reply){ SERVE_OK, serve_capability_code(session), "Logged in" };
}

struct serve_reply serve_do_login(struct serve_session *session, const struct imap_command *command)
{
    CLEANUP(secret_free) struct secret *password = NULL;
    struct imap_login_args login = command->login;
    struct err err = { 0 };
    bool is_made = secret_create(login.password, &password, &err);

    imap_wipe_login(&login);
    if (!is_made)
        return serve_reply_for(session, &err);
    return log_in(session, login.username, password);
}

/* authzid NUL authcid NUL password (RFC 4616); nobody acts for somebody else. */
static struct serve_reply log_in_plain(struct serve_session *session, struct bytes message)
{
    CLEANUP(secret_free) struct secret *password = NULL;
    struct bytes authzid;
    struct bytes name;
    struct err err = { 0 };

    if (!scan_until_byte(&message, 0, &authzid) || !scan_byte(&message, 0) ||
        !scan_until_byte(&message, 0, &name) || !scan_byte(&message, 0) || name.len == 0)
        return serve_bad("Not a PLAIN message");
    if (authzid.len > 0 && !bytes_equal(authzid, name))
        return serve_no("AUTHORIZATIONFAILED", "Nobody may act for somebody else");
    if (!secret_create(message, &password, &err))
        return serve_reply_for(session, &err);
    return log_in(session, name, password);
}

static struct serve_reply take_response(struct serve_session *session, struct bytes base64)
{
    struct buf message = buf_create(SASL_BYTES);
    struct serve_reply reply;
    struct bytes octets;
    struct err err = { 0 };

    (void)buf_reserve(&message, SASL_BYTES); /* never moved: one copy to wipe */
    if (crypto_read_base64(base64, &message, &err) && buf_done(&message, &octets, &err))
        reply = log_in_plain(session, octets);
    else
        reply = serve_bad("Not base64, or too long");
    if (message.ptr != NULL)
        secret_wipe(message.ptr, message.cap);
    buf_free(&message);
    return reply;
}

struct serve_reply serve_do_authenticate(struct serve_session *session,
                                         const struct imap_command *command)
{
    const struct imap_authenticate_args *args = &command->authenticate;

    if (!bytes_equal_nocase(args->mechanism, BYTES("PLAIN")))
        return serve_no("CANNOT", "Mechanism is not offered");
    if (args->has_initial)
        return take_response(session, args->initial);
    buf_text(&session->out, "+ \r\n");
    session->awaits = SERVE_AWAITS_SASL;
    return serve_ok(""); /* not sent: serve_finish_authenticate gives the answer */
}

struct serve_reply serve_finish_authenticate(struct serve_session *session, struct bytes line)
{
    if (bytes_equal(line, BYTES("*")))
        return serve_bad("Cancelled");
    if (bytes_equal(line, BYTES("=")))
        line.len = 0;
    return take_response(session, line);
}

/* ---- still logged in? --------------------------------------------------------------------------- */

bool serve_ask_login(struct serve_session *session, struct err *err)
{
    struct auth_session_state state;

    return auth_session_state(session->server->settings.primary, session->login.token,
                              deadline_after_ms(CHECK_MS), &state, err);
}

bool serve_check_login(struct serve_session *session, struct err *err)
{
    if (serve_ask_login(session, err))
        return true;
    if (err->code == ERR_DENIED)
        serve_say_bye(session, "EXPIRED", "This session is over");
    return false;
}
