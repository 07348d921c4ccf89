/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holdfast auditor add, passwd, list, show, grant, revoke. lib/auth appends the audit events.
 */
#include "auth/auditor.h"

#include "holdfast/cli.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    PASSWORD_FILE = 256,
    EXPIRES,
    FROM,
    ACCOUNT,
    ALL,
    LATER
};

/* ---- add, passwd ------------------------------------------------------------------------------------- */

int cmd_auditor_add(struct cli *cli, int argc, char **argv)
{
    static const struct option known[] = {
        { "password-file", required_argument, NULL, PASSWORD_FILE },
        { "expires", required_argument, NULL, EXPIRES },
        { "from", required_argument, NULL, FROM },
        { NULL, 0, NULL, 0 },
    };
    CLEANUP(secret_free) struct secret *password = NULL;
    struct auth_new_auditor auditor = { 0 };
    struct cli_list networks = { .count = 0 };
    const char *name, *file = NULL;
    int64_t auditor_id;
    int status, option;

    while ((option = cli_next_option(cli, argc, argv, known, &status)) != -1) {
        if (option == CLI_STOP)
            return status;
        if (option == PASSWORD_FILE)
            file = optarg;
        else if (option == EXPIRES ? !cli_read_date(cli, optarg, &auditor.expires_at_usec)
                                   : !cli_add_item(cli, &networks, optarg))
            return cli_refuse(cli);
    }
    name = cli_take_name(cli, argc, argv, "NAME", &status);
    if (name == NULL)
        return status;
    if (file == NULL)
        return cli_usage(cli, "--password-file is missing");
    if (!cli_read_password(cli, file, &password))
        return cli_fail(cli);
    auditor.name = bytes_of_text(name);
    auditor.password = password;
    auditor.networks = networks.items;
    auditor.network_count = networks.count;
    if (!cli_open_database(cli) ||
        !auth_add_auditor(cli->session.db, &auditor, &auditor_id, &cli->err))
        return cli_fail(cli);
    cli_print_text(auditor.name);
    (void)puts(": added; may see nothing until `holdfast auditor grant`");
    return EXIT_SUCCESS;
}

int cmd_auditor_passwd(struct cli *cli, int argc, char **argv)
{
    static const struct option known[] = {
        { "password-file", required_argument, NULL, PASSWORD_FILE },
        { NULL, 0, NULL, 0 },
    };
    CLEANUP(secret_free) struct secret *password = NULL;
    const char *name, *file = NULL;
    int status, option;

    while ((option = cli_next_option(cli, argc, argv, known, &status)) != -1) {
        if (option == CLI_STOP)
            return status;
        file = optarg;
    }
    name = cli_take_name(cli, argc, argv, "NAME", &status);
    if (name == NULL)
        return status;
    if (file == NULL)
        return cli_usage(cli, "--password-file is missing");
    if (!cli_read_password(cli, file, &password) || !cli_open_database(cli) ||
        !auth_set_password(cli->session.db, bytes_of_text(name), password, &cli->err))
        return cli_fail(cli);
    cli_print_text(bytes_of_text(name));
    (void)puts(": password changed, sessions ended");
    return EXIT_SUCCESS;
}

/* ---- list, show ---------------------------------------------------------------------------------------- */

static const char *state_of(const struct auth_auditor *a)
{
    if (a->disabled_at_usec != 0)
        return "disabled";
    if (a->expires_at_usec != 0 && a->expires_at_usec <= clock_now_usec())
        return "expired";
    return a->grant_count == 0 ? "no grants" : "active";
}

static json_t *json_auditor(const struct auth_auditor *a)
{
    json_t *networks = json_array();

    for (size_t i = 0; i < a->network_count; i++)
        (void)json_array_append_new(networks, cli_json_text(a->networks[i]));
    return json_pack("{s:o, s:I, s:s, s:o, s:o, s:o, s:o, s:I, s:I}", "name",
                     cli_json_text(a->name), "id", (json_int_t)a->auditor_id, "state", state_of(a),
                     "created_at", cli_json_time(a->created_at_usec), "expires_at",
                     cli_json_time(a->expires_at_usec), "last_login_at",
                     cli_json_time(a->last_login_usec), "networks", networks, "sessions",
                     (json_int_t)a->live_sessions, "grants", (json_int_t)a->grant_count);
}

