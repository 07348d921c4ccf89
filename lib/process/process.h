/* SPDX-License-Identifier: Apache-2.0 */
/*
 * process/process.h - how a Holdfast process starts, says that it is ready, and ends.
 *
 * Every process but the CLI is started by holdfastd (or by a service manager) with fork and exec:
 *
 *   arguments                   -c FILE               as everywhere (conf/)
 *   HOLDFAST_PASSWORD_FD=N      its database password is read from descriptor N up to end of file,
 *                               which is then closed; without it libpq's own means apply (peer,
 *                               certificate, passfile)
 *   HOLDFAST_READY_FD=N         it writes "ready\n" to N and closes it once it serves
 *   HOLDFAST_WORKER=N           it is the N-th of its kind, and the one before it of this number and
 *                               this parent has ended
 *   SIGTERM, SIGINT             it finishes what it has begun, within PROCESS_STOP_MS, and exits 0
 *   descriptor 2                its log
 *
 * A process whose holdfastd has died is told so by SIGTERM (PR_SET_PDEATHSIG).
 */
#pragma once

#include "base/err.h"
#include "base/log.h"
#include "base/secret.h"
#include "conf/conf.h"
#include "conf/runtime.h"
#include "db/db.h"

enum {
    PROCESS_STOP_MS = 5000
};

struct process {
    struct conf *conf;
    struct log log;
    struct secret *db_password;  /* NULL: none was handed down */
    const char *role;            /* "holdfast_ingest", … */
    struct conf_runtime runtime; /* the private folder of sockets */
    int worker;                  /* HOLDFAST_WORKER; -1: not said */
    int stop_fd;                 /* readable once the process shall end: belongs into every poll */
};

/*
 * Reads the settings, takes the password, blocks SIGTERM and SIGINT in favour of stop_fd, ignores
 * SIGPIPE, makes the process undumpable. To be called before the first thread.
 * name: "ingest", …; role: its database role.
 */
MUST_USE bool process_start(int argc, char **argv, const char *name, const char *role,
                            struct process *out, struct err *err);
void process_end(struct process *process);

/*
 * Gives up for good what a process that parses mail does not need (process/sandbox.h); rights: of enum
 * sandbox_right, to which come those that libpq needs for a database with a URL. Between process_start and
 * the first thread or connection. A kernel without Landlock is logged.
 */
MUST_USE bool process_enter_sandbox(const struct process *process, unsigned rights,
                                    struct err *err);

/* The number (a descriptor, mostly) that a variable names, or -1. The variable is removed: it is not for
 * children. */
int process_take_number(const char *variable);

/* The database of this process: its role, its password, read-write. Borrows from *process. */
struct db_target process_db_target(const struct process *process);

/* Connects, waiting up to timeout_ms for a server that is not up yet (ERR_RETRY until then). The second one as
 * process_db_target says. */
MUST_USE bool process_connect_to(const struct process *process, const struct db_target *target,
                                 int64_t timeout_ms, struct db **out, struct err *err);
MUST_USE bool process_connect(const struct process *process, int64_t timeout_ms, struct db **out,
                              struct err *err);

/* Lets us have as many descriptors as the system bears, and warns when they are fewer than wanted. Before the sandbox. */
void process_allow_descriptors(const struct process *process, uint64_t wanted);

/* Tells holdfastd. Call once, when requests will be answered. */
void process_ready(void);

/*
 * Who holds something, for the operator and for whoever comes after: "HOST ingest 2 of 4711". Under holdfastd a
 * process has a number, and when the next one of this number starts, the one before it has ended: what
 * stands under this name is free.
 */
enum {
    PROCESS_OWNER_BYTES = 160
};
void process_write_owner(const struct process *process, char owner[PROCESS_OWNER_BYTES]);

bool process_must_stop(const struct process *process);

/* Waits until asked to stop or until ms have passed; true: stop. */
bool process_wait(const struct process *process, int64_t ms);

/* As process_wait, and ends with false when fd is readable too (-1: none). */
bool process_wait_for(const struct process *process, int fd, int64_t ms);
