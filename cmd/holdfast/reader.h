/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holdfast/reader.h - the children in which show, search and export read mail (holdfast/child.h): with no
 * more rights in the database than an auditor has, the reader's role and a token.
 */
#pragma once

#include "holdfast/child.h"
#include "vault/pack.h"
#include "vault/read.h"

/* What a reading child has. */
struct cli_reader {
    struct cli *cli;      /* settings, arena, err; its session is the command's and closed here */
    struct db_pool *pool; /* one connection to page with, one to read with */
    struct vault_reader *vault; /* opens packs */
    struct vault_pack_opener opener;
    const struct secret *token; /* sees the accounts it was made for */
};

/* In the child: reads and prints. It records what is read with cli_append_audit before it prints any of
 * it. False: cli->err. */
typedef bool cli_read_fn(struct cli_reader *reader, void *context);

/* After cli_settle, instead of cli_open: a child that sees the accounts named (none named: all) and does
 * no more than `run`. The exit status. */
int cli_read_by_child(struct cli *cli, const struct cli_list *accounts, cli_read_fn *run,
                      void *context);

/* ---- for an errand that does more (export) ---- */

/* out: closed with cli_close_reader, after a failure too. */
MUST_USE bool cli_open_reader(struct cli *cli, const struct cli_errand *errand,
                              struct cli_reader *out);
void cli_close_reader(struct cli_reader *reader);

/* The ids of accounts by their names, as many as names->count; for a scope. */
MUST_USE bool cli_find_accounts(struct cli *cli, const struct cli_list *names,
                                const int64_t **accounts);

/* Adds the child's token to the event. */
MUST_USE bool cli_append_audit(struct cli_reader *reader, const struct audit_event *event);
