/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holdfast verify: whether every pack is what it was, and --repair, which heals what can be healed.
 *
 * Packs are opened by a child with the keeper's role, not with the operator's rights; what is derived is
 * renewed by another (holdfast/reindex.h). Nothing is ever deleted but what a killed keeper left half-made.
 */
#include "audit/append.h"
#include "base/fd.h"
#include "holdfast/packs.h"
#include "holdfast/reindex.h"
#include "source/account.h"
#include "vault/chain.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
    OPTION_FULL = 256,
    OPTION_REPAIR,
    OPTION_JSON,
    LEFTOVERS_MAX = 64, /* that are told */
};

/* What the child is asked, and what it gathers. */
struct verify {
    bool is_json;
    struct vault_pack_check check;
    struct crypto_sha256 previous; /* of the pack before, in last_account */
    int64_t last_account;
    uint64_t packs, octets, damaged, strays;
    uint64_t recognised; /* messages at sources that count as archived unseen */
    json_t *found;       /* --json */
    json_t *texts;       /* likewise: segments that are to be made again */
    json_t *victims;     /* likewise, of a repair */
    uint64_t healed;     /* packs and frames */
};

/* Of the child. */
struct verdict {
    uint64_t packs, damaged;
    bool is_good;
};

/* ---- what is found ------------------------------------------------------------------------------------- */

