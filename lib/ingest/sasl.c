/* SPDX-License-Identifier: Apache-2.0 */
#include "ingest/sasl.h"

#include "base/buf.h"
#include "crypto/base64.h"
#include "ingest/sasl_token.h"
#include "net/tls.h"

#include <gsasl.h>
#include <string.h>

enum {
    ROUNDS_MAX = 8,           /* challenges of one exchange; SCRAM has two */
    ITERATIONS_MAX = 2000000, /* of SCRAM's key derivation: seconds; no server asks for more */
    BINDING_TEXT_BYTES = 4 * NET_BINDING_MAX_BYTES,
};

static const uint32_t scram_plus = INGEST_AUTH_SCRAM_SHA_256_PLUS | INGEST_AUTH_SCRAM_SHA_1_PLUS;
static const uint32_t scram = INGEST_AUTH_SCRAM_SHA_256_PLUS | INGEST_AUTH_SCRAM_SHA_1_PLUS |
                              INGEST_AUTH_SCRAM_SHA_256 | INGEST_AUTH_SCRAM_SHA_1;

/* Best first. */
static const struct mechanism {
    uint32_t bit;
    const char *name;
    bool is_client_first; /* RFC 4422 §5: may travel as initial response */
    bool is_bound;
    enum source_proof proof;
    void (*write)(struct buf *out, const struct ingest_subject *subject); /* NULL: libgsasl's */
} mechanisms[] = {
    { INGEST_AUTH_SCRAM_SHA_256_PLUS, "SCRAM-SHA-256-PLUS", true, true, SOURCE_BY_PASSWORD, NULL },
    { INGEST_AUTH_SCRAM_SHA_1_PLUS, "SCRAM-SHA-1-PLUS", true, true, SOURCE_BY_PASSWORD, NULL },
    { INGEST_AUTH_SCRAM_SHA_256, "SCRAM-SHA-256", true, false, SOURCE_BY_PASSWORD, NULL },
    { INGEST_AUTH_SCRAM_SHA_1, "SCRAM-SHA-1", true, false, SOURCE_BY_PASSWORD, NULL },
    { INGEST_AUTH_PLAIN, "PLAIN", true, false, SOURCE_BY_PASSWORD, NULL },
    { INGEST_AUTH_CRAM_MD5, "CRAM-MD5", false, false, SOURCE_BY_PASSWORD, NULL },
    { INGEST_AUTH_LOGIN, "LOGIN", false, false, SOURCE_BY_PASSWORD, NULL },
    { INGEST_AUTH_OAUTHBEARER, "OAUTHBEARER", true, false, SOURCE_BY_TOKEN,
      ingest_write_oauthbearer },
    { INGEST_AUTH_XOAUTH2, "XOAUTH2", true, false, SOURCE_BY_TOKEN, ingest_write_xoauth2 },
    { INGEST_AUTH_EXTERNAL, "EXTERNAL", true, false, SOURCE_BY_CERTIFICATE, NULL },
};

static const struct mechanism *mechanism_of(uint32_t bit)
{
    for (size_t i = 0; i < ARRAY_LEN(mechanisms); i++)
        if (mechanisms[i].bit == bit)
            return &mechanisms[i];
    UNREACHABLE();
}

/* RFC 9266; TLS 1.2 without the extended master secret has no such binding. */
static bool can_bind(const struct ingest_client *client)
{
    uint8_t octets[NET_BINDING_MAX_BYTES];
    struct err ignored = { 0 };
    size_t len;

    return !ingest_rules(client)->is_binding_refused &&
           net_get_channel_binding(ingest_stream(client), NET_BINDING_EXPORTER, octets, &len,
                                   &ignored);
}

static uint32_t find_best(uint32_t offered, enum source_proof proof)
{
    for (size_t i = 0; i < ARRAY_LEN(mechanisms); i++)
        if ((offered & mechanisms[i].bit) != 0 && mechanisms[i].proof == proof)
            return mechanisms[i].bit;
    return 0;
}

