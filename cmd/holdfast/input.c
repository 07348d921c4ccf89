/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/fd.h"
#include "holdfast/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

enum {
    OPTIONS_MAX = 40
};

int cli_next_option(struct cli *cli, int argc, char **argv, const struct option *known,
                    int *exit_status)
{
    struct option all[OPTIONS_MAX] = { { 0 } };
    char letters[2 * OPTIONS_MAX + 2] = ":";
    size_t count = 0, used = 1;
    int option;

    while (known[count].name != NULL) {
        assert(count + 2 < OPTIONS_MAX);
        all[count] = known[count];
        if (known[count].val < CLI_HELP) {
            letters[used++] = (char)known[count].val;
            if (known[count].has_arg == required_argument)
                letters[used++] = ':';
        }
        count++;
    }
    all[count] = (struct option){ "help", no_argument, NULL, CLI_HELP };
    opterr = 0;
    if (!cli->has_begun_options) {
        cli->has_begun_options = true;
        optind = 0; /* begins anew: main has read others before */
    }
    option = getopt_long(argc, argv, letters, all, NULL);
    if (option == CLI_HELP) {
        *exit_status = cli_help(cli);
        return CLI_STOP;
    }
    if (option == '?' || option == ':') {
        *exit_status = cli_usage(cli, option == ':' ? "%s needs a value" : "unknown option '%s'",
                                 argv[optind - 1]);
        return CLI_STOP;
    }
    return option;
}

bool cli_take_flag(struct cli *cli, int argc, char **argv, const char *name, bool *is_given,
                   int *exit_status)
{
    const struct option known[] = {
        { name, no_argument, NULL, CLI_HELP + 1 },
        { NULL, 0, NULL, 0 },
    };
    int option;

    while ((option = cli_next_option(cli, argc, argv, known, exit_status)) != -1) {
        if (option == CLI_STOP)
            return false;
        *is_given = true;
    }
    return true;
}

bool cli_take_nothing(struct cli *cli, int argc, char **argv, int *exit_status)
{
    if (optind >= argc)
        return true;
    *exit_status = cli_usage(cli, "'%s' is too much", argv[optind]);
    return false;
}

const char *cli_take_name(struct cli *cli, int argc, char **argv, const char *what,
                          int *exit_status)
{
    if (optind >= argc) {
        *exit_status = cli_usage(cli, "%s is missing", what);
        return NULL;
    }
    if (optind + 1 < argc) {
        *exit_status = cli_usage(cli, "one %s, please: '%s' is too much", what, argv[optind + 1]);
        return NULL;
    }
    return argv[optind];
}

/* ---- passwords ------------------------------------------------------------------------------------ */

/* The first line of what is read, without its end. octets: wiped by the caller. */
static bool read_line(int fd, uint8_t octets[SECRET_MAX_BYTES], size_t *out, struct err *err)
{
    size_t len = 0;

    while (len < SECRET_MAX_BYTES && memchr(octets, '\n', len) == NULL) {
        ssize_t got = read(fd, octets + len, SECRET_MAX_BYTES - len);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_errno(err, "read the password");
        if (got == 0)
            break;
        len += (size_t)got;
    }
    if (memchr(octets, '\n', len) != NULL)
        len = (size_t)((const uint8_t *)memchr(octets, '\n', len) - octets);
    else if (len == SECRET_MAX_BYTES)
        return err_fail(err, ERR_LIMIT, "the password is longer than %d bytes", SECRET_MAX_BYTES);
    if (len > 0 && octets[len - 1] == '\r')
        len--;
    if (len == 0)
        return err_fail(err, ERR_SYNTAX, "the password is empty");
    *out = len;
    return true;
}

static bool read_password(int fd, struct secret **out, struct err *err)
{
    uint8_t octets[SECRET_MAX_BYTES];
    size_t len = 0;
    bool is_read =
        read_line(fd, octets, &len, err) && secret_create(bytes_of(octets, len), out, err);

    secret_wipe(octets, sizeof octets);
    return is_read;
}

/* Waits for a line of the terminal. False: for a signal that would end the command. */
static bool await_line(const sigset_t *signals)
{
    CLEANUP(fd_close) int signal_fd = signalfd(-1, signals, SFD_CLOEXEC);
    struct pollfd polls[] = {
        { .fd = STDIN_FILENO, .events = POLLIN },
        { .fd = signal_fd, .events = POLLIN },
    };

    while (poll(polls, ARRAY_LEN(polls), -1) < 0 && errno == EINTR)
        continue;
    return polls[1].revents == 0;
}

/* From a terminal without echo, which comes back also when Ctrl-C ends the command. */
static bool ask_password(struct secret **out, struct err *err)
{
    struct termios before, quiet;
    sigset_t signals, kept;
    bool is_read = false;

    if (tcgetattr(STDIN_FILENO, &before) != 0)
        return read_password(STDIN_FILENO, out, err);
    quiet = before;
    quiet.c_lflag &= ~(tcflag_t)ECHO;
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGINT);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &signals, &kept);
    (void)fputs("Password: ", stderr);
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
    if (await_line(&signals))
        is_read = read_password(STDIN_FILENO, out, err);
    else
        (void)err_fail(err, ERR_RETRY, "interrupted");
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
    (void)fputc('\n', stderr);
    (void)sigprocmask(SIG_SETMASK, &kept, NULL); /* what has come ends the command here */
    return is_read;
}

