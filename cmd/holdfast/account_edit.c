/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holdfast account add, edit: the same options, once with and once without defaults.
 */
#include "base/fd.h"
#include "crypto/seal.h"
#include "db/db.h"
#include "holdfast/limit_options.h"
#include "holdfast/login_options.h"
#include "ingest/rule.h"
#include "net/tls.h"
#include "net/url.h"
#include "source/account.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    URL = 256,
    NAME,
    TLS_CA,
    SYSTEM_CA,
    TLS_PIN,
    TLS_PIN_ONLY,
    NO_TLS_PIN,
    LOGIN_AS,
    NO_LOGIN_AS,
    INCLUDE,
    EXCLUDE,
    NO_INCLUDE,
    NO_EXCLUDE,
    EVERY,
    NAMESPACE,
    NO_NAMESPACE,
    NO_TEST,
    AS_JSON,
    KIND,
};

#define SHARED_OPTIONS                                                                             \
    LOGIN_OPTIONS, LIMIT_OPTIONS, { "url", required_argument, NULL, URL },                         \
        { "tls-ca", required_argument, NULL, TLS_CA },                                             \
        { "tls-pin", required_argument, NULL, TLS_PIN },                                           \
        { "tls-pin-only", no_argument, NULL, TLS_PIN_ONLY },                                       \
        { "login-as", required_argument, NULL, LOGIN_AS },                                         \
        { "include", required_argument, NULL, INCLUDE },                                           \
        { "exclude", required_argument, NULL, EXCLUDE },                                           \
        { "namespace", required_argument, NULL, NAMESPACE },                                       \
    {                                                                                              \
        "every", required_argument, NULL, EVERY                                                    \
    }

struct request {
    const char *name;
    uint32_t edit; /* SOURCE_EDIT_*: what was given */
    struct source_account_settings settings;
    struct net_url url; /* settings point into it */
    struct cli_list include, exclude, pins;
    struct buf ca;
    const char *ca_file;
    struct login_options login;
    struct limit_options limits;
    bool is_untested, is_json;
};

static void free_request(struct request *r)
{
    buf_free(&r->ca);
    login_free_options(&r->login);
}

void cli_set_url(struct source_account_settings *settings, const struct net_url *url)
{
    static const enum source_tls kinds[] = {
        [NET_SECURITY_TLS] = SOURCE_TLS_IMPLICIT,
        [NET_SECURITY_STARTTLS] = SOURCE_TLS_STARTTLS,
        [NET_SECURITY_NONE] = SOURCE_TLS_NONE,
    };

    settings->host = bytes_of_text(url->host);
    settings->port = url->port;
    settings->login = bytes_of_text(url->user);
    settings->tls = kinds[url->security];
}

static bool take_url(struct cli *cli, struct request *r, const char *text)
{
    if (!net_read_url(bytes_of_text(text), &r->url, &cli->err))
        return err_wrap(&cli->err, "--url");
    cli_set_url(&r->settings, &r->url);
    r->edit |= SOURCE_EDIT_URL;
    return true;
}

static bool take_namespace(struct cli *cli, struct request *r, const char *name)
{
    r->edit |= SOURCE_EDIT_NAMESPACES;
    if (name == NULL) /* --no-namespace */
        return true;
    if (strcmp(name, "others") == 0)
        r->settings.namespaces |= SOURCE_NAMESPACE_OTHERS;
    else if (strcmp(name, "shared") == 0)
        r->settings.namespaces |= SOURCE_NAMESPACE_SHARED;
    else
        return err_fail(&cli->err, ERR_SYNTAX, "--namespace: shared or others expected");
    return true;
}

static bool add_pattern(struct cli *cli, struct cli_list *list, const char *pattern)
{
    return ingest_check_pattern(bytes_of_text(pattern), &cli->err) &&
           cli_add_item(cli, list, pattern);
}

