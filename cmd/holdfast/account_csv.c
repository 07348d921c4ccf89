/* SPDX-License-Identifier: Apache-2.0 */
#include "holdfast/account_csv.h"

#include "base/csv.h"
#include "base/fd.h"
#include "net/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    CHUNK_BYTES = 64 << 10,
    ROW_BYTES_MAX = CSV_ROW_BYTES + CLI_CA_MAX_BYTES + SECRET_MAX_BYTES,
};

#define BIT(column) (UINT32_C(1) << (column))
#define PASSWORD_COLUMNS                                                                           \
    (BIT(ACCOUNT_PASSWORD_FILE) | BIT(ACCOUNT_PASSWORD_COMMAND) | BIT(ACCOUNT_PASSWORD))

static const char *const names[ACCOUNT_COLUMNS] = {
    [ACCOUNT_NAME] = "name",
    [ACCOUNT_URL] = "url",
    [ACCOUNT_KIND] = "kind",
    [ACCOUNT_PASSWORD_FILE] = "password_file",
    [ACCOUNT_PASSWORD_COMMAND] = "password_command",
    [ACCOUNT_PASSWORD] = "password",
    [ACCOUNT_CREDENTIAL] = "credential",
    [ACCOUNT_TLS_CA] = "tls_ca",
    [ACCOUNT_TLS_PIN] = "tls_pin",
    [ACCOUNT_LOGIN_AS] = "login_as",
    [ACCOUNT_INCLUDE] = "include",
    [ACCOUNT_EXCLUDE] = "exclude",
    [ACCOUNT_NAMESPACE] = "namespace",
    [ACCOUNT_EVERY] = "every",
};

const char *account_column_name(enum account_column column)
{
    return column == ACCOUNT_COLUMNS ? "" : names[column];
}

/* What goes before the octets of a row, over the pipe. */
struct head {
    uint64_t line;
    uint32_t columns;
    uint32_t is_wrong;
    uint32_t wrong_column;
    uint32_t sizes[ACCOUNT_COLUMNS]; /* is_wrong: the first alone, of the text */
};

/* ---- the child ------------------------------------------------------------------------------------- */

struct reading {
    struct cli *cli;
    int out;
    bool allow_plain, is_private;
    enum account_column order[CSV_FIELDS_MAX];
    size_t fields;    /* of the header; 0: not read yet */
    uint32_t columns; /* 1 << column */
    struct buf cells[ACCOUNT_COLUMNS];
    struct buf ca_path; /* of the certificates in `ca`, which many rows share */
    struct buf ca;
};

static bool send_row(struct reading *r, uint64_t line, struct err *err)
{
    struct head head = { .line = line, .columns = r->columns };

    for (size_t i = 0; i < ACCOUNT_COLUMNS; i++)
        head.sizes[i] = (uint32_t)r->cells[i].len;
    if (!fd_write_all(r->out, bytes_of(&head, sizeof head), err))
        return false;
    for (size_t i = 0; i < ACCOUNT_COLUMNS; i++)
        if (!fd_write_all(r->out, buf_bytes(&r->cells[i]), err))
            return false;
    return true;
}

static bool send_wrong(struct reading *r, uint64_t line, size_t column, const char *why,
                       struct err *err)
{
    struct bytes text = bytes_of_text(why);
    struct head head = { .line = line,
                         .is_wrong = 1,
                         .wrong_column = (uint32_t)column,
                         .sizes = { (uint32_t)text.len } };

    return fd_write_all(r->out, bytes_of(&head, sizeof head), err) &&
           fd_write_all(r->out, text, err);
}

static size_t column_of(struct bytes name)
{
    size_t column = 0;

    while (column < ACCOUNT_COLUMNS && !bytes_equal_nocase(name, bytes_of_text(names[column])))
        column++;
    return column;
}

/* Which columns there are. A wrong header ends the reading. */
static bool take_header(struct reading *r, const struct csv_row *row, struct err *err)
{
    const uint32_t needed = BIT(ACCOUNT_NAME) | BIT(ACCOUNT_URL);
    const uint32_t repeatable = BIT(ACCOUNT_INCLUDE) | BIT(ACCOUNT_EXCLUDE) | BIT(ACCOUNT_TLS_PIN);

    for (size_t i = 0; i < row->count; i++) {
        size_t column = column_of(row->fields[i]);

        if (column == ACCOUNT_COLUMNS)
            return err_fail(
                err, ERR_SYNTAX,
                "no column is called '%.*s': there are name, url, kind, password_file, "
                "password_command, credential, tls_ca, tls_pin, login_as, include, exclude, "
                "namespace and every",
                (int)bytes_slice(row->fields[i], 0, 40).len, (const char *)row->fields[i].ptr);
        if ((r->columns & ~repeatable & BIT(column)) != 0)
            return err_fail(err, ERR_SYNTAX, "two columns are called %s", names[column]);
        r->columns |= BIT(column);
        r->order[i] = (enum account_column)column;
    }
    r->fields = row->count;
    if ((r->columns & needed) != needed)
        return err_fail(err, ERR_SYNTAX,
                        "the first line must name the columns, name and url at least");
    if ((r->columns & BIT(ACCOUNT_PASSWORD)) == 0)
        return true;
    if (!r->allow_plain)
        return err_fail(err, ERR_DENIED,
                        "passwords do not belong into a list: give password_file or "
                        "password_command, or --allow-plain");
    return r->is_private ||
           err_fail(err, ERR_DENIED,
                    "others can read this file with its passwords: chmod 600 it first");
}

