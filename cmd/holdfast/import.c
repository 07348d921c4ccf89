/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holdfast import: mbox, Maildir and EML into an account.
 *
 *   a child of ours, forked before anything else    walks PATH with the rights of who called, parses nothing
 *        | open files, over a socket
 *   holdfast-ingest, started for this import        parses, with the rights of a worker and no path
 *
 * What they do is the job of the account's import, which is followed like any other.
 */
#include "source/import.h"

#include "base/fd.h"
#include "holdfast/child.h"
#include "ingest/import_feed.h"
#include "ingest/import_tree.h"
#include "operate/errand.h"
#include "source/account.h"
#include "source/lease.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    MAILBOX = 256,
    MBOX_FORMAT,
    DRY_RUN,
    /* Printed, failures first; all are kept. */
    PROBLEMS_ON_TERMINAL_MAX = 20,
    PROBLEMS_MAX = 1000,
    PROBLEMS_BYTES = 8 << 20,
};

/* Where mail goes in an account that has a source, unless --mailbox says so. */
#define DEFAULT_MAILBOX "Imported"

struct request {
    const char *name, *path;
    const char *mailbox; /* NULL: not given */
    enum ingest_mbox_format format;
    bool is_dry;
    int root;     /* PATH, open */
    int feed[2];  /* the feeder's end, the worker's end */
    int worker;   /* process */
    int ended_fd; /* readable when it has ended */
};

static void close_request(struct request *r)
{
    fd_close(&r->root);
    fd_close(&r->feed[0]);
    fd_close(&r->feed[1]);
    fd_close(&r->ended_fd);
}

/* ---- the feeder ---------------------------------------------------------------------------------- */

/* What it waits for. */
struct start {
    int64_t job_id;
    bool has_source; /* the account: then imports go below a mailbox of their own */
};

static bool feed(const struct request *r, const struct cli_child *ends, struct err *err)
{
    struct start start;
    struct ingest_feed_record order = {
        .kind = INGEST_FEED_ORDER,
        .mbox_format = r->format,
        .is_dry = r->is_dry,
        .fd = -1,
    };
    const char *slash = strrchr(r->path, '/');

    if (!cli_receive(ends->orders, &start, sizeof start))
        return true; /* the command has ended, and said why */
    order.job_id = start.job_id;
    order.folder = bytes_of_text(r->mailbox != NULL ? r->mailbox
                                 : start.has_source ? DEFAULT_MAILBOX
                                                    : "");
    return ingest_send_record(r->feed[0], &order, err) &&
           ingest_feed_tree(r->root, slash == NULL ? r->path : slash + 1, r->feed[0], err);
}

/* Before the command becomes the archive's user: PATH may be readable to who called only. */
static bool fork_feeder(struct cli *cli, struct request *r, struct cli_child *out)
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, r->feed) != 0)
        return err_errno(&cli->err, "socket");
    if (!cli_fork(out, &cli->err))
        return false;
    if (out->pid == 0) {
        /* the worker sees that it is fed no more, and the job says so */
        struct err unheard = { 0 };

        (void)prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
        fd_close(&r->feed[1]);
        _exit(feed(r, out, &unheard) ? EXIT_SUCCESS : EXIT_FAILURE);
    }
    fd_close(&r->feed[0]);
    fd_close(&r->root);
    return true;
}

/* ---- the worker ---------------------------------------------------------------------------------- */

static bool start_worker(struct cli *cli, struct request *r)
{
    struct operate_errand errand = {
        .session = &cli->session,
        .conf_path = cli->settings_path,
        .programs = &cli->programs,
        .program = OPERATE_INGEST,
        .role = DB_ROLE_INGEST,
        .variable = "HOLDFAST_IMPORT_FD",
        .fd = r->feed[1],
    };

    if (!operate_start_errand(&errand, &r->worker, &r->ended_fd, &cli->err))
        return false;
    fd_close(&r->feed[1]);
    return true;
}

/* It ends by itself with the job, and in order when it is asked to. A job that it left behind is free. */
static void end_worker(struct cli *cli, const struct request *r)
{
    struct err unheard = { 0 };
    char owner[SOURCE_IMPORT_OWNER_BYTES];
    int64_t released;

    if (r->worker == 0)
        return;
    (void)kill(r->worker, SIGTERM);
    while (waitpid(r->worker, NULL, 0) < 0 && errno == EINTR)
        continue;
    if (cli->session.db != NULL &&
        !source_release_dead(cli->session.db, source_import_owner(r->worker, owner), &released,
                             &unheard))
        err_clear(&unheard); /* then the lease runs out */
}

/* ---- the command --------------------------------------------------------------------------------- */