static bool take_kind(struct cli *cli, struct request *r, const char *text)
{
    for (int kind = SOURCE_KIND_IMAP; kind <= (int)SOURCE_KIND_IMPORT; kind++)
        if (bytes_equal(bytes_of_text(text), source_kind_name((enum source_kind)kind))) {
            r->settings.kind = (enum source_kind)kind;
            return true;
        }
    return err_fail(&cli->err, ERR_SYNTAX, "--kind: imap, journal or import expected");
}

static bool take_pin(struct cli *cli, struct request *r, const char *text)
{
    struct net_pin pin;

    r->edit |= SOURCE_EDIT_TLS_PINS;
    if (text == NULL) /* --no-tls-pin */
        return true;
    return (net_read_pin(bytes_of_text(text), &pin, &cli->err) &&
            cli_add_item(cli, &r->pins, text)) ||
           err_wrap(&cli->err, "--tls-pin");
}

/* One option into the request; false: cli->err is set. */
static bool take_option(struct cli *cli, struct request *r, int option, const char *value)
{
    bool is_limit;

    switch (option) {
    case URL:
        return take_url(cli, r, value);
    case NAME:
        r->settings.name = bytes_of_text(value);
        r->edit |= SOURCE_EDIT_NAME;
        return true;
    case TLS_CA:
    case SYSTEM_CA:
        r->ca_file = value;
        r->edit |= SOURCE_EDIT_TLS_CA;
        return true;
    case TLS_PIN:
    case NO_TLS_PIN:
        return take_pin(cli, r, value);
    case TLS_PIN_ONLY:
        r->settings.is_pin_only = true;
        r->edit |= SOURCE_EDIT_TLS_PINS;
        return true;
    case LOGIN_AS:
    case NO_LOGIN_AS:
        r->settings.login_as = value != NULL ? bytes_of_text(value) : BYTES("");
        r->edit |= SOURCE_EDIT_LOGIN_AS;
        return true;
    case INCLUDE:
    case NO_INCLUDE:
        r->edit |= SOURCE_EDIT_INCLUDE;
        return value == NULL || add_pattern(cli, &r->include, value);
    case EXCLUDE:
    case NO_EXCLUDE:
        r->edit |= SOURCE_EDIT_EXCLUDE;
        return value == NULL || add_pattern(cli, &r->exclude, value);
    case EVERY:
        r->edit |= SOURCE_EDIT_EVERY;
        return cli_read_duration(cli, value, &r->settings.every_seconds);
    case NAMESPACE:
    case NO_NAMESPACE:
        return take_namespace(cli, r, value);
    case NO_TEST:
        r->is_untested = true;
        return true;
    case AS_JSON:
        r->is_json = true;
        return true;
    case KIND:
        return take_kind(cli, r, value);
    default:
        return limit_take_option(cli, &r->limits, option, value, &is_limit) &&
               (is_limit || login_take_option(&r->login, option, value));
    }
}

/* Certificates that cannot be used are found now, not at the first connection. */
static bool read_ca(struct cli *cli, struct request *r)
{
    CLEANUP(net_free_tls) struct net_tls *tls = NULL;

    if (r->ca_file == NULL)
        return true;
    if (!net_create_tls_client(r->ca_file, &tls, &cli->err) ||
        !file_read(r->ca_file, CLI_CA_MAX_BYTES, &r->ca, &cli->err) ||
        !buf_done(&r->ca, &r->settings.tls_ca, &cli->err))
        return err_wrap(&cli->err, "--tls-ca");
    return true;
}

/* Files, as whoever called us. */
static bool read_files(struct cli *cli, struct request *r)
{
    return read_ca(cli, r) && login_read_files(cli, &r->login);
}

/* Arguments and files; false: *status is the command's. */
static bool read_request(struct cli *cli, int argc, char **argv, const struct option *known,
                         struct request *r, int *status)
{
    int option;

    while ((option = cli_next_option(cli, argc, argv, known, status)) != -1) {
        if (option == CLI_STOP)
            return false;
        if (!take_option(cli, r, option, optarg)) {
            *status = cli_refuse(cli);
            return false;
        }
    }
    r->name = cli_take_name(cli, argc, argv, "NAME", status);
    if (r->name == NULL || !login_check(cli, &r->login, status))
        return false;
    r->settings.include = r->include.items;
    r->settings.include_count = r->include.count;
    r->settings.exclude = r->exclude.items;
    r->settings.exclude_count = r->exclude.count;
    r->settings.tls_pins = r->pins.items;
    r->settings.tls_pin_count = r->pins.count;
    return true;
}

