/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holdfast account list, show, pause, resume, remove.
 */
#include "source/account.h"

#include "crypto/seal.h"
#include "db/db.h"
#include "holdfast/account_facts.h"
#include "holdfast/limit_options.h"
#include "holdfast/login_options.h"
#include "net/url.h"

#include <stdio.h>
#include <stdlib.h>

static const struct option no_options[] = { { NULL, 0, NULL, 0 } };

enum {
    JSON = 256,
    ALL
};

/* ---- what is told of an account -------------------------------------------------------------------- */

static const char *state_of(const struct source_account *a)
{
    if (a->removed_usec != 0)
        return "removed";
    if (a->is_paused)
        return "paused";
    if (a->run.is_running)
        return "running";
    if (a->run.finished_usec == 0)
        return "new";
    if (a->run.outcome == ERR_NONE)
        return a->pending > 0 ? "incomplete" : "complete";
    return a->run.outcome == ERR_RETRY ? "retrying" : "failing";
}

static struct bytes url_of(struct cli *cli, const struct source_account *a)
{
    static const enum net_security securities[] = {
        [SOURCE_TLS_IMPLICIT] = NET_SECURITY_TLS,
        [SOURCE_TLS_STARTTLS] = NET_SECURITY_STARTTLS,
        [SOURCE_TLS_NONE] = NET_SECURITY_NONE,
    };
    CLEANUP(buf_free) struct buf text = buf_create(2048);
    struct net_url url = { .security = securities[a->settings.tls], .port = a->settings.port };
    struct bytes copy = BYTES("");
    struct err full = { 0 };

    if (bytes_equal(a->kind, source_kind_name(SOURCE_KIND_IMPORT)))
        return BYTES("-");
    (void)snprintf(url.user, sizeof url.user, "%.*s", (int)a->settings.login.len,
                   (const char *)a->settings.login.ptr);
    (void)snprintf(url.host, sizeof url.host, "%.*s", (int)a->settings.host.len,
                   (const char *)a->settings.host.ptr);
    net_write_url(&text, &url);
    if (!arena_try_copy(cli->arena, buf_bytes(&text), 2048, &copy, &full))
        return BYTES("?");
    return copy;
}

static json_t *json_list(const struct bytes *items, size_t count)
{
    json_t *list = json_array();

    for (size_t i = 0; i < count; i++)
        (void)json_array_append_new(list, cli_json_text(items[i]));
    return list;
}

static json_t *json_namespaces(uint32_t namespaces)
{
    json_t *list = json_array();

    if ((namespaces & SOURCE_NAMESPACE_OTHERS) != 0)
        (void)json_array_append_new(list, json_string("others"));
    if ((namespaces & SOURCE_NAMESPACE_SHARED) != 0)
        (void)json_array_append_new(list, json_string("shared"));
    return list;
}

static json_t *json_account(struct cli *cli, const struct source_account *a)
{
    bool has_failed = a->run.outcome != ERR_NONE;

    return json_pack(
        "{s:o, s:I, s:o, s:o, s:s, s:b, s:o, s:o, s:o, s:o, s:b, s:o, s:i, s:I, s:I, s:I, s:I, s:o, "
        "s:o, s:o, s:o, "
        "s:o, "
        "s:o}",
        "name", cli_json_text(a->settings.name), "id", (json_int_t)a->account_id, "kind",
        cli_json_text(a->kind), "url", cli_json_text(url_of(cli, a)), "state", state_of(a),
        "has_password", a->has_secret, "include",
        json_list(a->settings.include, a->settings.include_count), "exclude",
        json_list(a->settings.exclude, a->settings.exclude_count), "namespaces",
        json_namespaces(a->settings.namespaces), "tls_pins",
        json_list(a->settings.tls_pins, a->settings.tls_pin_count), "tls_pin_only",
        a->settings.is_pin_only, "login_as", cli_json_text(a->settings.login_as), "every_seconds",
        (int)a->settings.every_seconds, "mailboxes", (json_int_t)a->mailboxes, "messages",
        (json_int_t)a->messages, "octets", (json_int_t)a->octets, "pending", (json_int_t)a->pending,
        "created_at", cli_json_time(a->created_usec), "removed_at", cli_json_time(a->removed_usec),
        "enumerated_at", cli_json_time(a->enumerated_usec), "last_run_at",
        cli_json_time(a->run.finished_usec), "outcome",
        has_failed ? json_string(err_code_name(a->run.outcome)) : json_null(), "outcome_text",
        has_failed ? cli_json_message(a->run.outcome_text) : json_null());
}

