/* SPDX-License-Identifier: Apache-2.0 */
#include "ingest/login.h"

#include "base/fd.h"
#include "ingest/sasl.h"
#include "net/connect.h"
#include "net/tls.h"
#include "net/url.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    HOST_BYTES = 256,
    MECHANISMS_TRIED = 2, /* more would look like guessing */
    /* Until there is a client nobody prolongs the job: all before it is shorter than the lease. */
    HANDSHAKE_STALL_MS = 20000,
    /* so many of the longest silences are a whole handshake: octets may drip for ever */
    HANDSHAKE_STALLS = 2,
    LOGIN_STALLS = 4, /* and a login, from the greeting on */
    CONNECT_QUICK_MS = 5000,
    ECHO_MIN_BYTES = 4,
};

struct login {
    const struct source_account_settings *account;
    const struct source_identity *identity;
    struct ingest_client *client;
    struct ingest_reply greeting;
    char refusal[INGEST_REFUSAL_BYTES]; /* what was said of a token */
    bool was_refused;
    int64_t stall_ms;
    char host[HOST_BYTES];
};

/* ---- what a refusal means ---- */

/* Lower case; found anywhere in the text. Providers: reference of failures, ingest/README. */
static const struct {
    struct bytes word;
    bool is_load; /* asks to be left alone; the others may be about one message or mailbox */
} passing_words[] = {
    { BYTES_INIT("throttl"), true },
    { BYTES_INIT("too many"), true },
    { BYTES_INIT("try again"), false },
    { BYTES_INIT("temporar"), false },
    { BYTES_INIT("unavailable"), false },
    { BYTES_INIT("rate limit"), true },
    { BYTES_INIT("bandwidth"), true },
    { BYTES_INIT("overloaded"), true },
    { BYTES_INIT("maximum number of connections"), true },
    { BYTES_INIT("not connected"), true },
    { BYTES_INIT("backoff"), true },
    { BYTES_INIT("timed out"), false },
    { BYTES_INIT("server error"), false },
    { BYTES_INIT("internal error"), false },
};

static bool speaks_of_passing(const char *text, bool load_only)
{
    uint8_t lower[INGEST_REPLY_TEXT_BYTES];
    size_t len = strnlen(text, sizeof lower);

    for (size_t i = 0; i < len; i++)
        lower[i] = ascii_lower((uint8_t)text[i]);
    for (size_t i = 0; i < ARRAY_LEN(passing_words); i++)
        if ((passing_words[i].is_load || !load_only) &&
            bytes_find(bytes_of(lower, len), passing_words[i].word) >= 0)
            return true;
    return false;
}

bool ingest_speaks_of_load(const struct ingest_reply *reply)
{
    return reply->code == IMAP_CODE_LIMIT || reply->code == IMAP_CODE_THROTTLED ||
           reply->code == IMAP_CODE_OVERQUOTA || speaks_of_passing(reply->text, true);
}

enum err_code ingest_classify_reply(const struct ingest_reply *reply, enum err_code otherwise)
{
    switch (reply->code) {
    case IMAP_CODE_UNAVAILABLE:
    case IMAP_CODE_LIMIT:
    case IMAP_CODE_THROTTLED:
    case IMAP_CODE_INUSE:
    case IMAP_CODE_OVERQUOTA:
    case IMAP_CODE_SERVERBUG:
        return ERR_RETRY;
    case IMAP_CODE_AUTHENTICATIONFAILED:
    case IMAP_CODE_AUTHORIZATIONFAILED:
    case IMAP_CODE_EXPIRED:
    case IMAP_CODE_PRIVACYREQUIRED:
    case IMAP_CODE_CONTACTADMIN:
    case IMAP_CODE_NOPERM:
        return ERR_DENIED;
    case IMAP_CODE_NONE:
    case IMAP_CODE_OTHER:
    case IMAP_CODE_ALERT:
    case IMAP_CODE_ALREADYEXISTS:
    case IMAP_CODE_CAPABILITY:
    case IMAP_CODE_CLOSED:
    case IMAP_CODE_EXPUNGEISSUED:
    case IMAP_CODE_HIGHESTMODSEQ:
    case IMAP_CODE_MAILBOXID:
    case IMAP_CODE_NOMODSEQ:
    case IMAP_CODE_NONEXISTENT:
    case IMAP_CODE_PERMANENTFLAGS:
    case IMAP_CODE_READ_ONLY:
    case IMAP_CODE_READ_WRITE:
    case IMAP_CODE_TRYCREATE:
    case IMAP_CODE_UIDNEXT:
    case IMAP_CODE_UIDVALIDITY:
    case IMAP_CODE_UIDNOTSTICKY:
    case IMAP_CODE_UNSEEN:
        return speaks_of_passing(reply->text, false) ? ERR_RETRY : otherwise;
    }
    UNREACHABLE();
}