/* A test that failed, or was interrupted: as if the account had never been added. */
static int take_back(struct cli *cli, const struct cli_run *run, int status)
{
    if (cli->session.db == NULL || !cli_audit(cli, AUDIT_ACCOUNT_REMOVE, run->account_id, NULL) ||
        !source_forget_account(cli->session.db, run->account_id, &cli->err))
        return cli_fail(cli);
    (void)fputs("holdfast: ", stderr);
    (void)fwrite(run->name.ptr, 1, run->name.len, stderr);
    (void)fputs(" is not added; correct what is wrong, or add it with --no-test\n", stderr);
    return status;
}

/* Paused until the test is over: its first sync would be due at once. */
static int test_new_account(struct cli *cli, const struct cli_run *run, json_t *value)
{
    int status = cli_test_account(cli, run, value);

    if (status != EXIT_SUCCESS)
        return take_back(cli, run, status);
    if (!source_resume_account(cli->session.db, run->account_id, &cli->err))
        return cli_fail(cli);
    return EXIT_SUCCESS;
}

/* The account, what it may use, and the audit row: all of it or nothing. */
static bool insert_account(struct cli *cli, struct request *r, const struct crypto_key *master,
                           int64_t *account_id)
{
    CLEANUP(db_rollback) struct db_tx tx = { 0 };

    return db_begin(cli->session.db, DB_READ_COMMITTED, &tx, &cli->err) &&
           source_add_account(cli->session.db, &r->settings, master, &r->login.secret, account_id,
                              &cli->err) &&
           limit_apply(cli, &r->limits, *account_id) &&
           cli_audit(cli, AUDIT_ACCOUNT_ADD, *account_id, NULL) && db_commit(&tx, &cli->err);
}

static int add_account(struct cli *cli, struct request *r)
{
    CLEANUP(crypto_free_key) struct crypto_key *master = NULL;
    CLEANUP(json_decrefp) json_t *value = NULL;
    unsigned needed = OPERATE_SERVICE_DATABASE;
    struct cli_run run = { .name = r->settings.name };
    int status = EXIT_SUCCESS;

    if (!r->is_untested)
        needed |= OPERATE_SERVICE_GATE | OPERATE_SERVICE_INGEST;
    r->settings.is_added_paused = !r->is_untested;
    if (!read_files(cli, r) || !cli_settle(cli, needed) || !cli_open(cli, needed) ||
        !login_load_master(cli, &master) || !login_finish(cli, &r->login))
        return cli_fail(cli);
    cli_defer_interrupts(); /* from here on there is something to take back */
    if (!insert_account(cli, r, master, &run.account_id))
        return cli_fail(cli);
    if (r->is_json)
        value = json_pack("{s:o}", "name", cli_json_text(run.name));
    if (!r->is_untested)
        status = test_new_account(cli, &run, value);
    if (value != NULL && status != CLI_INTERRUPTED) {
        (void)json_object_set_new(value, "added", json_boolean(status == EXIT_SUCCESS));
        (void)cli_print_json(cli, json_incref(value));
    } else if (status == EXIT_SUCCESS) {
        cli_print_text(run.name);
        (void)puts(": added");
    }
    return status;
}

/* A name is all that it has. */
static int add_import_account(struct cli *cli, const struct request *r)
{
    CLEANUP(db_rollback) struct db_tx tx = { 0 };
    struct bytes name = bytes_of_text(r->name);
    int64_t account_id;

    if (r->edit != 0 || login_is_given(&r->login))
        return cli_usage(cli,
                         "an account of kind import has no source: --url and what belongs to it "
                         "make no sense");
    if (!cli_open_database(cli) || !db_begin(cli->session.db, DB_READ_COMMITTED, &tx, &cli->err) ||
        !source_add_import_account(cli->session.db, name, &account_id, &cli->err) ||
        !cli_audit(cli, AUDIT_ACCOUNT_ADD, account_id, NULL) || !db_commit(&tx, &cli->err))
        return cli_fail(cli);
    cli_print_text(name);
    (void)puts(": added, for `holdfast import`");
    return EXIT_SUCCESS;
}

