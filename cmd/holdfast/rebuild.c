/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holdfast rebuild: the database was lost, the packs are there.
 *
 * Packs are read by a child with the role holdfast_rebuild, which may write only while a rebuild goes on;
 * what the operator's rights are needed for, before and after, is SQL over rows.
 */
#include "vault/rebuild.h"

#include "audit/append.h"
#include "base/fd.h"
#include "crypto/seal.h"
#include "holdfast/reindex.h"
#include "operate/install.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    TIPS_MAX = 1000,
    DIGITS_MIN = 8,
};

/* What the operator has decided. */
struct answers {
    const char *tips[TIPS_MAX];
    size_t tip_count;
    bool takes_old_installation;
};

/* ---- the child ---------------------------------------------------------------------------------------- */

static void print_size(uint64_t octets)
{
    char text[CLI_TEXT_BYTES];

    (void)fputs(cli_write_size(octets, text), stdout);
}

/* One line that is written over on a terminal; otherwise one each hundred packs. */
static void on_pack(void *context, int64_t account_id, const struct vault_link *link,
                    const struct vault_rebuild_counts *counts)
{
    bool is_terminal = isatty(STDOUT_FILENO) != 0;

    (void)context;
    if (link == NULL || (!is_terminal && counts->packs % 100 != 0))
        return;
    (void)printf("%saccount %jd: %ju packs, ", is_terminal ? "\r" : "", (intmax_t)account_id,
                 (uintmax_t)counts->packs);
    print_size(counts->octets);
    (void)printf(", %ju messages%s", (uintmax_t)counts->messages, is_terminal ? " " : "\n");
    (void)fflush(stdout);
}

static void on_loss(void *context, int64_t account_id, const char *text)
{
    (void)context;
    if (account_id == 0)
        (void)printf("LOST installation: ");
    else
        (void)printf("LOST account %jd: ", (intmax_t)account_id);
    cli_print_text(bytes_of_text(text));
    (void)putchar('\n');
    (void)fflush(stdout);
}

static void on_question(void *context, int64_t account_id, const char *text)
{
    (void)context;
    if (account_id == 0)
        (void)printf("ASK installation: ");
    else
        (void)printf("ASK account %jd: ", (intmax_t)account_id);
    cli_print_text(bytes_of_text(text));
    (void)putchar('\n');
    (void)fflush(stdout);
}

static bool rebuild(struct cli *cli, const struct cli_errand *errand)
{
    CLEANUP(db_close) struct db *db = NULL;
    const struct answers *answers = errand->context;
    struct vault_rebuild order = {
        .packs_dir = cli_packs_dir(cli),
        .tips = { answers->tips, answers->tip_count },
        .takes_old_installation = answers->takes_old_installation,
        .on_pack = on_pack,
        .on_loss = on_loss,
        .on_question = on_question,
    };
    struct vault_rebuild_counts counts = { 0 };

    return db_connect(&errand->target, &db, &cli->err) &&
           vault_rebuild(db, &order, &counts, &cli->err) &&
           fd_write_all(errand->answers, bytes_of(&counts, sizeof counts), &cli->err);
}

/* ---- the parent --------------------------------------------------------------------------------------- */

static void on_mailbox(void *context, const struct vault_rebuilt_mailbox *mailbox)
{
    uint64_t *lost = context;

    *lost += mailbox->lost;
    if (mailbox->lost == 0 && mailbox->raised == VAULT_REBUILD_RAISE)
        return;
    cli_print_text(mailbox->account_name);
    (void)putchar('/');
    cli_print_text(mailbox->path);
    if (mailbox->lost > 0)
        (void)printf(
            ": %ju message%s not in any pack that could be read: fetched again if the source "
            "still has %s",
            (uintmax_t)mailbox->lost, mailbox->lost == 1 ? " is" : "s are",
            mailbox->lost == 1 ? "it" : "them");
    if (mailbox->raised < VAULT_REBUILD_RAISE)
        (void)printf(
            "; its UIDs are nearly used up: %ju were skipped instead of %d, so clients should "
            "forget what they have cached of it",
            (uintmax_t)mailbox->raised, (int)VAULT_REBUILD_RAISE);
    (void)putchar('\n');
}

static bool load_master_key_id(struct cli *cli, int64_t *out)
{
    struct crypto_key *key = NULL;
    char path[PATH_MAX];

    if (!operate_get_path(cli->conf, OPERATE_MASTER_KEY_FILE, path, &cli->err) ||
        !crypto_load_key_file(path, &key, &cli->err))
        return false;
    *out = crypto_get_key_id(key);
    crypto_free_key(&key);
    return true;
}

static bool tell_paused(struct cli *cli, int64_t master_key)
{
    const struct bytes *names;
    size_t count;

    if (!vault_list_without_secret(cli->session.db, master_key, cli->arena, &names, &count,
                                   &cli->err))
        return false;
    for (size_t i = 0; i < count; i++) {
        cli_print_text(names[i]);
        (void)printf(": paused, its password is not known: `holdfast account edit ");
        cli_print_text(names[i]);
        (void)printf(" --password-file F`, then `holdfast account resume ");
        cli_print_text(names[i]);
        (void)puts("`");
    }
    return true;
}

