/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holdfast show: one message. The octets are read by a child that has no more rights in the database
 * than an auditor has: the reader's role and a token of its own, which is audited.
 */
#include "audit/append.h"
#include "auth/session.h"
#include "base/clock.h"
#include "base/fd.h"
#include "db/cluster.h"
#include "holdfast/cli.h"
#include "source/account.h"
#include "vault/pack.h"
#include "vault/read.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    TOKEN_SECONDS = 3600, /* a large message through a slow pipe */
    HASH_DIGITS_MIN = 8,
    PLACES_MAX = 100,
    BORROW_MS = 10000,
};

/* What was asked for: a hash, or a place. */
struct wanted {
    struct bytes hash; /* empty: a place */
    struct bytes account, path;
    uint32_t uid;
    bool is_raw;
};

/* What the child is told over a pipe once everything is open. Wiped by both. */
struct order {
    struct conf_runtime runtime;
    size_t token_len, password_len; /* password_len 0: libpq's own means */
    uint8_t token[AUDIT_TOKEN_BYTES];
    uint8_t password[256];
};

static void wipe_order(struct order *order)
{
    secret_wipe(order, sizeof *order);
}

/* ---- what is wanted -------------------------------------------------------------------------------- */

static bool is_hex(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = ascii_lower(text.ptr[i]);

        if (!ascii_is_digit(c) && (c < 'a' || c > 'f'))
            return false;
    }
    return text.len >= HASH_DIGITS_MIN && text.len <= 2 * CRYPTO_SHA256_BYTES;
}

static bool read_wanted(const char *text, struct wanted *out, struct err *err)
{
    struct bytes rest = bytes_of_text(text);
    struct bytes number;
    const char *mark = NULL;

    for (const char *at = text; (at = strstr(at, ";UID=")) != NULL; at++)
        mark = at;
    if (mark == NULL) {
        out->hash = rest;
        return is_hex(rest) ||
               err_fail(err, ERR_SYNTAX,
                        "'%s' is neither a SHA-256 (8 to 64 hex digits) nor ACCOUNT/PATH;UID=N",
                        text);
    }
    rest.len = (size_t)(mark - text);
    number = bytes_of_text(mark + 5);
    if (!scan_until_byte(&rest, '/', &out->account) || !scan_byte(&rest, '/') || rest.len == 0 ||
        !scan_u32(&number, &out->uid) || number.len > 0 || out->uid == 0)
        return err_fail(err, ERR_SYNTAX, "'%s': a place is written ACCOUNT/PATH;UID=N", text);
    out->path = rest;
    return true;
}

/* ---- the child --------------------------------------------------------------------------------------- */

/* One message and the places where it lies. */
struct found {
    const struct vault_found *places;
    size_t count;
};

static bool find_hash(struct vault_reader *reader, const struct wanted *wanted, struct arena *arena,
                      struct found *out, struct err *err)
{
    if (!vault_find_hash(reader, wanted->hash, PLACES_MAX, arena, &out->places, &out->count, err))
        return false;
    if (out->count == 0)
        return err_fail(err, ERR_ABSENT, "no message has this SHA-256");
    for (size_t i = 1; i < out->count; i++) {
        if (!bytes_equal(crypto_sha256_bytes(&out->places[0].placement.sha256),
                         crypto_sha256_bytes(&out->places[i].placement.sha256)))
            return err_fail(err, ERR_LIMIT, "more than one message begins so: give more digits");
    }
    return true;
}

static bool find_place(struct vault_reader *reader, const struct wanted *wanted,
                       struct arena *arena, struct found *out, struct err *err)
{
    struct vault_mailbox_row row;
    struct vault_uid_range range = { wanted->uid, wanted->uid };
    struct vault_placement_page page;
    struct vault_found *place = arena_new(arena, struct vault_found);
    struct vault_placement_query query = {
        .ranges = &range,
        .range_count = 1,
        .columns = VAULT_WITH_LOCATOR,
        .limit = 1,
    };