static bool open_path(struct cli *cli, struct request *r)
{
    struct stat st;

    r->root = open(r->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (r->root < 0 || fstat(r->root, &st) != 0)
        return err_errno(&cli->err, "%s", r->path);
    if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
        return err_fail(&cli->err, ERR_SYNTAX, "%s is neither a file nor a folder", r->path);
    return true;
}

static bool find_account(struct cli *cli, const struct request *r, struct cli_run *run)
{
    run->name = bytes_of_text(r->name);
    if (source_find_account(cli->session.db, run->name, &run->account_id, &cli->err))
        return source_is_import(cli->session.db, run->account_id, &run->is_import, &cli->err);
    if (cli->err.code == ERR_ABSENT)
        err_set(&cli->err, ERR_ABSENT,
                "no account \"%s\": `holdfast account add %s --kind import` makes one for imports",
                r->name, r->name);
    return false;
}

static bool print_problems(struct cli *cli, const struct cli_run *run)
{
    CLEANUP(arena_free) struct arena *arena = arena_create(PROBLEMS_BYTES);
    size_t max = isatty(STDOUT_FILENO) != 0 ? PROBLEMS_ON_TERMINAL_MAX : PROBLEMS_MAX;
    struct source_problem_list problems;

    if (!source_list_problems(cli->session.db, run->account_id, run->request.requested_usec,
                              max + 1, arena, &problems, &cli->err))
        return false;
    for (size_t i = 0; i < problems.count && i < max; i++) {
        (void)fputs(problems.rows[i].is_failure ? "failed: " : "left out: ", stdout);
        cli_print_text(problems.rows[i].path);
        (void)fputs(": ", stdout);
        cli_print_text(problems.rows[i].why);
        (void)fputc('\n', stdout);
    }
    if (problems.count > max)
        (void)puts("and more");
    return true;
}

static int import(struct cli *cli, struct request *r, struct cli_child *feeder)
{
    struct cli_run run = { 0 };
    struct start start;
    int status;

    if (!cli_settle(cli, OPERATE_SERVICE_KEEPER | OPERATE_SERVICE_INGEST) ||
        !cli_open(cli, OPERATE_SERVICE_KEEPER) || !find_account(cli, r, &run) ||
        !source_request_run(cli->session.db, run.account_id, SOURCE_JOB_IMPORT, &run.request,
                            &cli->err) ||
        !cli_audit(
            cli, AUDIT_IMPORT, run.account_id,
            AUDIT_FIELDS(AUDIT_I64("job", run.request.job_id), AUDIT_BOOL("dry_run", r->is_dry))) ||
        !start_worker(cli, r))
        return cli_fail(cli);
    start = (struct start){ run.request.job_id, !run.is_import };
    run.ended_fd = r->ended_fd;
    if (!fd_write_all(feeder->orders, bytes_of(&start, sizeof start), &cli->err))
        return cli_fail(cli);
    status = cli_follow(cli, &run, 1, SOURCE_JOB_IMPORT, false);
    if (!r->is_dry && status != CLI_INTERRUPTED && cli->err.code == ERR_NONE &&
        !print_problems(cli, &run))
        return cli_fail(cli);
    return status;
}

/* Arguments; false: *status is the command's. */
static bool read_request(struct cli *cli, int argc, char **argv, struct request *r, int *status)
{
    static const struct option known[] = {
        { "mailbox", required_argument, NULL, MAILBOX },
        { "mbox-format", required_argument, NULL, MBOX_FORMAT },
        { "dry-run", no_argument, NULL, DRY_RUN },
        { NULL, 0, NULL, 0 },
    };
    int option;

    while ((option = cli_next_option(cli, argc, argv, known, status)) != -1) {
        if (option == CLI_STOP)
            return false;
        if (option == MAILBOX)
            r->mailbox = optarg;
        r->is_dry |= option == DRY_RUN;
        if (option == MBOX_FORMAT && !ingest_find_mbox_format(bytes_of_text(optarg), &r->format)) {
            *status = cli_usage(cli, "--mbox-format: mboxrd, mboxo, mboxcl or mboxcl2 expected");
            return false;
        }
    }
    if (argc - optind != 2) {
        *status = cli_usage(cli, "NAME and PATH expected");
        return false;
    }
    r->name = argv[optind];
    for (size_t len = strlen(argv[optind + 1]); len > 1 && argv[optind + 1][len - 1] == '/'; len--)
        argv[optind + 1][len - 1] = '\0';
    r->path = argv[optind + 1];
    if (r->mailbox != NULL &&
        (r->mailbox[0] == '/' || r->mailbox[0] == '\0' ||
         r->mailbox[strlen(r->mailbox) - 1] == '/' || strstr(r->mailbox, "//") != NULL)) {
        *status = cli_usage(cli, "--mailbox: levels with \"/\" between them expected");
        return false;
    }
    return true;
}

int cmd_import(struct cli *cli, int argc, char **argv)
{
    CLEANUP(cli_end_child) struct cli_child feeder = CLI_NO_CHILD;
    CLEANUP(close_request) struct request r = { .root = -1, .feed = { -1, -1 }, .ended_fd = -1 };
    int status;

    if (!read_request(cli, argc, argv, &r, &status))
        return status;
    cli_defer_interrupts();
    if (!open_path(cli, &r) || !fork_feeder(cli, &r, &feeder))
        return cli_fail(cli);
    status = import(cli, &r, &feeder);
    end_worker(cli, &r);
    return status;
}
