/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holdfast export: mail as evidence (lib/export). This process holds the keys and the owner's
 * connection, and touches no mail.
 */
#include "holdfast/export.h"

#include "auth/session.h"
#include "base/fd.h"
#include "db/cluster.h"
#include "operate/install.h"
#include "search/language.h"
#include "source/account.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    CHUNK_BYTES = 1 << 18
};

/* openssl pkeyutl, with which signatures are checked, reads no more. */
#define SUMS_MAX_BYTES ((uint64_t)INT32_MAX)

struct work {
    struct cli *cli;
    struct cli_export what;
    const char *file;
    int64_t at; /* 0: now */
    bool is_forced;
    struct cli_placer placer;
    struct crypto_signer *signer;
    struct vault_position position;
    int64_t account_ids[CLI_LIST_MAX];
    struct cli_export_ask done; /* is_done: the reader has finished */
    struct crypto_sha256 sha256;
};

/* ---- arguments ------------------------------------------------------------------------------------ */

static bool read_position(struct work *work, const char *text)
{
    struct bytes rest = bytes_of_text(text);
    uint64_t number = 0;

    if (!scan_u64(&rest, &number) || rest.len > 0 || number == 0 || number > INT64_MAX)
        return err_fail(&work->cli->err, ERR_SYNTAX, "--at: '%s' is no number of a position", text);
    work->at = (int64_t)number;
    return true;
}

static bool read_options(struct work *work, int argc, char **argv, int *status)
{
    enum {
        ACCOUNT = 256,
        FORMAT,
        AT,
        FORCE
    };
    static const struct option known[] = {
        { "output", required_argument, NULL, 'o' },
        { "account", required_argument, NULL, ACCOUNT },
        { "format", required_argument, NULL, FORMAT },
        { "at", required_argument, NULL, AT },
        { "force", no_argument, NULL, FORCE },
        { NULL, 0, NULL, 0 },
    };
    struct cli *cli = work->cli;
    int option;

    while ((option = cli_next_option(cli, argc, argv, known, status)) != -1) {
        bool is_good = true;

        if (option == CLI_STOP)
            return false;
        if (option == 'o')
            work->file = optarg;
        else if (option == ACCOUNT)
            is_good = cli_add_item(cli, &work->what.accounts, optarg);
        else if (option == FORMAT)
            work->what.format = optarg;
        else if (option == AT)
            is_good = read_position(work, optarg);
        else
            work->is_forced = true;
        if (!is_good) {
            *status = cli_refuse(cli);
            return false;
        }
    }
    return true;
}

/* "*" is everything, and needs no search. */
static bool read_query(struct work *work, int *status)
{
    struct cli *cli = work->cli;
    struct search_query *query = NULL;
    struct search_mistake mistake;

    if (bytes_equal(work->what.query, BYTES("*")))
        return true;
    if (!search_parse_query(work->what.query, cli->arena, &query, &mistake, &cli->err)) {
        *status = cli_refuse_query(cli, work->what.query, &mistake);
        return false;
    }
    cli_say_reading(query);
    work->what.parsed = query;
    return true;
}

static bool read_arguments(struct work *work, int argc, char **argv, int *status)
{
    const char *query;

    if (!read_options(work, argc, argv, status))
        return false;
    query = cli_take_name(work->cli, argc, argv, "QUERY", status);
    if (query == NULL)
        return false;
    work->what.query = bytes_of_text(query);
    if (work->file == NULL)
        *status = cli_usage(work->cli, "-o FILE is missing");
    else if (!export_knows_format(work->what.format))
        *status = cli_usage(work->cli, "--format %s: mbox, eml or maildir", work->what.format);
    else
        return read_query(work, status);
    return false;
}

/* ---- what the reader needs -------------------------------------------------------------------------- */

