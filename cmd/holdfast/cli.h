/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holdfast/cli.h - what the commands of `holdfast` share. One thread.
 *
 * A command goes through these steps, so that it works the same for root and for others:
 *
 *   1. read its arguments (usage errors end here) and the files they name, as who called it
 *   2. cli_settle     read the settings, become the archive's user
 *   3. cli_open       reach the database, starting services for the duration where none run
 *   4. do it, append an audit event, say what was done
 */
#pragma once

#include "audit/event.h"
#include "base/arena.h"
#include "base/secret.h"
#include "holdfast/terminal.h"
#include "operate/session.h"
#include "source/run.h"

#include <getopt.h>
#include <jansson.h>
#include <limits.h>

enum {
    EXIT_USAGE = 2,
    CLI_ARENA_BYTES = 256 << 20, /* rows of one listing */
    CLI_CA_MAX_BYTES = 1 << 20,
    CLI_LIST_MAX = 64, /* repeatable options */
};

struct cli;

/* One command. To add one: its row in main.c and its function below. */
struct cli_command {
    const char *group; /* "account"; NULL: a command of one word */
    const char *name;
    const char *arguments;
    const char *summary;
    const char *details;                                /* options, one a line; may be "" */
    int (*run)(struct cli *cli, int argc, char **argv); /* argv[0] is the name; the exit status */
};

struct cli {
    const struct cli_command *command;
    const char *conf_path; /* -c, or NULL */
    struct conf *conf;
    struct operate_programs programs;
    char settings_path[PATH_MAX];
    int settings_fd;
    struct operate_session session;
    unsigned services; /* it was opened for */
    struct arena *arena;
    bool has_begun_options;
    int64_t began_usec; /* when the command was given: a run that begins later answers it */
    struct err err;
};

/* ---- steps (context.c) ---- */

/* services: what cli_open may be asked for, besides the database. */
MUST_USE bool cli_settle(struct cli *cli, unsigned services);
MUST_USE bool cli_open(struct cli *cli, unsigned services);

/* Both, with the database alone. */
MUST_USE bool cli_open_database(struct cli *cli);

/* <data_dir>/packs, in the arena. After cli_settle. */
char *cli_packs_dir(struct cli *cli);

/* One audit event about an account (0: none). */
MUST_USE bool cli_audit(struct cli *cli, enum audit_kind kind, int64_t account_id,
                        const struct audit_field *fields);

/* Says cli->err on standard error; the exit status that belongs to it. */
int cli_fail(const struct cli *cli);

/* Says what is wrong with the arguments; EXIT_USAGE. */
int cli_usage(const struct cli *cli, const char *format, ...) PRINTF(2, 3);
/* Says cli->err, of a value that cannot be; EXIT_USAGE. */
int cli_refuse(const struct cli *cli);
int cli_help(const struct cli *cli);

/* ---- arguments (input.c); failures set cli->err as ERR_SYNTAX or what reading gave ---- */

/*
 * Options of a command beside --help: `known` ends with a zero row; values from 256 on, or the letter of
 * its short form ("-o"). Gives the
 * next one, -1 after the last, CLI_STOP when the command must end with *exit_status (--help, usage).
 */
enum {
    CLI_STOP = -2,
    CLI_HELP = 255
};
int cli_next_option(struct cli *cli, int argc, char **argv, const struct option *known,
                    int *exit_status);

/* The option "--name" without a value, where a command has no other. False: *exit_status is set. */
MUST_USE bool cli_take_flag(struct cli *cli, int argc, char **argv, const char *name,
                            bool *is_given, int *exit_status);

/* No operand, or the usage. False: *exit_status is set. */
MUST_USE bool cli_take_nothing(struct cli *cli, int argc, char **argv, int *exit_status);

/* The one operand, or the usage. NULL: *exit_status is set. */
const char *cli_take_name(struct cli *cli, int argc, char **argv, const char *what,
                          int *exit_status);

/* First line of a file, of standard input ("-"; asked for without echo on a terminal), or of what a
 * shell command prints. */
MUST_USE bool cli_read_password(struct cli *cli, const char *path, struct secret **out);
MUST_USE bool cli_run_password_command(struct cli *cli, const char *command, struct secret **out);

