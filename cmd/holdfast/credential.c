/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holdfast credential add, edit, consent, list, show, remove: one grant for many accounts.
 */
#include "crypto/seal.h"
#include "db/db.h"
#include "holdfast/login_options.h"

#include <stdio.h>
#include <stdlib.h>

static void say_done(const char *name, const char *what)
{
    cli_print_text(bytes_of_text(name));
    (void)printf(": %s\n", what);
}

/* NAME and the options of a grant, read and checked. NULL: *status is the command's. */
static const char *read_arguments(struct cli *cli, int argc, char **argv,
                                  struct login_options *login, int *status)
{
    static const struct option known[] = { LOGIN_GRANT_OPTIONS, { NULL, 0, NULL, 0 } };
    const char *name;
    int option;

    while ((option = cli_next_option(cli, argc, argv, known, status)) != -1) {
        if (option == CLI_STOP)
            return NULL;
        (void)login_take_option(login, option, optarg);
    }
    name = cli_take_name(cli, argc, argv, "NAME", status);
    if (name == NULL || !login_check(cli, login, status))
        return NULL;
    if (login_is_given(login))
        return name;
    *status = cli_usage(cli, "--oauth and --oauth-config are missing");
    return NULL;
}

int cmd_credential_add(struct cli *cli, int argc, char **argv)
{
    CLEANUP(crypto_free_key) struct crypto_key *master = NULL;
    CLEANUP(login_free_options) struct login_options login = { 0 };
    CLEANUP(db_rollback) struct db_tx tx = { 0 };
    int64_t credential_id;
    int status;
    const char *name = read_arguments(cli, argc, argv, &login, &status);

    if (name == NULL)
        return status;
    if (!login_read_files(cli, &login) || !cli_open_database(cli) ||
        !login_load_master(cli, &master) || !login_finish(cli, &login) ||
        !db_begin(cli->session.db, DB_READ_COMMITTED, &tx, &cli->err) ||
        !source_add_credential(cli->session.db, bytes_of_text(name), master, login.octets,
                               &credential_id, &cli->err) ||
        !cli_audit(cli, AUDIT_CREDENTIAL_ADD, 0,
                   AUDIT_FIELDS(AUDIT_I64("credential", credential_id))) ||
        !db_commit(&tx, &cli->err))
        return cli_fail(cli);
    say_done(name, "added; accounts use it with --credential");
    return EXIT_SUCCESS;
}

/* The audit row stands first: what happens is never without it. */
static bool replace_grant(struct cli *cli, int64_t credential_id, const struct crypto_key *master,
                          const struct secret *grant)
{
    return cli_audit(cli, AUDIT_CREDENTIAL_EDIT, 0,
                     AUDIT_FIELDS(AUDIT_I64("credential", credential_id))) &&
           source_edit_credential(cli->session.db, credential_id, master, grant, &cli->err);
}

int cmd_credential_edit(struct cli *cli, int argc, char **argv)
{
    CLEANUP(crypto_free_key) struct crypto_key *master = NULL;
    CLEANUP(login_free_options) struct login_options login = { 0 };
    int64_t credential_id;
    int status;
    const char *name = read_arguments(cli, argc, argv, &login, &status);

    if (name == NULL)
        return status;
    if (!login_read_files(cli, &login) || !cli_open_database(cli) ||
        !login_load_master(cli, &master) ||
        !source_find_credential(cli->session.db, bytes_of_text(name), &credential_id, &cli->err) ||
        !login_finish(cli, &login) || !replace_grant(cli, credential_id, master, login.octets))
        return cli_fail(cli);
    say_done(name, "changed");
    return EXIT_SUCCESS;
}

/* The one operand and what it names, with the database open. NULL: *status is the command's. */
static const char *find_named(struct cli *cli, int argc, char **argv, bool *is_json,
                              int64_t *credential_id, int *status)
{
    const char *name;

    if (!cli_take_flag(cli, argc, argv, "json", is_json, status))
        return NULL;
    name = cli_take_name(cli, argc, argv, "NAME", status);
    if (name == NULL)
        return NULL;
    if (cli_open_database(cli) &&
        source_find_credential(cli->session.db, bytes_of_text(name), credential_id, &cli->err))
        return name;
    *status = cli_fail(cli);
    return NULL;
}