static void print_damage(const struct vault_pack_row *pack, const struct vault_pack_report *report)
{
    char hex[CLI_HASH_BYTES];

    cli_write_hash(&pack->sha256, hex);
    (void)printf("DAMAGED pack %s of account ", hex);
    cli_print_text(pack->account_name);
    (void)printf(": ");
    cli_put_line(bytes_of_text(report->what), stdout);
    (void)printf("; %ju message%s affected", (uintmax_t)report->victims,
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
    (void)printf(
        ". Reads of what is damaged are refused. Put the file packs/%jd/%s.tar.zst back from "
        "a backup, then run `holdfast verify --full`\n",
        (intmax_t)pack->account_id, hex);
}

static json_t *json_damage(const struct vault_pack_row *pack,
                           const struct vault_pack_report *report)
{
    char hex[CLI_HASH_BYTES];

    cli_write_hash(&pack->sha256, hex);
    return json_pack("{s:s, s:o, s:I, s:o, s:I, s:I, s:o, s:o, s:I}", "pack", hex, "account",
                     cli_json_text(pack->account_name), "account_id", (json_int_t)pack->account_id,
                     "what", cli_json_message(bytes_of_text(report->what)), "damaged_frames",
                     (json_int_t)report->damaged_frames, "messages", (json_int_t)report->victims,
                     "sha256", cli_json_text(report->sha256), "mailbox",
                     cli_json_text(report->path), "uid", (json_int_t)report->uid);
}

/* Not damage: search is slower, nothing else. */
static void print_text(const struct vault_pack_row *pack, const struct vault_pack_report *report)
{
    char hex[CLI_HASH_BYTES];

    cli_write_hash(&pack->sha256, hex);
    (void)printf("DERIVED search text of pack %s of account ", hex);
    cli_print_text(pack->account_name);
    (void)printf(": ");
    cli_put_line(bytes_of_text(report->text_what), stdout);
    (void)printf(". Search reads the messages themselves meanwhile; run `holdfast reindex`\n");
}

static json_t *json_text(const struct vault_pack_row *pack, const struct vault_pack_report *report)
{
    char hex[CLI_HASH_BYTES];

    cli_write_hash(&pack->sha256, hex);
    return json_pack("{s:s, s:o, s:I, s:o}", "pack", hex, "account",
                     cli_json_text(pack->account_name), "account_id", (json_int_t)pack->account_id,
                     "what", cli_json_message(bytes_of_text(report->text_what)));
}

static bool print_strays(struct cli *cli, struct verify *v, int64_t account_id, struct arena *arena)
{
    const struct bytes *names;
    size_t count;

    if (!vault_find_stray_packs(cli->session.db, v->check.packs_dir, account_id, arena, &names,
                                &count, &cli->err))
        return false;
    for (size_t i = 0; i < count; i++) {
        v->strays++;
        if (v->is_json)
            (void)json_array_append_new(v->found, json_pack("{s:o, s:I, s:s}", "file",
                                                            cli_json_text(names[i]), "account_id",
                                                            (json_int_t)account_id, "what",
                                                            "unknown to the database"));
        else
            (void)printf(
                "UNKNOWN pack packs/%jd/%s: the database does not know it, as after a restored "
                "backup. It was left alone\n",
                (intmax_t)account_id, (const char *)names[i].ptr);
    }
    return true;
}

/* Also of accounts that the database does not know. */
static bool look_for_strays(struct cli *cli, struct verify *v)
{
    CLEANUP(arena_free) struct arena *arena = arena_create(CLI_ARENA_BYTES);
    const int64_t *ids;
    size_t count;

    if (!vault_find_pack_folders(v->check.packs_dir, cli->arena, &ids, &count, &cli->err))
        return false;
    for (size_t i = 0; i < count; i++) {
        arena_reset(arena);
        if (!print_strays(cli, v, ids[i], arena))
            return false;
    }
    return true;
}

/* vault_pack_check.on_victim */
static void print_victim(void *context, const struct vault_pack_row *pack, struct bytes sha256_hex,
                         struct bytes path, uint32_t uid)
{
    struct verify *v = context;
    char hex[CLI_HASH_BYTES];

    cli_write_hash(&pack->sha256, hex);
    if (v->is_json) {
        (void)json_array_append_new(
            v->victims, json_pack("{s:o, s:s, s:o, s:o, s:I}", "sha256", cli_json_text(sha256_hex),
                                  "pack", hex, "account", cli_json_text(pack->account_name),
                                  "mailbox", cli_json_text(path), "uid", (json_int_t)uid));
        return;
    }
    (void)printf("UNHEALED message ");
    cli_print_text(sha256_hex);
    if (path.len > 0) {
        (void)printf(" in ");
        cli_print_text(pack->account_name);
        (void)putchar('/');
        cli_print_text(path);
        (void)printf(";UID=%u", uid);
    }
    (void)printf(
        ": its octets lie in packs/%jd/%s.tar.zst alone; put that file back from a copy, then run "
        "`holdfast verify --repair`\n",
        (intmax_t)pack->account_id, hex);
}

static void print_healed(struct verify *v, const struct vault_pack_row *pack,
                         const struct vault_pack_report *report)
{
    bool is_whole_again = pack->is_damaged && !report->is_damaged && v->check.is_full;
    char hex[CLI_HASH_BYTES];

    v->healed += report->healed_frames + (is_whole_again ? 1 : 0);
    if (v->is_json)
        return;
    cli_write_hash(&pack->sha256, hex);
    if (is_whole_again)
        (void)printf("HEALED pack %s: the file is whole again, its mark was taken back\n", hex);
    if (report->healed_frames > 0)
        (void)printf(
            "HEALED %ju frame%s of pack %s: the octets were still in the database and will be "
            "sealed into another pack\n",
            (uintmax_t)report->healed_frames, report->healed_frames == 1 ? "" : "s", hex);
}

/* ---- installation packs ---------------------------------------------------------------------------------- */

static void tell_installation(struct verify *v, const struct vault_link *link, const char *what)
{
    char hex[CLI_HASH_BYTES];

    v->damaged++;
    cli_write_hash(&link->sha256, hex);
    if (v->is_json) {
        (void)json_array_append_new(v->found, json_pack("{s:s, s:o, s:o}", "pack", hex, "account",
                                                        json_null(), "what",
                                                        cli_json_message(bytes_of_text(what))));
        return;
    }
    (void)printf("DAMAGED installation pack %s: ", hex);
    cli_put_line(bytes_of_text(what), stdout);
    (void)printf(
        ". Put the file packs/installation/%s.tar.zst back from a backup; `holdfast rebuild` "
        "would miss what it alone tells\n",
        hex);
}

/* Every octet, compared with its name. Failure: it could not be looked at. */
static bool check_installation_file(struct cli *cli, struct verify *v,
                                    const struct vault_link *link)
{
    CLEANUP(fd_close) int fd = -1;
    char hex[CLI_HASH_BYTES], path[PATH_MAX];
    struct crypto_sha256 sha256;

    cli_write_hash(&link->sha256, hex);
    if (snprintf(path, sizeof path, "%s/installation/%s.tar.zst", v->check.packs_dir, hex) >=
        (int)sizeof path)
        return err_fail(&cli->err, ERR_LIMIT, "the data directory's path is too long");
    fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return err_errno(&cli->err, "open %s", path);
    if (!vault_check_pack_file(fd, &sha256, &cli->err)) {
        if (cli->err.code != ERR_CORRUPT)
            return false;
        tell_installation(v, link, cli->err.text);
        err_clear(&cli->err);
    } else if (memcmp(&sha256, &link->sha256, sizeof sha256) != 0) {
        tell_installation(v, link, "the file does not match its SHA-256");
    }
    return true;
}

static bool verify_installation(struct cli *cli, struct verify *v)
{
    struct vault_chain chain;

    if (!vault_read_chain(v->check.packs_dir, 0, NULL, cli->arena, &chain, &cli->err))
        return false;
    for (size_t i = 0; i < chain.count; i++) {
        const struct vault_link *link = &chain.links[i];

        if (link->state == VAULT_LINK_MISSING)
            tell_installation(v, link, "it is missing");
        else if (link->state == VAULT_LINK_UNREADABLE || link->state == VAULT_LINK_FOREIGN)
            tell_installation(v, link, link->what);
        else if (v->check.is_full && !check_installation_file(cli, v, link))
            return false;
    }
    return true;
}

/* ---- packs of accounts ------------------------------------------------------------------------------------ */

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
    print_healed(v, pack, &report);
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
            cli, json_pack("{s:b, s:b, s:I, s:I, s:I, s:o, s:o, s:o, s:I, s:I}", "ok",
                           status == EXIT_SUCCESS, "full", v->check.is_full, "packs",
                           (json_int_t)v->packs, "octets", (json_int_t)v->octets, "damaged",
                           (json_int_t)v->damaged, "found", v->found, "text", v->texts, "unhealed",
                           v->victims, "healed", (json_int_t)v->healed, "recognised",
                           (json_int_t)v->recognised));
        v->found = v->texts = v->victims = NULL;
        return printed == EXIT_SUCCESS ? status : printed;
    }
    (void)printf("%ju pack%s, %s: ", (uintmax_t)v->packs, v->packs == 1 ? "" : "s",
                 cli_write_size(v->octets, size));
    if (status == EXIT_SUCCESS)
        (void)puts(v->check.is_full ? "every octet is what it was"
                                    : "all there (--full reads them)");
    else
        (void)printf("%ju damaged, %ju unknown\n", (uintmax_t)v->damaged, (uintmax_t)v->strays);
    if (v->recognised > 0)
        (void)printf(
            "%ju message%s of sources count as archived without having been downloaded again: known by "
            "their headers or ids; `holdfast reconcile --octets` compares their octets\n",
            (uintmax_t)v->recognised, v->recognised == 1 ? "" : "s");
    return status;
}