int cmd_account_add(struct cli *cli, int argc, char **argv)
{
    static const struct option known[] = {
        SHARED_OPTIONS,
        { "no-test", no_argument, NULL, NO_TEST },
        { "json", no_argument, NULL, AS_JSON },
        { "kind", required_argument, NULL, KIND },
        { NULL, 0, NULL, 0 },
    };
    CLEANUP(free_request)
    struct request r = {
        .settings = { .every_seconds = SOURCE_EVERY_SECONDS },
        .ca = buf_create(CLI_CA_MAX_BYTES),
    };
    int status;

    if (!read_request(cli, argc, argv, known, &r, &status))
        return status;
    if (r.settings.kind == SOURCE_KIND_IMPORT)
        return add_import_account(cli, &r);
    if ((r.edit & SOURCE_EDIT_URL) == 0)
        return cli_usage(cli, "--url is missing, as imaps://USER@HOST/");
    if (!login_is_given(&r.login))
        return cli_usage(cli, "how to log in is missing: --password-file, --password-command, "
                              "--oauth, --credential or --client-certificate");
    r.settings.name = bytes_of_text(r.name);
    return add_account(cli, &r);
}

static bool change_account(struct cli *cli, struct request *r, const struct crypto_key *master,
                           int64_t account_id)
{
    CLEANUP(db_rollback) struct db_tx tx = { 0 };
    bool has_login = login_is_given(&r->login);

    return db_begin(cli->session.db, DB_READ_COMMITTED, &tx, &cli->err) &&
           cli_audit(cli, AUDIT_ACCOUNT_EDIT, account_id,
                     AUDIT_FIELDS(AUDIT_BOOL("password", has_login), AUDIT_I64("edit", r->edit))) &&
           source_edit_account(cli->session.db, account_id, r->edit, &r->settings, master,
                               has_login ? &r->login.secret : NULL, &cli->err) &&
           limit_apply(cli, &r->limits, account_id) && db_commit(&tx, &cli->err);
}

static int edit_account(struct cli *cli, struct request *r)
{
    CLEANUP(crypto_free_key) struct crypto_key *master = NULL;
    int64_t account_id;

    if (!read_files(cli, r) || !cli_open_database(cli) || !login_load_master(cli, &master) ||
        !source_find_account(cli->session.db, bytes_of_text(r->name), &account_id, &cli->err) ||
        !login_finish(cli, &r->login) || !change_account(cli, r, master, account_id) ||
        (r->login.oauth_kind != NULL && !login_forget_token(cli, account_id, r->login.octets)))
        return cli_fail(cli);
    cli_print_text(bytes_of_text(r->name));
    (void)puts(": changed");
    return EXIT_SUCCESS;
}

int cmd_account_edit(struct cli *cli, int argc, char **argv)
{
    static const struct option known[] = {
        SHARED_OPTIONS,
        { "name", required_argument, NULL, NAME },
        { "system-ca", no_argument, NULL, SYSTEM_CA },
        { "no-tls-pin", no_argument, NULL, NO_TLS_PIN },
        { "no-login-as", no_argument, NULL, NO_LOGIN_AS },
        { "no-include", no_argument, NULL, NO_INCLUDE },
        { "no-exclude", no_argument, NULL, NO_EXCLUDE },
        { "no-namespace", no_argument, NULL, NO_NAMESPACE },
        { NULL, 0, NULL, 0 },
    };
    CLEANUP(free_request) struct request r = { .ca = buf_create(CLI_CA_MAX_BYTES) };
    int status;

    if (!read_request(cli, argc, argv, known, &r, &status))
        return status;
    if (r.edit == 0 && !login_is_given(&r.login) && !limit_is_given(&r.limits))
        return cli_usage(cli, "nothing to change was given");
    return edit_account(cli, &r);
}