static char *text_of(struct reading *r, enum account_column column)
{
    const struct buf *cell = &r->cells[column];
    char *text = arena_new_array(r->cli->arena, char, cell->len + 1);

    memcpy(text, cell->ptr, cell->len);
    text[cell->len] = '\0';
    return text;
}

/* The password in place of what says where it is. *column: the one that is wrong. */
static bool find_password(struct reading *r, enum account_column *column)
{
    CLEANUP(secret_free) struct secret *password = NULL;
    size_t given = 0;

    for (size_t i = 0; i < ACCOUNT_COLUMNS; i++)
        if (((PASSWORD_COLUMNS | BIT(ACCOUNT_CREDENTIAL)) & BIT(i)) != 0 && r->cells[i].len > 0) {
            *column = (enum account_column)i;
            given++;
        }
    if (given > 1)
        return err_fail(&r->cli->err, ERR_SYNTAX, "more than one way to log in is given");
    if (given == 0 || *column == ACCOUNT_CREDENTIAL || *column == ACCOUNT_PASSWORD)
        return true;
    if (*column == ACCOUNT_PASSWORD_FILE
            ? !cli_read_password(r->cli, text_of(r, *column), &password)
            : !cli_run_password_command(r->cli, text_of(r, *column), &password))
        return false;
    buf_append(&r->cells[ACCOUNT_PASSWORD], secret_bytes(password));
    return true;
}

static bool read_certificates(struct reading *r)
{
    CLEANUP(net_free_tls) struct net_tls *tls = NULL;
    struct bytes path = buf_bytes(&r->cells[ACCOUNT_TLS_CA]);
    char *text = text_of(r, ACCOUNT_TLS_CA);

    if (bytes_equal(path, buf_bytes(&r->ca_path)))
        return true;
    buf_reset(&r->ca_path, CSV_ROW_BYTES);
    buf_reset(&r->ca, CLI_CA_MAX_BYTES);
    if (!net_create_tls_client(text, &tls, &r->cli->err) ||
        !file_read(text, CLI_CA_MAX_BYTES, &r->ca, &r->cli->err))
        return false;
    buf_append(&r->ca_path, path);
    return true;
}

static bool resolve(struct reading *r, enum account_column *column)
{
    if (!find_password(r, column))
        return false;
    *column = ACCOUNT_TLS_CA;
    if (r->cells[ACCOUNT_TLS_CA].len == 0)
        return true;
    if (!read_certificates(r))
        return false;
    buf_reset(&r->cells[ACCOUNT_TLS_CA], CLI_CA_MAX_BYTES);
    buf_append(&r->cells[ACCOUNT_TLS_CA], buf_bytes(&r->ca));
    return true;
}

static bool take_row(struct reading *r, const struct csv_row *row, struct err *err)
{
    enum account_column column = ACCOUNT_COLUMNS;
    bool is_sent;

    arena_reset(r->cli->arena);
    for (size_t i = 0; i < ACCOUNT_COLUMNS; i++)
        buf_reset(&r->cells[i], ROW_BYTES_MAX);
    if (row->count != r->fields) {
        (void)err_fail(&r->cli->err, ERR_SYNTAX, "%zu fields, where the first line names %zu",
                       row->count, r->fields);
        is_sent = send_wrong(r, row->line, ACCOUNT_COLUMNS, r->cli->err.text, err);
        err_clear(&r->cli->err);
        return is_sent;
    }
    for (size_t i = 0; i < row->count; i++) {
        struct buf *cell = &r->cells[r->order[i]];

        if (cell->len > 0 && row->fields[i].len > 0)
            buf_byte(cell, '\n');
        buf_append(cell, row->fields[i]);
    }
    if (resolve(r, &column))
        return send_row(r, row->line, err);
    is_sent = send_wrong(r, row->line, column, r->cli->err.text, err);
    err_clear(&r->cli->err);
    return is_sent;
}

/* False: the end of the reading; *err says why, unless that has been sent. */
static bool take_any_row(struct reading *r, const struct csv_row *row, struct err *err)
{
    struct err wrong = { 0 };

    if (r->fields > 0)
        return take_row(r, row, err);
    if (take_header(r, row, &wrong))
        return true;
    (void)send_wrong(r, row->line, ACCOUNT_COLUMNS, wrong.text, err);
    return false;
}

