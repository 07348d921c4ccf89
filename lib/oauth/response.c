/* SPDX-License-Identifier: Apache-2.0 */
#include "oauth/response.h"

#include "oauth/internal.h"

#include <jansson.h>
#include <stdio.h>

void oauth_free_tokens(struct oauth_tokens *tokens)
{
    secret_free(&tokens->access);
    secret_free(&tokens->refresh);
}

void oauth_free_device(struct oauth_device *device)
{
    secret_free(&device->code);
}

/* ---- members of the answer ---------------------------------------------------------------------- */

static void free_json(json_t **json)
{
    json_decref(*json);
}

static json_t *read_object(struct bytes body)
{
    json_t *json;

    if (body.len == 0 || body.len > OAUTH_RESPONSE_MAX_BYTES)
        return NULL;
    json = json_loadb((const char *)body.ptr, body.len, 0, NULL);
    if (json != NULL && !json_is_object(json)) {
        json_decref(json);
        return NULL;
    }
    return json;
}

void oauth_copy_printable(struct bytes text, char *out, size_t size)
{
    size_t len = text.len < size ? text.len : size - 1;

    for (size_t i = 0; i < len; i++)
        out[i] = text.ptr[i] >= 0x20 && text.ptr[i] < 0x7f ? (char)text.ptr[i] : '?';
    out[len] = '\0';
}

/* Empty when there is none. */
static void copy_text(const json_t *json, const char *name, char *out, size_t size)
{
    const json_t *member = json_object_get(json, name);
    const char *text = json_string_value(member);

    oauth_copy_printable(bytes_of(text, text == NULL ? 0 : json_string_length(member)), out, size);
}

/* null is how some write that there is none. */
static bool has_member(const json_t *json, const char *name)
{
    const json_t *member = json_object_get(json, name);

    return member != NULL && !json_is_null(member);
}

/* RFC 6750 §2.1 and RFC 6749 appendix A: VSCHAR without the blank. */
static bool take_token(const json_t *json, const char *name, struct secret **out, struct err *err)
{
    const json_t *member = json_object_get(json, name);
    const char *text = json_string_value(member);
    size_t len = text == NULL ? 0 : json_string_length(member);
    bool is_good = len > 0 && len <= OAUTH_TOKEN_MAX_BYTES;

    for (size_t i = 0; i < len && is_good; i++)
        is_good = text[i] > 0x20 && text[i] < 0x7f;
    if (!is_good)
        return err_fail(err, ERR_RETRY, "the answer has no \"%s\" that could be one", name);
    return secret_create(bytes_of(text, len), out, err);
}

/* A number, or a text of digits, which some servers send; at least 1. */
static int64_t take_seconds(const json_t *json, const char *name, int64_t otherwise, int64_t max)
{
    const json_t *member = json_object_get(json, name);
    struct bytes digits = bytes_of_text(json_is_string(member) ? json_string_value(member) : "");
    uint64_t written;
    double value = (double)otherwise;

    if (json_is_number(member))
        value = json_number_value(member);
    else if (scan_u64(&digits, &written) && digits.len == 0)
        value = (double)written;
    if (!(value >= 1))
        return 1;
    return value > (double)max ? max : (int64_t)value;
}

/* ---- refusals ----------------------------------------------------------------------------------- */

/* RFC 6749 §5.2, RFC 8628 §3.5, OpenID Connect Core §3.1.2.6; what a human can do about it. */
static const struct {
    const char *code;
    enum err_code meaning;
    const char *advice;
} refusals[] = {
    { "invalid_grant", ERR_DENIED,
      "what stands for the consent is not valid (any more): consent anew, or, of a service "
      "account, "
      "check the clock and that the mailbox exists and is not suspended" },
    { "invalid_client", ERR_DENIED,
      "the client is not known, or its secret or certificate is wrong or has expired: `holdfast "
      "account edit` or `credential edit` with --oauth KIND --oauth-config FILE gives another one" },
    { "unauthorized_client", ERR_DENIED,
      "the client may not do this: an administrator must consent, or delegate to it domain-wide" },
    { "access_denied", ERR_DENIED, "somebody declined" },
    { "consent_required", ERR_DENIED, "an administrator or the user must consent" },
    { "interaction_required", ERR_DENIED, "the user must log in and consent anew" },
    { "invalid_scope", ERR_DENIED, "check \"scope\"" },
    { "invalid_target", ERR_DENIED, "check \"resource\"" },
    { "unsupported_grant_type", ERR_DENIED, "this endpoint does not know this kind of grant" },
    { "expired_token", ERR_DENIED, "nobody consented in time" },
    { "temporarily_unavailable", ERR_RETRY, NULL },
    { "server_error", ERR_RETRY, NULL },
};

static bool is_passing_status(unsigned status)
{
    return status == 408 || status == 425 || status == 429 || status >= 500;
}

