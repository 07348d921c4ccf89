/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operator's side of OAuth: grants from files, and what is shown of a grant.
 *
 * A grant's file is a JSON object of texts (oauth/grant.h). Beside its members it may hold
 *     NAME_file, NAME_command   the value is the content of a file, or what a shell command prints
 *     google_key_file           a service account's key as Google gives it out
 *     provider                  "microsoft" (with "tenant"), "google": the usual addresses and scopes
 */
#include "auth/bearer.h"
#include "base/fd.h"
#include "holdfast/login_options.h"
#include "oauth/grant.h"
#include "source/account.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum {
    CONFIG_MAX_BYTES = 64 << 10,
};

static void free_json(json_t **json)
{
    json_decref(*json);
}

static void wipe_buf(struct buf *buf)
{
    secret_wipe(buf->ptr, buf->cap);
    buf_free(buf);
}

/* ---- files ---------------------------------------------------------------------------------------- */

static bool read_json(struct cli *cli, const char *path, json_t **out)
{
    CLEANUP(wipe_buf) struct buf text = buf_create(CONFIG_MAX_BYTES);
    json_error_t mistake;
    struct bytes octets;
    json_t *json;

    if (buf_reserve(&text, CONFIG_MAX_BYTES) == NULL)
        return err_fail(&cli->err, ERR_SYSTEM, "no memory for %s", path);
    if (!file_read(path, CONFIG_MAX_BYTES, &text, &cli->err) ||
        !buf_done(&text, &octets, &cli->err))
        return false;
    json = json_loadb((const char *)octets.ptr, octets.len, JSON_REJECT_DUPLICATES, &mistake);
    if (json == NULL)
        return err_fail(&cli->err, ERR_SYNTAX, "%s: not JSON: line %d, column %d", path,
                        mistake.line, mistake.column);
    if (!json_is_object(json)) {
        json_decref(json);
        return err_fail(&cli->err, ERR_SYNTAX, "%s: a JSON object expected", path);
    }
    *out = json;
    return true;
}

/* Secrets that stand in the file itself are nobody else's to read. */
static bool check_mode(struct cli *cli, const char *path, const json_t *json)
{
    struct stat facts;
    bool has_secret = false;

    for (int i = 0; i < OAUTH_FIELD_COUNT; i++)
        has_secret =
            has_secret || (oauth_is_secret((enum oauth_field)i) &&
                           json_object_get(json, oauth_field_name((enum oauth_field)i)) != NULL);
    if (!has_secret || stat(path, &facts) != 0 || (facts.st_mode & (S_IRWXG | S_IRWXO)) == 0)
        return true;
    return err_fail(&cli->err, ERR_DENIED, "%s holds a secret and is open to others: chmod 600",
                    path);
}

static bool set_text(struct cli *cli, json_t *json, const char *name, struct bytes text)
{
    if (json_object_get(json, name) != NULL)
        return err_fail(&cli->err, ERR_SYNTAX, "\"%s\" is given twice", name);
    while (text.len > 0 && (text.ptr[text.len - 1] == '\n' || text.ptr[text.len - 1] == '\r'))
        text.len--;
    return json_object_set_new(json, name, json_stringn((const char *)text.ptr, text.len)) == 0 ||
           err_fail(&cli->err, ERR_SYNTAX, "\"%s\" is not UTF-8", name);
}

/* The reference "NAME_file" or "NAME_command" becomes NAME. */
static bool resolve(struct cli *cli, json_t *json, const char *name, bool is_command)
{
    CLEANUP(wipe_buf) struct buf text = buf_create(OAUTH_GRANT_MAX_BYTES);
    char reference[64];
    const json_t *value;

    (void)snprintf(reference, sizeof reference, "%s%s", name, is_command ? "_command" : "_file");
    value = json_object_get(json, reference);
    if (value == NULL)
        return true;
    if (!json_is_string(value))
        return err_fail(&cli->err, ERR_SYNTAX, "\"%s\": a text expected", reference);
    if (buf_reserve(&text, OAUTH_GRANT_MAX_BYTES) == NULL)
        return err_fail(&cli->err, ERR_SYSTEM, "no memory for \"%s\"", reference);
    if (!(is_command
              ? cli_run_command(cli, json_string_value(value), &text)
              : file_read(json_string_value(value), OAUTH_GRANT_MAX_BYTES, &text, &cli->err)))
        return err_wrap(&cli->err, "\"%s\"", reference);
    (void)json_object_del(json, reference);
    return set_text(cli, json, name, buf_bytes(&text));
}

