/* SPDX-License-Identifier: Apache-2.0 */
#include "operate/errand.h"

#include "base/child.h"
#include "base/fd.h"
#include "db/cluster.h"
#include "operate/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* -1: the server of a url is reached by libpq's own means. */
static bool find_password(const struct operate_errand *errand, int *out, struct err *err)
{
    const struct conf *conf = errand->session->conf;

    if (child_hand_down_password(conf, errand->role, out, err))
        return true;
    if (conf->database.url[0] == '\0' || err->code != ERR_ABSENT)
        return false;
    err_clear(err);
    return true;
}

static void become_program(const struct operate_errand *errand, int password_fd, int log_fd,
                           pid_t parent)
{
    const char *name = operate_program_name(errand->program);
    char *argv[] = { (char *)(uintptr_t)name, (char *)(uintptr_t) "-c",
                     (char *)(uintptr_t)errand->conf_path, NULL };
    int nowhere = open("/dev/null", O_RDONLY | O_CLOEXEC);
    sigset_t none;

    if (errand->conf_path[0] == '\0')
        argv[1] = NULL;
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
    if (getppid() != parent)
        child_give_up();
    (void)setpgid(0, 0); /* a Ctrl-C is for the command */
    (void)dup2(nowhere, STDIN_FILENO);
    (void)dup2(log_fd, STDOUT_FILENO);
    (void)dup2(log_fd, STDERR_FILENO);
    child_pass_descriptor("HOLDFAST_PASSWORD_FD", password_fd);
    child_pass_descriptor(errand->variable, errand->fd);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    operate_exec(errand->programs, errand->program, argv);
    child_give_up();
}

bool operate_start_errand(const struct operate_errand *errand, int *pid, int *ended_fd,
                          struct err *err)
{
    CLEANUP(fd_close) int password_fd = -1;
    CLEANUP(fd_close) int log_fd = operate_open_log(errand->session->conf);
    const char *name = operate_program_name(errand->program);
    pid_t parent = getpid();
    pid_t child;
    int ended;

    if (!find_password(errand, &password_fd, err))
        return err_wrap(err, "%s", name);
    child = fork();
    if (child < 0)
        return err_errno(err, "start %s", name);
    if (child == 0)
        become_program(errand, password_fd, log_fd, parent);
    ended = pidfd_open(child, 0);
    if (ended < 0) {
        (void)err_errno(err, "watch %s", name);
        (void)kill(child, SIGKILL);
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
            continue;
        return false;
    }
    *pid = (int)child;
    *ended_fd = ended;
    return true;
}
