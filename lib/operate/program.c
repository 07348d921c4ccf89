/* SPDX-License-Identifier: Apache-2.0 */
#include "operate/program.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

static const char *const names[OPERATE_PROGRAM_COUNT] = {
    [OPERATE_HOLDFASTD] = "holdfastd",    [OPERATE_GATE] = "holdfast-gate",
    [OPERATE_KEEPER] = "holdfast-keeper", [OPERATE_INGEST] = "holdfast-ingest",
    [OPERATE_IMAPD] = "holdfast-imapd",
};

const char *operate_program_name(enum operate_program program)
{
    return names[program];
}

void operate_close_programs(struct operate_programs *programs)
{
    for (size_t i = 0; i < OPERATE_PROGRAM_COUNT; i++)
        fd_close(&programs->fds[i]);
}

bool operate_open_programs(unsigned wanted, struct operate_programs *out, struct err *err)
{
    CLEANUP(operate_close_programs) struct operate_programs programs = OPERATE_NO_PROGRAMS;
    char self[PATH_MAX - 32];
    char path[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);

    if (len < 0)
        return err_errno(err, "find this program by /proc/self/exe");
    self[len] = '\0';
    *(strrchr(self, '/') + 1) = '\0';
    for (unsigned i = 0; i < OPERATE_PROGRAM_COUNT; i++) {
        if ((wanted >> i & 1) == 0)
            continue;
        (void)snprintf(path, sizeof path, "%s%s", self, names[i]);
        programs.fds[i] = open(path, O_PATH | O_CLOEXEC);
        if (programs.fds[i] < 0) {
            (void)err_errno(err, "program %s", path);
            return err_wrap(err, "all programs of Holdfast belong in one folder");
        }
    }
    *out = programs;
    programs = OPERATE_NO_PROGRAMS;
    return true;
}

void operate_exec(const struct operate_programs *programs, enum operate_program program,
                  char *const argv[])
{
    (void)execveat(programs->fds[program], "", argv, environ, AT_EMPTY_PATH);
}