/* ---- TLS ---- */

static int64_t stall_of(const struct ingest_client_options *options)
{
    return options->stall_ms == 0 ? NET_STALL_DEFAULT_MS : options->stall_ms;
}

/* The PEM text of the account as a file without a name, which is how OpenSSL takes it. */
static bool make_ca_file(struct bytes pem, int *fd, char path[64], struct err *err)
{
    CLEANUP(fd_close) int made = memfd_create("holdfast-tls-ca", MFD_CLOEXEC);

    if (made < 0)
        return err_errno(err, "CA of the account");
    if (!fd_write_all(made, pem, err))
        return false;
    (void)snprintf(path, 64, "/proc/self/fd/%d", made);
    *fd = fd_take(&made);
    return true;
}

/* What the operator pinned was read by the CLI already. */
static bool pin_keys(const struct login *login, struct net_tls *tls, struct err *err)
{
    const struct source_account_settings *account = login->account;
    struct net_pin pins[NET_PINS_MAX];

    if (account->tls_pin_count == 0)
        return true;
    if (account->tls_pin_count > NET_PINS_MAX)
        return err_fail(err, ERR_LIMIT, "%zu pinned keys", account->tls_pin_count);
    for (size_t i = 0; i < account->tls_pin_count; i++)
        if (!net_read_pin(account->tls_pins[i], &pins[i], err))
            return false;
    net_pin_tls_client(tls, pins, account->tls_pin_count, account->is_pin_only);
    return true;
}

static bool start_tls(const struct login *login, struct net_stream *stream, struct err *err)
{
    CLEANUP(fd_close) int ca_fd = -1;
    CLEANUP(net_free_tls) struct net_tls *tls = NULL;
    char ca_path[64];
    struct bytes ca = login->account->tls_ca;
    int64_t stall_ms = login->stall_ms < HANDSHAKE_STALL_MS ? login->stall_ms : HANDSHAKE_STALL_MS;

    if (ca.len > 0 && !make_ca_file(ca, &ca_fd, ca_path, err))
        return false;
    if (!net_create_tls_client(ca.len > 0 ? ca_path : NULL, &tls, err) ||
        !pin_keys(login, tls, err) ||
        (login->identity->proof == SOURCE_BY_CERTIFICATE &&
         !net_identify_tls_client(tls, secret_bytes(login->identity->secret), err)))
        return false;
    net_set_stall(stream, stall_ms);
    net_set_deadline(stream, deadline_after_ms(HANDSHAKE_STALLS * stall_ms));
    if (!net_start_tls_client(stream, tls, login->host, err))
        return false;
    net_set_deadline(stream, deadline_never());
    net_set_stall(stream, login->stall_ms);
    return true;
}

static bool fail_here(const struct login *login, struct err *err)
{
    return err_wrap(err, "%s port %u", login->host, (unsigned)login->account->port);
}

static bool ask_capabilities(struct login *login, struct err *err)
{
    struct ingest_reply reply;
    struct ingest_tag tag;

    if (ingest_knows_capabilities(login->client))
        return true;
    ingest_begin_command(login->client, "CAPABILITY");
    if (!ingest_send_command(login->client, &tag, err) ||
        !ingest_finish_command(login->client, tag, NULL, NULL, &reply, err))
        return false;
    if (reply.condition != IMAP_OK || !ingest_knows_capabilities(login->client))
        return err_fail(err, ERR_SYNTAX, "CAPABILITY was answered %s", reply.text);
    return true;
}

static bool upgrade(struct login *login, struct err *err)
{
    struct ingest_reply reply;
    struct ingest_tag tag;

    if (!ask_capabilities(login, err))
        return false;
    if ((ingest_capabilities(login->client) & INGEST_STARTTLS) == 0)
        return err_fail(err, ERR_DENIED,
                        "no STARTTLS is offered, so no password is sent: use imaps:// if the "
                        "server has it");
    ingest_begin_command(login->client, "STARTTLS");
    if (!ingest_send_command(login->client, &tag, err) ||
        !ingest_finish_command(login->client, tag, NULL, NULL, &reply, err))
        return false;
    if (reply.condition != IMAP_OK)
        return err_fail(err, ingest_classify_reply(&reply, ERR_DENIED),
                        "STARTTLS was refused, so no password is sent: %s", reply.text);
    ingest_forget_capabilities(login->client); /* RFC 9051 §6.2.1: what was said in plain is void */
    return start_tls(login, ingest_stream(login->client), err);
}

/* ---- login ---- */

static char shown_as(uint8_t octet) /* as ingest_take_reply shows it */
{
    return (char)(octet >= 0x20 && octet < 0x7f ? octet : '?');
}

