/* SPDX-License-Identifier: Apache-2.0 */
/*
 * operate/session.h - how a command of the operator reaches the database and the services.
 *
 * If a holdfastd runs that has what is needed, it is used. Otherwise one is started for the command's
 * duration, with the needed services only, its log in <data_dir>/holdfast.log; if one runs with less
 * (another command's), it is waited for. With [database] url and no service needed, none is started.
 *
 * After operate_settle. One thread.
 */
#pragma once

#include "conf/runtime.h"
#include "db/db.h"
#include "operate/lock.h"
#include "operate/program.h"

struct operate_session {
    struct db *db; /* as the owner */
    const struct conf *conf;
    struct conf_runtime runtime; /* dir is "" when nothing runs here ([database] url) */
    int holdfastd_pid;           /* 0: none of ours */
    int holdfastd_fd;            /* readable when it has ended; -1 */
    int host_fd;                 /* likewise of the one that is used and not ours; -1: none */
    bool is_guest;               /* that one was started by another command, and ends with it */
    int share_fd;
};

#define OPERATE_NO_SESSION                                                                         \
    ((struct operate_session){ .holdfastd_fd = -1, .host_fd = -1, .share_fd = -1 })

struct operate_session_request {
    const struct conf *conf;
    const char *conf_path;                   /* of operate_keep_settings */
    const struct operate_programs *programs; /* with OPERATE_HOLDFASTD and those of services */
    unsigned services;                       /* OPERATE_SERVICE_*; the database always */
};

/* ERR_RETRY: what runs did not answer in time. Errors of a start are those of holdfastd. */
MUST_USE bool operate_open_session(const struct operate_session_request *request,
                                   struct operate_session *out, struct err *err);

/* Ends the holdfastd that was started, in order, and waits for its end. */
void operate_close_session(struct operate_session *session);

/* False when the holdfastd that this session started has ended by itself. */
bool operate_session_lives(const struct operate_session *session);

/* The target for another role from the same place (the reading child). password: borrowed. */
struct db_target operate_session_target(const struct operate_session *session, const char *role,
                                        const struct secret *password);