uint32_t ingest_choose_mechanism(const struct ingest_client *client,
                                 const struct ingest_subject *subject, uint32_t tried)
{
    const uint32_t one_name = INGEST_AUTH_CRAM_MD5 | INGEST_AUTH_LOGIN;
    uint32_t left =
        ingest_capabilities(client) & ~tried & ~(subject->login_as.len > 0 ? one_name : 0);
    uint32_t other;

    if ((tried & scram_plus) != 0 || !can_bind(client))
        left &= ~scram_plus;
    other = (tried & scram) != 0 ? find_best(left & ~scram, subject->identity->proof) : 0;
    return other != 0 ? other : find_best(left, subject->identity->proof);
}

/* ---- one exchange --------------------------------------------------------------------------- */

struct exchange {
    struct ingest_client *client;
    const struct mechanism *mechanism;
    Gsasl *gsasl;
    Gsasl_session *session;
    bool is_proved; /* libgsasl awaits nothing more of the server */
};

static void end_exchange(struct exchange *exchange)
{
    if (exchange->session != NULL)
        gsasl_finish(exchange->session);
    if (exchange->gsasl != NULL)
        gsasl_done(exchange->gsasl);
}

static bool fail_gsasl(const struct exchange *exchange, int code, struct err *err)
{
    return err_fail(err, ERR_DENIED, "%s: %s", exchange->mechanism->name, gsasl_strerror(code));
}

static bool set_property(struct exchange *exchange, Gsasl_property property, struct bytes value,
                         struct err *err)
{
    int code =
        gsasl_property_set_raw(exchange->session, property, (const char *)value.ptr, value.len);

    return code == GSASL_OK || fail_gsasl(exchange, code, err);
}

/* RFC 9266; older servers bind to the certificate, which libgsasl does not do. */
static bool set_binding(struct exchange *exchange, struct err *err)
{
    CLEANUP(buf_free) struct buf text = buf_create(BINDING_TEXT_BYTES);
    uint8_t octets[NET_BINDING_MAX_BYTES];
    size_t len;

    if (!exchange->mechanism->is_bound)
        return true;
    if (!net_get_channel_binding(ingest_stream(exchange->client), NET_BINDING_EXPORTER, octets,
                                 &len, err))
        return false;
    crypto_write_base64(&text, bytes_of(octets, len));
    return set_property(exchange, GSASL_CB_TLS_EXPORTER, buf_bytes(&text), err);
}

/* A certificate stands for itself; whose mailbox is wanted is the authorization identity. */
static bool set_subject(struct exchange *exchange, const struct ingest_subject *subject,
                        struct err *err)
{
    if (subject->identity->proof == SOURCE_BY_CERTIFICATE)
        return set_property(exchange, GSASL_AUTHZID, subject->login, err);
    if (subject->login_as.len > 0 && subject->identity->proof == SOURCE_BY_PASSWORD &&
        !set_property(exchange, GSASL_AUTHZID, subject->login, err))
        return false;
    return set_property(exchange, GSASL_AUTHID,
                        subject->login_as.len > 0 ? subject->login_as : subject->login, err) &&
           set_property(exchange, GSASL_PASSWORD, secret_bytes(subject->identity->secret), err);
}

static bool begin_exchange(struct exchange *exchange, const struct ingest_subject *subject,
                           struct err *err)
{
    int code = gsasl_init(&exchange->gsasl);

    if (code == GSASL_OK)
        code = gsasl_client_start(exchange->gsasl, exchange->mechanism->name, &exchange->session);
    if (code != GSASL_OK)
        return fail_gsasl(exchange, code, err);
    return set_subject(exchange, subject, err) && set_binding(exchange, err);
}

/* Adds the response to a challenge (base64, with a NUL behind it) to the line in the making. */
static bool respond(struct exchange *exchange, const char *challenge, bool is_initial,
                    struct err *err)
{
    char *response = NULL;
    int code = gsasl_step64(exchange->session, challenge, &response);

