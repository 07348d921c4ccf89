/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holdfast show: one message, read by a child with an auditor's rights (reader.c).
 */
#include "holdfast/show.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool print_raw(void *context, struct bytes octets, struct err *err)
{
    (void)context;
    return fwrite(octets.ptr, 1, octets.len, stdout) == octets.len ||
           err_errno(err, "standard output");
}

static bool print_octets(struct cli_reader *reader, const struct show_message *message)
{
    return vault_stream_octets(reader->vault, &message->row.octets, 0, message->row.size_bytes,
                               print_raw, NULL, &reader->cli->err);
}

static bool print_headers(struct cli_reader *reader, struct show_message *message)
{
    if (!show_load_content(reader, message))
        return false;
    cli_print_text(message->header);
    return true;
}

static bool print_message(struct cli_reader *reader, struct show_message *message,
                          enum show_form form)
{
    switch (form) {
    case SHOW_RAW:
        return print_octets(reader, message);
    case SHOW_HEADERS:
        return print_headers(reader, message);
    case SHOW_READABLE:
        return show_print_readable(reader, message);
    case SHOW_JSON:
        return show_print_json(reader, message);
    }
    UNREACHABLE();
}

static bool show(struct cli_reader *reader, void *context)
{
    static const char *const forms[] = { "text", "raw", "headers", "json" };
    const struct show_wanted *wanted = context;
    struct show_message message = { .place_count = 0 };
    const struct vault_found *place;

    if (!show_find(reader, wanted, &message))
        return false;
    place = &message.places[0];
    /* First the record, then the content. */
    return cli_append_audit(
               reader,
               &(struct audit_event){
                   .kind = AUDIT_SHOW,
                   .account_id = place->account_id,
                   .mailbox_id = place->mailbox_id,
                   .fields = AUDIT_FIELDS(AUDIT_I64("uid", message.row.uid),
                                          AUDIT_TEXT("form", bytes_of_text(forms[wanted->form]))),
               }) &&
           print_message(reader, &message, wanted->form);
}

int cmd_show(struct cli *cli, int argc, char **argv)
{
    enum {
        RAW = 256,
        HEADERS,
        JSON
    };
    static const struct option known[] = {
        { "raw", no_argument, NULL, RAW },
        { "headers", no_argument, NULL, HEADERS },
        { "json", no_argument, NULL, JSON },
        { NULL, 0, NULL, 0 },
    };
    static const enum show_form forms[] = { SHOW_RAW, SHOW_HEADERS, SHOW_JSON };
    struct show_wanted wanted = { .form = SHOW_READABLE };
    enum show_form form = SHOW_READABLE;
    struct cli_list accounts = { .count = 0 };
    const char *id;
    int status, option;

    while ((option = cli_next_option(cli, argc, argv, known, &status)) != -1) {
        if (option == CLI_STOP)
            return status;
        if (form != SHOW_READABLE)
            return cli_usage(cli, "--raw, --headers and --json exclude each other");
        form = forms[option - RAW];
    }
    id = cli_take_name(cli, argc, argv, "ID", &status);
    if (id == NULL)
        return status;
    if (!show_read_id(id, &wanted, &cli->err))
        return cli_refuse(cli);
    wanted.form = form;
    if (!cli_settle(cli, OPERATE_SERVICE_DATABASE))
        return cli_fail(cli);
    /* A place names its account; a hash or a Message-ID may be anywhere. */
    if (wanted.uid != 0)
        accounts = (struct cli_list){ .items = { wanted.account }, .count = 1 };
    return cli_read_by_child(cli, &accounts, show, &wanted);
}
