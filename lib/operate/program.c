/* SPDX-License-Identifier: Apache-2.0 */
#include "operate/program.h"

#include "base/bytes.h"
#include "base/fd.h"
#include "operate/lock.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const names[OPERATE_PROGRAM_COUNT] = {
    [OPERATE_HOLDFASTD] = "holdfastd",    [OPERATE_GATE] = "holdfast-gate",
    [OPERATE_KEEPER] = "holdfast-keeper", [OPERATE_INGEST] = "holdfast-ingest",
    [OPERATE_IMAPD] = "holdfast-imapd",   [OPERATE_WATCH] = "holdfast-watch",
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

unsigned operate_programs_of(unsigned services)
{
    static const struct {
        unsigned service;
        enum operate_program program;
    } rows[] = {
        { OPERATE_SERVICE_GATE, OPERATE_GATE },     { OPERATE_SERVICE_KEEPER, OPERATE_KEEPER },
        { OPERATE_SERVICE_INGEST, OPERATE_INGEST }, { OPERATE_SERVICE_IMAPD, OPERATE_IMAPD },
        { OPERATE_SERVICE_WATCH, OPERATE_WATCH },
    };
    unsigned wanted = 0;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if ((services & rows[i].service) != 0)
            wanted |= 1u << rows[i].program;
    }
    return wanted;
}

/* ---- handing down ---------------------------------------------------------------------------------- */

void operate_write_programs(const struct operate_programs *programs,
                            char text[OPERATE_PROGRAMS_TEXT_BYTES])
{
    size_t len = 0;

    for (size_t i = 0; i < OPERATE_PROGRAM_COUNT; i++)
        len += (size_t)snprintf(text + len, OPERATE_PROGRAMS_TEXT_BYTES - len, "%s%d",
                                i > 0 ? "," : "", programs->fds[i]);
    assert(len < OPERATE_PROGRAMS_TEXT_BYTES);
}

void operate_pass_programs(const struct operate_programs *programs)
{
    for (size_t i = 0; i < OPERATE_PROGRAM_COUNT; i++) {
        if (programs->fds[i] >= 0)
            (void)fcntl(programs->fds[i], F_SETFD, 0);
    }
}

bool operate_adopt_programs(const char *text, struct operate_programs *out, struct err *err)
{
    struct operate_programs programs = OPERATE_NO_PROGRAMS;
    struct bytes rest = bytes_of_text(text);

    for (size_t i = 0; i < OPERATE_PROGRAM_COUNT; i++) {
        uint32_t fd = 0;
        bool is_absent;

        if (i > 0 && !scan_byte(&rest, ','))
            return err_fail(err, ERR_SYNTAX, "'%s' is no list of descriptors", text);
        is_absent = scan_text(&rest, BYTES("-1"));
        if (!is_absent && (!scan_u32(&rest, &fd) || fcntl((int)fd, F_SETFD, FD_CLOEXEC) != 0))
            return err_fail(err, ERR_SYNTAX, "'%s' is no list of open descriptors", text);
        programs.fds[i] = is_absent ? -1 : (int)fd;
    }
    *out = programs;
    return true;
}

void operate_exec(const struct operate_programs *programs, enum operate_program program,
                  char *const argv[])
{
    (void)execveat(programs->fds[program], "", argv, environ, AT_EMPTY_PATH);
}
