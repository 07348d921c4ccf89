/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "holdfast/cli.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    COLUMNS_MAX = 12
};

/* ---- values ------------------------------------------------------------------------------------- */

const char *cli_write_size(uint64_t bytes, char text[CLI_TEXT_BYTES])
{
    static const char *const units[] = { "bytes", "kB", "MB", "GB", "TB", "PB", "EB" };
    size_t unit = 0;
    uint64_t tenths = bytes;

    if (bytes < 1000) {
        (void)snprintf(text, CLI_TEXT_BYTES, "%ju bytes", (uintmax_t)bytes);
        return text;
    }
    for (tenths = bytes / 100, unit = 1; tenths >= 10000; tenths /= 1000)
        unit++;
    (void)snprintf(text, CLI_TEXT_BYTES, "%ju.%ju %s", (uintmax_t)(tenths / 10),
                   (uintmax_t)(tenths % 10), units[unit]);
    return text;
}

const char *cli_write_time(int64_t usec, char text[CLI_TEXT_BYTES])
{
    char full[CLOCK_TEXT_BYTES];

    if (usec == 0)
        return "-";
    if (usec == INT64_MAX)
        return "never";
    clock_format_rfc3339(usec, full);
    full[10] = ' ';
    (void)snprintf(text, CLI_TEXT_BYTES, "%.16s", full);
    return text;
}

const char *cli_write_span(int64_t seconds, char text[CLI_TEXT_BYTES])
{
    static const struct {
        int64_t seconds;
        char letter;
    } units[] = { { 86400, 'd' }, { 3600, 'h' }, { 60, 'm' }, { 1, 's' } };

    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (seconds % units[i].seconds == 0 && seconds >= units[i].seconds) {
            (void)snprintf(text, CLI_TEXT_BYTES, "%jd%c", (intmax_t)(seconds / units[i].seconds),
                           units[i].letter);
            return text;
        }
    }
    return "0s";
}

const char *cli_write_local(int64_t usec, int16_t zone, char text[CLI_TEXT_BYTES])
{
    return cli_write_time(usec + zone * INT64_C(60000000), text);
}

const char *cli_write_rfc3339(int64_t usec, int16_t zone, char text[CLI_TEXT_BYTES])
{
    char full[CLOCK_TEXT_BYTES];
    int minutes = zone < 0 ? -zone : zone;

    clock_format_rfc3339(usec + zone * INT64_C(60000000), full);
    (void)snprintf(text, CLI_TEXT_BYTES, "%.19s%c%02d:%02d", full, zone < 0 ? '-' : '+',
                   minutes / 60 % 100, minutes % 60);
    return text;
}

/* ---- tables --------------------------------------------------------------------------------------- */

/* Cells are kept in the command's arena until printed: widths are known at the end only. */
struct cell {
    struct bytes text;
    struct cell *next;
};

struct cli_table {
    struct arena *arena;
    size_t columns;
    size_t widths[COLUMNS_MAX];
    bool is_number[COLUMNS_MAX];
    size_t count;
    struct cell *first, *last;
};

struct cli_table *cli_create_table(struct cli *cli, const char *const *header, size_t columns)
{
    struct cli_table *table = arena_new(cli->arena, struct cli_table);

    assert(columns <= COLUMNS_MAX);
    table->arena = cli->arena;
    table->columns = columns;
    for (size_t i = 0; i < columns; i++)
        cli_add_text(table, header[i]);
    return table;
}

void cli_add_cell(struct cli_table *table, struct bytes text)
{
    struct cell *cell = arena_new(table->arena, struct cell);
    size_t column = table->count++ % table->columns;

    *cell = (struct cell){ .text = text };
    if (table->last == NULL)
        table->first = cell;
    else
        table->last->next = cell;
    table->last = cell;
    if (cli_width(text) > table->widths[column])
        table->widths[column] = cli_width(text);
}

void cli_add_text(struct cli_table *table, const char *text)
{
    cli_add_cell(table, bytes_of_text(arena_text(table->arena, text)));
}

void cli_add_number(struct cli_table *table, uint64_t number)
{
    char text[24];

    table->is_number[table->count % table->columns] = true;
    (void)snprintf(text, sizeof text, "%ju", (uintmax_t)number);
    cli_add_text(table, text);
}

void cli_print_table(struct cli_table *table)
{
    size_t index = 0;

    assert(table->count % table->columns == 0);
    for (const struct cell *cell = table->first; cell != NULL; cell = cell->next, index++) {
        size_t column = index % table->columns;
        bool is_last = column + 1 == table->columns;
        int gap = (int)(table->widths[column] - cli_width(cell->text));

        if (table->is_number[column])
            (void)printf("%*s", gap, "");
        cli_print_cell(cell->text, 0, NULL);
        if (!table->is_number[column] && !is_last)
            (void)printf("%*s", gap, "");
        (void)fputs(is_last ? "\n" : "  ", stdout);
    }
    table->first = table->last = NULL;
    table->count = 0;
}

void cli_set_table_arena(struct cli_table *table, struct arena *arena)
{
    table->arena = arena;
}

/* ---- JSON ------------------------------------------------------------------------------------------- */

json_t *cli_json_text(struct bytes text)
{
    json_t *value = json_stringn((const char *)text.ptr, text.len);

    return value != NULL ? value : json_null();
}

json_t *cli_json_message(struct bytes text)
{
    json_t *value = json_stringn((const char *)text.ptr, text.len);
    char *shown = NULL;
    size_t len = 0;
    FILE *out;

    if (value != NULL)
        return value;
    out = open_memstream(&shown, &len);
    if (out != NULL) {
        cli_put_line(text, out);
        (void)fclose(out);
        value = json_stringn(shown, len);
    }
    free(shown);
    return value != NULL ? value : json_null();
}

json_t *cli_json_time(int64_t usec)
{
    char text[CLOCK_TEXT_BYTES];

    if (usec == 0 || usec == INT64_MAX)
        return json_null();
    clock_format_rfc3339(usec, text);
    return json_string(text);
}

static bool print_value(struct cli *cli, json_t *value)
{
    char *text = value == NULL ? NULL : json_dumps(value, JSON_INDENT(2));

    json_decref(value);
    if (text == NULL)
        return err_fail(&cli->err, ERR_SYSTEM, "out of memory for JSON");
    (void)fputs(text, stdout);
    free(text);
    return true;
}

int cli_print_json(struct cli *cli, json_t *value)
{
    if (!print_value(cli, value))
        return cli_fail(cli);
    (void)putchar('\n');
    return EXIT_SUCCESS;
}

bool cli_print_json_item(struct cli *cli, json_t *value, bool is_first)
{
    (void)fputs(is_first ? "\n" : ",\n", stdout);
    return print_value(cli, value);
}

bool cli_end_output(void)
{
    if (fflush(stdout) == 0 && ferror(stdout) == 0)
        return true;
    (void)fputs("holdfast: standard output could not be written\n", stderr);
    return false;
}
