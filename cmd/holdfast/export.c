/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holdfast export: mail as evidence (lib/export). This process holds the keys and the owner's
 * connection, and touches no mail.
 */
#include "holdfast/export.h"

#include "auth/session.h"
#include "base/fd.h"
#include "holdfast/reader.h"
#include "operate/install.h"
#include "search/language.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
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
    struct crypto_signer *signer;
    struct vault_position position;
    const int64_t *account_ids; /* as many as were named */
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

/* ---- what the reader asks ---------------------------------------------------------------------------- */

/* False: the file ends before, or could not be read. */
static bool read_from_start(int fd, uint8_t *room, size_t len)
{
    for (size_t at = 0; at < len;) {
        ssize_t got = pread(fd, room + at, len - at, (off_t)at);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        at += (size_t)got;
    }
    return true;
}

/* Signs a copy: the reader could change the file between the look at it and the signature, and within
 * the signature, too, which passes over its text twice and gives the key away when they differ. */
static bool sign_sums(struct work *work, uint64_t size, struct crypto_signature *out)
{
    struct err *err = &work->cli->err;
    void *copy;
    bool is_signed;

    if (size == 0 || size > SUMS_MAX_BYTES)
        return err_fail(err, ERR_LIMIT, "SHA256SUMS of %ju bytes: export less at once, or as mbox",
                        (uintmax_t)size);
    copy = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (copy == MAP_FAILED)
        return err_errno(err, "memory for SHA256SUMS");
    if (!read_from_start(cli_export_files(&work->what.placer).sums, copy, (size_t)size))
        is_signed = err_fail(err, ERR_SYSTEM, "SHA256SUMS cannot be read back");
    else if (!export_is_sums(bytes_of(copy, (size_t)size)))
        is_signed = err_fail(err, ERR_CORRUPT, "the reader asked to sign what is no SHA256SUMS");
    else
        is_signed = crypto_sign(work->signer, bytes_of(copy, (size_t)size), out, err);
    (void)munmap(copy, (size_t)size);
    return is_signed;
}

/* Until the reader is done, or gone. */
static bool serve_reader(struct work *work, const struct cli_child *reader)
{
    struct cli_export_ask ask;

    while (!work->done.is_done && cli_receive(reader->answers, &ask, sizeof ask)) {
        struct cli_export_answer answer = { .is_signed = false };

        if (ask.is_done) {
            work->done = ask;
            break;
        }
        answer.is_signed = sign_sums(work, ask.sums_bytes, &answer.signature);
        if (!answer.is_signed ||
            !fd_write_all(reader->orders, bytes_of(&answer, sizeof answer), &work->cli->err))
            return false;
    }
    return true;
}

/* ---- the end -------------------------------------------------------------------------------------------- */

/* Reads back what was written. */
static bool hash_file(struct work *work)
{
    CLEANUP(crypto_free_hasher) struct crypto_hasher *hasher = crypto_create_hasher();
    int fd = cli_export_files(&work->what.placer).out;
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
    if (!audit_end(work, hex) || !cli_place_files(&work->what.placer, sums, &signature, &cli->err))
        return false;
    print_end(work, hex);
    return true;
}

/* ---- all of it ------------------------------------------------------------------------------------------ */

/* A token that sees no more accounts than needed. */
static bool order_reader(struct work *work, struct cli_child *reader)
{
    struct cli_scope scope = { work->account_ids, work->what.accounts.count,
                               AUTH_OPERATOR_TTL_MAX_SECONDS };
    struct cli_export_order order = { work->position, crypto_get_public_key(work->signer) };

    return cli_order_child(reader, DB_ROLE_READER, &scope) &&
           fd_write_all(reader->orders, bytes_of(&order, sizeof order), &work->cli->err);
}

static int run(struct work *work)
{
    CLEANUP(cli_end_child) struct cli_child reader = CLI_NO_CHILD;
    struct cli *cli = work->cli;
    int status;

    if (!cli_fork_child(cli, cli_read_for_export, &work->what, &reader))
        return cli_fail(cli);
    if (!cli_open(cli, OPERATE_SERVICE_DATABASE) || !load_signer(work) ||
        !cli_find_accounts(cli, &work->what.accounts, &work->account_ids) || !find_position(work) ||
        !order_reader(work, &reader) || !serve_reader(work, &reader)) {
        cli_end_child(&reader); /* it speaks first */
        return cli_fail(cli);
    }
    status = cli_await_child(&reader, NULL, 0);
    if (status != EXIT_SUCCESS || !work->done.is_done)
        return status != EXIT_SUCCESS ? status : EXIT_FAILURE; /* the reader has said why */
    if (!finish(work))
        return cli_fail(cli);
    return work->done.counts.damaged + work->done.counts.unreadable > 0 ? EXIT_FAILURE
                                                                        : EXIT_SUCCESS;
}

int cmd_export(struct cli *cli, int argc, char **argv)
{
    struct work work = { .cli = cli, .what = { .format = "mbox", .placer = CLI_NO_PLACER } };
    int status;

    if (!read_arguments(&work, argc, argv, &status))
        return status;
    if (!cli_start_placer(work.file, work.is_forced, &work.what.placer, &cli->err))
        return cli->err.code == ERR_SYNTAX ? cli_refuse(cli) : cli_fail(cli);
    status = cli_settle(cli, OPERATE_SERVICE_DATABASE) ? run(&work) : cli_fail(cli);
    cli_end_placer(&work.what.placer);
    crypto_free_signer(&work.signer);
    return status;
}
