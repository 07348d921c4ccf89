/* SPDX-License-Identifier: Apache-2.0 */
#include "holdfast/login_options.h"

#include "base/fd.h"
#include "crypto/seal.h"
#include "net/tls.h"
#include "operate/install.h"

enum {
    PEM_MAX_BYTES = SECRET_MAX_BYTES,
};

void login_free_options(struct login_options *login)
{
    secret_free(&login->octets);
}

bool login_take_option(struct login_options *login, int option, const char *value)
{
    switch (option) {
    case LOGIN_PASSWORD_FILE:
        login->password_file = value;
        return true;
    case LOGIN_PASSWORD_COMMAND:
        login->password_command = value;
        return true;
    case LOGIN_OAUTH:
        login->oauth_kind = value;
        return true;
    case LOGIN_OAUTH_CONFIG:
        login->oauth_config = value;
        return true;
    case LOGIN_CREDENTIAL:
        login->credential = value;
        return true;
    case LOGIN_CLIENT_CERTIFICATE:
        login->certificate = value;
        return true;
    case LOGIN_CLIENT_KEY:
        login->key = value;
        return true;
    default:
        return false;
    }
}

static int count_ways(const struct login_options *login)
{
    return (login->password_file != NULL) + (login->password_command != NULL) +
           (login->oauth_kind != NULL || login->oauth_config != NULL) +
           (login->credential != NULL) + (login->certificate != NULL || login->key != NULL);
}

bool login_is_given(const struct login_options *login)
{
    return count_ways(login) > 0;
}

bool login_check(struct cli *cli, struct login_options *login, int *status)
{
    if (count_ways(login) > 1)
        *status = cli_usage(cli, "one of --password-file, --password-command, --oauth, "
                                 "--credential and --client-certificate");
    else if ((login->oauth_kind == NULL) != (login->oauth_config == NULL))
        *status = cli_usage(cli, "--oauth KIND and --oauth-config F belong together");
    else if ((login->certificate == NULL) != (login->key == NULL))
        *status = cli_usage(cli, "--client-certificate F and --client-key F belong together");
    else if (login->oauth_kind != NULL && !oauth_find_kind(login->oauth_kind, &login->kind))
        *status = cli_usage(cli,
                            "'%s': --oauth is one of client-credentials, service-account, "
                            "refresh-token, device and authorization-code",
                            login->oauth_kind);
    else
        return true;
    return false;
}

/* Both in one secret: the server's side of OpenSSL checks that they belong together. */
static bool read_pair(struct cli *cli, struct login_options *login)
{
    CLEANUP(buf_free) struct buf pem = buf_create(PEM_MAX_BYTES);
    CLEANUP(net_free_tls) struct net_tls *tls = NULL;
    struct bytes octets;
    bool is_made;

    if (buf_reserve(&pem, PEM_MAX_BYTES) == NULL)
        return err_fail(&cli->err, ERR_SYSTEM, "no memory for a key");
    if (!net_create_tls_server(login->certificate, login->key, &tls, &cli->err) ||
        !file_read(login->certificate, PEM_MAX_BYTES, &pem, &cli->err))
        return err_wrap(&cli->err, "--client-certificate");
    buf_byte(&pem, '\n');
    is_made = file_read(login->key, PEM_MAX_BYTES, &pem, &cli->err) &&
              buf_done(&pem, &octets, &cli->err) &&
              secret_create(octets, &login->octets, &cli->err);
    secret_wipe(pem.ptr, pem.cap);
    return is_made || err_wrap(&cli->err, "--client-key");
}

bool login_read_files(struct cli *cli, struct login_options *login)
{
    if (login->password_file != NULL)
        return cli_read_password(cli, login->password_file, &login->octets);
    if (login->password_command != NULL)
        return cli_run_password_command(cli, login->password_command, &login->octets);
    if (login->oauth_config != NULL)
        return login_read_grant(cli, login->kind, login->oauth_config, &login->octets);
    return login->certificate == NULL || read_pair(cli, login);
}

bool login_finish(struct cli *cli, struct login_options *login)
{
    struct source_secret secret = { .kind = SOURCE_SECRET_PASSWORD };

    if (login->credential != NULL) {
        secret.kind = SOURCE_SECRET_CREDENTIAL;
        if (!source_find_credential(cli->session.db, bytes_of_text(login->credential),
                                    &secret.credential_id, &cli->err))
            return false;
    } else if (login->oauth_kind != NULL) {
        secret.kind = SOURCE_SECRET_OAUTH;
        if (!login_get_consent(cli, &login->octets))
            return false;
    } else if (login->certificate != NULL) {
        secret.kind = SOURCE_SECRET_CERTIFICATE;
    }
    secret.octets = login->octets;
    login->secret = secret;
    return true;
}

bool login_load_master(struct cli *cli, struct crypto_key **out)
{
    char path[PATH_MAX];

    return operate_get_path(cli->conf, OPERATE_MASTER_KEY_FILE, path, &cli->err) &&
           crypto_load_key_file(path, out, &cli->err);
}
