/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holdfast account import: many accounts from a list (CSV), all of them or none.
 *
 * One transaction: a line that is wrong means that nothing was imported, and every line is looked at
 * all the same, so that one run tells all that is wrong. What is there already and as the list wants it
 * is left alone, so the same list may be imported again.
 */
#include "crypto/seal.h"
#include "db/db.h"
#include "holdfast/account_csv.h"
#include "holdfast/login_options.h"
#include "imap/mailbox.h"
#include "ingest/rule.h"
#include "net/tls.h"
#include "net/url.h"
#include "source/account.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    DRY_RUN = 256,
    UPDATE,
    ALLOW_PLAIN,
    AS_JSON,
    TOLD_MAX = 100, /* wrong or different lines that are told one by one */
    ROW_ARENA_BYTES = 8 << 20,
};

struct import {
    struct cli *cli;
    const char *path;
    bool is_dry, may_change, allow_plain, is_json;
    struct crypto_key *master;
    struct arena *arena; /* of one row */
    uint64_t counts[SOURCE_PUT_RESULTS];
    uint64_t wrong, told;
    json_t *errors, *differences;
    json_t *lines;                /* in which each name stands */
    struct bytes credential_name; /* the last one, which many rows share; in the command's arena */
    int64_t credential_id;
};

static const char *const results[SOURCE_PUT_RESULTS] = {
    [SOURCE_PUT_ADDED] = "added",
    [SOURCE_PUT_SAME] = "unchanged",
    [SOURCE_PUT_DIFFERS] = "different",
    [SOURCE_PUT_CHANGED] = "changed",
};

/* ---- what is told of a line ------------------------------------------------------------------------ */

static void tell_wrong(struct import *import, const struct account_row *row, const char *column,
                       struct bytes why)
{
    bool has_line = row->line != ACCOUNT_NO_LINE;

    if (import->wrong++ >= TOLD_MAX)
        return;
    if (import->is_json) {
        (void)json_array_append_new(
            import->errors,
            json_pack("{s:o, s:o, s:o}", "line",
                      has_line ? json_integer((json_int_t)row->line) : json_null(), "column",
                      column[0] != '\0' ? json_string(column) : json_null(), "text",
                      cli_json_message(why)));
        return;
    }
    cli_put_line(bytes_of_text(import->path), stderr);
    (void)fputc(':', stderr);
    if (has_line)
        (void)fprintf(stderr, "%ju:", (uintmax_t)row->line);
    if (column[0] != '\0')
        (void)fprintf(stderr, " %s:", column);
    (void)fputc(' ', stderr);
    cli_put_line(why, stderr);
    (void)fputc('\n', stderr);
}

/* "url, include" */
static void write_differences(struct buf *out, const struct source_put_result *result)
{
    static const struct {
        uint32_t edit;
        const char *column;
    } columns[] = {
        { SOURCE_EDIT_URL, "url" },
        { SOURCE_EDIT_TLS_CA, "tls_ca" },
        { SOURCE_EDIT_TLS_PINS, "tls_pin" },
        { SOURCE_EDIT_LOGIN_AS, "login_as" },
        { SOURCE_EDIT_INCLUDE, "include" },
        { SOURCE_EDIT_EXCLUDE, "exclude" },
        { SOURCE_EDIT_NAMESPACES, "namespace" },
        { SOURCE_EDIT_EVERY, "every" },
    };

    for (size_t i = 0; i < ARRAY_LEN(columns); i++) {
        if ((result->differs & columns[i].edit) == 0)
            continue;
        buf_text(out, out->len > 0 ? ", " : "");
        buf_text(out, columns[i].column);
    }
    if (result->secret_differs)
        buf_text(out, out->len > 0 ? ", login" : "login");
}