    if (code != GSASL_OK && code != GSASL_NEEDS_MORE)
        return fail_gsasl(exchange, code, err);
    exchange->is_proved = code == GSASL_OK;
    if (is_initial)
        ingest_add_text(exchange->client, response[0] == '\0' ? " =" : " ");
    ingest_add_text(exchange->client, response);
    secret_wipe(response, strlen(response));
    gsasl_free(response);
    return true;
}

/* RFC 9051 §6.2.2: "*" ends it, and the tagged BAD is read. The error that led here stays. */
static bool cancel(struct exchange *exchange, struct ingest_tag tag)
{
    struct ingest_reply ignored_reply;
    struct err ignored = { 0 };

    ingest_begin_line(exchange->client);
    ingest_add_text(exchange->client, "*");
    (void)!(ingest_send_command(exchange->client, &tag, &ignored) &&
            ingest_finish_command(exchange->client, tag, NULL, NULL, &ignored_reply, &ignored));
    return false;
}

/*
 * libgsasl derives the key with as many iterations as the server names, up to 2^32, and cannot be
 * interrupted: an hour. "r=…,s=…,i=4096" (RFC 5802 §7): neither nonce nor salt has a comma.
 */
static bool check_iterations(const struct exchange *exchange, struct bytes challenge,
                             struct err *err)
{
    CLEANUP(buf_free) struct buf text = buf_create(INGEST_CHALLENGE_MAX);
    const char *name = exchange->mechanism->name;
    struct bytes message;
    uint64_t iterations;
    ssize_t at;

    if ((exchange->mechanism->bit & scram) == 0)
        return true;
    if (!crypto_read_base64(challenge, &text, err) || !buf_done(&text, &message, err))
        return err_fail(err, ERR_DENIED, "%s: the challenge is not in base64", name);
    at = bytes_find(message, BYTES(",i="));
    if (at < 0)
        return true;
    message = bytes_slice(message, (size_t)at + 3, SIZE_MAX);
    if (!scan_u64(&message, &iterations) || iterations > ITERATIONS_MAX)
        return err_fail(err, ERR_DENIED, "%s: the server asks for more than %d iterations", name,
                        ITERATIONS_MAX);
    return true;
}

static bool answer(struct exchange *exchange, struct bytes challenge, struct ingest_tag *tag,
                   struct err *err)
{
    CLEANUP(buf_free) struct buf text = buf_create(INGEST_CHALLENGE_MAX + 1);

    buf_append(&text, challenge);
    buf_byte(&text, '\0');
    if (text.has_failed) {
        (void)err_fail(err, ERR_LIMIT, "a challenge of %zu octets", challenge.len);
        return cancel(exchange, *tag);
    }
    ingest_begin_line(exchange->client);
    if (!check_iterations(exchange, challenge, err) ||
        !respond(exchange, (const char *)text.ptr, false, err))
        return cancel(exchange, *tag);
    return ingest_send_command(exchange->client, tag, err);
}

static bool run(struct exchange *exchange, struct ingest_reply *reply, struct err *err)
{
    struct ingest_client *client = exchange->client;
    struct bytes challenge;
    struct ingest_tag tag;
    bool has_ended;

    ingest_begin_command(client, "AUTHENTICATE ");
    ingest_add_text(client, exchange->mechanism->name);
    if (exchange->mechanism->is_client_first &&
        (ingest_capabilities(client) & INGEST_SASL_IR) != 0 && !respond(exchange, NULL, true, err))
        return false;
    if (!ingest_send_command(client, &tag, err))
        return false;
    for (int round = 0; round < ROUNDS_MAX; round++) {
        if (!ingest_await_turn(client, &challenge, &has_ended, reply, err))
            return false;
        if (has_ended)
            return reply->condition != IMAP_OK || exchange->is_proved ||
                   err_fail(
                       err, ERR_DENIED,
                       "%s: the server says OK without having proved that it knows the password",
                       exchange->mechanism->name);
        if (!answer(exchange, challenge, &tag, err))
            return false;
    }
    (void)err_fail(err, ERR_SYNTAX, "%s: challenges without end", exchange->mechanism->name);
    return cancel(exchange, tag);
}

