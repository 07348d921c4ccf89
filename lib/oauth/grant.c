/* SPDX-License-Identifier: Apache-2.0 */
#include "oauth/grant.h"

#include "base/buf.h"
#include "oauth/internal.h"

#include <jansson.h>
#include <stdlib.h>

enum {
    TEXT_MAX_BYTES = 4096, /* of one member that is no key or certificate */
};

enum kinds {
    NONE = 0,
    CLIENT = 1 << OAUTH_CLIENT_CREDENTIALS,
    SERVICE = 1 << OAUTH_SERVICE_ACCOUNT,
    REFRESH = 1 << OAUTH_REFRESH_TOKEN,
    DEVICE = 1 << OAUTH_DEVICE,
    CODE = 1 << OAUTH_AUTHORIZATION_CODE,
    HUMAN = REFRESH | DEVICE | CODE, /* somebody consented once */
    ALL = CLIENT | SERVICE | HUMAN,
};

enum form {
    TEXT, /* printable, without line breaks */
    URL,  /* https://, or http:// to this machine */
    NAME, /* of a form parameter */
    PEM_KEY,
    PEM_CERTIFICATES,
};

/* Members of a grant. One that is not named here is refused: a typing error must not pass. */
// clang-format off
static const struct field {
    const char *name;
    unsigned needed, allowed; /* enum kinds */
    bool is_secret;
    enum form form;
} fields[OAUTH_FIELD_COUNT] = {
    [OAUTH_TOKEN_URL]          = { "token_url",         ALL,     ALL,             false, URL },
    [OAUTH_DEVICE_URL]         = { "device_url",        DEVICE,  DEVICE,          false, URL },
    [OAUTH_AUTHORIZATION_URL]  = { "authorization_url", CODE,    CODE,            false, URL },
    [OAUTH_REDIRECT_URL]       = { "redirect_url",      NONE,    CODE,            false, URL },
    [OAUTH_CLIENT_ID]          = { "client_id",         CLIENT | HUMAN, ALL,      false, TEXT },
    [OAUTH_CLIENT_SECRET]      = { "client_secret",     NONE,    ALL,             true,  TEXT },
    [OAUTH_CERTIFICATE]        = { "certificate",       NONE,    CLIENT | HUMAN,  false, PEM_CERTIFICATES },
    [OAUTH_PRIVATE_KEY]        = { "private_key",       SERVICE, ALL,             true,  PEM_KEY },
    [OAUTH_PRIVATE_KEY_ID]     = { "private_key_id",    NONE,    ALL,             false, TEXT },
    [OAUTH_ISSUER]             = { "issuer",            SERVICE, SERVICE,         false, TEXT },
    [OAUTH_AUDIENCE]           = { "audience",          NONE,    ALL,             false, TEXT },
    [OAUTH_SCOPE]              = { "scope",             NONE,    ALL,             false, TEXT },
    [OAUTH_RESOURCE]           = { "resource",          NONE,    ALL,             false, TEXT },
    [OAUTH_MAILBOX_PARAMETER]  = { "mailbox_parameter", NONE,    CLIENT,          false, NAME },
    [OAUTH_REFRESH_TOKEN_TEXT] = { "refresh_token",     REFRESH, HUMAN,           true,  TEXT },
    [OAUTH_CA]                 = { "ca",                NONE,    ALL,             false, PEM_CERTIFICATES },
};
// clang-format on

static const char *const kind_names[] = {
    [OAUTH_CLIENT_CREDENTIALS] = "client-credentials", [OAUTH_SERVICE_ACCOUNT] = "service-account",
    [OAUTH_REFRESH_TOKEN] = "refresh-token",           [OAUTH_DEVICE] = "device",
    [OAUTH_AUTHORIZATION_CODE] = "authorization-code",
};

struct oauth_grant {
    json_t *json; /* an object of texts, of known names, checked */
    enum oauth_kind kind;
};

const char *oauth_kind_name(enum oauth_kind kind)
{
    return kind_names[kind];
}

bool oauth_find_kind(const char *name, enum oauth_kind *out)
{
    for (size_t i = 0; i < ARRAY_LEN(kind_names); i++)
        if (strcmp(name, kind_names[i]) == 0) {
            *out = (enum oauth_kind)i;
            return true;
        }
    return false;
}

bool oauth_asks_human(enum oauth_kind kind)
{
    return kind == OAUTH_DEVICE || kind == OAUTH_AUTHORIZATION_CODE;
}

enum oauth_kind oauth_grant_kind(const struct oauth_grant *grant)
{
    return grant->kind;
}

const char *oauth_field_name(enum oauth_field field)
{
    return fields[field].name;
}

bool oauth_is_secret(enum oauth_field field)
{
    return fields[field].is_secret;
}

