/* SPDX-License-Identifier: Apache-2.0 */
/*
 * db/spawn.c - running initdb and postgres.
 */
#include "base/child.h"
#include "base/fd.h"
#include "db/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Between fork and exec: async-signal-safe calls only. Reports errno on `report` when it returns. */
static void become(const char *const *argv, int output, int report)
{
    static const int reset[] = { SIGHUP,  SIGINT,  SIGQUIT, SIGTERM,
                                 SIGPIPE, SIGCHLD, SIGUSR1, SIGUSR2 };
    sigset_t none;
    int null = open("/dev/null", O_RDONLY);
    int number;

    (void)setpgid(0, 0); /* Ctrl-C in a terminal is for the program that started it */
    (void)prctl(PR_SET_PDEATHSIG, SIGINT); /* fast shutdown when that program dies */
    for (size_t i = 0; i < ARRAY_LEN(reset); i++)
        (void)signal(reset[i], SIG_DFL);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    if (null >= 0 && dup2(null, 0) == 0 && dup2(output, 1) == 1 && dup2(output, 2) == 2 &&
        dup2(report, 3) == 3 && fcntl(3, F_SETFD, FD_CLOEXEC) == 0) {
        (void)close_range(4, ~0U, 0);
        report = 3;
        (void)execv(argv[0], (char *const *)argv);
    }
    number = errno;
    (void)!write(report, &number, sizeof number);
}

bool db_spawn(const char *const *argv, int output, pid_t *pid, struct err *err)
{
    int ends[2], number = 0;
    pid_t parent = getpid(), child;
    ssize_t got;

    if (pipe2(ends, O_CLOEXEC) != 0)
        return err_errno(err, "start %s", argv[0]);
    child = fork();
    if (child == 0) {
        if (getppid() == parent)
            become(argv, output, ends[1]);
        child_give_up();
    }
    fd_close(&ends[1]);
    if (child < 0) {
        (void)err_errno(err, "start %s", argv[0]);
        fd_close(&ends[0]);
        return false;
    }
    do
        got = read(ends[0], &number, sizeof number); /* ends when exec has closed it */
    while (got < 0 && errno == EINTR);
    fd_close(&ends[0]);
    if (got == (ssize_t)sizeof number) {
        (void)waitpid(child, NULL, 0);
        errno = number;
        return err_errno(err, "start %s", argv[0]);
    }
    *pid = child;
    return true;
}

static void read_output(int fd, struct buf *output)
{
    uint8_t piece[1024];
    ssize_t got;

    for (;;) {
        got = read(fd, piece, sizeof piece);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return;
        if (output != NULL)
            buf_append(output, bytes_of(piece, (size_t)got));
    }
}

bool db_run_program(const char *const *argv, struct buf *output, int *exit_status, struct err *err)
{
    CLEANUP(fd_close) int read_end = -1;
    int ends[2], status;
    pid_t pid, ended;
    bool is_started;

    if (pipe2(ends, O_CLOEXEC) != 0)
        return err_errno(err, "start %s", argv[0]);
    read_end = ends[0];
    is_started = db_spawn(argv, ends[1], &pid, err);
    fd_close(&ends[1]);
    if (!is_started)
        return false;
    read_output(read_end, output);
    do
        ended = waitpid(pid, &status, 0);
    while (ended < 0 && errno == EINTR);
    if (ended < 0)
        return err_errno(err, "wait for %s", argv[0]);
    *exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return true;
}