static bool find_accounts(struct work *work)
{
    struct cli *cli = work->cli;

    for (size_t i = 0; i < work->what.accounts.count; i++)
        if (!source_find_account(cli->session.db, work->what.accounts.items[i],
                                 &work->account_ids[i], &cli->err))
            return false;
    return true;
}

static bool find_position(struct work *work)
{
    struct cli *cli = work->cli;
    size_t count = work->what.accounts.count;

    if (work->at == 0)
        return vault_take_position(cli->session.db, work->account_ids, count, &work->position,
                                   &cli->err);
    return vault_find_position(cli->session.db, work->at, work->account_ids, count, &work->position,
                               &cli->err);
}

static bool load_signer(struct work *work)
{
    struct cli *cli = work->cli;
    char path[PATH_MAX];

    return operate_get_path(cli->conf, OPERATE_SIGNING_KEY_FILE, path, &cli->err) &&
           crypto_load_signing_key_file(path, &work->signer, &cli->err);
}

static bool copy_secret(const struct secret *secret, uint8_t *out, size_t size, size_t *len,
                        struct err *err)
{
    struct bytes octets = secret_bytes(secret);

    if (octets.len > size)
        return err_fail(err, ERR_LIMIT, "a secret is too long");
    memcpy(out, octets.ptr, octets.len);
    *len = octets.len;
    return true;
}

static bool give_order(struct work *work, const struct secret *token, int orders)
{
    struct cli *cli = work->cli;
    CLEANUP(cli_wipe_export_order)
    struct cli_export_order order = { .runtime = cli->session.runtime,
                                      .position = work->position,
                                      .key = crypto_get_public_key(work->signer) };
    CLEANUP(secret_free) struct secret *password = NULL;

    if (!db_read_password(cli->conf->holdfast.data_dir, DB_ROLE_READER, &password, &cli->err)) {
        if (cli->conf->database.url[0] == '\0' || cli->err.code != ERR_ABSENT)
            return false;
        err_clear(&cli->err);
    } else if (!copy_secret(password, order.password, sizeof order.password, &order.password_len,
                            &cli->err)) {
        return false;
    }
    return copy_secret(token, order.token, sizeof order.token, &order.token_len, &cli->err) &&
           fd_write_all(orders, bytes_of(&order, sizeof order), &cli->err);
}

/* ---- what the reader asks ---------------------------------------------------------------------------- */

static bool sign_sums(struct work *work, uint64_t size, struct crypto_signature *out)
{
    struct err *err = &work->cli->err;
    struct bytes sums;
    void *map;
    bool is_signed;

    if (size == 0 || size > SUMS_MAX_BYTES)
        return err_fail(err, ERR_LIMIT, "SHA256SUMS of %ju bytes: export less at once, or as mbox",
                        (uintmax_t)size);
    map = mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, cli_export_files(&work->placer).sums, 0);
    if (map == MAP_FAILED)
        return err_errno(err, "map SHA256SUMS");
    sums = bytes_of(map, (size_t)size);
    is_signed = (export_is_sums(sums) ||
                 err_fail(err, ERR_CORRUPT, "the reader asked to sign what is no SHA256SUMS")) &&
                crypto_sign(work->signer, sums, out, err);
    (void)munmap(map, (size_t)size);
    return is_signed;
}

/* Until the reader is done, or gone. */
static bool serve_reader(struct work *work, int orders, int asks)
{
    struct cli_export_ask ask;

    while (!work->done.is_done && cli_receive(asks, &ask, sizeof ask)) {
        struct cli_export_answer answer = { .is_signed = false };

        if (ask.is_done) {
            work->done = ask;
            break;
        }
        answer.is_signed = sign_sums(work, ask.sums_bytes, &answer.signature);
        if (!answer.is_signed ||
            !fd_write_all(orders, bytes_of(&answer, sizeof answer), &work->cli->err))
            return false;
    }
    return true;
}

static int wait_for(pid_t pid)
{
    int status;

    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR)
            return EXIT_FAILURE;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
}

/* ---- the end -------------------------------------------------------------------------------------------- */

