/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holdfast sync, status.
 */
#include "holdfast/cli.h"
#include "source/account.h"
#include "source/queue.h"
#include "vault/rebuild.h"

#include <stdio.h>
#include <stdlib.h>

static const struct option no_options[] = { { NULL, 0, NULL, 0 } };

static bool is_among(const struct cli_run *runs, size_t count, int64_t account_id)
{
    for (size_t i = 0; i < count; i++)
        if (runs[i].account_id == account_id)
            return true;
    return false;
}

static void tell_paused(struct bytes name, FILE *out)
{
    cli_put_line(name, out);
    (void)fputs(": paused, left out\n", out);
}

bool cli_choose_accounts(struct cli *cli, int count, char **names, enum cli_paused paused,
                         struct cli_run **out, size_t *out_count)
{
    struct source_account_list all;
    struct cli_run *runs;
    size_t chosen = 0;

    if (count > 0) {
        runs = arena_new_array(cli->arena, struct cli_run, (size_t)count);
        for (size_t i = 0; i < (size_t)count; i++) {
            struct cli_run *run = &runs[chosen];

            run->name = bytes_of_text(names[i]);
            if (!source_find_account(cli->session.db, run->name, &run->account_id, &cli->err) ||
                !source_is_import(cli->session.db, run->account_id, &run->is_import, &cli->err))
                return false;
            chosen += is_among(runs, chosen, run->account_id) ? 0 : 1;
        }
        *out = runs;
        *out_count = chosen;
        return true;
    }
    if (!source_list_accounts(cli->session.db, false, cli->arena, &all, &cli->err))
        return false;
    runs = arena_new_array(cli->arena, struct cli_run, all.count + 1);
    for (size_t i = 0; i < all.count; i++) {
        if (all.rows[i].is_paused && paused != CLI_WITH_PAUSED) {
            tell_paused(all.rows[i].settings.name, paused == CLI_TELL_PAUSED ? stdout : stderr);
            continue;
        }
        runs[chosen++] = (struct cli_run){
            .name = all.rows[i].settings.name,
            .account_id = all.rows[i].account_id,
            .is_import = bytes_equal(all.rows[i].kind, source_kind_name(SOURCE_KIND_IMPORT)),
        };
    }
    *out = runs;
    *out_count = chosen;
    return true;
}

int cmd_sync(struct cli *cli, int argc, char **argv)
{
    const unsigned needed = OPERATE_SERVICE_GATE | OPERATE_SERVICE_KEEPER | OPERATE_SERVICE_INGEST;
    struct cli_run *runs;
    size_t count;
    int status;

    if (cli_next_option(cli, argc, argv, no_options, &status) == CLI_STOP)
        return status;
    cli_defer_interrupts(); /* from here on: services that were started end in order */
    if (!cli_settle(cli, needed) || !cli_open(cli, needed) ||
        !cli_choose_accounts(cli, argc - optind, argv + optind, CLI_TELL_PAUSED, &runs, &count))
        return cli_fail(cli);
    if (count == 0) {
        (void)puts("No accounts to sync: holdfast account add --help");
        return EXIT_SUCCESS;
    }
    return cli_follow(cli, runs, count, SOURCE_JOB_SYNC, false);
}

/* ---- status ------------------------------------------------------------------------------------------ */

struct totals {
    uint64_t messages, octets, pending;
};

static struct totals add_up(const struct source_account_list *accounts)
{
    struct totals totals = { 0 };

    for (size_t i = 0; i < accounts->count; i++) {
        totals.messages += accounts->rows[i].messages;
        totals.octets += accounts->rows[i].octets;
        totals.pending += accounts->rows[i].pending;
    }
    return totals;
}

static json_t *json_queue(const struct source_queue *queue)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "running",
                     (json_int_t)queue->running, "due", (json_int_t)queue->due, "waiting_for_host",
                     (json_int_t)queue->host, "waiting_for_budget", (json_int_t)queue->budget,
                     "backing_off", (json_int_t)queue->back_off, "scheduled",
                     (json_int_t)queue->later, "watched", (json_int_t)queue->watched, "due_since",
                     cli_json_time(queue->oldest_due_usec));
}

