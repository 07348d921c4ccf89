/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holdfast seal, verify, pack list.
 *
 * Packs are written by holdfast-keeper alone: `seal` leaves a request and waits for the answer. `verify`
 * opens zstd frames and tar headers of our own making with the operator's rights, but parses no message.
 */
#include "audit/append.h"
#include "base/clock.h"
#include "holdfast/cli.h"
#include "source/account.h"
#include "vault/pack.h"
#include "vault/seal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    LOOK_MS = 200,
    PAGE = 100,
    OPTION_FULL = 256,
    OPTION_JSON,
    HEX_BYTES = 2 * CRYPTO_SHA256_BYTES + 1,
};

static void write_hex(const struct crypto_sha256 *hash, char text[HEX_BYTES])
{
    for (size_t i = 0; i < CRYPTO_SHA256_BYTES; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", hash->octets[i]);
}

/* ---- seal -------------------------------------------------------------------------------------- */

static void print_answer(const struct cli_run *run, const struct vault_seal_answer *answer)
{
    cli_print_text(run->name);
    if (!bytes_equal(answer->outcome, BYTES("NONE"))) {
        (void)printf(": ");
        cli_print_text(answer->text);
    } else if (answer->packs == 0) {
        (void)printf(": nothing to seal");
    } else {
        (void)printf(": sealed, %ju pack%s", (uintmax_t)answer->packs,
                     answer->packs == 1 ? "" : "s");
    }
    (void)putchar('\n');
    (void)fflush(stdout);
}

static const struct cli_run *find_run(const struct cli_run *runs, size_t count, int64_t account_id)
{
    for (size_t i = 0; i < count; i++)
        if (runs[i].account_id == account_id)
            return &runs[i];
    return NULL;
}

/* Prints those that were answered and takes them out of ids. */
static bool print_answers(struct cli *cli, const struct cli_run *runs, size_t count, int64_t *ids,
                          size_t *left, int *status)
{
    CLEANUP(arena_free) struct arena *arena = arena_create(1 << 20);
    const struct vault_seal_answer *answers;
    size_t found;

    if (!vault_read_seal_answers(cli->session.db, ids, *left, arena, &answers, &found, &cli->err))
        return false;
    for (size_t i = 0; i < found; i++) {
        const struct cli_run *run = find_run(runs, count, answers[i].account_id);
        size_t kept = 0;

        if (run != NULL)
            print_answer(run, &answers[i]);
        if (bytes_equal(answers[i].outcome, BYTES("RETRY")))
            *status = *status == EXIT_SUCCESS ? err_exit_status(ERR_RETRY) : *status;
        else if (!bytes_equal(answers[i].outcome, BYTES("NONE")))
            *status = EXIT_FAILURE;
        for (size_t k = 0; k < *left; k++)
            if (ids[k] != answers[i].account_id)
                ids[kept++] = ids[k];
        *left = kept;
    }
    return true;
}

static int await_answers(struct cli *cli, const struct cli_run *runs, size_t count)
{
    int64_t *ids = arena_new_array(cli->arena, int64_t, count);
    size_t left = 0;
    int status = EXIT_SUCCESS;

    for (size_t i = 0; i < count; i++) {
        if (find_run(runs, i, runs[i].account_id) != NULL)
            continue; /* named twice */
        if (!vault_ask_seal(cli->session.db, runs[i].account_id, &cli->err))
            return cli_fail(cli);
        ids[left++] = runs[i].account_id;
    }
    while (left > 0) {
        struct timespec pause = { 0, LOOK_MS * 1000000L };

        (void)nanosleep(&pause, NULL);
        if (!print_answers(cli, runs, count, ids, &left, &status))
            return cli_fail(cli);
        if (left > 0 && cli->session.holdfastd_fd >= 0 && !operate_session_lives(&cli->session)) {
            (void)err_fail(&cli->err, ERR_RETRY, "holdfastd ended before everything was sealed");
            return cli_fail(cli);
        }
    }
    return status;
}

int cmd_seal(struct cli *cli, int argc, char **argv)
{
    static const struct option known[] = { { NULL, 0, NULL, 0 } };
    struct cli_run *runs;
    size_t count;
    int status;

    if (cli_next_option(cli, argc, argv, known, &status) == CLI_STOP)
        return status;
    if (!cli_settle(cli, OPERATE_SERVICE_KEEPER) || !cli_open(cli, OPERATE_SERVICE_KEEPER) ||
        !cli_choose_accounts(cli, argc - optind, argv + optind, true, &runs, &count))
        return cli_fail(cli);
    return await_answers(cli, runs, count);
}

/* ---- rows, page by page -------------------------------------------------------------------------- */

/* False: stop, cli->err is set. */
typedef bool pack_fn(struct cli *cli, void *context, const struct vault_pack_row *pack,
                     struct arena *arena);

static bool each_pack(struct cli *cli, pack_fn *visit, void *context)
{
    CLEANUP(arena_free) struct arena *arena = arena_create(CLI_ARENA_BYTES);
    struct vault_pack_row last = { 0 };
    const struct vault_pack_row *rows;
    size_t count;

    do {
        arena_reset(arena);
        if (!vault_list_packs(cli->session.db, &last, PAGE, arena, &rows, &count, &cli->err))
            return false;
        for (size_t i = 0; i < count; i++)
            if (!visit(cli, context, &rows[i], arena))
                return false;
        if (count > 0)
            last = rows[count - 1];
    } while (count == PAGE);
    return true;
}

/* ---- verify ---------------------------------------------------------------------------------------- */

struct verify {
    bool is_json;
    struct vault_pack_check check;
    struct crypto_sha256 previous; /* of the pack before, in last_account */
    int64_t last_account;
    uint64_t packs, octets, damaged, strays;
    json_t *found; /* --json */
    json_t *texts; /* likewise: segments that are to be made again */
};

static void print_damage(const struct vault_pack_row *pack, const struct vault_pack_report *report)
{
    char hex[HEX_BYTES];

    write_hex(&pack->sha256, hex);
    (void)printf("DAMAGED pack %s of account ", hex);
    cli_print_text(pack->account_name);
    (void)printf(": %s; %ju message%s affected", report->what, (uintmax_t)report->victims,
                 report->victims == 1 ? "" : "s");
    if (report->sha256.len > 0) {
        (void)printf(", among them %.16s", (const char *)report->sha256.ptr);
        if (report->path.len > 0) {
            (void)printf(" in ");
            cli_print_text(pack->account_name);
            (void)printf("/");
            cli_print_text(report->path);
            (void)printf(";UID=%u", report->uid);
        }
    }
    (void)printf(". Reads of what is damaged are refused. Put the file packs/%jd/%s.tar.zst back from "
                 "a backup, then run `holdfast verify --full`\n",
                 (intmax_t)pack->account_id, hex);
}

static json_t *json_damage(const struct vault_pack_row *pack,
                           const struct vault_pack_report *report)
{
    char hex[HEX_BYTES];

    write_hex(&pack->sha256, hex);
    return json_pack("{s:s, s:o, s:I, s:s, s:I, s:I, s:o, s:o, s:i}", "pack", hex, "account",
                     cli_json_text(pack->account_name), "account_id", (json_int_t)pack->account_id,
                     "what", report->what, "damaged_frames", (json_int_t)report->damaged_frames,
                     "messages", (json_int_t)report->victims, "sha256",
                     cli_json_text(report->sha256), "mailbox", cli_json_text(report->path), "uid",
                     (int)report->uid);
}

/* Not damage: search is slower, nothing else. */
static void print_text(const struct vault_pack_row *pack, const struct vault_pack_report *report)
{
    char hex[HEX_BYTES];

    write_hex(&pack->sha256, hex);
    (void)printf("DERIVED search text of pack %s of account ", hex);
    cli_print_text(pack->account_name);
    (void)printf(": %s. Search reads the messages themselves meanwhile; run `holdfast reindex`\n",
                 report->text_what);
}

static json_t *json_text(const struct vault_pack_row *pack, const struct vault_pack_report *report)
{
    char hex[HEX_BYTES];

    write_hex(&pack->sha256, hex);
    return json_pack("{s:s, s:o, s:I, s:s}", "pack", hex, "account",
                     cli_json_text(pack->account_name), "account_id", (json_int_t)pack->account_id,
                     "what", report->text_what);
}

static bool print_strays(struct cli *cli, struct verify *v, int64_t account_id,
                         struct arena *arena)
{
    const struct bytes *names;
    size_t count;

    if (!vault_find_stray_packs(cli->session.db, v->check.packs_dir, account_id, arena, &names,
                                &count, &cli->err))
        return false;
    for (size_t i = 0; i < count; i++) {
        v->strays++;
        if (v->is_json)
            (void)json_array_append_new(
                v->found, json_pack("{s:o, s:I, s:s}", "file", cli_json_text(names[i]), "account_id",
                                    (json_int_t)account_id, "what", "unknown to the database"));
        else
            (void)printf("UNKNOWN pack packs/%jd/%s: the database does not know it, as after a restored "
                         "backup. It was left alone\n",
                         (intmax_t)account_id, (const char *)names[i].ptr);
    }
    return true;
}

/* Every account has a folder of its own, also one without a row in the list of packs. */
static bool look_for_strays(struct cli *cli, struct verify *v)
{
    CLEANUP(arena_free) struct arena *arena = arena_create(CLI_ARENA_BYTES);
    struct source_account_list accounts;

    if (!source_list_accounts(cli->session.db, true, cli->arena, &accounts, &cli->err))
        return false;
    for (size_t i = 0; i < accounts.count; i++) {
        arena_reset(arena);
        if (!print_strays(cli, v, accounts.rows[i].account_id, arena))
            return false;
    }
    return true;
}

static bool verify_pack(struct cli *cli, void *context, const struct vault_pack_row *pack,
                        struct arena *arena)
{
    struct verify *v = context;
    struct vault_pack_report report;

    v->check.expected_previous =
        pack->account_id == v->last_account ? crypto_sha256_bytes(&v->previous) : BYTES("");
    if (!vault_check_pack(cli->session.db, &v->check, pack, arena, &report, &cli->err))
        return false;
    v->previous = pack->sha256;
    v->last_account = pack->account_id;
    v->packs++;
    v->octets += pack->stored_bytes;
    if (report.text_what[0] != '\0' && v->is_json)
        (void)json_array_append_new(v->texts, json_text(pack, &report));
    else if (report.text_what[0] != '\0')
        print_text(pack, &report);
    if (!report.is_damaged)
        return true;
    v->damaged++;
    if (v->is_json)
        (void)json_array_append_new(v->found, json_damage(pack, &report));
    else
        print_damage(pack, &report);
    (void)fflush(stdout);
    return true;
}

static int print_verdict(struct cli *cli, struct verify *v)
{
    int status = v->damaged + v->strays > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
    char size[CLI_TEXT_BYTES];
    int printed;

    if (v->is_json) {
        printed = cli_print_json(
            cli, json_pack("{s:b, s:b, s:I, s:I, s:I, s:o, s:o}", "ok", status == EXIT_SUCCESS, "full",
                           v->check.is_full, "packs", (json_int_t)v->packs, "octets",
                           (json_int_t)v->octets, "damaged", (json_int_t)v->damaged, "found",
                           v->found, "text", v->texts));
        v->found = v->texts = NULL;
        return printed == EXIT_SUCCESS ? status : printed;
    }
    (void)printf("%ju pack%s, %s: ", (uintmax_t)v->packs, v->packs == 1 ? "" : "s",
                 cli_write_size(v->octets, size));
    if (status == EXIT_SUCCESS)
        (void)puts(v->check.is_full ? "every octet is what it was" : "all there (--full reads them)");
    else
        (void)printf("%ju damaged, %ju unknown\n", (uintmax_t)v->damaged, (uintmax_t)v->strays);
    return status;
}

int cmd_verify(struct cli *cli, int argc, char **argv)
{
    static const struct option known[] = {
        { "full", no_argument, NULL, OPTION_FULL },
        { "json", no_argument, NULL, OPTION_JSON },
        { NULL, 0, NULL, 0 },
    };
    struct verify v = { .found = NULL };
    int status, option;

    while ((option = cli_next_option(cli, argc, argv, known, &status)) != -1) {
        if (option == CLI_STOP)
            return status;
        v.is_json = v.is_json || option == OPTION_JSON;
        v.check.is_full = v.check.is_full || option == OPTION_FULL;
    }
    if (optind < argc)
        return cli_usage(cli, "'%s' is too much", argv[optind]);
    if (!cli_open_database(cli))
        return cli_fail(cli);
    v.check.packs_dir = cli_packs_dir(cli);
    v.found = v.is_json ? json_array() : NULL;
    v.texts = v.is_json ? json_array() : NULL;
    if (!each_pack(cli, verify_pack, &v) || !look_for_strays(cli, &v) ||
        !cli_audit(cli, AUDIT_VERIFY, 0,
                   AUDIT_FIELDS(AUDIT_BOOL("full", v.check.is_full),
                                AUDIT_I64("packs", (int64_t)v.packs),
                                AUDIT_I64("damaged", (int64_t)v.damaged)))) {
        json_decref(v.found);
        json_decref(v.texts);
        return cli_fail(cli);
    }
    return print_verdict(cli, &v);
}

/* ---- pack list ---------------------------------------------------------------------------------------- */

static bool list_as_json(struct cli *cli, void *context, const struct vault_pack_row *pack,
                         struct arena *arena)
{
    char hex[HEX_BYTES], previous[HEX_BYTES];

    (void)cli;
    (void)arena;
    write_hex(&pack->sha256, hex);
    write_hex(&pack->previous, previous);
    (void)json_array_append_new(
        context,
        json_pack("{s:o, s:I, s:s, s:s?, s:I, s:I, s:I, s:o, s:b}", "account",
                  cli_json_text(pack->account_name), "account_id", (json_int_t)pack->account_id,
                  "sha256", hex, "previous", pack->has_previous ? previous : NULL, "stored_bytes",
                  (json_int_t)pack->stored_bytes, "raw_bytes", (json_int_t)pack->raw_bytes,
                  "frames", (json_int_t)pack->frames, "sealed_at", cli_json_time(pack->sealed_usec),
                  "damaged", pack->is_damaged));
    return true;
}

static bool list_as_text(struct cli *cli, void *context, const struct vault_pack_row *pack,
                         struct arena *arena)
{
    struct cli_table *table = context;
    char hex[HEX_BYTES], text[CLI_TEXT_BYTES], size[CLI_TEXT_BYTES];
    struct bytes name;

    (void)arena;
    write_hex(&pack->sha256, hex);
    if (!arena_try_copy(cli->arena, pack->account_name, SIZE_MAX, &name, &cli->err))
        return false;
    cli_add_text(table, hex);
    cli_add_text(table, cli_write_time(pack->sealed_usec, text));
    cli_add_text(table, cli_write_size(pack->stored_bytes, size));
    cli_add_text(table, pack->is_damaged ? "DAMAGED" : "good");
    cli_add_cell(table, name);
    return true;
}

int cmd_pack_list(struct cli *cli, int argc, char **argv)
{
    static const char *const header[] = { "PACK", "SEALED", "SIZE", "STATE", "ACCOUNT" };
    static const struct option known[] = {
        { "json", no_argument, NULL, OPTION_JSON },
        { NULL, 0, NULL, 0 },
    };
    bool is_json = false;
    int status, option;
    struct cli_table *table;
    json_t *list;

    while ((option = cli_next_option(cli, argc, argv, known, &status)) != -1) {
        if (option == CLI_STOP)
            return status;
        is_json = true;
    }
    if (optind < argc)
        return cli_usage(cli, "'%s' is too much", argv[optind]);
    if (!cli_open_database(cli))
        return cli_fail(cli);
    if (is_json) {
        list = json_array();
        if (each_pack(cli, list_as_json, list))
            return cli_print_json(cli, list);
        json_decref(list);
        return cli_fail(cli);
    }
    table = cli_create_table(cli, header, ARRAY_LEN(header));
    if (!each_pack(cli, list_as_text, table))
        return cli_fail(cli);
    cli_print_table(table);
    return EXIT_SUCCESS;
}