/* Reads back what was written. */
static bool hash_file(struct work *work)
{
    CLEANUP(crypto_free_hasher) struct crypto_hasher *hasher = crypto_create_hasher();
    int fd = cli_export_files(&work->placer).out;
    uint8_t *chunk = arena_alloc(work->cli->arena, CHUNK_BYTES);
    off_t at = 0;

    for (;;) {
        ssize_t got = pread(fd, chunk, CHUNK_BYTES, at);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_errno(&work->cli->err, "read the export back");
        if (got == 0)
            break;
        crypto_update_hasher(hasher, bytes_of(chunk, (size_t)got));
        at += got;
    }
    work->sha256 = crypto_finish_hasher(hasher);
    return true;
}

static bool audit_end(struct work *work, struct bytes hex)
{
    const struct export_counts *counts = &work->done.counts;

    return cli_audit(
        work->cli, AUDIT_EXPORT, work->what.accounts.count == 1 ? work->account_ids[0] : 0,
        AUDIT_FIELDS(AUDIT_TEXT("state", BYTES("written")), AUDIT_TEXT("query", work->what.query),
                     AUDIT_I64("position", work->position.position_id),
                     AUDIT_TEXT("format", bytes_of_text(work->what.format)),
                     AUDIT_I64("messages", (int64_t)counts->messages),
                     AUDIT_I64("octets", (int64_t)counts->octets),
                     AUDIT_I64("unsearched", (int64_t)counts->unsearched),
                     AUDIT_I64("damaged", (int64_t)counts->damaged),
                     AUDIT_I64("unreadable", (int64_t)counts->unreadable),
                     AUDIT_TEXT("sha256", hex)));
}

static void print_end(const struct work *work, struct bytes hex)
{
    CLEANUP(buf_free) struct buf print = buf_create(2 * CRYPTO_SHA256_BYTES);
    const struct export_counts *counts = &work->done.counts;
    struct crypto_public_key key = crypto_get_public_key(work->signer);
    struct crypto_sha256 fingerprint = crypto_fingerprint(&key);
    char text[CLI_TEXT_BYTES];

    buf_hex(&print, crypto_sha256_bytes(&fingerprint));
    (void)printf("exported:    %ju messages, %s, from %ju mailboxes\n", (uintmax_t)counts->messages,
                 cli_write_size(counts->octets, text), (uintmax_t)counts->mailboxes);
    (void)printf("position:    %jd, of %s (--at %jd gives the same again)\n",
                 (intmax_t)work->position.position_id,
                 cli_write_time(work->position.taken_usec, text),
                 (intmax_t)work->position.position_id);
    (void)printf("SHA-256:     %.*s\n", (int)hex.len, (const char *)hex.ptr);
    (void)printf("signed with: %.*s\n", (int)print.len, (const char *)print.ptr);
    if (counts->gone > 0)
        (void)printf("gone:        %ju of them, no longer at the source\n",
                     (uintmax_t)counts->gone);
    if (counts->unsearched > 0)
        (void)printf(
            "unsearched:  %ju messages whose text could not be searched wholly: `holdfast search` "
            "says why\n",
            (uintmax_t)counts->unsearched);
    if (counts->damaged + counts->unreadable > 0)
        (void)printf(
            "NOT EXPORTED: %ju damaged, %ju unreadable messages; manifest.csv names them\n",
            (uintmax_t)counts->damaged, (uintmax_t)counts->unreadable);
}

