/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The child of `holdfast export` that reads mail: with no more rights in the database than an auditor
 * has, a token of its own, and files that have no names yet.
 */
#include "base/fd.h"
#include "export/choice.h"
#include "holdfast/export.h"
#include "holdfast/reader.h"

#include <stdio.h>
#include <unistd.h>

enum {
    TOLD_MAX = 20, /* the manifest names all */
};

struct reading {
    int orders, asks;
    uint64_t told;
    bool is_terminal, has_progress;
};

static bool audit_begin(struct cli_reader *reader, const struct cli_export *what,
                        const struct vault_position *position)
{
    struct audit_event event = {
        .kind = AUDIT_EXPORT,
        .fields =
            AUDIT_FIELDS(AUDIT_TEXT("state", BYTES("begun")), AUDIT_TEXT("query", what->query),
                         AUDIT_I64("position", position->position_id),
                         AUDIT_TEXT("format", bytes_of_text(what->format))),
    };

    return cli_append_audit(reader, &event);
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

static bool export_mail(struct reading *reading, struct cli_reader *reader,
                        const struct cli_export *what, const struct cli_export_order *told)
{
    CLEANUP(export_close_search) struct export_search *search = NULL;
    struct err *err = &reader->cli->err;
    struct search_walk_request request = { .pool = reader->pool,
                                           .token = reader->token,
                                           .reader = reader->vault,
                                           .query = what->parsed,
                                           .position_id = told->position.position_id };
    struct export_choice choice;
    struct cli_export_ask done = { .is_done = true };
    struct export_order order = { .reader = reader->vault,
                                  .position = &told->position,
                                  .query = what->query,
                                  .format = what->format,
                                  .files = cli_export_files(&what->placer),
                                  .signer = { told->key, ask_signature, reading },
                                  .tell = tell,
                                  .progress = show_progress,
                                  .context = reading };

    /* First the record, then the content. */
    if (!audit_begin(reader, what, &told->position))
        return false;
    if (request.query != NULL) {
        if (!export_open_search(&request, &search, err))
            return false;
        choice = export_choose_by(search);
        order.choice = &choice;
    }
    return export_run(&order, &done.counts, err) &&
           fd_write_all(reading->asks, bytes_of(&done, sizeof done), err);
}

bool cli_read_for_export(struct cli *cli, const struct cli_errand *errand)
{
    CLEANUP(cli_close_reader) struct cli_reader reader = { .cli = cli };
    struct cli_export *what = errand->context;
    struct reading reading = { .orders = errand->orders,
                               .asks = errand->answers,
                               .is_terminal = isatty(STDERR_FILENO) == 1 };
    struct cli_export_order told;
    bool is_done;

    /* The placer listens to the command alone. */
    fd_close(&what->placer.child.orders);
    fd_close(&what->placer.child.answers);
    if (!cli_receive(errand->orders, &told, sizeof told))
        return err_fail(&cli->err, ERR_SYSTEM, "the command has ended");
    is_done = cli_open_reader(cli, errand, &reader) && export_mail(&reading, &reader, what, &told);
    end_progress(&reading);
    return is_done;
}