static void print_auditors(struct cli *cli, const struct auth_auditor *auditors, size_t count)
{
    static const char *const header[] = { "NAME",     "STATE",   "GRANTS",
                                          "SESSIONS", "EXPIRES", "LAST LOGIN" };
    struct cli_table *table = cli_create_table(cli, header, ARRAY_LEN(header));
    char text[CLI_TEXT_BYTES];

    for (size_t i = 0; i < count; i++) {
        cli_add_cell(table, auditors[i].name);
        cli_add_text(table, state_of(&auditors[i]));
        cli_add_number(table, (uint64_t)auditors[i].grant_count);
        cli_add_number(table, (uint64_t)auditors[i].live_sessions);
        cli_add_text(table, cli_write_time(auditors[i].expires_at_usec, text));
        cli_add_text(table, cli_write_time(auditors[i].last_login_usec, text));
    }
    cli_print_table(table);
}

int cmd_auditor_list(struct cli *cli, int argc, char **argv)
{
    const struct auth_auditor *auditors;
    size_t count;
    bool is_json = false;
    int status;

    if (!cli_take_flag(cli, argc, argv, "json", &is_json, &status) ||
        !cli_take_nothing(cli, argc, argv, &status))
        return status;
    if (!cli_open_database(cli) ||
        !auth_list_auditors(cli->session.db, cli->arena, &auditors, &count, &cli->err))
        return cli_fail(cli);
    if (is_json) {
        json_t *list = json_array();

        for (size_t i = 0; i < count; i++)
            (void)json_array_append_new(list, json_auditor(&auditors[i]));
        return cli_print_json(cli, list);
    }
    if (count == 0)
        (void)puts("No auditors yet: holdfast auditor add --help");
    else
        print_auditors(cli, auditors, count);
    return EXIT_SUCCESS;
}

static json_t *json_grants(const struct auth_grant_row *grants, size_t count)
{
    json_t *list = json_array();

    for (size_t i = 0; i < count; i++) {
        const struct auth_grant_row *g = &grants[i];
        bool is_all = g->account_id == 0 && g->matter_name.len == 0;

        (void)json_array_append_new(
            list,
            json_pack("{s:I, s:b, s:o, s:o}", "id", (json_int_t)g->grant_id, "all", is_all,
                      "account", g->account_id == 0 ? json_null() : cli_json_text(g->account_name),
                      "created_at", cli_json_time(g->created_at_usec)));
    }
    return list;
}

static void print_auditor(const struct auth_auditor *a, const struct auth_grant_row *grants,
                          size_t count)
{
    char text[CLI_TEXT_BYTES];

    (void)fputs("name:        ", stdout);
    cli_print_text(a->name);
    (void)printf("\nstate:       %s\n", state_of(a));
    (void)printf("added:       %s\n", cli_write_time(a->created_at_usec, text));
    (void)printf("expires:     %s\n", cli_write_time(a->expires_at_usec, text));
    (void)printf("last login:  %s\n", cli_write_time(a->last_login_usec, text));
    (void)printf("sessions:    %jd\n", (intmax_t)a->live_sessions);
    for (size_t i = 0; i < a->network_count; i++) {
        (void)fputs("from:        ", stdout);
        cli_print_text(a->networks[i]);
        (void)fputc('\n', stdout);
    }
    for (size_t i = 0; i < count; i++) {
        (void)fputs("may read:    ", stdout);
        if (grants[i].account_id != 0)
            cli_print_text(grants[i].account_name);
        else if (grants[i].matter_name.len > 0)
            cli_print_text(grants[i].matter_name);
        else
            (void)fputs("all accounts", stdout);
        (void)fputc('\n', stdout);
    }
}