/* How many octets of the secret stand here; at the end of a text, which may be cut, a part of it counts. */
static size_t secret_length_at(const char *text, struct bytes secret)
{
    size_t len = 0;

    while (len < secret.len && text[len] != '\0' && text[len] == shown_as(secret.ptr[len]))
        len++;
    return len == secret.len || (len >= ECHO_MIN_BYTES && text[len] == '\0') ? len : 0;
}

/* Some servers repeat the line that they refuse, and the text goes to logs and lists. */
static void hide_echo(char *text, struct bytes secret)
{
    if (secret.len < ECHO_MIN_BYTES) /* it would be found in any text */
        return;
    while (*text != '\0') {
        size_t len = secret_length_at(text, secret);

        memset(text, '*', len);
        text += len > 0 ? len : 1;
    }
}

static bool fail_login(struct login *login, struct ingest_reply *reply, struct err *err)
{
    struct bytes name = login->account->name;
    enum err_code code = ingest_classify_reply(reply, ERR_DENIED);
    const char *separator = login->refusal[0] == '\0' ? "" : "; ";

    hide_echo(reply->text, secret_bytes(login->identity->secret));
    hide_echo(login->refusal, secret_bytes(login->identity->secret));
    login->was_refused = code == ERR_DENIED;
    if (code == ERR_RETRY)
        (void)err_fail(err, code, "it is tried again later");
    else if (login->identity->proof == SOURCE_BY_PASSWORD)
        (void)err_fail(err, code,
                       "check the user name and set the password with holdfast account edit %.*s "
                       "--password-file F",
                       (int)name.len, (const char *)name.ptr);
    else if (login->identity->proof == SOURCE_BY_TOKEN)
        (void)err_fail(
            err, code,
            "the endpoint gave a token, which this mailbox does not take: check the user "
            "name, the scope, and that the client may read the mailbox");
    else
        (void)err_fail(err, code, "check the user name and the client certificate");
    return err_wrap(err, "login to %s:%u refused%s (%s%s%s)", login->host,
                    (unsigned)login->account->port, code == ERR_RETRY ? " for now" : "",
                    reply->text, separator, login->refusal);
}

static bool send_login(struct login *login, struct ingest_reply *reply, struct err *err)
{
    struct ingest_client *client = login->client;
    struct ingest_tag tag;

    ingest_begin_command(client, "LOGIN ");
    if (!ingest_add_string(client, login->account->login, err))
        return false;
    ingest_add_text(client, " ");
    return ingest_add_string(client, secret_bytes(login->identity->secret), err) &&
           ingest_send_command(client, &tag, err) &&
           ingest_finish_command(client, tag, NULL, NULL, reply, err);
}

static bool fail_unoffered(const struct login *login, struct err *err)
{
    static const char *const wanted[] = {
        [SOURCE_BY_PASSWORD] =
            "neither a way to AUTHENTICATE that we know nor LOGIN on this connection",
        [SOURCE_BY_TOKEN] = "neither OAUTHBEARER nor XOAUTH2, so it takes no token",
        [SOURCE_BY_CERTIFICATE] =
            "no EXTERNAL on this connection: it asked for no certificate, or does not take ours",
    };

    return err_fail(err, ERR_DENIED, "%s:%u offers %s", login->host, (unsigned)login->account->port,
                    wanted[login->identity->proof]);
}

/*
 * A mechanism that the server announces and cannot use for this account (SCRAM, where it keeps hashes
 * of passwords in another form) is refused like a wrong password: the next is tried, once. A token says
 * the same by any mechanism, so the first refusal counts.
 */
static bool authenticate(struct login *login, struct err *err)
{
    struct ingest_reply reply = { .condition = IMAP_BAD };
    struct ingest_subject subject = {
        .login = login->account->login,
        .login_as = login->account->login_as,
        .identity = login->identity,
        .host = login->account->host,
        .port = login->account->port,
    };
    bool is_password = login->identity->proof == SOURCE_BY_PASSWORD;
    bool may_log_in = /* LOGIN has no room for a second name */
        is_password && login->account->login_as.len == 0 &&
        (ingest_capabilities(login->client) & INGEST_LOGINDISABLED) == 0;
    uint32_t tried = 0;

    for (int tries = 0; tries < MECHANISMS_TRIED && reply.condition != IMAP_OK; tries++) {
        uint32_t mechanism = ingest_choose_mechanism(login->client, &subject, tried);

        if (mechanism == 0)
            break;
        tried |= mechanism;
        if (!ingest_authenticate(login->client, mechanism, &subject, login->refusal, &reply, err))
            return fail_here(login, err);
        if (reply.condition == IMAP_NO &&
            (!is_password || ingest_classify_reply(&reply, ERR_DENIED) == ERR_RETRY))
            return fail_login(login, &reply, err);
    }
    if (tried == 0 && !may_log_in)
        return fail_unoffered(login, err);
    /* BAD: what was announced is not there. */
    if (reply.condition == IMAP_BAD && may_log_in && !send_login(login, &reply, err))
        return false;
    if (reply.condition != IMAP_OK)
        return fail_login(login, &reply, err);
    if (reply.code != IMAP_CODE_CAPABILITY)
        ingest_forget_capabilities(login->client); /* they may differ after login */
    return true;
}

