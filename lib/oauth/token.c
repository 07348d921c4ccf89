/* SPDX-License-Identifier: Apache-2.0 */
#include "oauth/token.h"

#include "oauth/http.h"
#include "oauth/internal.h"
#include "oauth/jwt.h"

enum {
    FORM_MAX_BYTES = 64 << 10, /* a grant, percent-encoded at the worst */
};

#define TYPE_JWT_BEARER "urn:ietf:params:oauth:grant-type:jwt-bearer"
#define TYPE_DEVICE_CODE "urn:ietf:params:oauth:grant-type:device_code"
#define TYPE_CLIENT_ASSERTION "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

/* ---- forms -------------------------------------------------------------------------------------- */

static bool add_assertion(struct buf *form, const char *name, const struct buf *jwt,
                          struct err *err)
{
    struct bytes octets;

    if (!buf_done(jwt, &octets, err))
        return false;
    oauth_add_octets(form, name, octets);
    return true;
}

/* client_id and how the client proves who it is: RFC 6749 §2.3.1, or RFC 7523 §2.2. */
static bool add_client(struct buf *form, const struct oauth_grant *grant, struct err *err)
{
    CLEANUP(oauth_wipe_buf) struct buf jwt = buf_create(OAUTH_JWT_MAX_BYTES);

    oauth_add_parameter(form, "client_id", oauth_get_field(grant, OAUTH_CLIENT_ID));
    oauth_add_parameter(form, "client_secret", oauth_get_field(grant, OAUTH_CLIENT_SECRET));
    if (oauth_grant_kind(grant) == OAUTH_SERVICE_ACCOUNT ||
        oauth_get_field(grant, OAUTH_PRIVATE_KEY) == NULL)
        return true;
    oauth_add_parameter(form, "client_assertion_type", TYPE_CLIENT_ASSERTION);
    return oauth_make_client_assertion(grant, clock_now_usec(), &jwt, err) &&
           add_assertion(form, "client_assertion", &jwt, err);
}

static bool add_service_account(struct buf *form, const struct oauth_grant *grant,
                                struct bytes mailbox, struct err *err)
{
    CLEANUP(oauth_wipe_buf) struct buf jwt = buf_create(OAUTH_JWT_MAX_BYTES);

    oauth_add_parameter(form, "grant_type", TYPE_JWT_BEARER);
    return oauth_make_mailbox_assertion(grant, mailbox, clock_now_usec(), &jwt, err) &&
           add_assertion(form, "assertion", &jwt, err);
}

static bool add_grant(struct buf *form, const struct oauth_grant *grant, struct bytes mailbox,
                      struct err *err)
{
    const char *refresh_token = oauth_get_field(grant, OAUTH_REFRESH_TOKEN_TEXT);
    const char *parameter = oauth_get_field(grant, OAUTH_MAILBOX_PARAMETER);

    switch (oauth_grant_kind(grant)) {
    case OAUTH_CLIENT_CREDENTIALS:
        oauth_add_parameter(form, "grant_type", "client_credentials");
        if (parameter != NULL)
            oauth_add_octets(form, parameter, mailbox);
        return true;
    case OAUTH_SERVICE_ACCOUNT:
        return add_service_account(form, grant, mailbox, err);
    case OAUTH_REFRESH_TOKEN:
    case OAUTH_DEVICE:
    case OAUTH_AUTHORIZATION_CODE:
        if (refresh_token == NULL)
            return err_fail(err, ERR_DENIED, "nobody has consented yet");
        oauth_add_parameter(form, "grant_type", "refresh_token");
        oauth_add_parameter(form, "refresh_token", refresh_token);
        return true;
    }
    UNREACHABLE();
}

void oauth_add_scope(struct buf *form, const struct oauth_grant *grant)
{
    oauth_add_parameter(form, "scope", oauth_get_field(grant, OAUTH_SCOPE));
    oauth_add_parameter(form, "resource", oauth_get_field(grant, OAUTH_RESOURCE));
}

/* ---- exchanges ---------------------------------------------------------------------------------- */

static bool post(const struct oauth_grant *grant, enum oauth_field url, const struct buf *form,
                 struct deadline deadline, struct oauth_reply *out, bool *was_sent, struct err *err)
{
    struct bytes octets;

    *was_sent = false;
    return buf_done(form, &octets, err) &&
           oauth_post(oauth_get_field(grant, url), oauth_get_field(grant, OAUTH_CA), octets,
                      deadline, out, was_sent, err);
}

static void name_url(const struct oauth_grant *grant, enum oauth_field url, struct err *err)
{
    err_set_context(err, "%.120s", oauth_get_field(grant, url));
}

static bool is_refusal(unsigned status)
{
    return status >= 400 && status <= 499;
}

static int64_t rest_asked_for(const struct oauth_reply *reply)
{
    if (reply->status == 429 && reply->retry_after_seconds == 0)
        return OAUTH_REST_DEFAULT_SECONDS;
    return reply->status == 429 || reply->status == 503 ? reply->retry_after_seconds : 0;
}

static bool ask_tokens(const struct oauth_grant *grant, const struct buf *form,
                       struct deadline deadline, struct oauth_tokens *out,
                       struct oauth_failure *failure, struct err *err)
{
    CLEANUP(oauth_free_reply) struct oauth_reply reply = { 0 };
    enum oauth_progress progress;

