/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holdfast seal, pack list. Packs are written by holdfast-keeper alone: `seal` leaves a request and waits
 * for the answer.
 */
#include "base/clock.h"
#include "holdfast/packs.h"
#include "vault/chain.h"
#include "vault/rebuild.h"
#include "vault/seal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    LOOK_MS = 200,
    PAGE = 100,
};

void cli_write_hash(const struct crypto_sha256 *hash, char text[CLI_HASH_BYTES])
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
    bool is_rebuilding;
    int status;

    if (cli_next_option(cli, argc, argv, known, &status) == CLI_STOP)
        return status;
    if (!cli_settle(cli, OPERATE_SERVICE_KEEPER) || !cli_open(cli, OPERATE_SERVICE_KEEPER) ||
        !vault_is_rebuild_running(cli->session.db, &is_rebuilding, &cli->err))
        return cli_fail(cli);
    if (is_rebuilding) {
        (void)err_fail(
            &cli->err, ERR_DENIED,
            "nothing is sealed: a rebuild is not finished (`holdfast rebuild` goes on with it)");
        return cli_fail(cli);
    }
    if (!cli_choose_accounts(cli, argc - optind, argv + optind, CLI_WITH_PAUSED, &runs, &count))
        return cli_fail(cli);
    return await_answers(cli, runs, count);
}

/* ---- rows, page by page -------------------------------------------------------------------------- */

bool cli_each_pack(struct cli *cli, cli_pack_fn *visit, void *context)
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

/* ---- pack list ---------------------------------------------------------------------------------------- */

static bool list_as_json(struct cli *cli, void *context, const struct vault_pack_row *pack,
                         struct arena *arena)
{
    char hex[CLI_HASH_BYTES], previous[CLI_HASH_BYTES];

    (void)cli;
    (void)arena;
    cli_write_hash(&pack->sha256, hex);
    cli_write_hash(&pack->previous, previous);
    (void)json_array_append_new(
        context, json_pack("{s:s, s:o, s:I, s:s, s:s?, s:I, s:I, s:I, s:o, s:b}", "kind", "account",
                           "account", cli_json_text(pack->account_name), "account_id",
                           (json_int_t)pack->account_id, "sha256", hex, "previous",
                           pack->has_previous ? previous : NULL, "stored_bytes",
                           (json_int_t)pack->stored_bytes, "raw_bytes", (json_int_t)pack->raw_bytes,
                           "frames", (json_int_t)pack->frames, "sealed_at",
                           cli_json_time(pack->sealed_usec), "damaged", pack->is_damaged));
    return true;
}

static bool list_as_text(struct cli *cli, void *context, const struct vault_pack_row *pack,
                         struct arena *arena)
{
    struct cli_table *table = context;
    char hex[CLI_HASH_BYTES], text[CLI_TEXT_BYTES], size[CLI_TEXT_BYTES];
    struct bytes name;

    (void)arena;
    cli_write_hash(&pack->sha256, hex);
    if (!arena_try_copy(cli->arena, pack->account_name, SIZE_MAX, &name, &cli->err))
        return false;
    cli_add_text(table, hex);
    cli_add_text(table, cli_write_time(pack->sealed_usec, text));
    cli_add_text(table, cli_write_size(pack->stored_bytes, size));
    cli_add_text(table, pack->is_damaged ? "DAMAGED" : "good");
    cli_add_cell(table, name);
    return true;
}

/* Those of the installation, as their files tell. list NULL: into the table. */
static void list_installation(const struct vault_chain *chain, json_t *list,
                              struct cli_table *table)
{
    static const char *const states[] = {
        [VAULT_LINK_GOOD] = "good",          [VAULT_LINK_MISSING] = "MISSING",
        [VAULT_LINK_UNREADABLE] = "DAMAGED", [VAULT_LINK_OUTSIDE] = "UNKNOWN",
        [VAULT_LINK_FOREIGN] = "UNKNOWN",
    };

    for (size_t i = 0; i < chain->count; i++) {
        const struct vault_link *link = &chain->links[i];
        char hex[CLI_HASH_BYTES], text[CLI_TEXT_BYTES];

        cli_write_hash(&link->sha256, hex);
        if (list != NULL) {
            (void)json_array_append_new(
                list, json_pack("{s:s, s:s, s:I, s:o, s:s}", "kind", "installation", "sha256", hex,
                                "number", (json_int_t)link->number, "sealed_at",
                                cli_json_time(link->sealed_usec), "state", states[link->state]));
            continue;
        }
        cli_add_text(table, hex);
        cli_add_text(table, cli_write_time(link->sealed_usec, text));
        cli_add_text(table, "");
        cli_add_text(table, states[link->state]);
        cli_add_text(table, "(installation)");
    }
}

int cmd_pack_list(struct cli *cli, int argc, char **argv)
{
    static const char *const header[] = { "PACK", "SEALED", "SIZE", "STATE", "ACCOUNT" };
    struct vault_chain installation;
    bool is_json = false;
    int status;
    struct cli_table *table;
    json_t *list;

    if (!cli_take_flag(cli, argc, argv, "json", &is_json, &status) ||
        !cli_take_nothing(cli, argc, argv, &status))
        return status;
    /* Files are opened before there is a connection with the operator's rights. */
    if (!cli_settle(cli, OPERATE_SERVICE_DATABASE) ||
        !vault_read_chain(cli_packs_dir(cli), 0, NULL, cli->arena, &installation, &cli->err) ||
        !cli_open(cli, OPERATE_SERVICE_DATABASE))
        return cli_fail(cli);
    if (is_json) {
        list = json_array();
        list_installation(&installation, list, NULL);
        if (cli_each_pack(cli, list_as_json, list))
            return cli_print_json(cli, list);
        json_decref(list);
        return cli_fail(cli);
    }
    table = cli_create_table(cli, header, ARRAY_LEN(header));
    if (!cli_each_pack(cli, list_as_text, table))
        return cli_fail(cli);
    list_installation(&installation, NULL, table);
    cli_print_table(table);
    return EXIT_SUCCESS;
}
