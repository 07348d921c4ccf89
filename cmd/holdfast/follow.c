/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asking for runs and following them: one updating line on a terminal, else a line now and then, and
 * one line for each account at its end.
 */
#include "base/clock.h"
#include "base/fd.h"
#include "holdfast/cli.h"
#include "source/progress.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum {
    LOOK_MS = 200,      /* between two looks at the jobs */
    LOOK_FIRST_MS = 20, /* doubled by each look: a run that finds nothing new is short */
    MANY = 100,         /* runs: from there on a look is less urgent than it is dear */
    LOOK_MANY_MS = 1000,
    LINE_MS = 10000, /* between two plain lines */
    WATCH_ARENA_BYTES = 1 << 20,
    STATUS_LINE_COLUMNS = 78,
    OUTCOME_MAX_BYTES = 4096,
};

struct follow {
    struct cli *cli;
    const struct cli_run *runs;
    struct source_request *requests; /* job_id 0: it is done */
    size_t count, left;
    enum source_job_kind kind;
    bool is_quiet;
    bool is_terminal;
    bool has_line; /* an updating line stands on the terminal */
    int status;
    int look_ms;
    struct arena *arena; /* of one run */
    struct arena *looks; /* of one look at all */
    struct deadline next_line;
};

static void clear_line(struct follow *f)
{
    if (f->has_line)
        (void)fputs("\r\033[K", stdout);
    f->has_line = false;
}

static const char *plural(uint64_t number)
{
    return number == 1 ? "" : "s";
}

/* ---- how a run ended ------------------------------------------------------------------------------- */

static void print_sync(struct bytes name, const struct source_progress *p)
{
    char size[CLI_TEXT_BYTES];

    cli_print_text(name);
    (void)fputs(": ", stdout);
    if (p->fetched == 0 && p->flag_changes == 0 && p->gone == 0 && p->recognised == 0) {
        (void)fputs("complete, nothing new", stdout);
    } else {
        (void)printf("complete, %ju mailbox%s", (uintmax_t)p->mailboxes,
                     p->mailboxes == 1 ? "" : "es");
        if (p->fetched > 0)
            (void)printf(", %ju new message%s (%s)", (uintmax_t)p->fetched, plural(p->fetched),
                         cli_write_size(p->bytes, size));
        if (p->flag_changes > 0)
            (void)printf(", %ju flag change%s", (uintmax_t)p->flag_changes,
                         plural(p->flag_changes));
        if (p->gone > 0)
            (void)printf(", %ju gone at source", (uintmax_t)p->gone);
        if (p->recognised > 0)
            (void)printf(", %ju known without a download", (uintmax_t)p->recognised);
        if (p->refuted > 0)
            (void)printf(
                ", all downloaded of %ju mailbox%s where samples were not what they were taken for",
                (uintmax_t)p->refuted, p->refuted == 1 ? "" : "es");
    }
    if (p->skipped > 0)
        (void)printf(" (%ju mailbox%s left out by rule)", (uintmax_t)p->skipped,
                     p->skipped == 1 ? "" : "es");
    (void)fputc('\n', stdout);
}

/* The text may begin with "account NAME: ", for the log: the name stands in front already. */
void cli_print_outcome(struct bytes name, struct bytes text)
{
    struct bytes rest = text;

    if (scan_text(&rest, BYTES("account ")) && scan_text(&rest, name) &&
        scan_text(&rest, BYTES(": ")))
        text = rest;
    cli_print_text(name);
    (void)fputs(": ", stdout);
    cli_print_text(text);
    (void)fputc('\n', stdout);
}

static void print_end(struct follow *f, size_t index, const struct source_run *run)
{
    struct source_progress progress = { 0 };
    struct err unreadable = { 0 };
    int status = err_exit_status(run->outcome);

    if (!source_read_progress(run->progress, &progress, &unreadable))
        progress = (struct source_progress){ 0 }; /* of a newer program: the outcome still stands */
    if (f->runs[index].outcome != NULL &&
        !arena_try_copy(f->cli->arena, run->outcome_text, OUTCOME_MAX_BYTES, f->runs[index].outcome,
                        &unreadable))
        err_clear(&unreadable);
    clear_line(f);
    if (f->is_quiet)
        ;
    else if (run->outcome != ERR_NONE || progress.truncated > 0 || f->kind == SOURCE_JOB_TEST ||
             f->kind == SOURCE_JOB_IMPORT)
        cli_print_outcome(f->runs[index].name, run->outcome_text);
    else
        print_sync(f->runs[index].name, &progress);
    (void)fflush(stdout);
    /* What must be put right comes before what may be tried again. */
    if (status == 1 || f->status == 0)
        f->status = status;
}

static void end_run(struct follow *f, size_t index)
{
    f->requests[index] = (struct source_request){ 0 };
    f->left--;
}