static bool greet(struct login *login, struct err *err)
{
    struct ingest_reply *greeting = &login->greeting;

    if (!ingest_read_greeting(login->client, greeting, err))
        return fail_here(login, err);
    if (greeting->condition == IMAP_BYE || greeting->condition == IMAP_NO ||
        greeting->condition == IMAP_BAD)
        return err_fail(err, ERR_RETRY, "%s:%u does not take connections now: %s", login->host,
                        (unsigned)login->account->port, greeting->text);
    /* A PREAUTH greeting skips STARTTLS and the proof of who we are. */
    if (greeting->condition == IMAP_PREAUTH)
        return err_fail(err, ERR_DENIED,
                        "%s:%u greets with PREAUTH: not asked for a password, nobody knows whose "
                        "mail it is",
                        login->host, (unsigned)login->account->port);
    return true;
}

static void take_host(struct login *login)
{
    struct bytes host = bytes_slice(login->account->host, 0, HOST_BYTES - 1);

    memcpy(login->host, host.ptr, host.len);
    login->host[host.len] = '\0';
}

/* Host, greeting and capabilities tell who it is; after login there are more of these. */
static void recognise(struct login *login)
{
    struct ingest_rules rules = ingest_rules_for(&(struct ingest_peer){
        .host = bytes_of_text(login->host),
        .greeting = bytes_of_text(login->greeting.text),
        .capabilities = ingest_capabilities(login->client),
    });

    ingest_set_rules(login->client, &rules);
}

static bool log_in(struct login *login, struct err *err)
{
    if (!greet(login, err))
        return false;
    if (login->account->tls == SOURCE_TLS_STARTTLS && !upgrade(login, err))
        return fail_here(login, err);
    if (!ask_capabilities(login, err))
        return fail_here(login, err);
    recognise(login);
    if (!authenticate(login, err))
        return false;
    ingest_note_login(login->client);
    if (!ask_capabilities(login, err))
        return fail_here(login, err);
    recognise(login);
    return true;
}

bool ingest_greet_and_log_in(struct net_stream **stream, struct ingest_login *ask,
                             const struct ingest_client_options *options,
                             struct ingest_client **out, struct err *err)
{
    CLEANUP(ingest_close_client) struct ingest_client *client = NULL;
    struct login login = {
        .account = ask->account,
        .identity = ask->identity,
        .stall_ms = stall_of(options),
    };
    bool is_in;

    take_host(&login);
    if (!ingest_open_client(stream, options, &client, err))
        return false;
    login.client = client;
    ingest_set_end(client, deadline_after_ms(LOGIN_STALLS * login.stall_ms));
    is_in = log_in(&login, err);
    ingest_set_end(client, deadline_never());
    ask->was_refused = login.was_refused;
    if (!is_in)
        return false;
    *out = client;
    client = NULL;
    return true;
}

bool ingest_log_in(struct ingest_login *ask, const struct ingest_client_options *options,
                   struct ingest_client **out, struct err *err)
{
    const struct source_account_settings *account = ask->account;
    CLEANUP(net_close) struct net_stream *stream = NULL;
    struct login login = {
        .account = account,
        .identity = ask->identity,
        .stall_ms = stall_of(options),
    };
    struct deadline quick = deadline_after_ms(CONNECT_QUICK_MS);
    struct net_target target = { .port = account->port };

    ask->was_refused = false;
    take_host(&login);
    target.host = login.host;
    target.options =
        (struct net_options){ .stall_ms = options->stall_ms, .stop_fd = &options->stop_fd };
    if (account->tls == SOURCE_TLS_NONE && !net_is_loopback_host(login.host))
        return err_fail(err, ERR_DENIED, "%s: no password is sent without TLS, save to loopback",
                        login.host);
    if (!net_connect(&target, &stream, err))
        return false;
    if (options->beat != NULL && deadline_has_passed(quick) &&
        !options->beat(options->context, err))
        return false;
    if (account->tls == SOURCE_TLS_IMPLICIT && !start_tls(&login, stream, err))
        return fail_here(&login, err);
    return ingest_greet_and_log_in(&stream, ask, options, out, err);
}
