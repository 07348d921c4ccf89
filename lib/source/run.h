/* SPDX-License-Identifier: Apache-2.0 */
/*
 * source/run.h - runs of an account's jobs, as who asks for them sees them.
 *
 *     source_request_run(db, account_id, SOURCE_JOB_SYNC, &request, err)     due now
 *     source_watch_run(db, &request, arena, &run, err)                       again and again; of many
 *                                                                            requests those alone that
 *                                                                            source_find_moved_runs names
 *     run.is_finished: run.outcome and run.outcome_text say how it ended
 *
 * For the CLI, on a connection of the owner's role. One connection, one thread.
 */
#pragma once

#include "base/arena.h"
#include "base/bytes.h"
#include "base/err.h"

struct db;

enum source_job_kind {
    SOURCE_JOB_SYNC,      /* archive what is new */
    SOURCE_JOB_TEST,      /* log in and count, archive nothing */
    SOURCE_JOB_WATCH,     /* a watcher's (source/watch.h): nobody asks for a run of it */
    SOURCE_JOB_RECONCILE, /* a sync that takes no mailbox for unchanged; of the same job */
    SOURCE_JOB_IMPORT,    /* files, fed to a worker of its own (ingest/import.h) */
};

struct source_run {
    int64_t job_id;   /* 0: the account has no such job */
    bool is_active;   /* false: nothing will make it due but a request */
    bool is_running;  /* a worker holds it, and its lease has not run out */
    bool is_finished; /* source_watch_run: a run that began after the request has ended */
    int64_t due_usec; /* when it is or was due; of a running job: when the lease ends */
    int32_t attempts; /* failed runs since the last good one */
    int64_t requested_usec, started_usec, finished_usec; /* 0: never */
    enum err_code outcome;     /* of the last run; ERR_NONE: complete (or none has ended) */
    struct bytes outcome_text; /* one line for the operator */
    struct bytes progress;     /* JSON object, see source/progress.h; "{}": nothing yet */
};

struct source_request {
    int64_t job_id;
    int64_t requested_usec;
};

/*
 * Makes the job of this kind due now (and makes the job, of SOURCE_JOB_TEST, which goes before all others). A run that is going on
 * finishes first; another follows at once. ERR_ABSENT: no such account. ERR_DENIED: it is removed,
 * or (SOURCE_JOB_SYNC) paused; the text says what to do.
 */
MUST_USE bool source_request_run(struct db *db, int64_t account_id, enum source_job_kind kind,
                                 struct source_request *out, struct err *err);

/* The sync that began by itself since then, as if it had been requested then. out->job_id 0: none did. */
MUST_USE bool source_find_begun_run(struct db *db, int64_t account_id, int64_t since_usec,
                                    struct source_request *out, struct err *err);

/* ERR_ABSENT: the job is no more. Finished, with ERR_DENIED, is also what will not begin any more: its
 * account was paused or removed. */
MUST_USE bool source_watch_run(struct db *db, const struct source_request *request,
                               struct arena *arena, struct source_run *out, struct err *err);

/* Indexes, ascending, of the requests (job_id 0: passed over) whose run goes on or has ended, in one
 * statement. */
MUST_USE bool source_find_moved_runs(struct db *db, const struct source_request *requests,
                                     size_t count, struct arena *arena, const size_t **indexes,
                                     size_t *found, struct err *err);