/* ---- the child: packs are opened with the keeper's rights, which change nothing but marks ------------- */

static bool verify(struct cli *cli, const struct cli_errand *errand)
{
    struct verify *v = errand->context;
    struct verdict out = { .is_good = false };
    bool is_done;

    v->check.packs_dir = cli_packs_dir(cli);
    v->check.context = v;
    v->check.on_victim = print_victim;
    v->found = v->is_json ? json_array() : NULL;
    v->texts = v->is_json ? json_array() : NULL;
    v->victims = v->is_json ? json_array() : NULL;
    is_done = db_connect(&errand->target, &cli->session.db, &cli->err) &&
              verify_installation(cli, v) && cli_each_pack(cli, verify_pack, v) &&
              look_for_strays(cli, v) &&
              source_count_recognised(cli->session.db, &v->recognised, &cli->err);
    if (is_done)
        out.is_good = print_verdict(cli, v) == EXIT_SUCCESS;
    out.packs = v->packs;
    out.damaged = v->damaged;
    json_decref(v->found);
    json_decref(v->texts);
    json_decref(v->victims);
    db_close(&cli->session.db);
    return is_done && fd_write_all(errand->answers, bytes_of(&out, sizeof out), &cli->err);
}

/* ---- the parent ----------------------------------------------------------------------------------------- */

/* What lay half-made before a keeper was there, and does not any more: its start clears away. */
struct leftovers {
    size_t count;
    char paths[LEFTOVERS_MAX][PATH_MAX];
};