static bool read_rows(struct reading *r, struct csv_reader *csv, int fd, struct err *err)
{
    static uint8_t chunk[CHUNK_BYTES];
    const struct csv_row *row;

    for (;;) {
        ssize_t got = read(fd, chunk, sizeof chunk);
        struct bytes octets = bytes_of(chunk, got > 0 ? (size_t)got : 0);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_errno(err, "read the list");
        if (got == 0)
            break;
        while (octets.len > 0)
            if (!csv_read_row(csv, &octets, &row, err) ||
                (row != NULL && !take_any_row(r, row, err)))
                return false;
    }
    if (!csv_end_rows(csv, &row, err) || (row != NULL && !take_any_row(r, row, err)))
        return false;
    return r->fields > 0 || err_fail(err, ERR_SYNTAX, "the list is empty");
}

_Noreturn static void run_child(struct cli *cli, int fd, int out, bool allow_plain)
{
    struct reading r = { .cli = cli, .out = out, .allow_plain = allow_plain };
    struct csv_reader *csv = csv_create_reader();
    struct stat facts;
    struct err err = { 0 };

    for (size_t i = 0; i < ACCOUNT_COLUMNS; i++)
        r.cells[i] = buf_create(ROW_BYTES_MAX);
    r.ca_path = buf_create(CSV_ROW_BYTES);
    r.ca = buf_create(CLI_CA_MAX_BYTES);
    r.is_private = fstat(fd, &facts) == 0 && (facts.st_mode & 077) == 0;
    if (!read_rows(&r, csv, fd, &err) && err.code != ERR_NONE) {
        struct err closed = { 0 };

        (void)send_wrong(&r, ACCOUNT_NO_LINE, ACCOUNT_COLUMNS, err.text, &closed);
    }
    _exit(0);
}

/* ---- the parent ------------------------------------------------------------------------------------ */

struct account_csv {
    pid_t pid;
    int in;
    struct buf octets; /* of the row */
};

bool account_csv_open(struct cli *cli, const char *path, bool allow_plain, struct account_csv **out)
{
    CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    int ends[2];
    struct account_csv *csv;
    pid_t pid;

    if (fd < 0)
        return err_errno(&cli->err, "%s", path);
    if (pipe2(ends, O_CLOEXEC) != 0)
        return err_errno(&cli->err, "pipe");
    pid = fork();
    if (pid == 0) {
        fd_close(&ends[0]);
        run_child(cli, fd, ends[1], allow_plain);
    }
    fd_close(&ends[1]);
    if (pid < 0) {
        fd_close(&ends[0]);
        return err_errno(&cli->err, "a process that reads the list");
    }
    csv = arena_new(cli->arena, struct account_csv);
    *csv = (struct account_csv){ .pid = pid, .in = ends[0], .octets = buf_create(ROW_BYTES_MAX) };
    *out = csv;
    return true;
}

static bool read_whole(int fd, void *room, size_t size, size_t *got, struct err *err)
{
    *got = 0;
    while (*got < size) {
        ssize_t now = read(fd, (uint8_t *)room + *got, size - *got);

        if (now < 0 && errno == EINTR)
            continue;
        if (now < 0)
            return err_errno(err, "read from the process that reads the list");
        if (now == 0)
            break;
        *got += (size_t)now;
    }
    return true;
}

static bool read_octets(struct account_csv *csv, size_t size, struct err *err)
{
    uint8_t *room;
    size_t got;

    if (csv->octets.ptr != NULL)
        secret_wipe(csv->octets.ptr, csv->octets.cap);
    buf_reset(&csv->octets, ROW_BYTES_MAX);
    room = buf_reserve(&csv->octets, size);
    if (room == NULL)
        return err_fail(err, ERR_LIMIT, "a row of %zu octets", size);
    if (!read_whole(csv->in, room, size, &got, err))
        return false;
    buf_commit(&csv->octets, got);
    return got == size || err_fail(err, ERR_SYSTEM, "the process that reads the list has failed");
}

bool account_csv_next(struct account_csv *csv, struct account_row *out, struct err *err)
{
    struct head head;
    size_t got, total = 0, at = 0;

    *out = (struct account_row){ .column = "" };
    if (!read_whole(csv->in, &head, sizeof head, &got, err))
        return false;
    if (got == 0)
        return true;
    if (got < sizeof head)
        return err_fail(err, ERR_SYSTEM, "the process that reads the list has failed");
    for (size_t i = 0; i < ACCOUNT_COLUMNS; i++)
        total += head.sizes[i];
    if (!read_octets(csv, total, err))
        return false;
    out->line = head.line;
    out->columns = head.columns;
    out->is_wrong = head.is_wrong != 0;
    if (out->is_wrong) {
        out->column = account_column_name((enum account_column)head.wrong_column);
        out->why = buf_bytes(&csv->octets);
        return true;
    }
    for (size_t i = 0; i < ACCOUNT_COLUMNS; i++) {
        out->cells[i] = bytes_slice(buf_bytes(&csv->octets), at, head.sizes[i]);
        at += head.sizes[i];
    }
    return true;
}

void account_csv_close(struct account_csv **csv)
{
    struct account_csv *dead = *csv;

    *csv = NULL;
    if (dead == NULL)
        return;
    fd_close(&dead->in);
    (void)kill(dead->pid, SIGTERM);
    while (waitpid(dead->pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    if (dead->octets.ptr != NULL)
        secret_wipe(dead->octets.ptr, dead->octets.cap);
    buf_free(&dead->octets);
}