static void tell_difference(struct import *import, const struct account_row *row,
                            const struct source_put_result *result)
{
    CLEANUP(buf_free) struct buf columns = buf_create(CLI_ARENA_BYTES);

    if (import->told++ >= TOLD_MAX)
        return;
    write_differences(&columns, result);
    if (import->is_json) {
        (void)json_array_append_new(import->differences,
                                    json_pack("{s:I, s:o, s:o, s:b}", "line", (json_int_t)row->line,
                                              "name", cli_json_text(row->cells[ACCOUNT_NAME]),
                                              "columns", cli_json_text(buf_bytes(&columns)),
                                              "changed", result->what == SOURCE_PUT_CHANGED));
        return;
    }
    cli_put_line(bytes_of_text(import->path), stdout);
    (void)printf(":%ju: ", (uintmax_t)row->line);
    cli_print_text(row->cells[ACCOUNT_NAME]);
    (void)printf(" %s: %.*s\n", result->what == SOURCE_PUT_CHANGED ? "changed" : "differs",
                 (int)columns.len, (const char *)columns.ptr);
}

/* ---- a line ---------------------------------------------------------------------------------------- */

/* Settings of one line; they borrow from it. */
struct wanted {
    struct source_account_settings settings;
    struct net_url url;
    struct cli_list include, exclude, pins;
    uint32_t given; /* SOURCE_EDIT_* */
};

static bool has_column(const struct account_row *row, enum account_column column)
{
    return (row->columns >> column & 1) != 0;
}

/* A cell, noted as the one that is being read. */
static struct bytes look_at(const struct account_row *row, enum account_column column,
                            enum account_column *at)
{
    *at = column;
    return row->cells[column];
}

static bool take_url(struct cli *cli, struct bytes text, struct wanted *w)
{
    if (!net_read_url(text, &w->url, &cli->err))
        return false;
    cli_set_url(&w->settings, &w->url);
    return imap_is_utf8(w->settings.login) || err_fail(&cli->err, ERR_SYNTAX, "not UTF-8");
}

/* The next line of a cell that is not empty. False: there is none. */
static bool next_line(struct bytes *text, struct bytes *line)
{
    while (text->len > 0) {
        ssize_t end = bytes_find_byte(*text, '\n');

        *line = end >= 0 ? bytes_slice(*text, 0, (size_t)end) : *text;
        *text = bytes_slice(*text, line->len + 1, SIZE_MAX);
        if (line->len > 0 && line->ptr[line->len - 1] == '\r')
            line->len--;
        if (line->len > 0)
            return true;
    }
    return false;
}

static bool add_line(struct cli *cli, struct cli_list *list, struct bytes line)
{
    if (list->count == CLI_LIST_MAX)
        return err_fail(&cli->err, ERR_LIMIT, "more than %d values", CLI_LIST_MAX);
    list->items[list->count++] = line;
    return true;
}

static bool take_patterns(struct cli *cli, struct bytes text, struct cli_list *list)
{
    struct bytes line;

    while (next_line(&text, &line))
        if (!ingest_check_pattern(line, &cli->err) || !add_line(cli, list, line))
            return false;
    return true;
}

static bool take_pins(struct cli *cli, struct bytes text, struct cli_list *list)
{
    struct bytes line;
    struct net_pin pin;

    while (next_line(&text, &line))
        if (!net_read_pin(line, &pin, &cli->err) || !add_line(cli, list, line))
            return false;
    return true;
}

static bool take_namespaces(struct cli *cli, struct bytes text, uint32_t *out)
{
    while (text.len > 0) {
        if (scan_text(&text, BYTES("others")))
            *out |= SOURCE_NAMESPACE_OTHERS;
        else if (scan_text(&text, BYTES("shared")))
            *out |= SOURCE_NAMESPACE_SHARED;
        else if (!scan_byte(&text, ' '))
            return err_fail(&cli->err, ERR_SYNTAX, "shared, others or both expected");
    }
    return true;
}

static bool check_texts(struct cli *cli, const struct account_row *row, enum account_column *column)
{
    for (size_t i = 0; i < ACCOUNT_COLUMNS; i++) {
        *column = (enum account_column)i;
        if (i != ACCOUNT_PASSWORD && i != ACCOUNT_TLS_CA && !imap_is_utf8(row->cells[i]))
            return err_fail(&cli->err, ERR_SYNTAX, "not UTF-8");
    }
    return true;
}

