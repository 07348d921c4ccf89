/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holdfast/login_options.h - the options that say how an account logs in, for account add and edit
 * and for credentials: password, OAuth grant, named credential, client certificate.
 *
 *     while options come: login_take_option
 *     login_check          exactly one way, or none where that is allowed
 *     login_read_files     files and commands, as who called us
 *     login_finish         with the database: finds the credential, asks for consent
 */
#pragma once

#include "holdfast/cli.h"
#include "oauth/grant.h"
#include "source/secret.h"

enum { /* values of options; above those of the commands that have them */
    LOGIN_PASSWORD_FILE = 300,
    LOGIN_PASSWORD_COMMAND,
    LOGIN_OAUTH,
    LOGIN_OAUTH_CONFIG,
    LOGIN_CREDENTIAL,
    LOGIN_CLIENT_CERTIFICATE,
    LOGIN_CLIENT_KEY,
    LOGIN_OPTION_END,
};

#define LOGIN_GRANT_OPTIONS                                                                        \
    { "oauth", required_argument, NULL, LOGIN_OAUTH },                                             \
    {                                                                                              \
        "oauth-config", required_argument, NULL, LOGIN_OAUTH_CONFIG                                \
    }

#define LOGIN_OPTIONS                                                                              \
    { "password-file", required_argument, NULL, LOGIN_PASSWORD_FILE },                             \
        { "password-command", required_argument, NULL, LOGIN_PASSWORD_COMMAND },                   \
        { "credential", required_argument, NULL, LOGIN_CREDENTIAL },                               \
        { "client-certificate", required_argument, NULL, LOGIN_CLIENT_CERTIFICATE },               \
        { "client-key", required_argument, NULL, LOGIN_CLIENT_KEY }, LOGIN_GRANT_OPTIONS

struct login_options {
    const char *password_file, *password_command;
    const char *oauth_kind, *oauth_config;
    const char *credential;
    const char *certificate, *key;
    enum oauth_kind kind;        /* of oauth_kind, after login_check */
    struct secret *octets;       /* owned, after login_read_files */
    struct source_secret secret; /* after login_finish; borrows octets */
};
void login_free_options(struct login_options *login); /* for CLEANUP */

/* False: not one of these options. */
bool login_take_option(struct login_options *login, int option, const char *value);
bool login_is_given(const struct login_options *login);

/* A usage error: *status is the command's. */
MUST_USE bool login_check(struct cli *cli, struct login_options *login, int *status);
MUST_USE bool login_read_files(struct cli *cli, struct login_options *login);
MUST_USE bool login_finish(struct cli *cli, struct login_options *login);

/* The master key, from its file. */
MUST_USE bool login_load_master(struct cli *cli, struct crypto_key **out);

/* ---- OAuth (oauth.c; consent.c) ---- */

/* The operator's file: references resolved, checked; the grant as it is sealed. */
MUST_USE bool login_read_grant(struct cli *cli, enum oauth_kind kind, const char *path,
                               struct secret **out);

/*
 * Of a grant that asks a human: shows an address to open, with a code to enter there or without, and waits
 * until somebody has consented. In place of *grant comes the one with its refresh token. Other kinds of
 * grant are left alone.
 */
MUST_USE bool login_get_consent(struct cli *cli, struct secret **grant);

/* Likewise, anew. ERR_DENIED: this kind of grant asks nobody. */
MUST_USE bool login_renew_consent(struct cli *cli, struct secret **grant);

/* After a new grant or consent: the account's next login asks the endpoint. */
MUST_USE bool login_forget_token(struct cli *cli, int64_t account_id, const struct secret *grant);

/* What may be shown of a grant, and when the token that is kept for this login expires (login empty: that of
 * an application): as lines and as JSON (new reference; NULL: cli->err is set). */
MUST_USE bool login_print_grant(struct cli *cli, const struct secret *grant, struct bytes login);
json_t *login_json_grant(struct cli *cli, const struct secret *grant, struct bytes login);