static bool finish(struct cli *cli, const struct vault_rebuild_counts *counts, uint64_t *lost)
{
    int64_t master_key;

    return load_master_key_id(cli, &master_key) &&
           vault_finish_rebuild(cli->session.db, master_key, on_mailbox, lost, &cli->err) &&
           cli_audit(cli, AUDIT_REBUILD, 0,
                     AUDIT_FIELDS(AUDIT_I64("packs", (int64_t)counts->packs),
                                  AUDIT_I64("messages", (int64_t)counts->messages),
                                  AUDIT_I64("bad_packs", (int64_t)counts->bad_packs),
                                  AUDIT_I64("lost", (int64_t)*lost))) &&
           tell_paused(cli, master_key);
}

static void print_counts(const struct vault_rebuild_counts *counts)
{
    char time[CLI_TEXT_BYTES];

    if (isatty(STDOUT_FILENO) != 0 && counts->packs > 0)
        (void)putchar('\n');
    (void)printf("%ju account%s, %ju pack%s read, ", (uintmax_t)counts->accounts,
                 counts->accounts == 1 ? "" : "s", (uintmax_t)counts->packs,
                 counts->packs == 1 ? "" : "s");
    print_size(counts->octets);
    if (counts->known_packs > 0)
        (void)printf(" (%ju were read before)", (uintmax_t)counts->known_packs);
    (void)printf(": %ju messages, %ju placements, %ju changes\n", (uintmax_t)counts->messages,
                 (uintmax_t)counts->placements, (uintmax_t)counts->events);
    if (counts->installation_usec > 0)
        (void)printf(
            "Auditors, grants, matters and holds are as of %s: what was changed later, also what was "
            "revoked, must be done again\n",
            cli_write_time(counts->installation_usec, time));
    if (counts->bad_packs > 0)
        (void)printf(
            "%ju bad pack%s: see above. To take in what is put back, rebuild again into an "
            "empty database\n",
            (uintmax_t)counts->bad_packs, counts->bad_packs == 1 ? "" : "s");
    (void)fflush(stdout);
}

static int rebuild_by_children(struct cli *cli, struct cli_child *reader, struct cli_child *indexer)
{
    struct vault_rebuild_counts counts = { 0 };
    struct cli_reindexed indexed = { 0 };
    uint64_t lost = 0;
    int status;

    if (!vault_begin_rebuild(cli->session.db, &cli->err) ||
        !cli_order_child(reader, DB_ROLE_REBUILD, NULL))
        return cli_fail(cli);
    status = cli_await_child(reader, &counts, sizeof counts);
    if (status != EXIT_SUCCESS) {
        (void)fprintf(stderr,
                      "holdfast: not finished; `holdfast rebuild` goes on where it stopped\n");
        return status;
    }
    if (counts.questions > 0) {
        (void)fprintf(stderr,
                      "holdfast: not finished: see above what to decide, and rebuild again\n");
        return EXIT_FAILURE;
    }
    print_counts(&counts);
    if (!finish(cli, &counts, &lost))
        return cli_fail(cli);
    status = cli_reindex(cli, indexer, 0, &indexed);
    if (status != EXIT_SUCCESS)
        return status;
    (void)printf("%ju messages indexed\n", (uintmax_t)indexed.renewed);
    return counts.bad_packs + indexed.damaged > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* What a pack's name begins with; its letters become small. */
static bool add_tip(struct cli *cli, struct answers *answers, const char *text)
{
    char *digits = arena_text(cli->arena, text);
    size_t len = strspn(digits, "0123456789abcdefABCDEF");

    if (len < DIGITS_MIN || (digits[len] != '\0' && strcmp(digits + len, ".tar.zst") != 0))
        return err_fail(&cli->err, ERR_SYNTAX, "--follow %s: %d digits or more of a pack's name",
                        text, DIGITS_MIN);
    if (answers->tip_count == TIPS_MAX)
        return err_fail(&cli->err, ERR_SYNTAX, "--follow more than %d times", TIPS_MAX);
    digits[len] = '\0';
    for (size_t i = 0; i < len; i++)
        digits[i] = (char)ascii_lower((uint8_t)digits[i]);
    answers->tips[answers->tip_count++] = digits;
    return true;
}

int cmd_rebuild(struct cli *cli, int argc, char **argv)
{
    enum {
        FOLLOW = 1,
        OLD_INSTALLATION
    };
    static const struct option known[] = {
        { "follow", required_argument, NULL, FOLLOW },
        { "old-installation", no_argument, NULL, OLD_INSTALLATION },
        { NULL, 0, NULL, 0 },
    };
    CLEANUP(cli_end_child) struct cli_child reader = CLI_NO_CHILD;
    CLEANUP(cli_end_child) struct cli_child indexer = CLI_NO_CHILD;
    struct answers answers = { .tip_count = 0 };
    int status, option;

    while ((option = cli_next_option(cli, argc, argv, known, &status)) != -1) {
        if (option == CLI_STOP)
            return status;
        if (option == FOLLOW && !add_tip(cli, &answers, optarg))
            return cli_fail(cli);
        answers.takes_old_installation |= option == OLD_INSTALLATION;
    }
    if (!cli_take_nothing(cli, argc, argv, &status))
        return status;
    if (!cli_settle(cli, OPERATE_SERVICE_DATABASE) || !operate_make_keys(cli->conf, &cli->err) ||
        !cli_fork_child(cli, rebuild, &answers, &reader) ||
        !cli_fork_reindex(cli, stdout, &indexer) || !cli_open(cli, OPERATE_SERVICE_DATABASE))
        return cli_fail(cli);
    return rebuild_by_children(cli, &reader, &indexer);
}