/* Nothing can be said of the run of this one, for a reason of its own: those of the others go on. */
static bool end_alone(struct follow *f, size_t index)
{
    struct err *err = &f->cli->err;
    FILE *out = f->is_quiet ? stderr : stdout;

    if (f->count == 1 || (err->code != ERR_ABSENT && err->code != ERR_DENIED))
        return false;
    clear_line(f);
    cli_put_line(f->runs[index].name, out);
    (void)fputs(": ", out);
    cli_put_line(bytes_of_text(err->text), out);
    (void)fputc('\n', out);
    (void)fflush(out);
    f->status = EXIT_FAILURE;
    end_run(f, index);
    err_clear(err);
    return true;
}

/* ---- on the way -------------------------------------------------------------------------------------- */

static void print_progress(struct follow *f, struct bytes name, const struct source_run *run)
{
    struct source_progress p = { 0 };
    struct err unreadable = { 0 };
    char size[CLI_TEXT_BYTES];
    char line[256];
    int len;

    if (f->is_quiet || (!f->is_terminal && !deadline_has_passed(f->next_line)))
        return;
    f->next_line = deadline_after_ms(f->is_terminal ? 0 : LINE_MS);
    if (!source_read_progress(run->progress, &p, &unreadable))
        return; /* of a newer program */
    len = snprintf(line, sizeof line, "%.*s: ", (int)(name.len > 40 ? 40 : name.len),
                   (const char *)name.ptr);
    if (!run->is_running)
        (void)snprintf(line + len, sizeof line - (size_t)len, "waiting for a worker");
    else if (f->kind == SOURCE_JOB_IMPORT)
        (void)snprintf(line + len, sizeof line - (size_t)len, "%ju file%s, %ju of %ju messages, %s",
                       (uintmax_t)p.files, plural(p.files), (uintmax_t)p.fetched,
                       (uintmax_t)p.messages, cli_write_size(p.bytes, size));
    else if (p.mailboxes == 0)
        (void)snprintf(line + len, sizeof line - (size_t)len, "connecting");
    else
        (void)snprintf(line + len, sizeof line - (size_t)len,
                       "mailbox %ju of %ju, %ju of %ju messages, %s",
                       (uintmax_t)p.mailboxes_done + (p.mailboxes_done < p.mailboxes ? 1 : 0),
                       (uintmax_t)p.mailboxes, (uintmax_t)p.fetched, (uintmax_t)p.messages,
                       cli_write_size(p.bytes, size));
    if (f->is_terminal) {
        clear_line(f);
        cli_print_text(bytes_slice(bytes_of_text(line), 0, STATUS_LINE_COLUMNS));
        f->has_line = true;
    } else {
        cli_print_text(bytes_of_text(line));
        (void)fputc('\n', stdout);
    }
    (void)fflush(stdout);
}

static bool look_at(struct follow *f, size_t index, bool *has_shown)
{
    struct source_run run;

    arena_reset(f->arena);
    if (!source_watch_run(f->cli->session.db, &f->requests[index], f->arena, &run, &f->cli->err))
        return end_alone(f, index);
    if (run.is_finished) {
        print_end(f, index, &run);
        end_run(f, index);
    } else if (!*has_shown && (run.is_running || f->left == 1)) {
        *has_shown = true;
        print_progress(f, f->runs[index].name, &run);
    }
    return true;
}

/* Looks at every run once. */
static bool look(struct follow *f)
{
    const size_t *moved;
    size_t count;
    bool has_shown = false;

    arena_reset(f->looks);
    if (!source_find_moved_runs(f->cli->session.db, f->requests, f->count, f->looks, &moved, &count,
                                &f->cli->err))
        return false;
    for (size_t i = 0; i < count; i++)
        if (!look_at(f, moved[i], &has_shown))
            return false;
    for (size_t i = 0; i < f->count && f->left == 1 && !has_shown; i++)
        if (f->requests[i].job_id != 0 && !look_at(f, i, &has_shown))
            return false;
    return true;
}

/* True: the next look; false: ended by a signal or an error (*is_interrupted). */
static bool wait_a_little(struct follow *f, int signal_fd, bool *is_interrupted)
{
    int longest_ms = f->left > MANY ? LOOK_MANY_MS : LOOK_MS;
    const struct operate_session *session = &f->cli->session;
    struct pollfd polls[3] = {
        { .fd = signal_fd, .events = POLLIN },
        { .fd = session->holdfastd_fd >= 0 ? session->holdfastd_fd : session->host_fd,
          .events = POLLIN },
        { .fd = f->kind == SOURCE_JOB_IMPORT ? f->runs[0].ended_fd : -1, .events = POLLIN },
    };

    if (poll(polls, 3, f->look_ms) < 0 && errno != EINTR)
        return err_errno(&f->cli->err, "wait");
    f->look_ms = f->look_ms * 2 < longest_ms ? f->look_ms * 2 : longest_ms;
    *is_interrupted = polls[0].revents != 0;
    if (*is_interrupted)
        return false;
    if (polls[1].revents != 0)
        return err_fail(&f->cli->err, ERR_RETRY,
                        "the services ended meanwhile: see holdfast.log in the data directory");
    if (polls[2].revents != 0 && (!look(f) || f->left > 0))
        return f->cli->err.code == ERR_NONE &&
               err_fail(
                   &f->cli->err, ERR_RETRY,
                   "the worker ended in the middle of the import (see holdfast.log in the data "
                   "directory); the same command goes on where it was");
    return true;
}

