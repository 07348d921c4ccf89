/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holdfast account test: logs in, and shows every mailbox with what would become of it.
 */
#include "holdfast/cli.h"
#include "source/account.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const left_out_reasons[SOURCE_LEFT_OUT_REASONS] = {
    [SOURCE_LEFT_OUT_BY_PATTERN] = "no --include matches",
    [SOURCE_LEFT_OUT_OTHERS] = "another user's: --namespace others",
    [SOURCE_LEFT_OUT_SHARED] = "shared: --namespace shared",
};

/* "yes", or "no: ...". */
static const char *fate_of(struct cli *cli, const struct source_listed *m)
{
    CLEANUP(buf_free) struct buf text = buf_create(CLI_ARENA_BYTES);

    if (m->is_noselect)
        return "no: holds no mail";
    if (m->left_out == SOURCE_NOT_LEFT_OUT)
        return "yes";
    buf_text(&text, "no: ");
    if (m->left_out == SOURCE_LEFT_OUT_BY_PATTERN && m->rule.len > 0) {
        buf_text(&text, "--exclude ");
        buf_append(&text, m->rule);
    } else {
        buf_text(&text, left_out_reasons[m->left_out]);
    }
    buf_byte(&text, '\0');
    return arena_text(cli->arena, (const char *)text.ptr);
}

static void add_count(struct cli_table *table, int64_t number)
{
    if (number < 0)
        cli_add_text(table, "-");
    else
        cli_add_number(table, (uint64_t)number);
}

static void print_listing(struct cli *cli, const struct source_listed_list *listing)
{
    static const char *const header[] = { "MESSAGES", "SIZE", "USE", "ARCHIVED", "MAILBOX" };
    struct cli_table *table = cli_create_table(cli, header, ARRAY_LEN(header));
    char text[CLI_TEXT_BYTES];

    for (size_t i = 0; i < listing->count; i++) {
        const struct source_listed *m = &listing->rows[i];

        add_count(table, m->messages);
        cli_add_text(table, m->octets < 0 ? "-" : cli_write_size((uint64_t)m->octets, text));
        cli_add_cell(table, m->special_use);
        cli_add_text(table, fate_of(cli, m));
        cli_add_cell(table, m->path);
    }
    (void)fputc('\n', stdout);
    cli_print_table(table);
}

static json_t *json_count(int64_t number)
{
    return number < 0 ? json_null() : json_integer((json_int_t)number);
}

static json_t *json_listing(struct cli *cli, const struct source_listed_list *listing)
{
    json_t *list = json_array();

    for (size_t i = 0; i < listing->count; i++) {
        const struct source_listed *m = &listing->rows[i];
        bool is_archived = m->left_out == SOURCE_NOT_LEFT_OUT && !m->is_noselect;

        (void)json_array_append_new(
            list, json_pack("{s:o, s:o, s:o, s:o, s:b, s:o}", "path", cli_json_text(m->path),
                            "special_use", cli_json_text(m->special_use), "messages",
                            json_count(m->messages), "octets", json_count(m->octets), "archived",
                            is_archived, "why",
                            is_archived ? json_null() : json_string(fate_of(cli, m) + 4)));
    }
    return list;
}

int cli_test_account(struct cli *cli, const struct cli_run *run, json_t *value)
{
    struct bytes outcome = BYTES("");
    struct cli_run told = *run;
    struct source_listed_list listing;
    int status;

    told.outcome = &outcome;
    status = cli_follow(cli, &told, 1, SOURCE_JOB_TEST, value != NULL);
    if (value != NULL)
        (void)json_object_update_new(value, json_pack("{s:b, s:o}", "login_ok", status == 0,
                                                      "outcome_text", cli_json_text(outcome)));
    if (status != 0)
        return status;
    if (!source_load_listing(cli->session.db, run->account_id, cli->arena, &listing, &cli->err))
        return cli_fail(cli);
    if (value != NULL)
        (void)json_object_set_new(value, "mailboxes", json_listing(cli, &listing));
    else
        print_listing(cli, &listing);
    return EXIT_SUCCESS;
}

int cmd_account_test(struct cli *cli, int argc, char **argv)
{
    const unsigned needed = OPERATE_SERVICE_GATE | OPERATE_SERVICE_INGEST;
    CLEANUP(json_decrefp) json_t *value = NULL;
    struct cli_run run = { .account_id = 0 };
    const char *name;
    bool is_json = false;
    int status;

    if (!cli_take_flag(cli, argc, argv, "json", &is_json, &status))
        return status;
    name = cli_take_name(cli, argc, argv, "NAME", &status);
    if (name == NULL)
        return status;
    run.name = bytes_of_text(name);
    if (!cli_settle(cli, needed) || !cli_open(cli, needed) ||
        !source_find_account(cli->session.db, run.name, &run.account_id, &cli->err))
        return cli_fail(cli);
    if (is_json)
        value = json_pack("{s:o}", "name", cli_json_text(run.name));
    status = cli_test_account(cli, &run, value);
    if (value != NULL && status != CLI_INTERRUPTED)
        (void)cli_print_json(cli, json_incref(value));
    return status;
}
