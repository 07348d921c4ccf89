/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holdfast reindex: derived rows made again, by a child whose role may do just that.
 */
#include "holdfast/reindex.h"

#include "auth/session.h"
#include "base/fd.h"
#include "db/pool.h"
#include "holdfast/packs.h"
#include "ingest/derive.h"
#include "mime/parser.h"
#include "source/account.h"
#include "vault/pack.h"
#include "vault/reindex.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    TOKEN_SECONDS = AUTH_OPERATOR_TTL_MAX_SECONDS, /* as long as it takes */
};

/* ---- the child ---------------------------------------------------------------------------------------- */

static void on_page(void *context, uint64_t renewed)
{
    (void)context;
    if (isatty(STDERR_FILENO) != 0)
        (void)fprintf(stderr, "\r%ju messages indexed anew ", (uintmax_t)renewed);
}

static void on_damage(void *context, int64_t account_id, const struct crypto_sha256 *sha256,
                      const struct err *why)
{
    FILE *told = context;
    char hex[CLI_HASH_BYTES];

    cli_write_hash(sha256, hex);
    (void)fprintf(told, "DAMAGED message %s of account %jd: ", hex, (intmax_t)account_id);
    cli_put_line(bytes_of_text(why->text), told);
    (void)fputc('\n', told);
}

static bool reindex(struct cli *cli, const struct cli_errand *errand)
{
    CLEANUP(ingest_free_deriver) struct ingest_deriver *deriver = ingest_create_deriver();
    CLEANUP(db_pool_free) struct db_pool *pool = NULL;
    struct vault_pack_opener opener = { vault_open_pack_in_folder, cli_packs_dir(cli) };
    struct vault_deriver use = ingest_use_deriver(deriver);
    struct vault_reindexed done = { 0 };
    struct vault_reindex order = {
        .token = errand->token,
        .opener = &opener,
        .deriver = &use,
        .parser_version = MIME_PARSER_VERSION,
        .on_page = on_page,
        .on_damage = on_damage,
        .context = errand->context,
    };
    struct cli_reindexed out;
    bool is_done;

    if (!db_pool_create(&errand->target, 2, &pool, &cli->err))
        return false;
    order.pool = pool;
    is_done = vault_reindex(&order, &done, &cli->err);
    out = (struct cli_reindexed){ done.renewed, done.damaged };
    if (isatty(STDERR_FILENO) != 0 && done.renewed > 0)
        (void)fputc('\n', stderr);
    return is_done && fd_write_all(errand->answers, bytes_of(&out, sizeof out), &cli->err);
}

/* ---- the parent --------------------------------------------------------------------------------------- */

bool cli_fork_reindex(struct cli *cli, FILE *told, struct cli_child *out)
{
    return cli_fork_child(cli, reindex, told, out);
}

int cli_reindex(struct cli *cli, struct cli_child *child, int64_t account_id,
                struct cli_reindexed *out)
{
    struct cli_scope scope = { &account_id, account_id == 0 ? 0 : 1, TOKEN_SECONDS };

    if (!cli_order_child(child, DB_ROLE_REINDEX, &scope))
        return cli_fail(cli);
    return cli_await_child(child, out, sizeof *out);
}

int cmd_reindex(struct cli *cli, int argc, char **argv)
{
    enum {
        ACCOUNT = 256
    };
    static const struct option known[] = {
        { "account", required_argument, NULL, ACCOUNT },
        { NULL, 0, NULL, 0 },
    };
    CLEANUP(cli_end_child) struct cli_child child = CLI_NO_CHILD;
    struct cli_reindexed done = { 0 };
    const char *name = NULL;
    int64_t account_id = 0;
    int status, option;

    while ((option = cli_next_option(cli, argc, argv, known, &status)) != -1) {
        if (option == CLI_STOP)
            return status;
        name = optarg;
    }
    if (!cli_take_nothing(cli, argc, argv, &status))
        return status;
    if (!cli_settle(cli, OPERATE_SERVICE_DATABASE) || !cli_fork_reindex(cli, stdout, &child) ||
        !cli_open(cli, OPERATE_SERVICE_DATABASE) ||
        (name != NULL &&
         !source_find_account(cli->session.db, bytes_of_text(name), &account_id, &cli->err)))
        return cli_fail(cli);
    status = cli_reindex(cli, &child, account_id, &done);
    if (status != EXIT_SUCCESS)
        return status;
    (void)printf("%ju message%s indexed anew", (uintmax_t)done.renewed,
                 done.renewed == 1 ? "" : "s");
    if (done.damaged > 0)
        (void)printf(", %ju damaged: see `holdfast verify --full`", (uintmax_t)done.damaged);
    (void)putchar('\n');
    return done.damaged > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