/*
 * A sync that began after this command did is as good as one asked for now: workers, those above all that we
 * start, find what is due before we can ask. (By the clock of this machine: the private database.)
 */
static bool may_begin_by_itself(const struct follow *f)
{
    return f->kind == SOURCE_JOB_SYNC && f->cli->conf->database.url[0] == '\0';
}

static bool request(struct follow *f, size_t index)
{
    struct source_request *request = &f->requests[index];
    struct db *db = f->cli->session.db;
    int64_t account_id = f->runs[index].account_id;

    if (!may_begin_by_itself(f))
        return source_request_run(db, account_id, f->kind, request, &f->cli->err);
    if (!source_find_begun_run(db, account_id, f->cli->began_usec, request, &f->cli->err) ||
        (request->job_id == 0 &&
         !source_request_run(db, account_id, f->kind, request, &f->cli->err)))
        return false;
    request->requested_usec = f->cli->began_usec; /* also one that has begun while we asked */
    return true;
}

/* Nothing can be fetched for it. */
static void pass_over(struct follow *f, size_t index)
{
    end_run(f, index);
    if (f->is_quiet)
        return;
    cli_print_text(f->runs[index].name);
    (void)puts(": has no source, is filled by `holdfast import`");
}

/* False: an error, or a signal (*is_interrupted). */
static bool request_all(struct follow *f, int signal_fd, bool *is_interrupted)
{
    for (size_t i = 0; i < f->count; i++) {
        *is_interrupted = fd_wait(signal_fd, 0);
        if (*is_interrupted)
            return false;
        if (f->runs[i].is_import && f->kind != SOURCE_JOB_IMPORT) {
            pass_over(f, i);
            continue;
        }
        if (f->runs[i].request.job_id != 0) {
            f->requests[i] = f->runs[i].request;
            continue;
        }
        if (!request(f, i) && !end_alone(f, i))
            return false;
    }
    return true;
}

/* Services that another command had started end with it: then they are ours to start, and what was asked for
 * is answered by them. */
static bool take_over(struct follow *f)
{
    struct cli *cli = f->cli;

    if (cli->err.code != ERR_RETRY || !cli->session.is_guest || f->kind == SOURCE_JOB_IMPORT)
        return false;
    clear_line(f);
    (void)fputs(
        "holdfast: the services ended with the command that had started them; they are started "
        "again\n",
        stderr);
    operate_close_session(&cli->session);
    err_clear(&cli->err);
    return cli_open(cli, cli->services);
}

static int follow(struct follow *f, int signal_fd)
{
    bool is_interrupted = false;
    bool is_requested;

    f->left = f->count;
    is_requested = request_all(f, signal_fd, &is_interrupted);
    while (is_requested) {
        bool has_looked = look(f);

        if (has_looked && f->left == 0)
            return f->status;
        if (has_looked && wait_a_little(f, signal_fd, &is_interrupted))
            continue;
        if (is_interrupted || !take_over(f))
            break;
    }
    clear_line(f);
    if (!is_interrupted)
        return cli_fail(f->cli);
    (void)fprintf(stderr, "holdfast: interrupted; %s\n",
                  f->cli->session.holdfastd_pid != 0
                      ? "what is archived stays, the rest follows with the next sync"
                      : "holdfastd goes on by itself");
    return CLI_INTERRUPTED;
}

static sigset_t interrupts(void)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGTERM);
    return set;
}

void cli_defer_interrupts(void)
{
    sigset_t set = interrupts();

    (void)sigprocmask(SIG_BLOCK, &set, NULL);
}

int cli_follow(struct cli *cli, const struct cli_run *runs, size_t count, enum source_job_kind kind,
               bool is_quiet)
{
    CLEANUP(arena_free) struct arena *arena = arena_create(WATCH_ARENA_BYTES);
    CLEANUP(arena_free) struct arena *looks = arena_create(CLI_ARENA_BYTES);
    CLEANUP(fd_close) int signal_fd = -1;
    struct follow f = {
        .cli = cli,
        .runs = runs,
        .requests = arena_new_array(cli->arena, struct source_request, count),
        .count = count,
        .kind = kind,
        .is_quiet = is_quiet,
        .is_terminal = isatty(STDOUT_FILENO) == 1,
        .look_ms = LOOK_FIRST_MS,
        .arena = arena,
        .looks = looks,
        .next_line = deadline_after_ms(LINE_MS),
    };
    sigset_t stops = interrupts();

    cli_defer_interrupts();
    signal_fd = signalfd(-1, &stops, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signal_fd < 0) {
        (void)err_errno(&cli->err, "signal descriptor");
        return cli_fail(cli);
    }
    return follow(&f, signal_fd);
}