    if (!post(grant, OAUTH_TOKEN_URL, form, deadline, &reply, &failure->may_have_rotated, err)) {
        name_url(grant, OAUTH_TOKEN_URL, err);
        return false;
    }
    progress = oauth_read_token_response(reply.status, buf_bytes(&reply.body), out, err);
    if (progress == OAUTH_DONE)
        return true;
    failure->may_have_rotated = !is_refusal(reply.status);
    failure->is_invalid = progress == OAUTH_INVALID;
    failure->rest_seconds = rest_asked_for(&reply);
    if (progress == OAUTH_PENDING || progress == OAUTH_SLOW_DOWN)
        err_set(err, ERR_RETRY, "the endpoint speaks of a consent that was not asked for");
    name_url(grant, OAUTH_TOKEN_URL, err);
    return false;
}

bool oauth_fetch_tokens(const struct oauth_grant *grant, struct bytes mailbox,
                        struct deadline deadline, struct oauth_tokens *out,
                        struct oauth_failure *failure, struct err *err)
{
    CLEANUP(oauth_wipe_buf) struct buf form = buf_create(FORM_MAX_BYTES);

    *failure = (struct oauth_failure){ 0 };
    if (buf_reserve(&form, FORM_MAX_BYTES) == NULL)
        return err_fail(err, ERR_SYSTEM, "no memory for a request");
    if (!add_grant(&form, grant, mailbox, err) || !add_client(&form, grant, err))
        return false;
    if (oauth_grant_kind(grant) != OAUTH_SERVICE_ACCOUNT) /* there it stands in the assertion */
        oauth_add_scope(&form, grant);
    if (!ask_tokens(grant, &form, deadline, out, failure, err))
        return false;
    if (oauth_get_field(grant, OAUTH_REFRESH_TOKEN_TEXT) == NULL) /* RFC 6749 §4.4.3 */
        secret_free(&out->refresh);
    return true;
}

bool oauth_redeem_code(const struct oauth_grant *grant, const struct secret *code,
                       const struct secret *verifier, const char *redirect_url,
                       struct deadline deadline, struct oauth_tokens *out, struct err *err)
{
    CLEANUP(oauth_wipe_buf) struct buf form = buf_create(FORM_MAX_BYTES);
    struct oauth_failure failure = { 0 }; /* the code is of no use then, whatever it was */

    if (buf_reserve(&form, FORM_MAX_BYTES) == NULL)
        return err_fail(err, ERR_SYSTEM, "no memory for a request");
    oauth_add_parameter(&form, "grant_type", "authorization_code");
    oauth_add_octets(&form, "code", secret_bytes(code));
    oauth_add_octets(&form, "code_verifier", secret_bytes(verifier));
    oauth_add_parameter(&form, "redirect_uri", redirect_url);
    return add_client(&form, grant, err) && ask_tokens(grant, &form, deadline, out, &failure, err);
}

bool oauth_begin_device(const struct oauth_grant *grant, struct deadline deadline,
                        struct oauth_device *out, struct err *err)
{
    CLEANUP(oauth_wipe_buf) struct buf form = buf_create(FORM_MAX_BYTES);
    CLEANUP(oauth_free_reply) struct oauth_reply reply = { 0 };
    bool was_sent;

    if (buf_reserve(&form, FORM_MAX_BYTES) == NULL)
        return err_fail(err, ERR_SYSTEM, "no memory for a request");
    if (!add_client(&form, grant, err))
        return false;
    oauth_add_scope(&form, grant);
    if (!post(grant, OAUTH_DEVICE_URL, &form, deadline, &reply, &was_sent, err) ||
        !oauth_read_device_response(reply.status, buf_bytes(&reply.body), out, err)) {
        name_url(grant, OAUTH_DEVICE_URL, err);
        return false;
    }
    return true;
}

enum oauth_progress oauth_poll_device(const struct oauth_grant *grant,
                                      const struct oauth_device *device, struct deadline deadline,
                                      struct oauth_tokens *out, struct err *err)
{
    CLEANUP(oauth_wipe_buf) struct buf form = buf_create(FORM_MAX_BYTES);
    CLEANUP(oauth_free_reply) struct oauth_reply reply = { 0 };
    enum oauth_progress progress = OAUTH_FAILED;
    bool was_sent;

    if (buf_reserve(&form, FORM_MAX_BYTES) == NULL) {
        err_set(err, ERR_SYSTEM, "no memory for a request");
        return OAUTH_FAILED;
    }
    oauth_add_parameter(&form, "grant_type", TYPE_DEVICE_CODE);
    oauth_add_octets(&form, "device_code", secret_bytes(device->code));
    if (!add_client(&form, grant, err))
        return OAUTH_FAILED;
    if (post(grant, OAUTH_TOKEN_URL, &form, deadline, &reply, &was_sent, err))
        progress = oauth_read_token_response(reply.status, buf_bytes(&reply.body), out, err);
    if (progress == OAUTH_FAILED || progress == OAUTH_INVALID)
        name_url(grant, OAUTH_TOKEN_URL, err);
    return progress;
}