json_t *cli_json_accounts(struct cli *cli, const struct source_account_list *accounts)
{
    json_t *list = json_array();

    for (size_t i = 0; i < accounts->count; i++)
        (void)json_array_append_new(list, json_account(cli, &accounts->rows[i]));
    return list;
}

void cli_print_accounts(struct cli *cli, const struct source_account_list *accounts)
{
    static const char *const header[] = { "NAME",    "STATE", "MAILBOXES", "MESSAGES",
                                          "PENDING", "SIZE",  "LAST RUN",  "URL" };
    struct cli_table *table = cli_create_table(cli, header, ARRAY_LEN(header));
    char text[CLI_TEXT_BYTES];

    for (size_t i = 0; i < accounts->count; i++) {
        const struct source_account *a = &accounts->rows[i];

        cli_add_cell(table, a->settings.name);
        cli_add_text(table, state_of(a));
        cli_add_number(table, a->mailboxes);
        cli_add_number(table, a->messages);
        cli_add_number(table, a->pending);
        cli_add_text(table, cli_write_size(a->octets, text));
        cli_add_text(table, cli_write_time(a->run.finished_usec, text));
        cli_add_cell(table, url_of(cli, a));
    }
    cli_print_table(table);
    for (size_t i = 0; i < accounts->count; i++) {
        const struct source_account *a = &accounts->rows[i];

        if (a->run.outcome == ERR_NONE || a->removed_usec != 0)
            continue;
        cli_print_outcome(a->settings.name, a->run.outcome_text);
    }
}

int cmd_account_list(struct cli *cli, int argc, char **argv)
{
    static const struct option known[] = {
        { "json", no_argument, NULL, JSON },
        { "all", no_argument, NULL, ALL },
        { NULL, 0, NULL, 0 },
    };
    struct source_account_list accounts;
    bool is_json = false, is_all = false;
    int status, option;

    while ((option = cli_next_option(cli, argc, argv, known, &status)) != -1) {
        if (option == CLI_STOP)
            return status;
        is_json |= option == JSON;
        is_all |= option == ALL;
    }
    if (!cli_take_nothing(cli, argc, argv, &status))
        return status;
    if (!cli_open_database(cli) ||
        !source_list_accounts(cli->session.db, is_all, cli->arena, &accounts, &cli->err))
        return cli_fail(cli);
    if (is_json)
        return cli_print_json(cli, cli_json_accounts(cli, &accounts));
    if (accounts.count == 0)
        (void)puts("No accounts yet: holdfast account add --help");
    else
        cli_print_accounts(cli, &accounts);
    return EXIT_SUCCESS;
}

/* ---- show -------------------------------------------------------------------------------------------- */

static json_t *json_mailboxes(const struct source_mailbox_facts_list *mailboxes)
{
    json_t *list = json_array();

    for (size_t i = 0; i < mailboxes->count; i++) {
        const struct source_mailbox_facts *m = &mailboxes->rows[i];

        (void)json_array_append_new(
            list,
            json_pack("{s:o, s:b, s:I, s:I, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o}",
                      "path", cli_json_text(m->path), "noselect", m->is_noselect, "messages",
                      (json_int_t)m->messages, "octets", (json_int_t)m->octets, "epoch",
                      (int)m->epoch, "uidvalidity", (json_int_t)m->uidvalidity, "exists",
                      (json_int_t)m->exists, "stored", (json_int_t)m->stored, "pending",
                      (json_int_t)m->pending, "gone_before_fetch", (json_int_t)m->gone, "skipped",
                      (json_int_t)m->skipped, "gone_at_source", (json_int_t)m->stored_gone,
                      "enumerated_at", cli_json_time(m->enumerated_usec), "unlisted_at",
                      cli_json_time(m->gone_usec)));
    }
    return list;
}