/* Accounts of kind import have no URL: `holdfast account add` makes them. */
static bool take_kind(struct cli *cli, struct bytes text, enum source_kind *out)
{
    if (text.len == 0 || bytes_equal(text, source_kind_name(SOURCE_KIND_IMAP)))
        *out = SOURCE_KIND_IMAP;
    else if (bytes_equal(text, source_kind_name(SOURCE_KIND_JOURNAL)))
        *out = SOURCE_KIND_JOURNAL;
    else
        return err_fail(&cli->err, ERR_SYNTAX, "imap or journal expected");
    return true;
}

static bool take_every(struct import *import, struct bytes text, int32_t *out)
{
    char copy[CLI_TEXT_BYTES];

    if (text.len == 0)
        return true;
    (void)snprintf(copy, sizeof copy, "%.*s", (int)text.len, (const char *)text.ptr);
    return cli_read_duration(import->cli, copy, out);
}

/* *column: the one that is wrong. */
static bool read_wanted(struct import *import, const struct account_row *row, struct wanted *w,
                        enum account_column *column)
{
    struct cli *cli = import->cli;

    w->settings.name = row->cells[ACCOUNT_NAME];
    w->settings.tls_ca = row->cells[ACCOUNT_TLS_CA];
    w->settings.login_as = row->cells[ACCOUNT_LOGIN_AS];
    w->settings.every_seconds = SOURCE_EVERY_SECONDS;
    w->given = SOURCE_EDIT_URL | (has_column(row, ACCOUNT_KIND) ? SOURCE_EDIT_KIND : 0) |
               (has_column(row, ACCOUNT_TLS_CA) ? SOURCE_EDIT_TLS_CA : 0) |
               (has_column(row, ACCOUNT_TLS_PIN) ? SOURCE_EDIT_TLS_PINS : 0) |
               (has_column(row, ACCOUNT_LOGIN_AS) ? SOURCE_EDIT_LOGIN_AS : 0) |
               (has_column(row, ACCOUNT_INCLUDE) ? SOURCE_EDIT_INCLUDE : 0) |
               (has_column(row, ACCOUNT_EXCLUDE) ? SOURCE_EDIT_EXCLUDE : 0) |
               (has_column(row, ACCOUNT_NAMESPACE) ? SOURCE_EDIT_NAMESPACES : 0) |
               (has_column(row, ACCOUNT_EVERY) ? SOURCE_EDIT_EVERY : 0);
    if (!check_texts(cli, row, column) || !take_url(cli, look_at(row, ACCOUNT_URL, column), w) ||
        !take_kind(cli, look_at(row, ACCOUNT_KIND, column), &w->settings.kind) ||
        !take_patterns(cli, look_at(row, ACCOUNT_INCLUDE, column), &w->include) ||
        !take_patterns(cli, look_at(row, ACCOUNT_EXCLUDE, column), &w->exclude) ||
        !take_pins(cli, look_at(row, ACCOUNT_TLS_PIN, column), &w->pins) ||
        !take_namespaces(cli, look_at(row, ACCOUNT_NAMESPACE, column), &w->settings.namespaces) ||
        !take_every(import, look_at(row, ACCOUNT_EVERY, column), &w->settings.every_seconds))
        return false;
    w->settings.tls_pins = w->pins.items;
    w->settings.tls_pin_count = w->pins.count;
    w->settings.include = w->include.items;
    w->settings.include_count = w->include.count;
    w->settings.exclude = w->exclude.items;
    w->settings.exclude_count = w->exclude.count;
    return true;
}

static bool find_credential(struct import *import, struct bytes name, int64_t *out)
{
    struct cli *cli = import->cli;

    if (!bytes_equal(name, import->credential_name)) {
        if (!source_find_credential(cli->session.db, name, &import->credential_id, &cli->err) ||
            !arena_try_copy(cli->arena, name, CLI_ARENA_BYTES, &import->credential_name, &cli->err))
            return false;
    }
    *out = import->credential_id;
    return true;
}