static bool take_google_key(struct cli *cli, json_t *json)
{
    static const char *const members[][2] = {
        { "client_email", "issuer" },
        { "private_key", "private_key" },
        { "private_key_id", "private_key_id" },
        { "token_uri", "token_url" },
    };
    CLEANUP(free_json) json_t *key = NULL;
    const char *path = json_string_value(json_object_get(json, "google_key_file"));

    if (path == NULL)
        return true;
    if (!read_json(cli, path, &key))
        return err_wrap(&cli->err, "\"google_key_file\"");
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        const char *value = json_string_value(json_object_get(key, members[i][0]));

        if (value == NULL)
            return err_fail(&cli->err, ERR_SYNTAX,
                            "%s has no \"%s\": is it a service account's "
                            "key?",
                            path, members[i][0]);
        if (json_object_get(json, members[i][1]) == NULL &&
            !set_text(cli, json, members[i][1], bytes_of_text(value)))
            return false;
    }
    (void)json_object_del(json, "google_key_file");
    return true;
}

/* ---- providers ------------------------------------------------------------------------------------- */

/* "%s": the tenant. Any member may be given in the file instead: other clouds have other hosts. */
static const struct provider {
    const char *name;
    const char *token_url, *device_url, *authorization_url, *redirect_url;
    const char *app_scope, *user_scope;
} providers[] = {
    { "microsoft", "https://login.microsoftonline.com/%s/oauth2/v2.0/token",
      "https://login.microsoftonline.com/%s/oauth2/v2.0/devicecode",
      "https://login.microsoftonline.com/%s/oauth2/v2.0/authorize", "http://localhost",
      "https://outlook.office365.com/.default",
      "https://outlook.office365.com/IMAP.AccessAsUser.All offline_access" },
    { "google", "https://oauth2.googleapis.com/token", "https://oauth2.googleapis.com/device/code",
      /* without these two it gives a refresh token only the first time that a user consents */
      "https://accounts.google.com/o/oauth2/v2/auth?access_type=offline&prompt=consent",
      "http://127.0.0.1", "https://mail.google.com/", "https://mail.google.com/" },
};

static void set_default(json_t *json, const char *name, const char *before, const char *tenant,
                        const char *after)
{
    if (json_object_get(json, name) == NULL)
        (void)json_object_set_new(json, name, json_sprintf("%s%s%s", before, tenant, after));
}

static void set_default_url(json_t *json, const char *name, const char *form, const char *tenant)
{
    const char *hole = strstr(form, "%s");
    char before[128];

    if (hole == NULL) {
        set_default(json, name, form, "", "");
        return;
    }
    (void)snprintf(before, sizeof before, "%.*s", (int)(hole - form), form);
    set_default(json, name, before, tenant, hole + 2);
}

static bool take_provider(struct cli *cli, json_t *json, enum oauth_kind kind)
{
    const char *name = json_string_value(json_object_get(json, "provider"));
    const char *tenant = json_string_value(json_object_get(json, "tenant"));
    bool is_human = oauth_asks_human(kind) || kind == OAUTH_REFRESH_TOKEN;
    const struct provider *provider = NULL;

    if (name == NULL)
        return true;
    for (size_t i = 0; i < ARRAY_LEN(providers); i++)
        if (strcmp(name, providers[i].name) == 0)
            provider = &providers[i];
    if (provider == NULL)
        return err_fail(&cli->err, ERR_SYNTAX, "\"provider\": microsoft or google expected");
    if (strstr(provider->token_url, "%s") != NULL && tenant == NULL)
        return err_fail(&cli->err, ERR_SYNTAX, "\"tenant\" is missing: %s needs it", name);
    set_default_url(json, "token_url", provider->token_url, tenant);
    if (kind == OAUTH_DEVICE)
        set_default_url(json, "device_url", provider->device_url, tenant);
    if (kind == OAUTH_AUTHORIZATION_CODE) {
        set_default_url(json, "authorization_url", provider->authorization_url, tenant);
        set_default(json, "redirect_url", provider->redirect_url, "", "");
    }
    set_default(json, "scope", is_human ? provider->user_scope : provider->app_scope, "", "");
    (void)json_object_del(json, "provider");
    (void)json_object_del(json, "tenant");
    return true;
}

/* ---- the grant ------------------------------------------------------------------------------------- */