static const char *const login_kinds[] = {
    [SOURCE_SECRET_PASSWORD] = "password",
    [SOURCE_SECRET_OAUTH] = "oauth",
    [SOURCE_SECRET_CERTIFICATE] = "certificate",
    [SOURCE_SECRET_CREDENTIAL] = "credential",
};

/* How it logs in, without secrets. An account that was removed has none. */
static bool open_login(struct cli *cli, const struct source_account *a,
                       struct source_secret_facts *out)
{
    CLEANUP(crypto_free_key) struct crypto_key *master = NULL;

    return login_load_master(cli, &master) &&
           source_open_secret(cli->session.db, a->account_id, master, cli->arena, out, &cli->err);
}

static bool has_grant(const struct source_secret_facts *facts)
{
    return facts->kind == SOURCE_SECRET_OAUTH || facts->kind == SOURCE_SECRET_CREDENTIAL;
}

static bool print_login(struct cli *cli, const struct source_account *a)
{
    CLEANUP(source_free_secret_facts) struct source_secret_facts facts = { 0 };

    if (!a->has_secret)
        return true;
    if (!open_login(cli, a, &facts))
        return false;
    (void)printf("login:          %s ", login_kinds[facts.kind]);
    cli_print_text(facts.credential_name);
    (void)fputc('\n', stdout);
    return !has_grant(&facts) || login_print_grant(cli, facts.octets, a->settings.login);
}

static bool add_login(struct cli *cli, const struct source_account *a, json_t *value)
{
    CLEANUP(source_free_secret_facts) struct source_secret_facts facts = { 0 };

    if (!a->has_secret)
        return true;
    if (!open_login(cli, a, &facts))
        return false;
    (void)json_object_set_new(value, "login", json_string(login_kinds[facts.kind]));
    if (facts.kind == SOURCE_SECRET_CREDENTIAL)
        (void)json_object_set_new(value, "credential", cli_json_text(facts.credential_name));
    if (has_grant(&facts))
        (void)json_object_set_new(value, "oauth",
                                  login_json_grant(cli, facts.octets, a->settings.login));
    return true;
}

/* What print_facts tells of one account, besides what a listing of all has. */
static void add_details(const struct source_account *a, json_t *value)
{
    (void)json_object_set_new(value, "own_tls_ca", json_boolean(a->settings.tls_ca.len > 0));
    (void)json_object_set_new(value, "next_run_at",
                              a->run.is_active ? cli_json_time(a->run.due_usec) : json_null());
}