static bool run_gsasl(struct ingest_client *client, const struct mechanism *mechanism,
                      const struct ingest_subject *subject, struct ingest_reply *reply,
                      struct err *err)
{
    struct exchange exchange = { .client = client, .mechanism = mechanism };
    bool is_done = begin_exchange(&exchange, subject, err) && run(&exchange, reply, err);

    end_exchange(&exchange);
    return is_done;
}

/* ---- tokens ----------------------------------------------------------------------------------- */

/* The client's one message: behind the command, or in answer to the first "+". */
static bool send_token(struct ingest_client *client, const struct mechanism *mechanism,
                       const struct ingest_subject *subject, bool is_initial,
                       struct ingest_tag *tag, struct err *err)
{
    struct buf text = buf_create(INGEST_TOKEN_MESSAGE_BYTES);
    struct bytes octets;
    bool is_written;

    (void)buf_reserve(&text, INGEST_TOKEN_MESSAGE_BYTES);
    mechanism->write(&text, subject);
    is_written = buf_done(&text, &octets, err);
    if (is_written) {
        ingest_add_text(client, is_initial ? " " : "");
        ingest_add_bytes(client, octets);
    }
    secret_wipe(text.ptr, text.cap);
    buf_free(&text);
    return is_written && ingest_send_command(client, tag, err);
}

/* RFC 7628 §3.2.3: a dummy answer, after which the server says NO. XOAUTH2 wants an empty line. */
static bool acknowledge(struct ingest_client *client, const struct mechanism *mechanism,
                        struct ingest_tag *tag, struct err *err)
{
    ingest_begin_line(client);
    ingest_add_text(client, mechanism->bit == INGEST_AUTH_OAUTHBEARER ? "AQ==" : "");
    return ingest_send_command(client, tag, err);
}

static bool run_token(struct ingest_client *client, const struct mechanism *mechanism,
                      const struct ingest_subject *subject, char refusal[INGEST_REFUSAL_BYTES],
                      struct ingest_reply *reply, struct err *err)
{
    bool is_sent = (ingest_capabilities(client) & INGEST_SASL_IR) != 0;
    struct bytes challenge;
    struct ingest_tag tag;
    bool has_ended;

    ingest_begin_command(client, "AUTHENTICATE ");
    ingest_add_text(client, mechanism->name);
    if (!(is_sent ? send_token(client, mechanism, subject, true, &tag, err)
                  : ingest_send_command(client, &tag, err)))
        return false;
    for (int round = 0; round < ROUNDS_MAX; round++) {
        if (!ingest_await_turn(client, &challenge, &has_ended, reply, err))
            return false;
        if (has_ended)
            return true;
        if (is_sent) {
            ingest_read_token_refusal(challenge, refusal);
            if (!acknowledge(client, mechanism, &tag, err))
                return false;
        } else {
            ingest_begin_line(client);
            if (!send_token(client, mechanism, subject, false, &tag, err))
                return false;
            is_sent = true;
        }
    }
    return err_fail(err, ERR_SYNTAX, "%s: challenges without end", mechanism->name);
}

bool ingest_authenticate(struct ingest_client *client, uint32_t mechanism,
                         const struct ingest_subject *subject, char refusal[INGEST_REFUSAL_BYTES],
                         struct ingest_reply *reply, struct err *err)
{
    const struct mechanism *chosen = mechanism_of(mechanism);

    refusal[0] = '\0';
    return chosen->write != NULL ? run_token(client, chosen, subject, refusal, reply, err)
                                 : run_gsasl(client, chosen, subject, reply, err);
}