static bool make_grant(struct cli *cli, enum oauth_kind kind, json_t *json, struct secret **out)
{
    CLEANUP(oauth_free_grant) struct oauth_grant *grant = NULL;
    const char *written = json_string_value(json_object_get(json, "grant"));
    char *text;
    bool is_read;

    if (written != NULL && strcmp(written, oauth_kind_name(kind)) != 0)
        return err_fail(&cli->err, ERR_SYNTAX, "\"grant\" is %.40s, --oauth %s", written,
                        oauth_kind_name(kind));
    (void)json_object_set_new(json, "grant", json_string(oauth_kind_name(kind)));
    text = json_dumps(json, JSON_COMPACT);
    if (text == NULL)
        return err_fail(&cli->err, ERR_SYSTEM, "no memory for a grant");
    is_read = oauth_read_grant(bytes_of_text(text), &grant, &cli->err);
    secret_wipe(text, strlen(text));
    free(text);
    return is_read && oauth_write_grant(grant, out, &cli->err);
}

bool login_read_grant(struct cli *cli, enum oauth_kind kind, const char *path, struct secret **out)
{
    CLEANUP(free_json) json_t *json = NULL;
    bool is_good = oauth_start(&cli->err) && read_json(cli, path, &json) &&
                   check_mode(cli, path, json) && take_google_key(cli, json);

    for (int i = 0; i < OAUTH_FIELD_COUNT && is_good; i++)
        is_good = resolve(cli, json, oauth_field_name((enum oauth_field)i), false) &&
                  resolve(cli, json, oauth_field_name((enum oauth_field)i), true);
    return (is_good && take_provider(cli, json, kind) && make_grant(cli, kind, json, out)) ||
           err_wrap(&cli->err, "--oauth-config");
}

/* ---- after a consent ------------------------------------------------------------------------------- */

bool login_forget_token(struct cli *cli, int64_t account_id, const struct secret *grant)
{
    CLEANUP(crypto_free_key) struct crypto_key *master = NULL;
    struct source_account account;

    return login_load_master(cli, &master) &&
           source_show_account(cli->session.db, account_id, cli->arena, &account, &cli->err) &&
           auth_forget_bearer(cli->session.db, master, grant, account.settings.login, &cli->err);
}

/* ---- what is shown --------------------------------------------------------------------------------- */

static bool find_expiry(struct cli *cli, const struct secret *grant, struct bytes login,
                        int64_t *expires_usec)
{
    CLEANUP(crypto_free_key) struct crypto_key *master = NULL;

    return login_load_master(cli, &master) &&
           auth_find_bearer(cli->session.db, master, grant, login, expires_usec, &cli->err);
}

json_t *login_json_grant(struct cli *cli, const struct secret *grant, struct bytes login)
{
    CLEANUP(oauth_free_grant) struct oauth_grant *read = NULL;
    int64_t expires_usec;
    json_t *json;

    if (!oauth_read_grant(secret_bytes(grant), &read, &cli->err) ||
        !find_expiry(cli, grant, login, &expires_usec))
        return NULL;
    json = json_pack("{s:s}", "grant", oauth_kind_name(oauth_grant_kind(read)));
    for (int i = 0; i < OAUTH_FIELD_COUNT; i++) {
        enum oauth_field field = (enum oauth_field)i;
        const char *value = oauth_get_field(read, field);

        if (value != NULL && !oauth_is_secret(field) && field != OAUTH_CERTIFICATE &&
            field != OAUTH_CA)
            (void)json_object_set_new(json, oauth_field_name(field), json_string(value));
    }
    if (oauth_asks_human(oauth_grant_kind(read)))
        (void)json_object_set_new(
            json, "has_consent",
            json_boolean(oauth_get_field(read, OAUTH_REFRESH_TOKEN_TEXT) != NULL));
    (void)json_object_set_new(json, "token_expires_at", cli_json_time(expires_usec));
    return json;
}

/* Of the values that login_json_grant makes. */
static const char *shown(const json_t *value)
{
    if (json_is_string(value))
        return json_string_value(value);
    return json_is_true(value) ? "yes" : json_is_false(value) ? "no" : "-";
}

bool login_print_grant(struct cli *cli, const struct secret *grant, struct bytes login)
{
    CLEANUP(free_json) json_t *json = login_json_grant(cli, grant, login);
    const char *name;
    json_t *value;

    if (json == NULL)
        return false;
    json_object_foreach(json, name, value)
    {
        char label[40];

        (void)snprintf(label, sizeof label, "%s:", name);
        (void)printf("  %-18s ", label);
        cli_print_text(bytes_of_text(shown(value)));
        (void)fputc('\n', stdout);
    }
    return true;
}