    if (!vault_find_mailbox(reader, wanted->account, wanted->path, arena, &row, err))
        return err_wrap(err, "mailbox");
    query.account_id = row.account_id;
    query.mailbox_id = row.mailbox_id;
    if (!vault_read_placements(reader, &query, arena, &page, err))
        return false;
    if (page.count == 0)
        return err_fail(err, ERR_ABSENT, "no message has UID %u there", wanted->uid);
    *place = (struct vault_found){
        .account_id = row.account_id,
        .mailbox_id = row.mailbox_id,
        .account_name = row.account_name,
        .path = row.path,
        .placement = page.rows[0],
    };
    out->places = place;
    out->count = 1;
    return true;
}

static bool audit_show(struct db_pool *pool, const struct secret *token,
                       const struct vault_found *place, struct err *err)
{
    CLEANUP(db_pool_return) struct db_loan loan = { 0 };
    struct audit_event event = {
        .kind = AUDIT_SHOW,
        .token = secret_bytes(token),
        .account_id = place->account_id,
        .mailbox_id = place->mailbox_id,
        .fields = AUDIT_FIELDS(AUDIT_I64("uid", place->placement.uid)),
    };

    return db_pool_borrow(pool, deadline_after_ms(BORROW_MS), &loan, err) &&
           audit_append_one(loan.db, &event, err);
}

static void print_facts(const struct found *found)
{
    CLEANUP(buf_free) struct buf hex = buf_create(2 * CRYPTO_SHA256_BYTES);
    char text[CLI_TEXT_BYTES];

    buf_hex(&hex, crypto_sha256_bytes(&found->places[0].placement.sha256));
    (void)fputs("SHA-256:   ", stdout);
    cli_print_text(buf_bytes(&hex));
    (void)printf("\nsize:      %ju bytes\n", (uintmax_t)found->places[0].placement.size_bytes);
    for (size_t i = 0; i < found->count; i++) {
        const struct vault_found *place = &found->places[i];

        (void)fputs("place:     ", stdout);
        cli_print_text(place->account_name);
        (void)fputc('/', stdout);
        cli_print_text(place->path);
        (void)printf(";UID=%u\n", place->placement.uid);
        (void)printf("received:  %s\n", cli_write_time(place->placement.internal_usec, text));
        (void)printf("archived:  %s\n", cli_write_time(place->placement.archived_usec, text));
        if (place->placement.is_gone)
            (void)printf("gone:      %s, at the source\n",
                         cli_write_time(place->placement.gone_usec, text));
    }
    (void)fputc('\n', stdout);
}

static bool print_octets(void *context, struct bytes octets, struct err *err)
{
    const struct wanted *wanted = context;
    size_t from = 0;

    if (wanted->is_raw)
        return fwrite(octets.ptr, 1, octets.len, stdout) == octets.len ||
               err_errno(err, "standard output");
    /* Without the CR of each line's end. */
    for (size_t i = 0; i < octets.len; i++) {
        if (octets.ptr[i] != '\r')
            continue;
        cli_print_text(bytes_slice(octets, from, i - from));
        from = i + 1;
    }
    cli_print_text(bytes_slice(octets, from, octets.len - from));
    return true;
}

static bool show(struct cli *cli, const struct wanted *wanted, const struct order *order,
                 struct err *err)
{
    CLEANUP(secret_free) struct secret *token = NULL;
    CLEANUP(secret_free) struct secret *password = NULL;
    CLEANUP(db_pool_free) struct db_pool *pool = NULL;
    CLEANUP(vault_close_reader) struct vault_reader *reader = NULL;
    struct operate_session place = { .conf = cli->conf, .runtime = order->runtime };
    struct vault_pack_opener opener = { vault_open_pack_in_folder, cli_packs_dir(cli) };
    struct db_target target;
    struct found found;