bool cli_read_password(struct cli *cli, const char *path, struct secret **out)
{
    CLEANUP(fd_close) int fd = -1;

    if (strcmp(path, "-") == 0)
        return ask_password(out, &cli->err);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(&cli->err, "password file %s", path);
    if (!read_password(fd, out, &cli->err))
        return err_wrap(&cli->err, "password file %s", path);
    return true;
}

/* Its standard output comes out of *reader. */
static bool start_command(struct cli *cli, const char *command, pid_t *pid, int *reader)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) != 0)
        return err_errno(&cli->err, "pipe");
    *pid = fork();
    if (*pid == 0) {
        (void)dup2(ends[1], STDOUT_FILENO);
        (void)execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    *reader = ends[0];
    fd_close(&ends[1]);
    return *pid > 0 || err_errno(&cli->err, "run the command");
}

/* is_cut: more than was wanted may have been left unread. */
static bool end_command(struct cli *cli, pid_t pid, bool is_cut)
{
    int status = 0;

    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (is_cut && WIFSIGNALED(status) && WTERMSIG(status) == SIGPIPE)
        return true;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    return err_fail(&cli->err, ERR_SYNTAX, "the command failed (%s %d)",
                    WIFEXITED(status) ? "exit status" : "signal",
                    WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
}

bool cli_run_password_command(struct cli *cli, const char *command, struct secret **out)
{
    CLEANUP(fd_close) int reader = -1;
    bool is_read;
    pid_t pid;

    if (!start_command(cli, command, &pid, &reader))
        return err_wrap(&cli->err, "password command");
    is_read = read_password(reader, out, &cli->err);
    fd_close(&reader);
    if (!end_command(cli, pid, is_read)) {
        if (is_read)
            secret_free(out);
        return err_wrap(&cli->err, "password command");
    }
    return is_read || err_wrap(&cli->err, "password command");
}

bool cli_run_command(struct cli *cli, const char *command, struct buf *out)
{
    CLEANUP(fd_close) int reader = -1;
    uint8_t octets[1024];
    ssize_t got = 1;
    pid_t pid;

    if (!start_command(cli, command, &pid, &reader))
        return false;
    while (got > 0 && !out->has_failed) {
        got = read(reader, octets, sizeof octets);
        if (got < 0 && errno == EINTR)
            got = 1;
        else if (got > 0)
            buf_append(out, bytes_of(octets, (size_t)got));
    }
    secret_wipe(octets, sizeof octets);
    fd_close(&reader);
    if (!end_command(cli, pid, false))
        return false;
    return !out->has_failed ||
           err_fail(&cli->err, ERR_LIMIT, "the command prints over %zu octets", out->max_bytes);
}

/* ---- values ----------------------------------------------------------------------------------------- */

bool cli_read_duration(struct cli *cli, const char *text, int32_t *seconds)
{
    struct bytes rest = bytes_of_text(text);
    uint32_t number;
    uint32_t unit = 1;

    if (scan_u32(&rest, &number)) {
        if (scan_byte(&rest, 'd'))
            unit = 86400;
        else if (scan_byte(&rest, 'h'))
            unit = 3600;
        else if (scan_byte(&rest, 'm'))
            unit = 60;
        else if (rest.len > 0 && !scan_byte(&rest, 's'))
            unit = 0;
        if (rest.len == 0 && unit != 0 && number > 0 && number <= 366u * 86400u / unit) {
            *seconds = (int32_t)(number * unit);
            return true;
        }
    }
    return err_fail(&cli->err, ERR_SYNTAX,
                    "'%s' is no interval: give one of 1s to 366d, as 30s, 5m, 2h, 1d", text);
}

bool cli_read_date(struct cli *cli, const char *text, int64_t *end_usec)
{
    struct bytes rest = bytes_of_text(text);
    struct civil civil = { 0 };
    uint32_t year = 0;

    if (!scan_digits(&rest, 4, &year) || !scan_byte(&rest, '-') ||
        !scan_digits(&rest, 2, &civil.month) || !scan_byte(&rest, '-') ||
        !scan_digits(&rest, 2, &civil.day) || rest.len > 0)
        return err_fail(&cli->err, ERR_SYNTAX, "'%s' is no date: give it as 2026-12-31", text);
    civil.year = (int32_t)year;
    if (!civil_is_valid(&civil))
        return err_fail(&cli->err, ERR_SYNTAX, "'%s': there is no such day", text);
    *end_usec = civil_to_usec(&civil) + INT64_C(86400) * 1000000;
    if (*end_usec <= clock_now_usec())
        return err_fail(&cli->err, ERR_SYNTAX, "'%s' has passed", text);
    return true;
}

bool cli_add_item(struct cli *cli, struct cli_list *list, const char *text)
{
    if (list->count == CLI_LIST_MAX)
        return err_fail(&cli->err, ERR_LIMIT, "more than %d values for one option", CLI_LIST_MAX);
    list->items[list->count++] = bytes_of_text(text);
    return true;
}