const char *oauth_get_field(const struct oauth_grant *grant, enum oauth_field field)
{
    return json_string_value(json_object_get(grant->json, fields[field].name));
}

void oauth_free_grant(struct oauth_grant **grant)
{
    if (*grant == NULL)
        return;
    json_decref((*grant)->json);
    free(*grant);
    *grant = NULL;
}

/* ---- checks ------------------------------------------------------------------------------------- */

static bool check_text(const char *name, struct bytes value, struct err *err)
{
    if (value.len == 0 || value.len > TEXT_MAX_BYTES)
        return err_fail(err, ERR_SYNTAX, "\"%s\": 1 to %d octets expected", name, TEXT_MAX_BYTES);
    for (size_t i = 0; i < value.len; i++)
        if (value.ptr[i] < 0x20 || value.ptr[i] == 0x7f)
            return err_fail(err, ERR_SYNTAX, "\"%s\" holds a line break or a control character",
                            name);
    return true;
}

static bool check_name(const char *name, struct bytes value, struct err *err)
{
    for (size_t i = 0; i < value.len; i++)
        if (!ascii_is_alpha(value.ptr[i]) && !ascii_is_digit(value.ptr[i]) && value.ptr[i] != '_')
            return err_fail(err, ERR_SYNTAX,
                            "\"%s\": the name of a form parameter expected, as \"login_hint\"",
                            name);
    return check_text(name, value, err);
}

static bool check_form(const struct field *field, const char *value, struct err *err)
{
    struct bytes octets = bytes_of_text(value);

    switch (field->form) {
    case TEXT:
        return check_text(field->name, octets, err);
    case NAME:
        return check_name(field->name, octets, err);
    case URL:
        return (check_text(field->name, octets, err) && oauth_check_url(value, err)) ||
               err_wrap(err, "\"%s\"", field->name);
    case PEM_KEY:
        return oauth_check_key(octets, err) || err_wrap(err, "\"%s\"", field->name);
    case PEM_CERTIFICATES:
        return oauth_check_certificate(octets, err) || err_wrap(err, "\"%s\"", field->name);
    }
    UNREACHABLE();
}

static bool check_field(const struct oauth_grant *grant, enum oauth_field number, struct err *err)
{
    const struct field *field = &fields[number];
    const json_t *member = json_object_get(grant->json, field->name);
    unsigned kind = 1u << grant->kind;

    if (member == NULL)
        return (field->needed & kind) == 0 ||
               err_fail(err, ERR_SYNTAX, "\"%s\" is missing: %s needs it", field->name,
                        kind_names[grant->kind]);
    if ((field->allowed & kind) == 0)
        return err_fail(err, ERR_SYNTAX, "\"%s\" does not belong to %s", field->name,
                        kind_names[grant->kind]);
    if (!json_is_string(member))
        return err_fail(err, ERR_SYNTAX, "\"%s\": a text expected", field->name);
    return check_form(field, json_string_value(member), err);
}

static bool check_names(const json_t *json, struct err *err)
{
    void *at;

    for (at = json_object_iter((json_t *)(uintptr_t)json); at != NULL;
         at = json_object_iter_next((json_t *)(uintptr_t)json, at)) {
        const char *name = json_object_iter_key(at);
        bool is_known = strcmp(name, "grant") == 0;

        for (size_t i = 0; i < ARRAY_LEN(fields) && !is_known; i++)
            is_known = strcmp(name, fields[i].name) == 0;
        if (!is_known)
            return err_fail(err, ERR_SYNTAX, "\"%.40s\" is not known", name);
    }
    return true;
}

/* What one member alone does not show. */
static bool check_together(const struct oauth_grant *grant, struct err *err)
{
    const char *certificate = oauth_get_field(grant, OAUTH_CERTIFICATE);
    const char *key = oauth_get_field(grant, OAUTH_PRIVATE_KEY);
    bool has_secret = oauth_get_field(grant, OAUTH_CLIENT_SECRET) != NULL;

    if (certificate != NULL && key == NULL)
        return err_fail(err, ERR_SYNTAX, "\"certificate\" needs its \"private_key\"");
    if (grant->kind != OAUTH_SERVICE_ACCOUNT && key != NULL && has_secret)
        return err_fail(err, ERR_SYNTAX, "either \"client_secret\" or \"private_key\", not both");
    if (grant->kind == OAUTH_CLIENT_CREDENTIALS && key == NULL && !has_secret)
        return err_fail(err, ERR_SYNTAX,
                        "\"client_secret\" is missing, or \"certificate\" with \"private_key\"");
    if (certificate != NULL)
        return oauth_check_pair(bytes_of_text(certificate), bytes_of_text(key), err);
    return true;
}