/* *octets: owned by the caller. secret->octets stays NULL and its kind PASSWORD when none is given. */
static bool read_secret(struct import *import, const struct account_row *row,
                        struct secret **octets, struct source_secret *out,
                        enum account_column *column)
{
    *out = (struct source_secret){ .kind = SOURCE_SECRET_PASSWORD };
    *column = ACCOUNT_CREDENTIAL;
    if (row->cells[ACCOUNT_CREDENTIAL].len > 0) {
        out->kind = SOURCE_SECRET_CREDENTIAL;
        return find_credential(import, row->cells[ACCOUNT_CREDENTIAL], &out->credential_id);
    }
    *column = ACCOUNT_PASSWORD;
    if (row->cells[ACCOUNT_PASSWORD].len == 0)
        return true;
    if (!secret_create(row->cells[ACCOUNT_PASSWORD], octets, &import->cli->err))
        return false;
    out->octets = *octets;
    return true;
}

static bool audit_row(struct cli *cli, const struct source_put_result *result)
{
    if (result->what == SOURCE_PUT_ADDED)
        return cli_audit(cli, AUDIT_ACCOUNT_ADD, result->account_id, NULL);
    return result->what != SOURCE_PUT_CHANGED ||
           cli_audit(cli, AUDIT_ACCOUNT_EDIT, result->account_id,
                     AUDIT_FIELDS(AUDIT_BOOL("password", result->secret_differs),
                                  AUDIT_I64("edit", result->differs)));
}

/* A second line would be compared with what the first one made, and not be archived for itself. */
static bool note_name(struct import *import, const struct account_row *row)
{
    struct bytes name = row->cells[ACCOUNT_NAME];
    const char *key = (const char *)name.ptr;
    const json_t *line = json_object_getn(import->lines, key, name.len);

    if (line != NULL)
        return err_fail(&import->cli->err, ERR_SYNTAX, "the account stands in line %jd already",
                        (intmax_t)json_integer_value(line));
    (void)json_object_setn_new(import->lines, key, name.len, json_integer((json_int_t)row->line));
    return true;
}

/* True: told or done. False: cli->err; *column says whether it is about the line. */
static bool put_row(struct import *import, const struct account_row *row,
                    enum account_column *column)
{
    CLEANUP(secret_free) struct secret *octets = NULL;
    struct cli *cli = import->cli;
    struct wanted wanted = { .given = 0 };
    struct source_secret secret;
    struct source_put_result result;
    bool has_secret;

    if (!read_wanted(import, row, &wanted, column) ||
        !read_secret(import, row, &octets, &secret, column))
        return false;
    has_secret = octets != NULL || secret.kind == SOURCE_SECRET_CREDENTIAL;
    *column = ACCOUNT_NAME;
    if (!note_name(import, row) ||
        !source_put_account(cli->session.db, &wanted.settings, wanted.given, import->master,
                            has_secret ? &secret : NULL, import->may_change, import->arena, &result,
                            &cli->err) ||
        !audit_row(cli, &result))
        return false;
    import->counts[result.what]++;
    if (result.what == SOURCE_PUT_DIFFERS || result.what == SOURCE_PUT_CHANGED)
        tell_difference(import, row, &result);
    return true;
}

/* ---- the list -------------------------------------------------------------------------------------- */

/* What a line can be wrong in; anything else ends the import. */
static bool is_of_line(enum err_code code)
{
    return code == ERR_SYNTAX || code == ERR_DENIED || code == ERR_LIMIT || code == ERR_ABSENT;
}

static bool put_all(struct import *import, struct account_csv *csv)
{
    struct cli *cli = import->cli;
    struct account_row row;

    for (;;) {
        enum account_column column = ACCOUNT_NAME;

        arena_reset(import->arena);
        if (!account_csv_next(csv, &row, &cli->err))
            return false;
        if (row.line == 0)
            return true;
        if (row.is_wrong) {
            tell_wrong(import, &row, row.column, row.why);
            continue;
        }
        if (put_row(import, &row, &column))
            continue;
        if (!is_of_line(cli->err.code))
            return false;
        tell_wrong(import, &row, account_column_name(column), bytes_of_text(cli->err.text));
        err_clear(&cli->err);
    }
}

