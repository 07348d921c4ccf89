/* SPDX-License-Identifier: Apache-2.0 */
#include "holdfast/reader.h"

#include "audit/append.h"
#include "db/pool.h"
#include "source/account.h"

enum {
    TOKEN_SECONDS = 24 * 3600, /* a large listing through a slow pipe; ended when the child has */
    CONNECTIONS = 2,
    BORROW_MS = 10000,
};

/* What cli_read_by_child is to run. */
struct reading {
    cli_read_fn *run;
    void *context;
};

bool cli_open_reader(struct cli *cli, const struct cli_errand *errand, struct cli_reader *out)
{
    *out = (struct cli_reader){ .cli = cli,
                                .token = errand->token,
                                .opener = { vault_open_pack_in_folder, cli_packs_dir(cli) } };
    return db_pool_create(&errand->target, CONNECTIONS, &out->pool, &cli->err) &&
           vault_open_reader(out->pool, out->token, &out->opener, &out->vault, &cli->err);
}

void cli_close_reader(struct cli_reader *reader)
{
    vault_close_reader(&reader->vault);
    db_pool_free(&reader->pool);
}

static bool read_mail(struct cli *cli, const struct cli_errand *errand)
{
    const struct reading *reading = errand->context;
    CLEANUP(cli_close_reader) struct cli_reader reader = { .cli = cli };

    return cli_open_reader(cli, errand, &reader) && reading->run(&reader, reading->context);
}

int cli_read_by_child(struct cli *cli, const struct cli_list *accounts, cli_read_fn *run,
                      void *context)
{
    CLEANUP(cli_end_child) struct cli_child child = CLI_NO_CHILD;
    struct reading reading = { run, context };
    struct cli_scope scope = { .count = accounts->count, .seconds = TOKEN_SECONDS };

    if (!cli_fork_child(cli, read_mail, &reading, &child) ||
        !cli_open(cli, OPERATE_SERVICE_DATABASE) ||
        !cli_find_accounts(cli, accounts, &scope.accounts) ||
        !cli_order_child(&child, DB_ROLE_READER, &scope))
        return cli_fail(cli);
    return cli_await_child(&child, NULL, 0);
}

bool cli_find_accounts(struct cli *cli, const struct cli_list *names, const int64_t **accounts)
{
    int64_t *ids = arena_new_array(cli->arena, int64_t, names->count);

    for (size_t i = 0; i < names->count; i++) {
        if (!source_find_account(cli->session.db, names->items[i], &ids[i], &cli->err))
            return false;
    }
    *accounts = ids;
    return true;
}

bool cli_append_audit(struct cli_reader *reader, const struct audit_event *event)
{
    CLEANUP(db_pool_return) struct db_loan loan = { 0 };
    struct audit_event copy = *event;

    copy.token = secret_bytes(reader->token);
    if (!db_pool_borrow(reader->pool, deadline_after_ms(BORROW_MS), &loan, &reader->cli->err) ||
        !audit_append_one(loan.db, &copy, &reader->cli->err))
        return err_wrap(&reader->cli->err, "audit");
    return true;
}