/* All that a shell command prints; out, reserved at once, is the caller's to wipe. */
MUST_USE bool cli_run_command(struct cli *cli, const char *command, struct buf *out);

MUST_USE bool cli_read_duration(struct cli *cli, const char *text, int32_t *seconds); /* 5m, 2h */
/* "2026-12-31": the end of that day in UTC. */
MUST_USE bool cli_read_date(struct cli *cli, const char *text, int64_t *end_usec);

struct cli_list {
    struct bytes items[CLI_LIST_MAX];
    size_t count;
};
MUST_USE bool cli_add_item(struct cli *cli, struct cli_list *list, const char *text);

/* ---- output (output.c) ---- */

enum {
    CLI_TEXT_BYTES = 40
};
const char *cli_write_size(uint64_t bytes, char text[CLI_TEXT_BYTES]); /* "1.2 MB" */
const char *cli_write_time(int64_t usec, char text[CLI_TEXT_BYTES]);   /* "2026-11-22 22:17", "-" */
const char *cli_write_span(int64_t seconds, char text[CLI_TEXT_BYTES]); /* "5m" */

/* The time in the zone given, minutes east of UTC: "2026-11-22 22:17"; "…T22:17:55+01:00". */
const char *cli_write_local(int64_t usec, int16_t zone, char text[CLI_TEXT_BYTES]);
const char *cli_write_rfc3339(int64_t usec, int16_t zone, char text[CLI_TEXT_BYTES]);

/* A table: header, then cells from left to right; printed with columns as wide as needed. */
struct cli_table;
struct cli_table *cli_create_table(struct cli *cli, const char *const *header, size_t columns);
void cli_add_cell(struct cli_table *table, struct bytes text);
void cli_add_text(struct cli_table *table, const char *text);
void cli_add_number(struct cli_table *table, uint64_t number);
/* What was added since it was printed last; columns stay as wide as they have become. */
void cli_print_table(struct cli_table *table);
/* Cells added from now on live in this arena, which may be reset when they have been printed. */
void cli_set_table_arena(struct cli_table *table, struct arena *arena);

/* JSON values; a text that is not UTF-8 becomes null. Times: RFC 3339, null for 0. */
json_t *cli_json_text(struct bytes text);
json_t *cli_json_time(int64_t usec);
/* For texts that a human reads: never null, what is not UTF-8 becomes a sign. */
json_t *cli_json_message(struct bytes text);
int cli_print_json(struct cli *cli, json_t *value); /* takes value; exit status */
/* One more item of an array that is printed item by item, for listings of any length. Takes value. */
MUST_USE bool cli_print_json_item(struct cli *cli, json_t *value, bool is_first);

/* The end of what a process prints: whether all of it could be written. If not, that is said. */
MUST_USE bool cli_end_output(void);

/* ---- queries, for search and export (search.c) ---- */

struct search_mistake;
struct search_query;

/*
 * Before the options of a command that takes a query: one that begins with "-", as -in:trash, is made no
 * option by a blank in front, which means nothing in a query. letters: of options of one letter that
 * take a value, "o".
 */
void cli_protect_query(struct cli *cli, int argc, char **argv, const char *letters);

/* Says where a query is wrong; EXIT_USAGE. */
int cli_refuse_query(struct cli *cli, struct bytes text, const struct search_mistake *mistake);

/* Says how a query was read, where AND and OR meet in it. */
void cli_say_reading(const struct search_query *query);

/* ---- following runs (follow.c) ---- */

/* SIGINT and SIGTERM wait until cli_follow looks, or until the next try of cli_open. */
void cli_defer_interrupts(void);

struct cli_run {
    struct bytes name;
    int64_t account_id;
    struct bytes *outcome; /* NULL, or gets the line that tells how it ended; in the arena */
    /* the account has no source: only a SOURCE_JOB_IMPORT is followed */
    bool is_import;
    struct source_request request; /* made already; job_id 0: cli_follow asks */
    int ended_fd;                  /* of such a run: readable when its worker has ended */
};

/* "NAME: how its last run ended" */
void cli_print_outcome(struct bytes name, struct bytes text);

