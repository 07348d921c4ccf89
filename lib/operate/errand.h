/* SPDX-License-Identifier: Apache-2.0 */
/*
 * operate/errand.h - one of the programs, started by a command for an errand of its own.
 *
 * It runs as a service would that holdfastd started: with its database role, the settings, the log of
 * commands, and nothing of the operator's rights; and ends when the command does (SIGTERM). It is not
 * restarted. After operate_open_session. One thread.
 */
#pragma once

#include "db/migrate.h"
#include "operate/session.h"

struct operate_errand {
    const struct operate_session *session;
    const char *conf_path;                   /* of operate_keep_settings */
    const struct operate_programs *programs; /* with that one */
    enum operate_program program;
    enum db_role role;
    const char *variable; /* names the descriptor that it inherits */
    int fd;
};

/* pid: to be waited for. ended_fd: readable when it has ended. */
MUST_USE bool operate_start_errand(const struct operate_errand *errand, int *pid, int *ended_fd,
                                   struct err *err);