static void print_facts(struct cli *cli, const struct source_account *a)
{
    char text[CLI_TEXT_BYTES];

    (void)fputs("name:           ", stdout);
    cli_print_text(a->settings.name);
    (void)fputs("\nurl:            ", stdout);
    cli_print_text(url_of(cli, a));
    (void)printf("\nstate:          %s\nevery:          %s\n", state_of(a),
                 cli_write_span(a->settings.every_seconds, text));
    (void)printf("certificates:   %s\n",
                 a->settings.tls_ca.len > 0 ? "those given with --tls-ca" : "the system's");
    for (size_t i = 0; i < a->settings.tls_pin_count; i++) {
        (void)fputs("pinned key:     ", stdout);
        cli_print_text(a->settings.tls_pins[i]);
        (void)puts(a->settings.is_pin_only ? " (instead of the certificate's chain)" : "");
    }
    if (a->settings.login_as.len > 0) {
        (void)fputs("logs in as:     ", stdout);
        cli_print_text(a->settings.login_as);
        (void)fputc('\n', stdout);
    }
    for (size_t i = 0; i < a->settings.include_count; i++) {
        (void)fputs("include:        ", stdout);
        cli_print_text(a->settings.include[i]);
        (void)fputc('\n', stdout);
    }
    for (size_t i = 0; i < a->settings.exclude_count; i++) {
        (void)fputs("exclude:        ", stdout);
        cli_print_text(a->settings.exclude[i]);
        (void)fputc('\n', stdout);
    }
    if (a->settings.namespaces != 0)
        (void)printf("namespaces:     personal%s%s\n",
                     (a->settings.namespaces & SOURCE_NAMESPACE_OTHERS) != 0 ? ", others" : "",
                     (a->settings.namespaces & SOURCE_NAMESPACE_SHARED) != 0 ? ", shared" : "");
    (void)printf("archived:       %ju messages in %ju mailboxes, ", (uintmax_t)a->messages,
                 (uintmax_t)a->mailboxes);
    (void)printf("%s\n", cli_write_size(a->octets, text));
    (void)printf("pending:        %ju\n", (uintmax_t)a->pending);
    (void)printf("added:          %s\n", cli_write_time(a->created_usec, text));
    (void)printf("last run:       %s\n", cli_write_time(a->run.finished_usec, text));
    (void)printf("next run:       %s\n",
                 a->run.is_active ? cli_write_time(a->run.due_usec, text) : "-");
    if (a->run.outcome != ERR_NONE) {
        (void)fputs("last error:     ", stdout);
        cli_print_text(a->run.outcome_text);
        (void)fputc('\n', stdout);
    }
}

static void print_mailboxes(struct cli *cli, const struct source_mailbox_facts_list *mailboxes)
{
    static const char *const header[] = { "MESSAGES", "PENDING", "GONE", "LOOKED AT", "MAILBOX" };
    struct cli_table *table = cli_create_table(cli, header, ARRAY_LEN(header));
    char text[CLI_TEXT_BYTES];

    for (size_t i = 0; i < mailboxes->count; i++) {
        const struct source_mailbox_facts *m = &mailboxes->rows[i];

        if (m->is_noselect)
            continue;
        cli_add_number(table, m->messages);
        cli_add_number(table, m->pending);
        cli_add_number(table, m->stored_gone);
        cli_add_text(table, cli_write_time(m->enumerated_usec, text));
        cli_add_cell(table, m->path);
    }
    (void)fputc('\n', stdout);
    cli_print_table(table);
}

int cmd_account_show(struct cli *cli, int argc, char **argv)
{
    struct source_mailbox_facts_list mailboxes;
    struct source_account account;
    const char *name;
    int64_t account_id;
    bool is_json = false;
    int status;

    if (!cli_take_flag(cli, argc, argv, "json", &is_json, &status))
        return status;
    name = cli_take_name(cli, argc, argv, "NAME", &status);
    if (name == NULL)
        return status;
    if (!cli_open_database(cli) ||
        !source_find_account(cli->session.db, bytes_of_text(name), &account_id, &cli->err) ||
        !source_show_account(cli->session.db, account_id, cli->arena, &account, &cli->err) ||
        !source_list_mailbox_facts(cli->session.db, account_id, cli->arena, &mailboxes, &cli->err))
        return cli_fail(cli);
    if (is_json) {
        json_t *value = json_account(cli, &account);

        add_details(&account, value);
        (void)json_object_set_new(value, "mailbox_list", json_mailboxes(&mailboxes));
        if (limit_add_json(cli, account_id, value) && add_login(cli, &account, value) &&
            account_add_facts(cli, account_id, value))
            return cli_print_json(cli, value);
        json_decref(value);
        return cli_fail(cli);
    }
    print_facts(cli, &account);
    if ((account.settings.host.len > 0 && !limit_print(cli, account_id)) ||
        !print_login(cli, &account) || !account_print_facts(cli, account_id))
        return cli_fail(cli);
    if (mailboxes.count > 0)
        print_mailboxes(cli, &mailboxes);
    return EXIT_SUCCESS;
}

