/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The child of `holdfast export` that reads mail: with no more rights in the database than an auditor
 * has, a token of its own, and files that have no names yet.
 */
#include "audit/append.h"
#include "base/fd.h"
#include "db/cluster.h"
#include "db/pool.h"
#include "export/choice.h"
#include "holdfast/export.h"
#include "vault/pack.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

enum {
    CONNECTIONS = 2, /* one for the query */
    BORROW_MS = 10000,
    TOLD_MAX = 20, /* the manifest names all */
};

struct reading {
    struct cli *cli;
    const struct cli_export *what;
    struct export_files files;
    int orders, asks;
    uint64_t told;
    bool is_terminal, has_progress;
};

void cli_wipe_export_order(struct cli_export_order *order)
{
    secret_wipe(order, sizeof *order);
}

static bool audit_begin(struct db_pool *pool, const struct secret *token,
                        const struct reading *reading, const struct vault_position *position,
                        struct err *err)
{
    CLEANUP(db_pool_return) struct db_loan loan = { 0 };
    struct audit_event event = {
        .kind = AUDIT_EXPORT,
        .token = secret_bytes(token),
        .fields = AUDIT_FIELDS(AUDIT_TEXT("state", BYTES("begun")),
                               AUDIT_TEXT("query", reading->what->query),
                               AUDIT_I64("position", position->position_id),
                               AUDIT_TEXT("format", bytes_of_text(reading->what->format))),
    };

    return db_pool_borrow(pool, deadline_after_ms(BORROW_MS), &loan, err) &&
           audit_append_one(loan.db, &event, err);
}

static bool ask_signature(void *context, uint64_t size_bytes, struct crypto_signature *out,
                          struct err *err)
{
    const struct reading *reading = context;
    struct cli_export_ask ask = { .sums_bytes = size_bytes };
    struct cli_export_answer answer;

    if (!fd_write_all(reading->asks, bytes_of(&ask, sizeof ask), err))
        return false;
    if (!cli_receive(reading->orders, &answer, sizeof answer) || !answer.is_signed)
        return err_fail(err, ERR_SYSTEM, "the export was not signed");
    *out = answer.signature;
    return true;
}

static void end_progress(struct reading *reading)
{
    if (reading->has_progress)
        (void)fputs("\r\033[K", stderr);
    reading->has_progress = false;
}

static void tell(void *context, const struct vault_position_mailbox *mailbox, uint32_t uid,
                 const struct err *why)
{
    struct reading *reading = context;

    end_progress(reading);
    if (++reading->told > TOLD_MAX)
        return;
    (void)fprintf(stderr, "holdfast: not exported: mailbox %jd, UID %u: %s\n",
                  (intmax_t)mailbox->mailbox_id, uid, why->text);
    if (reading->told == TOLD_MAX)
        (void)fputs("holdfast: the manifest names all others\n", stderr);
}

static void show_progress(void *context, const struct export_counts *counts)
{
    struct reading *reading = context;
    char size[CLI_TEXT_BYTES];

    if (!reading->is_terminal)
        return;
    reading->has_progress = true;
    (void)fprintf(stderr, "\r\033[Kexporting: %ju messages, %s", (uintmax_t)counts->messages,
                  cli_write_size(counts->octets, size));
}

static bool run(struct reading *reading, const struct cli_export_order *told, struct err *err)
{
    CLEANUP(secret_free) struct secret *token = NULL;
    CLEANUP(secret_free) struct secret *password = NULL;
    CLEANUP(db_pool_free) struct db_pool *pool = NULL;
    CLEANUP(vault_close_reader) struct vault_reader *reader = NULL;
    CLEANUP(export_close_search) struct export_search *search = NULL;
    struct search_walk_request request = { .query = reading->what->parsed,
                                           .position_id = told->position.position_id };
    struct export_choice choice;
    struct operate_session place = { .conf = reading->cli->conf, .runtime = told->runtime };
    struct vault_pack_opener opener = { vault_open_pack_in_folder, cli_packs_dir(reading->cli) };
    struct db_target target;
    struct cli_export_ask done = { .is_done = true };
    struct export_order order = { .position = &told->position,
                                  .query = reading->what->query,
                                  .format = reading->what->format,
                                  .files = reading->files,
                                  .signer = { told->key, ask_signature, reading },
                                  .tell = tell,
                                  .progress = show_progress,
                                  .context = reading };

    if (!secret_create(bytes_of(told->token, told->token_len), &token, err) ||
        (told->password_len > 0 &&
         !secret_create(bytes_of(told->password, told->password_len), &password, err)))
        return false;
    target = operate_session_target(&place, db_role_name(DB_ROLE_READER), password);
    if (!db_pool_create(&target, CONNECTIONS, &pool, err) ||
        !vault_open_reader(pool, token, &opener, &reader, err))
        return false;
    /* First the record, then the content. */
    if (!audit_begin(pool, token, reading, &told->position, err))
        return err_wrap(err, "audit");
    order.reader = request.reader = reader;
    request.pool = pool;
    request.token = token;
    if (request.query != NULL) {
        if (!export_open_search(&request, &search, err))
            return false;
        choice = export_choose_by(search);
        order.choice = &choice;
    }
    if (!export_run(&order, &done.counts, err))
        return false;
    return fd_write_all(reading->asks, bytes_of(&done, sizeof done), err);
}

_Noreturn void cli_run_export_reader(struct cli *cli, const struct cli_export *what,
                                     struct export_files files, int orders, int asks)
{
    CLEANUP(cli_wipe_export_order) struct cli_export_order order;
    struct reading reading = { .cli = cli,
                               .what = what,
                               .files = files,
                               .orders = orders,
                               .asks = asks,
                               .is_terminal = isatty(STDERR_FILENO) == 1 };
    int status = EXIT_SUCCESS;

    (void)prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (!cli_receive(orders, &order, sizeof order))
        _exit(EXIT_FAILURE); /* the parent has said why */
    if (!run(&reading, &order, &cli->err)) {
        end_progress(&reading);
        status = cli_fail(cli);
    }
    end_progress(&reading);
    cli_wipe_export_order(&order);
    _exit(status);
}
