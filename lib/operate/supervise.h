/* SPDX-License-Identifier: Apache-2.0 */
/*
 * operate/supervise.h - holdfastd: starts the services in order, restarts what dies, ends all.
 *
 * One thread, one poll loop over a signal descriptor and a process descriptor per child. No database
 * connection is held while it runs, and nothing of what the children do is parsed.
 */
#pragma once

#include "base/log.h"
#include "conf/runtime.h"
#include "operate/lock.h"
#include "operate/program.h"

struct operate_plan {
    const struct conf *conf;
    const char *conf_path; /* for children, readable to them; "": none */
    const struct operate_programs *programs;
    unsigned services; /* OPERATE_SERVICE_* */
    uint32_t workers;  /* how many ingest */
    int ready_fd;      /* gets "ready ...\n" when everything serves, and is closed; -1: none */
    bool is_passing;   /* started by a command: waits at the end for the others that use it */
    const struct log *log;
};

/*
 * After operate_settle, with the lock held and the keys made. Returns true when asked to end by
 * SIGTERM, SIGINT or SIGHUP and everything has ended; false when the start failed (everything that
 * was started has ended too).
 */
MUST_USE bool operate_supervise(const struct operate_plan *plan, struct err *err);