/* The file is written: signs it, records it, gives it its name. */
static bool finish(struct work *work)
{
    CLEANUP(buf_free) struct buf line = buf_create(512);
    struct cli *cli = work->cli;
    const char *slash = strrchr(work->file, '/');
    struct crypto_signature signature;
    struct bytes sums, hex;

    if (!hash_file(work))
        return false;
    buf_hex(&line, crypto_sha256_bytes(&work->sha256));
    buf_text(&line, "  ");
    buf_text(&line, slash == NULL ? work->file : slash + 1);
    buf_byte(&line, '\n');
    if (!buf_done(&line, &sums, &cli->err) ||
        !crypto_sign(work->signer, sums, &signature, &cli->err))
        return false;
    hex = bytes_slice(sums, 0, (size_t)2 * CRYPTO_SHA256_BYTES);
    /* First the record, then the file. */
    if (!audit_end(work, hex) || !cli_place_files(&work->placer, sums, &signature, &cli->err))
        return false;
    print_end(work, hex);
    return true;
}

/* ---- all of it ------------------------------------------------------------------------------------------ */

static bool prepare(struct work *work, struct secret **token, int orders)
{
    struct cli *cli = work->cli;

    return cli_open(cli, OPERATE_SERVICE_DATABASE) && load_signer(work) && find_accounts(work) &&
           find_position(work) &&
           auth_mint_operator_session(cli->session.db, work->account_ids, work->what.accounts.count,
                                      AUTH_OPERATOR_TTL_MAX_SECONDS, token, &cli->err) &&
           give_order(work, *token, orders);
}

static int run_with_reader(struct work *work, pid_t pid, int orders, int asks)
{
    CLEANUP(secret_free) struct secret *token = NULL;
    CLEANUP(fd_close) int order_fd = orders;
    struct cli *cli = work->cli;
    bool is_served = prepare(work, &token, orders) && serve_reader(work, orders, asks);
    struct err ignored = { .code = ERR_NONE };
    int status;

    fd_close(&order_fd);
    status = wait_for(pid);
    if (token != NULL &&
        !auth_end_session(cli->session.db, token, is_served ? &cli->err : &ignored))
        is_served = false;
    if (!is_served)
        return cli_fail(cli);
    if (status != EXIT_SUCCESS || !work->done.is_done)
        return status != EXIT_SUCCESS ? status : EXIT_FAILURE; /* the reader has said why */
    if (!finish(work))
        return cli_fail(cli);
    return work->done.counts.damaged + work->done.counts.unreadable > 0 ? EXIT_FAILURE
                                                                        : EXIT_SUCCESS;
}

/* The reader is forked before there is any secret or connection to inherit. */
static int run(struct work *work)
{
    CLEANUP(fd_close) int asks_fd = -1;
    int orders[2], asks[2];
    pid_t pid;

    if (pipe2(orders, O_CLOEXEC) != 0 || pipe2(asks, O_CLOEXEC) != 0) {
        (void)err_errno(&work->cli->err, "pipe");
        return cli_fail(work->cli);
    }
    pid = fork();
    if (pid == 0) {
        fd_close(&orders[1]);
        fd_close(&asks[0]);
        fd_close(&work->placer.orders);
        fd_close(&work->placer.answers);
        cli_run_export_reader(work->cli, &work->what, cli_export_files(&work->placer), orders[0],
                              asks[1]);
    }
    fd_close(&orders[0]);
    fd_close(&asks[1]);
    asks_fd = asks[0];
    if (pid < 0) {
        (void)err_errno(&work->cli->err, "start the reading child");
        fd_close(&orders[1]);
        return cli_fail(work->cli);
    }
    return run_with_reader(work, pid, orders[1], asks_fd);
}

int cmd_export(struct cli *cli, int argc, char **argv)
{
    struct work work = { .cli = cli, .what.format = "mbox", .placer = CLI_NO_PLACER };
    int status;

    if (!read_arguments(&work, argc, argv, &status))
        return status;
    if (!cli_start_placer(work.file, work.is_forced, &work.placer, &cli->err))
        return cli->err.code == ERR_SYNTAX ? cli_refuse(cli) : cli_fail(cli);
    status = cli_settle(cli, OPERATE_SERVICE_DATABASE) ? run(&work) : cli_fail(cli);
    cli_end_placer(&work.placer);
    crypto_free_signer(&work.signer);
    return status;
}