static void print_queue(const struct source_queue *queue)
{
    (void)printf("queue:      %ju running, %ju due", (uintmax_t)queue->running,
                 (uintmax_t)queue->due);
    if (queue->host > 0)
        (void)printf(", %ju wait for their host", (uintmax_t)queue->host);
    if (queue->budget > 0)
        (void)printf(", %ju for their budget", (uintmax_t)queue->budget);
    if (queue->back_off > 0)
        (void)printf(", %ju back off", (uintmax_t)queue->back_off);
    (void)printf(", %ju scheduled", (uintmax_t)queue->later);
    if (queue->watched > 0)
        (void)printf("; %ju mailboxes watched", (uintmax_t)queue->watched);
    (void)puts("\n");
}

static int print_json_status(struct cli *cli, const struct operate_holder *holder,
                             const struct source_account_list *accounts,
                             const struct source_queue *queue, bool is_rebuilding)
{
    struct totals totals = add_up(accounts);
    char services[OPERATE_SERVICES_TEXT_BYTES];

    operate_write_services(holder->services, services);
    return cli_print_json(
        cli, json_pack("{s:s, s:b, s:{s:b, s:i, s:s}, s:{s:I, s:I, s:I}, s:o, s:o}", "data_dir",
                       cli->conf->holdfast.data_dir, "rebuilding", is_rebuilding, "holdfastd",
                       "running", holder->is_running, "pid", holder->pid, "services", services,
                       "archived", "messages", (json_int_t)totals.messages, "octets",
                       (json_int_t)totals.octets, "pending", (json_int_t)totals.pending, "queue",
                       json_queue(queue), "accounts", cli_json_accounts(cli, accounts)));
}

int cmd_status(struct cli *cli, int argc, char **argv)
{
    struct source_account_list accounts;
    struct operate_holder holder;
    struct source_queue queue;
    struct totals totals;
    char size[CLI_TEXT_BYTES], services[OPERATE_SERVICES_TEXT_BYTES];
    bool is_json = false, is_rebuilding;
    int status;

    if (!cli_take_flag(cli, argc, argv, "json", &is_json, &status) ||
        !cli_take_nothing(cli, argc, argv, &status))
        return status;
    /* Before the session, which may start one for its own use. */
    if (!cli_settle(cli, OPERATE_SERVICE_DATABASE) ||
        !operate_find_holder(cli->conf->holdfast.data_dir, &holder, &cli->err) ||
        !cli_open(cli, OPERATE_SERVICE_DATABASE) ||
        !source_list_accounts(cli->session.db, true, cli->arena, &accounts, &cli->err) ||
        !source_load_queue(cli->session.db, (int32_t)cli->conf->ingest.host_connections, &queue,
                           &cli->err) ||
        !vault_is_rebuild_running(cli->session.db, &is_rebuilding, &cli->err))
        return cli_fail(cli);
    if (is_json)
        return print_json_status(cli, &holder, &accounts, &queue, is_rebuilding);

    totals = add_up(&accounts);
    operate_write_services(holder.services, services);
    if (holder.is_running)
        (void)printf("holdfastd:  process %d (%s)\n", holder.pid, services);
    else
        (void)puts("holdfastd:  does not run");
    (void)printf("data:       %s\narchived:   %ju messages, ", cli->conf->holdfast.data_dir,
                 (uintmax_t)totals.messages);
    (void)printf("%s; %ju pending\n", cli_write_size(totals.octets, size),
                 (uintmax_t)totals.pending);
    if (is_rebuilding)
        (void)puts(
            "rebuild:    NOT FINISHED; until it is, mail is incomplete and nothing is sealed: "
            "`holdfast rebuild` goes on with it");
    print_queue(&queue);
    if (accounts.count == 0)
        (void)puts("No accounts yet: holdfast account add --help");
    else
        cli_print_accounts(cli, &accounts);
    return EXIT_SUCCESS;
}