int cmd_auditor_show(struct cli *cli, int argc, char **argv)
{
    struct auth_auditor auditor;
    const struct auth_grant_row *grants;
    const char *name;
    size_t count;
    bool is_json = false;
    int status;

    if (!cli_take_flag(cli, argc, argv, "json", &is_json, &status))
        return status;
    name = cli_take_name(cli, argc, argv, "NAME", &status);
    if (name == NULL)
        return status;
    if (!cli_open_database(cli) ||
        !auth_show_auditor(cli->session.db, bytes_of_text(name), cli->arena, &auditor, &grants,
                           &count, &cli->err))
        return cli_fail(cli);
    if (is_json) {
        json_t *value = json_auditor(&auditor);

        (void)json_object_set_new(value, "grant_list", json_grants(grants, count));
        return cli_print_json(cli, value);
    }
    print_auditor(&auditor, grants, count);
    return EXIT_SUCCESS;
}

/* ---- grant, revoke --------------------------------------------------------------------------------- */

struct scope {
    const char *auditor;
    struct cli_list accounts;
    bool is_all;
};

static bool read_scope(struct cli *cli, int argc, char **argv, struct scope *out, int *status)
{
    static const struct option known[] = {
        { "account", required_argument, NULL, ACCOUNT },
        { "all", no_argument, NULL, ALL },
        { "since", required_argument, NULL, LATER },
        { "until", required_argument, NULL, LATER },
        { "query", required_argument, NULL, LATER },
        { "matter", required_argument, NULL, LATER },
        { NULL, 0, NULL, 0 },
    };
    int option;

    while ((option = cli_next_option(cli, argc, argv, known, status)) != -1) {
        if (option == CLI_STOP)
            return false;
        if (option == LATER) {
            *status =
                cli_usage(cli, "--since, --until, --query and --matter are not available yet: "
                               "grant whole accounts");
            return false;
        }
        if (option == ALL) {
            out->is_all = true;
        } else if (!cli_add_item(cli, &out->accounts, optarg)) {
            *status = cli_refuse(cli);
            return false;
        }
    }
    out->auditor = cli_take_name(cli, argc, argv, "NAME", status);
    if (out->auditor != NULL && out->is_all && out->accounts.count > 0) {
        *status = cli_usage(cli, "either --account or --all");
        return false;
    }
    return out->auditor != NULL;
}

/* One request for all accounts, or one for each named. */
static size_t request_count(const struct scope *scope)
{
    return scope->accounts.count > 0 ? scope->accounts.count : 1;
}

static struct auth_grant_request request_of(const struct scope *scope, size_t index)
{
    return (struct auth_grant_request){
        .auditor = bytes_of_text(scope->auditor),
        .account = scope->accounts.count > 0 ? scope->accounts.items[index] : BYTES(""),
        .is_all = scope->is_all,
    };
}

static void print_scope(const struct auth_grant_request *request)
{
    if (request->account.len > 0)
        cli_print_text(request->account);
    else
        (void)fputs("all accounts", stdout);
}

int cmd_auditor_grant(struct cli *cli, int argc, char **argv)
{
    struct scope scope = { .auditor = NULL };
    int64_t grant_id;
    int status;

    if (!read_scope(cli, argc, argv, &scope, &status))
        return status;
    if (!scope.is_all && scope.accounts.count == 0)
        return cli_usage(cli, "--account A or --all is missing");
    if (!cli_open_database(cli))
        return cli_fail(cli);
    for (size_t i = 0; i < request_count(&scope); i++) {
        struct auth_grant_request request = request_of(&scope, i);

        if (!auth_grant(cli->session.db, &request, &grant_id, &cli->err))
            return cli_fail(cli);
        cli_print_text(request.auditor);
        (void)fputs(": may read ", stdout);
        print_scope(&request);
        (void)fputc('\n', stdout);
    }
    return EXIT_SUCCESS;
}

int cmd_auditor_revoke(struct cli *cli, int argc, char **argv)
{
    struct scope scope = { .auditor = NULL };
    uint64_t revoked;
    int status;

    if (!read_scope(cli, argc, argv, &scope, &status))
        return status;
    if (!cli_open_database(cli))
        return cli_fail(cli);
    for (size_t i = 0; i < request_count(&scope); i++) {
        struct auth_grant_request request = request_of(&scope, i);

        if (!auth_revoke(cli->session.db, &request, &revoked, &cli->err))
            return cli_fail(cli);
        cli_print_text(request.auditor);
        (void)printf(": %ju grant%s taken back\n", (uintmax_t)revoked, revoked == 1 ? "" : "s");
    }
    return EXIT_SUCCESS;
}