int cmd_credential_consent(struct cli *cli, int argc, char **argv)
{
    CLEANUP(crypto_free_key) struct crypto_key *master = NULL;
    CLEANUP(secret_free) struct secret *grant = NULL;
    int64_t credential_id;
    bool is_json = false;
    int status;
    const char *name = find_named(cli, argc, argv, &is_json, &credential_id, &status);

    if (name == NULL)
        return status;
    if (!login_load_master(cli, &master) ||
        !source_open_credential(cli->session.db, credential_id, master, &grant, &cli->err) ||
        !login_renew_consent(cli, &grant) || !replace_grant(cli, credential_id, master, grant))
        return cli_fail(cli);
    say_done(name, "consent is kept");
    return EXIT_SUCCESS;
}

int cmd_credential_show(struct cli *cli, int argc, char **argv)
{
    CLEANUP(crypto_free_key) struct crypto_key *master = NULL;
    CLEANUP(secret_free) struct secret *grant = NULL;
    int64_t credential_id;
    bool is_json = false;
    int status;
    const char *name = find_named(cli, argc, argv, &is_json, &credential_id, &status);

    if (name == NULL)
        return status;
    if (!login_load_master(cli, &master) ||
        !source_open_credential(cli->session.db, credential_id, master, &grant, &cli->err))
        return cli_fail(cli);
    if (is_json) {
        json_t *value = login_json_grant(cli, grant, BYTES(""));

        return value == NULL ? cli_fail(cli) : cli_print_json(cli, value);
    }
    return login_print_grant(cli, grant, BYTES("")) ? EXIT_SUCCESS : cli_fail(cli);
}

static json_t *json_credentials(const struct source_credential_list *list)
{
    json_t *array = json_array();

    for (size_t i = 0; i < list->count; i++)
        (void)json_array_append_new(
            array, json_pack("{s:o, s:I, s:o, s:o}", "name", cli_json_text(list->rows[i].name),
                             "accounts", (json_int_t)list->rows[i].accounts, "created_at",
                             cli_json_time(list->rows[i].created_usec), "updated_at",
                             cli_json_time(list->rows[i].updated_usec)));
    return array;
}

static void print_credentials(struct cli *cli, const struct source_credential_list *list)
{
    static const char *const header[] = { "NAME", "ACCOUNTS", "CHANGED" };
    struct cli_table *table = cli_create_table(cli, header, ARRAY_LEN(header));
    char text[CLI_TEXT_BYTES];

    for (size_t i = 0; i < list->count; i++) {
        cli_add_cell(table, list->rows[i].name);
        cli_add_number(table, list->rows[i].accounts);
        cli_add_text(table, cli_write_time(list->rows[i].updated_usec, text));
    }
    cli_print_table(table);
}

int cmd_credential_list(struct cli *cli, int argc, char **argv)
{
    struct source_credential_list list;
    bool is_json = false;
    int status;

    if (!cli_take_flag(cli, argc, argv, "json", &is_json, &status) ||
        !cli_take_nothing(cli, argc, argv, &status))
        return status;
    if (!cli_open_database(cli) ||
        !source_list_credentials(cli->session.db, cli->arena, &list, &cli->err))
        return cli_fail(cli);
    if (is_json)
        return cli_print_json(cli, json_credentials(&list));
    if (list.count == 0)
        (void)puts("No credentials: holdfast credential add --help");
    else
        print_credentials(cli, &list);
    return EXIT_SUCCESS;
}

int cmd_credential_remove(struct cli *cli, int argc, char **argv)
{
    int64_t credential_id;
    bool is_json = false;
    int status;
    const char *name = find_named(cli, argc, argv, &is_json, &credential_id, &status);

    if (name == NULL)
        return status;
    if (!cli_audit(cli, AUDIT_CREDENTIAL_REMOVE, 0,
                   AUDIT_FIELDS(AUDIT_I64("credential", credential_id))) ||
        !source_remove_credential(cli->session.db, credential_id, &cli->err))
        return cli_fail(cli);
    say_done(name, "removed");
    return EXIT_SUCCESS;
}
