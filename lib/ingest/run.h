/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest/run.h - one claimed job, from its account's login to its outcome.
 *
 * Blocking straight-line code with a deadline on every wait; ends within seconds when stop_fd becomes
 * readable, at the next safe point: the batch is committed or dropped. One thread, but for those of crew.h;
 * under 64 MB.
 */
#pragma once

#include "base/err.h"
#include "base/log.h"
#include "conf/conf.h"
#include "source/lease.h"

struct db;

struct ingest_settings {
    const char *gate_socket;
    int stop_fd;              /* -1: none */
    int32_t host_connections; /* [ingest] host_connections */
    int64_t stall_ms;         /* longest wait for one octet of a source */
    enum conf_compress compress;
    bool recognises;  /* [ingest] recognise */
    int64_t slice_ms; /* how long before it gives way to jobs that wait */
    const struct log *log;
};

/*
 * Runs the job and gives it back with its outcome, whatever that is: a source that fails is an
 * outcome. False: the archive failed. A database that works but cannot be written (disk full) is told as
 * the outcome, if it can be; otherwise (connection or lease lost) the job was not given back and is
 * due again when its lease ends. The caller reconnects if need be.
 */
MUST_USE bool ingest_run_job(struct db *db, const struct source_lease *lease,
                             const struct ingest_settings *settings, struct err *err);
