/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holdfast show: one message, read by a child with an auditor's rights (reader.c).
 */
#include "holdfast/cli.h"
#include "vault/read.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    HASH_DIGITS_MIN = 8,
    PLACES_MAX = 100,
};

/* What was asked for: a hash, or a place. */
struct wanted {
    struct bytes hash; /* empty: a place */
    struct bytes account, path;
    uint32_t uid;
    bool is_raw;
};

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

static int show(struct cli_reader *reader, void *context)
{
    const struct wanted *wanted = context;
    struct cli *cli = reader->cli;
    const struct vault_placement *placement;
    struct audit_event event = { .kind = AUDIT_SHOW };
    struct found found;

    if (wanted->hash.len > 0 ? !find_hash(reader->vault, wanted, cli->arena, &found, &cli->err)
                             : !find_place(reader->vault, wanted, cli->arena, &found, &cli->err))
        return cli_fail(cli);
    placement = &found.places[0].placement;
    event.account_id = found.places[0].account_id;
    event.mailbox_id = found.places[0].mailbox_id;
    event.fields = AUDIT_FIELDS(AUDIT_I64("uid", placement->uid));
    /* First the record, then the content. */
    if (!cli_append_audit(reader, &event))
        return cli_fail(cli);
    if (!wanted->is_raw)
        print_facts(&found);
    if (!vault_stream_octets(reader->vault, &placement->octets, 0, placement->size_bytes,
                             print_octets, context, &cli->err))
        return cli_fail(cli);
    return EXIT_SUCCESS;
}

/* ---- the parent -------------------------------------------------------------------------------------- */

/* A place names its account; a hash may be anywhere. */
static bool prepare(struct cli *cli, void *context, const int64_t **accounts, size_t *count,
                    int64_t *number)
{
    const struct wanted *wanted = context;
    struct cli_list names = { .items = { wanted->account }, .count = 1 };

    (void)number;
    return wanted->hash.len > 0 || cli_find_accounts(cli, &names, accounts, count);
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
    return cli_read_by_child(cli, &(struct cli_reading){ show, prepare, &wanted });
}