void oauth_explain_refusal(const char *where, bool may_pass, const char *code,
                           const char *description, struct err *err)
{
    const char *advice = "the grant's settings do not fit this endpoint";
    enum err_code meaning = may_pass ? ERR_RETRY : ERR_DENIED;

    for (size_t i = 0; i < ARRAY_LEN(refusals); i++)
        if (strcmp(code, refusals[i].code) == 0) {
            meaning = may_pass ? ERR_RETRY : refusals[i].meaning;
            advice = refusals[i].advice;
        }
    err_set(err, meaning, "%s%s%s%s%s%s%s", where, code[0] == '\0' ? "" : ", ", code,
            description[0] == '\0' ? "" : " (", description, description[0] == '\0' ? "" : ")",
            meaning == ERR_RETRY ? ": it is tried again later" : "");
    if (meaning == ERR_DENIED) {
        size_t used = strlen(err->text);

        (void)snprintf(err->text + used, sizeof err->text - used, ": %s", advice);
    }
}

static void refuse(unsigned status, const json_t *json, struct err *err)
{
    char where[16], code[OAUTH_ERROR_SHOWN_BYTES], description[OAUTH_DESCRIPTION_SHOWN_BYTES];

    (void)snprintf(where, sizeof where, "HTTP %u", status);
    copy_text(json, "error", code, sizeof code);
    copy_text(json, "error_description", description, sizeof description);
    oauth_explain_refusal(where, is_passing_status(status), code, description, err);
}

static bool is_success(unsigned status)
{
    return status >= 200 && status <= 299;
}

/* Not JSON, though it should be: of a success a gateway's page, else the status says it. */
static void refuse_page(unsigned status, struct err *err)
{
    if (is_success(status) || is_passing_status(status))
        err_set(err, ERR_RETRY, "HTTP %u without a JSON object: it is tried again later", status);
    else
        err_set(err, ERR_DENIED, "HTTP %u without a JSON object: is it the token endpoint?",
                status);
}

/* ---- answers ------------------------------------------------------------------------------------ */

static bool read_tokens(const json_t *json, struct oauth_tokens *out, struct err *err)
{
    CLEANUP(oauth_free_tokens) struct oauth_tokens tokens = { 0 };
    const json_t *type = json_object_get(json, "token_type");

    if (type != NULL &&
        (!json_is_string(type) ||
         !bytes_equal_nocase(bytes_of_text(json_string_value(type)), BYTES("Bearer"))))
        return err_fail(err, ERR_DENIED, "the tokens of this endpoint are no bearer tokens");
    if (!take_token(json, "access_token", &tokens.access, err) ||
        (has_member(json, "refresh_token") &&
         !take_token(json, "refresh_token", &tokens.refresh, err)))
        return false;
    tokens.expires_in_seconds =
        take_seconds(json, "expires_in", OAUTH_EXPIRES_DEFAULT_SECONDS, OAUTH_EXPIRES_MAX_SECONDS);
    *out = tokens;
    tokens = (struct oauth_tokens){ 0 }; /* the caller's now */
    return true;
}

enum oauth_progress oauth_read_token_response(unsigned status, struct bytes body,
                                              struct oauth_tokens *out, struct err *err)
{
    CLEANUP(free_json) json_t *json = read_object(body);
    char code[OAUTH_ERROR_SHOWN_BYTES];

    if (json == NULL) {
        refuse_page(status, err);
        return OAUTH_FAILED;
    }
    if (is_success(status) && json_object_get(json, "error") == NULL)
        return read_tokens(json, out, err) ? OAUTH_DONE : OAUTH_FAILED;
    copy_text(json, "error", code, sizeof code);
    if (status == 400 && strcmp(code, "authorization_pending") == 0)
        return OAUTH_PENDING;
    if (status == 400 && strcmp(code, "slow_down") == 0)
        return OAUTH_SLOW_DOWN;
    refuse(status, json, err);
    return err->code == ERR_DENIED && strcmp(code, "invalid_grant") == 0 ? OAUTH_INVALID
                                                                         : OAUTH_FAILED;
}

bool oauth_read_device_response(unsigned status, struct bytes body, struct oauth_device *out,
                                struct err *err)
{
    CLEANUP(free_json) json_t *json = read_object(body);
    struct oauth_device device = { 0 };

    if (json == NULL) {
        refuse_page(status, err);
        return false;
    }
    if (!is_success(status)) {
        refuse(status, json, err);
        return false;
    }
    copy_text(json, "user_code", device.user_code, sizeof device.user_code);
    copy_text(json, "verification_uri", device.verification_uri, sizeof device.verification_uri);
    if (device.verification_uri[0] == '\0') /* of servers older than the RFC */
        copy_text(json, "verification_url", device.verification_uri,
                  sizeof device.verification_uri);
    if (device.user_code[0] == '\0' || device.verification_uri[0] == '\0')
        return err_fail(err, ERR_RETRY, "the answer has no user code, or no address to enter it");
    device.expires_in_seconds = take_seconds(json, "expires_in", 900, OAUTH_EXPIRES_MAX_SECONDS);
    device.interval_seconds =
        take_seconds(json, "interval", OAUTH_INTERVAL_DEFAULT_SECONDS, OAUTH_INTERVAL_MAX_SECONDS);
    if (!take_token(json, "device_code", &device.code, err))
        return false;
    *out = device;
    return true;
}
