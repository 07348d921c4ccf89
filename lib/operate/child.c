/* SPDX-License-Identifier: Apache-2.0 */
#include "base/child.h"

#include "base/fd.h"
#include "operate/internal.h"
#include "operate/user.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

bool child_hand_down_password(const struct conf *conf, enum db_role role, int *out, struct err *err)
{
    CLEANUP(secret_free) struct secret *password = NULL;
    CLEANUP(fd_close) int reader = -1;
    CLEANUP(fd_close) int writer = -1;
    int ends[2];

    if (!db_read_password(conf->holdfast.data_dir, role, &password, err))
        return false;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return err_errno(err, "pipe");
    reader = ends[0];
    writer = ends[1];
    static_assert((int)SECRET_MAX_BYTES <= 16 << 10, "it fits into a pipe without a reader");
    if (!fd_write_all(writer, secret_bytes(password), err))
        return false;
    *out = fd_take(&reader);
    return true;
}

void child_pass_descriptor(const char *variable, int fd)
{
    char number[16];

    if (fd < 0) {
        (void)unsetenv(variable);
        return;
    }
    (void)fcntl(fd, F_SETFD, 0);
    (void)snprintf(number, sizeof number, "%d", fd);
    (void)setenv(variable, number, 1);
}

/* In the child. holdfastd has one thread, so that anything may be called here. */
static void become_program(const struct child *child, const struct child_setup *setup,
                           int password_fd, int ready_fd, pid_t parent)
{
    const char *name = operate_program_name(child->program);
    char *argv[] = { (char *)(uintptr_t)name, (char *)(uintptr_t) "-c",
                     (char *)(uintptr_t)setup->conf_path, NULL };
    char number[16];
    int nowhere = open("/dev/null", O_RDONLY | O_CLOEXEC);
    struct err err = { 0 };
    sigset_t none;

    if (setup->conf_path[0] == '\0')
        argv[1] = NULL;
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
    if (getppid() != parent)
        child_give_up();
    (void)setpgid(0, 0); /* a Ctrl-C is for holdfastd, which ends its children in order */
    (void)dup2(nowhere, STDIN_FILENO);
    (void)dup2(STDERR_FILENO, STDOUT_FILENO);
    child_pass_descriptor("HOLDFAST_PASSWORD_FD", password_fd);
    child_pass_descriptor("HOLDFAST_READY_FD", ready_fd);
    (void)snprintf(number, sizeof number, "%u", child->number);
    (void)setenv("HOLDFAST_WORKER", number, 1);
    if (child->program == OPERATE_IMAPD)
        operate_allow_low_ports();
    (void)signal(SIGPIPE, SIG_DFL);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);

    operate_exec(setup->plan->programs, child->program, argv);
    (void)err_errno(&err, "%s", name);
    log_error(setup->plan->log, "program could not be started", F_ERR(&err));
    child_give_up();
}

bool child_launch(struct child *child, const struct child_setup *setup, struct err *err)
{
    CLEANUP(fd_close) int password_fd = -1;
    CLEANUP(fd_close) int hear = -1;
    CLEANUP(fd_close) int say = -1;
    pid_t parent = getpid();
    int ends[2];
    pid_t pid;

    if (setup->has_passwords &&
        !child_hand_down_password(setup->plan->conf, child->role, &password_fd, err))
        return err_wrap(err, "%s", operate_program_name(child->program));
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
        return err_errno(err, "pipe");
    hear = ends[0];
    say = ends[1];
    pid = fork();
    if (pid < 0)
        return err_errno(err, "start %s", operate_program_name(child->program));
    if (pid == 0)
        become_program(child, setup, password_fd, say, parent);

    child->pid = pid;
    child->pidfd = pidfd_open(pid, 0);
    if (child->pidfd < 0) {
        (void)err_errno(err, "watch %s", operate_program_name(child->program));
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
        return false;
    }
    child->state = CHILD_STARTING;
    child->ready_fd = fd_take(&hear);
    child->ready_until = deadline_after_ms(CHILD_READY_MS);
    child->steady_at = deadline_after_ms(CHILD_STEADY_MS);
    return true;
}

bool child_hear(struct child *child)
{
    char text[16];
    ssize_t got = read(child->ready_fd, text, sizeof text);

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    fd_close(&child->ready_fd);
    if (got < 6 || memcmp(text, "ready\n", 6) != 0)
        return false; /* it is about to end: its process descriptor will tell */
    child->state = CHILD_READY;
    return true;
}

void child_reap(struct child *child, char text[CHILD_END_BYTES], int *exit_status)
{
    int status = 0;

    while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR)
        continue;
    *exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
    if (WIFSIGNALED(status))
        (void)snprintf(text, CHILD_END_BYTES, "signal %d", WTERMSIG(status));
    else
        (void)snprintf(text, CHILD_END_BYTES, "exit status %d", *exit_status);

    fd_close(&child->pidfd);
    fd_close(&child->ready_fd);
    child->pid = 0;
    child->state = CHILD_WAITING;
    if (child->backoff_ms == 0 || deadline_has_passed(child->steady_at))
        child->backoff_ms = CHILD_BACKOFF_FIRST_MS;
    child->restart_at = deadline_after_ms(child->backoff_ms);
    child->backoff_ms =
        child->backoff_ms * 2 > CHILD_BACKOFF_MAX_MS ? CHILD_BACKOFF_MAX_MS : child->backoff_ms * 2;
}

void child_signal(const struct child *child, int signal_number)
{
    if (child->state != CHILD_WAITING)
        (void)pidfd_send_signal(child->pidfd, signal_number, NULL, 0);
}