static void print_end(struct import *import)
{
    if (import->wrong > TOLD_MAX)
        (void)fprintf(stderr, "... and %ju more\n", (uintmax_t)(import->wrong - TOLD_MAX));
    if (import->wrong > 0) {
        (void)fprintf(stderr, "holdfast: nothing is imported: %ju line%s wrong\n",
                      (uintmax_t)import->wrong, import->wrong == 1 ? " is" : "s are");
        return;
    }
    if (import->told > TOLD_MAX)
        (void)printf("... and %ju more\n", (uintmax_t)(import->told - TOLD_MAX));
    for (size_t i = 0; i < SOURCE_PUT_RESULTS; i++)
        (void)printf("%s%ju %s", i == 0 ? "" : ", ", (uintmax_t)import->counts[i], results[i]);
    (void)puts(import->is_dry ? " (dry run: nothing is done)" : "");
    if (import->counts[SOURCE_PUT_DIFFERS] > 0)
        (void)puts("What differs stays as it is; --update changes it");
}

static int print_result(struct import *import)
{
    int status = import->wrong > 0 ? EXIT_USAGE : EXIT_SUCCESS;
    int printed;
    json_t *value;

    if (!import->is_json) {
        print_end(import);
        return status;
    }
    value = json_pack("{s:b, s:I, s:O, s:O}", "imported", import->wrong == 0 && !import->is_dry,
                      "wrong", (json_int_t)import->wrong, "errors", import->errors, "differences",
                      import->differences);
    for (size_t i = 0; i < SOURCE_PUT_RESULTS; i++)
        (void)json_object_set_new(value, results[i], json_integer((json_int_t)import->counts[i]));
    printed = cli_print_json(import->cli, value);
    return status != EXIT_SUCCESS ? status : printed;
}

static int import_list(struct import *import, struct account_csv *csv)
{
    CLEANUP(db_rollback) struct db_tx tx = { 0 };
    struct cli *cli = import->cli;

    if (!cli_open_database(cli) || !login_load_master(cli, &import->master) ||
        !db_begin(cli->session.db, DB_READ_COMMITTED, &tx, &cli->err) ||
        !source_lock_names(cli->session.db, &cli->err) || !put_all(import, csv))
        return cli_fail(cli);
    if (import->wrong == 0 && !import->is_dry && !db_commit(&tx, &cli->err))
        return cli_fail(cli);
    return print_result(import);
}

static void free_import(struct import *import)
{
    crypto_free_key(&import->master);
    arena_free(&import->arena);
    json_decref(import->errors);
    json_decref(import->differences);
    json_decref(import->lines);
}

int cmd_account_import(struct cli *cli, int argc, char **argv)
{
    static const struct option known[] = {
        { "dry-run", no_argument, NULL, DRY_RUN },
        { "update", no_argument, NULL, UPDATE },
        { "allow-plain", no_argument, NULL, ALLOW_PLAIN },
        { "json", no_argument, NULL, AS_JSON },
        { NULL, 0, NULL, 0 },
    };
    CLEANUP(free_import)
    struct import import = { .cli = cli,
                             .arena = arena_create(ROW_ARENA_BYTES),
                             .errors = json_array(),
                             .lines = json_object(),
                             .differences = json_array() };
    CLEANUP(account_csv_close) struct account_csv *csv = NULL;
    int status, option;

    while ((option = cli_next_option(cli, argc, argv, known, &status)) != -1) {
        if (option == CLI_STOP)
            return status;
        import.is_dry |= option == DRY_RUN;
        import.may_change |= option == UPDATE;
        import.allow_plain |= option == ALLOW_PLAIN;
        import.is_json |= option == AS_JSON;
    }
    import.path = cli_take_name(cli, argc, argv, "FILE", &status);
    if (import.path == NULL)
        return status;
    if (!account_csv_open(cli, import.path, import.allow_plain, &csv))
        return cli_fail(cli);
    return import_list(&import, csv);
}