    if (!secret_create(bytes_of(order->token, order->token_len), &token, err) ||
        (order->password_len > 0 &&
         !secret_create(bytes_of(order->password, order->password_len), &password, err)))
        return false;
    target = operate_session_target(&place, db_role_name(DB_ROLE_READER), password);
    if (!db_pool_create(&target, 1, &pool, err) ||
        !vault_open_reader(pool, token, &opener, &reader, err))
        return false;
    if (wanted->hash.len > 0 ? !find_hash(reader, wanted, cli->arena, &found, err)
                             : !find_place(reader, wanted, cli->arena, &found, err))
        return false;
    /* First the record, then the content. */
    if (!audit_show(pool, token, &found.places[0], err))
        return err_wrap(err, "audit");
    if (!wanted->is_raw)
        print_facts(&found);
    return vault_stream_octets(reader, &found.places[0].placement.octets, 0,
                               found.places[0].placement.size_bytes, print_octets,
                               (void *)(uintptr_t)wanted, err);
}

static void run_child(struct cli *cli, const struct wanted *wanted, int orders)
{
    CLEANUP(wipe_order) struct order order;
    size_t len = 0;
    int status = EXIT_SUCCESS;

    (void)prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    while (len < sizeof order) {
        ssize_t got = read(orders, (uint8_t *)&order + len, sizeof order - len);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            _exit(EXIT_FAILURE); /* the parent has said why */
        len += (size_t)got;
    }
    if (!show(cli, wanted, &order, &cli->err))
        status = cli_fail(cli);
    if (fflush(stdout) != 0 && status == EXIT_SUCCESS)
        status = EXIT_FAILURE;
    _exit(status);
}

/* ---- the parent -------------------------------------------------------------------------------------- */

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

/* A token that sees no more accounts than needed. */
static bool mint_token(struct cli *cli, const struct wanted *wanted, struct secret **out)
{
    int64_t account_id;

    if (wanted->hash.len > 0)
        return auth_mint_operator_session(cli->session.db, NULL, 0, TOKEN_SECONDS, out, &cli->err);
    return source_find_account(cli->session.db, wanted->account, &account_id, &cli->err) &&
           auth_mint_operator_session(cli->session.db, &account_id, 1, TOKEN_SECONDS, out,
                                      &cli->err);
}

static bool give_order(struct cli *cli, const struct secret *token, int orders)
{
    CLEANUP(wipe_order) struct order order = { .runtime = cli->session.runtime };
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

static int wait_for(pid_t pid)
{
    int status;

    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR)
            return EXIT_FAILURE;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
}

static int show_by_child(struct cli *cli, const struct wanted *wanted)
{
    CLEANUP(secret_free) struct secret *token = NULL;
    CLEANUP(fd_close) int orders = -1;
    bool is_ordered;
    int status;
    int ends[2];
    pid_t pid;

    if (pipe2(ends, O_CLOEXEC) != 0) {
        (void)err_errno(&cli->err, "pipe");
        return cli_fail(cli);
    }
    orders = ends[1];
    pid = fork(); /* before there is any secret or connection to inherit */
    if (pid == 0) {
        fd_close(&orders);
        run_child(cli, wanted, ends[0]);
    }
    fd_close(&ends[0]);
    if (pid < 0) {
        (void)err_errno(&cli->err, "start the reading child");
        return cli_fail(cli);
    }
    is_ordered = cli_open(cli, OPERATE_SERVICE_DATABASE) && mint_token(cli, wanted, &token) &&
                 give_order(cli, token, orders);
    fd_close(&orders);
    status = wait_for(pid);
    if (!is_ordered)
        return cli_fail(cli);
    if (!auth_end_session(cli->session.db, token, &cli->err))
        return cli_fail(cli);
    return status;
}

int cmd_show(struct cli *cli, int argc, char **argv)
{
    enum {
        RAW = 256
    };
    static const struct option known[] = {
        { "raw", no_argument, NULL, RAW },
        { NULL, 0, NULL, 0 },
    };
    struct wanted wanted = { .is_raw = false };
    const char *id;
    int status, option;

    while ((option = cli_next_option(cli, argc, argv, known, &status)) != -1) {
        if (option == CLI_STOP)
            return status;
        wanted.is_raw = true;
    }
    id = cli_take_name(cli, argc, argv, "ID", &status);
    if (id == NULL)
        return status;
    if (!read_wanted(id, &wanted, &cli->err))
        return cli_refuse(cli);
    if (!cli_settle(cli, OPERATE_SERVICE_DATABASE))
        return cli_fail(cli);
    return show_by_child(cli, &wanted);
}