static bool check_grant(struct oauth_grant *grant, struct err *err)
{
    const char *kind = json_string_value(json_object_get(grant->json, "grant"));

    if (kind == NULL || !oauth_find_kind(kind, &grant->kind))
        return err_fail(err, ERR_SYNTAX,
                        "\"grant\": one of client-credentials, service-account, refresh-token, "
                        "device and authorization-code expected");
    if (!check_names(grant->json, err))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        if (!check_field(grant, (enum oauth_field)i, err))
            return false;
    return check_together(grant, err);
}

bool oauth_read_grant(struct bytes json, struct oauth_grant **out, struct err *err)
{
    CLEANUP(oauth_free_grant) struct oauth_grant *grant = calloc(1, sizeof *grant);
    json_error_t mistake;

    if (grant == NULL)
        return err_errno(err, "OAuth grant");
    if (json.len > OAUTH_GRANT_MAX_BYTES)
        return err_fail(err, ERR_LIMIT, "an OAuth grant of %zu octets, at most %d accepted",
                        json.len, OAUTH_GRANT_MAX_BYTES);
    /* jansson's own words may quote the text, and with it a secret. */
    grant->json = json_loadb((const char *)json.ptr, json.len, JSON_REJECT_DUPLICATES, &mistake);
    if (grant->json == NULL)
        return err_fail(err, ERR_SYNTAX, "not JSON: line %d, column %d", mistake.line,
                        mistake.column);
    if (!json_is_object(grant->json))
        return err_fail(err, ERR_SYNTAX, "one JSON object expected");
    if (!check_grant(grant, err))
        return false;
    *out = grant;
    grant = NULL; /* the caller's now */
    return true;
}

/* ---- writing ------------------------------------------------------------------------------------ */

static int append(const char *octets, size_t len, void *buf)
{
    buf_append(buf, bytes_of(octets, len));
    return 0;
}

static bool write_json(const json_t *json, struct secret **out, struct err *err)
{
    CLEANUP(oauth_wipe_buf) struct buf text = buf_create(OAUTH_GRANT_MAX_BYTES);
    struct bytes octets;

    if (buf_reserve(&text, OAUTH_GRANT_MAX_BYTES) == NULL ||
        json_dump_callback(json, append, &text, JSON_COMPACT) != 0)
        return err_fail(err, ERR_SYSTEM, "OAuth grant: no memory");
    return buf_done(&text, &octets, err) && secret_create(octets, out, err);
}

bool oauth_write_grant(const struct oauth_grant *grant, struct secret **out, struct err *err)
{
    return write_json(grant->json, out, err);
}

bool oauth_renew_grant(const struct oauth_grant *grant, const struct secret *refresh_token,
                       struct secret **out, struct err *err)
{
    struct bytes token = secret_bytes(refresh_token);
    json_t *renewed = json_copy(grant->json);
    bool is_done = renewed != NULL &&
                   json_object_set_new(renewed, fields[OAUTH_REFRESH_TOKEN_TEXT].name,
                                       json_stringn((const char *)token.ptr, token.len)) == 0;

    is_done = is_done ? write_json(renewed, out, err)
                      : err_fail(err, ERR_SYSTEM, "OAuth grant: no memory");
    json_decref(renewed);
    return is_done;
}

/* ---- the cache's key ------------------------------------------------------------------------------ */

static void add_part(struct crypto_hasher *hasher, struct bytes part)
{
    uint8_t len[4] = { (uint8_t)(part.len >> 24), (uint8_t)(part.len >> 16),
                       (uint8_t)(part.len >> 8), (uint8_t)part.len };

    crypto_update_hasher(hasher, bytes_of(len, sizeof len));
    crypto_update_hasher(hasher, part);
}

static bool names_mailbox(const struct oauth_grant *grant)
{
    return grant->kind != OAUTH_CLIENT_CREDENTIALS ||
           oauth_get_field(grant, OAUTH_MAILBOX_PARAMETER) != NULL;
}

struct crypto_sha256 oauth_cache_key(const struct oauth_grant *grant, struct bytes mailbox)
{
    struct crypto_hasher *hasher = crypto_create_hasher();
    struct crypto_sha256 key;

    add_part(hasher, bytes_of_text(kind_names[grant->kind]));
    for (int i = 0; i < OAUTH_FIELD_COUNT; i++) {
        const char *value = oauth_get_field(grant, (enum oauth_field)i);

        if (i != OAUTH_REFRESH_TOKEN_TEXT)
            add_part(hasher, bytes_of_text(value == NULL ? "" : value));
    }
    add_part(hasher, names_mailbox(grant) ? mailbox : BYTES(""));
    key = crypto_finish_hasher(hasher);
    crypto_free_hasher(&hasher);
    return key;
}