/*
 * Asks for a run of each, follows them to their ends with progress, and prints one line for each
 * (is_quiet: nothing). The exit status: 0 all complete, 130 interrupted (CLI_INTERRUPTED), else 1 or 3.
 */
enum {
    CLI_INTERRUPTED = 130
};
int cli_follow(struct cli *cli, const struct cli_run *runs, size_t count, enum source_job_kind kind,
               bool is_quiet);

struct cli_run;
enum cli_paused {
    CLI_WITH_PAUSED,
    CLI_TELL_PAUSED,  /* left out, with a line on standard output for each */
    CLI_LEAVE_PAUSED, /* left out; with --json, where the line goes to standard error */
};

/* The accounts named, each once, or all that are not removed. */
MUST_USE bool cli_choose_accounts(struct cli *cli, int count, char **names, enum cli_paused paused,
                                  struct cli_run **out, size_t *out_count);

/* ---- accounts, for account list and status (account.c) ---- */

/* Host, port, login and security of the settings; they borrow from *url. */
struct net_url;
struct source_account_settings;
void cli_set_url(struct source_account_settings *settings, const struct net_url *url);

/* Tests it and shows the mailboxes that it saw, or adds them to *value. As cli_follow. */
int cli_test_account(struct cli *cli, const struct cli_run *run, json_t *value);

struct source_account_list;
json_t *cli_json_accounts(struct cli *cli, const struct source_account_list *accounts);
void cli_print_accounts(struct cli *cli, const struct source_account_list *accounts);

/* ---- the commands ---- */

int cmd_init(struct cli *cli, int argc, char **argv);
int cmd_account_add(struct cli *cli, int argc, char **argv);
int cmd_account_import(struct cli *cli, int argc, char **argv);
int cmd_account_list(struct cli *cli, int argc, char **argv);
int cmd_account_show(struct cli *cli, int argc, char **argv);
int cmd_account_test(struct cli *cli, int argc, char **argv);
int cmd_account_edit(struct cli *cli, int argc, char **argv);
int cmd_account_consent(struct cli *cli, int argc, char **argv);
int cmd_account_pause(struct cli *cli, int argc, char **argv);
int cmd_account_resume(struct cli *cli, int argc, char **argv);
int cmd_account_remove(struct cli *cli, int argc, char **argv);
int cmd_credential_add(struct cli *cli, int argc, char **argv);
int cmd_credential_edit(struct cli *cli, int argc, char **argv);
int cmd_credential_consent(struct cli *cli, int argc, char **argv);
int cmd_credential_list(struct cli *cli, int argc, char **argv);
int cmd_credential_show(struct cli *cli, int argc, char **argv);
int cmd_credential_remove(struct cli *cli, int argc, char **argv);
int cmd_import(struct cli *cli, int argc, char **argv);
int cmd_sync(struct cli *cli, int argc, char **argv);
int cmd_status(struct cli *cli, int argc, char **argv);
int cmd_reconcile(struct cli *cli, int argc, char **argv);
int cmd_failures(struct cli *cli, int argc, char **argv);
int cmd_auditor_add(struct cli *cli, int argc, char **argv);
int cmd_auditor_passwd(struct cli *cli, int argc, char **argv);
int cmd_auditor_list(struct cli *cli, int argc, char **argv);
int cmd_auditor_show(struct cli *cli, int argc, char **argv);
int cmd_auditor_grant(struct cli *cli, int argc, char **argv);
int cmd_auditor_revoke(struct cli *cli, int argc, char **argv);
int cmd_search(struct cli *cli, int argc, char **argv);
int cmd_show(struct cli *cli, int argc, char **argv);
int cmd_export(struct cli *cli, int argc, char **argv);
int cmd_key(struct cli *cli, int argc, char **argv);
int cmd_seal(struct cli *cli, int argc, char **argv);
int cmd_verify(struct cli *cli, int argc, char **argv);
int cmd_pack_list(struct cli *cli, int argc, char **argv);
int cmd_pack_cat(struct cli *cli, int argc, char **argv);
int cmd_rebuild(struct cli *cli, int argc, char **argv);
int cmd_reindex(struct cli *cli, int argc, char **argv);