/* vault_leftover_fn */
static void note_leftover(void *context, int64_t account_id, const char *path)
{
    struct leftovers *left = context;

    (void)account_id;
    if (left->count < LEFTOVERS_MAX)
        (void)snprintf(left->paths[left->count++], PATH_MAX, "%s", path);
}

static void print_removed(const struct leftovers *left)
{
    struct stat facts;

    for (size_t i = 0; i < left->count; i++)
        if (lstat(left->paths[i], &facts) != 0)
            (void)printf("HEALED %s: what a keeper that was killed left half-made was removed\n",
                         left->paths[i]);
    (void)fflush(stdout);
}

static bool open_for_repair(struct cli *cli, bool is_json)
{
    struct leftovers *left = arena_new(cli->arena, struct leftovers);

    if (!vault_find_leftovers(cli_packs_dir(cli), note_leftover, left, &cli->err)) {
        if (cli->err.code != ERR_ABSENT)
            return false;
        err_clear(&cli->err); /* no packs yet */
    }
    if (!cli_open(cli, OPERATE_SERVICE_KEEPER))
        return false;
    if (!is_json)
        print_removed(left);
    return true;
}

static bool open_session(struct cli *cli, const struct verify *v)
{
    return v->check.is_repair ? open_for_repair(cli, v->is_json)
                              : cli_open(cli, OPERATE_SERVICE_DATABASE);
}

/* Derived rows that are missing or old. */
static int renew(struct cli *cli, struct cli_child *indexer, bool is_json)
{
    struct cli_reindexed done = { 0 };
    int status = cli_reindex(cli, indexer, 0, &done);

    if (status == EXIT_SUCCESS && done.renewed > 0 && !is_json)
        (void)printf("HEALED %ju message%s: indexed anew\n", (uintmax_t)done.renewed,
                     done.renewed == 1 ? "" : "s");
    return status == EXIT_SUCCESS && done.damaged > 0 ? EXIT_FAILURE : status;
}

static int verify_by_children(struct cli *cli, const struct verify *v, struct cli_child *reader,
                              struct cli_child *indexer)
{
    struct verdict verdict = { 0 };
    int status;

    if (!open_session(cli, v) || !cli_order_child(reader, DB_ROLE_KEEPER, NULL))
        return cli_fail(cli);
    status = cli_await_child(reader, &verdict, sizeof verdict);
    if (status != EXIT_SUCCESS)
        return status;
    if (!cli_audit(cli, AUDIT_VERIFY, 0,
                   AUDIT_FIELDS(AUDIT_BOOL("full", v->check.is_full),
                                AUDIT_BOOL("repair", v->check.is_repair),
                                AUDIT_I64("packs", (int64_t)verdict.packs),
                                AUDIT_I64("damaged", (int64_t)verdict.damaged))))
        return cli_fail(cli);
    if (v->check.is_repair)
        status = renew(cli, indexer, v->is_json);
    return status != EXIT_SUCCESS ? status : verdict.is_good ? EXIT_SUCCESS : EXIT_FAILURE;
}

int cmd_verify(struct cli *cli, int argc, char **argv)
{
    static const struct option known[] = {
        { "full", no_argument, NULL, OPTION_FULL },
        { "repair", no_argument, NULL, OPTION_REPAIR },
        { "json", no_argument, NULL, OPTION_JSON },
        { NULL, 0, NULL, 0 },
    };
    CLEANUP(cli_end_child) struct cli_child reader = CLI_NO_CHILD;
    CLEANUP(cli_end_child) struct cli_child indexer = CLI_NO_CHILD;
    struct verify v = { .found = NULL };
    int status, option;

    while ((option = cli_next_option(cli, argc, argv, known, &status)) != -1) {
        if (option == CLI_STOP)
            return status;
        v.is_json = v.is_json || option == OPTION_JSON;
        v.check.is_repair = v.check.is_repair || option == OPTION_REPAIR;
        v.check.is_full = v.check.is_full || option != OPTION_JSON;
    }
    if (!cli_take_nothing(cli, argc, argv, &status))
        return status;
    if (!cli_settle(cli, OPERATE_SERVICE_KEEPER) || !cli_fork_child(cli, verify, &v, &reader) ||
        (v.check.is_repair && !cli_fork_reindex(cli, v.is_json ? stderr : stdout, &indexer)))
        return cli_fail(cli);
    return verify_by_children(cli, &v, &reader, &indexer);
}