/* ---- pause, resume, remove ------------------------------------------------------------------ */

/* Arguments, settings, database, account: what the commands with one NAME begin with. */
static bool begin_with_account(struct cli *cli, int argc, char **argv, unsigned needed,
                               struct cli_run *out, int *status)
{
    const char *name;

    if (cli_next_option(cli, argc, argv, no_options, status) == CLI_STOP)
        return false;
    name = cli_take_name(cli, argc, argv, "NAME", status);
    if (name == NULL)
        return false;
    out->name = bytes_of_text(name);
    if (cli_settle(cli, needed) && cli_open(cli, needed) &&
        source_find_account(cli->session.db, out->name, &out->account_id, &cli->err))
        return true;
    *status = cli_fail(cli);
    return false;
}

int cmd_account_consent(struct cli *cli, int argc, char **argv)
{
    CLEANUP(source_free_secret_facts) struct source_secret_facts facts = { 0 };
    CLEANUP(crypto_free_key) struct crypto_key *master = NULL;
    CLEANUP(db_rollback) struct db_tx tx = { 0 };
    struct source_secret secret = { .kind = SOURCE_SECRET_OAUTH };
    struct cli_run run;
    int status;

    if (!begin_with_account(cli, argc, argv, OPERATE_SERVICE_DATABASE, &run, &status))
        return status;
    if (!login_load_master(cli, &master) ||
        !source_open_secret(cli->session.db, run.account_id, master, cli->arena, &facts, &cli->err))
        return cli_fail(cli);
    if (facts.kind != SOURCE_SECRET_OAUTH) {
        (void)err_fail(&cli->err, ERR_DENIED, "the account has no grant of its own to consent to");
        return cli_fail(cli);
    }
    if (!login_renew_consent(cli, &facts.octets))
        return cli_fail(cli);
    secret.octets = facts.octets;
    if (!db_begin(cli->session.db, DB_READ_COMMITTED, &tx, &cli->err) ||
        !cli_audit(cli, AUDIT_ACCOUNT_CONSENT, run.account_id, NULL) ||
        !source_edit_account(cli->session.db, run.account_id, 0,
                             &(struct source_account_settings){ 0 }, master, &secret, &cli->err) ||
        !db_commit(&tx, &cli->err) || !login_forget_token(cli, run.account_id, facts.octets))
        return cli_fail(cli);
    cli_print_text(run.name);
    (void)puts(": consent is kept");
    return EXIT_SUCCESS;
}

struct change {
    enum audit_kind kind;
    bool (*make)(struct db *db, int64_t account_id, struct err *err);
    const char *done;
};

/* The audit row stands first: what happens is never without it. */
static int change_account(struct cli *cli, int argc, char **argv, const struct change *change)
{
    struct cli_run run;
    int status;

    if (!begin_with_account(cli, argc, argv, OPERATE_SERVICE_DATABASE, &run, &status))
        return status;
    if (!cli_audit(cli, change->kind, run.account_id, NULL) ||
        !change->make(cli->session.db, run.account_id, &cli->err))
        return cli_fail(cli);
    cli_print_text(run.name);
    (void)printf(": %s\n", change->done);
    return EXIT_SUCCESS;
}

int cmd_account_pause(struct cli *cli, int argc, char **argv)
{
    return change_account(cli, argc, argv,
                          &(struct change){ AUDIT_ACCOUNT_PAUSE, source_pause_account, "paused" });
}

int cmd_account_resume(struct cli *cli, int argc, char **argv)
{
    return change_account(
        cli, argc, argv,
        &(struct change){ AUDIT_ACCOUNT_RESUME, source_resume_account, "resumed, due now" });
}

int cmd_account_remove(struct cli *cli, int argc, char **argv)
{
    return change_account(cli, argc, argv,
                          &(struct change){ AUDIT_ACCOUNT_REMOVE, source_remove_account,
                                            "removed; the password is forgotten, the mail stays" });
}
