/* SPDX-License-Identifier: Apache-2.0 */
/*
 * source/lease.h - a job as its worker holds it: claim, renew, finish; the account; the secret.
 *
 *   DUE --source_claim_job--> HELD --source_renew, every commit--> HELD --source_finish--> DUE later
 *   HELD --time-out--> DUE: another worker claims it with a higher fence, and whatever the first one
 *   still tries to commit fails with ERR_DENIED ("lease lost"): it rolls back and drops the work.
 *
 * Whose turn it is, and what a host and an account may bear, is decided in the database
 * (schema/0008_schedule.sql), so that it holds over all processes and machines.
 *
 * For holdfast-ingest, on a connection of its role. One connection, one thread.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/secret.h"
#include "source/account.h"
#include "source/progress.h"
#include "source/run.h"
#include "source/secret.h"

struct db;

enum {
    SOURCE_LEASE_SECONDS = 60
}; /* renewed by every commit, and by source_renew in between */

/* For db_listen: somebody asked for a run. */
#define SOURCE_JOB_CHANNEL "holdfast_job"

struct source_lease {
    int64_t job_id;
    int64_t fence;
    int64_t account_id;
    int64_t mailbox_id; /* 0: of the whole account */
    enum source_job_kind kind;
    bool is_full; /* every mailbox is enumerated, also one that is proved unchanged */
};

/*
 * owner: who claims, for the operator and for source_release_dead. host_connections: how many a host
 * bears of which nobody says otherwise. *has_one false: nothing is due that may run now.
 */
MUST_USE bool source_claim_job(struct db *db, struct bytes owner, int32_t host_connections,
                               struct source_lease *out, bool *has_one, struct err *err);

/* What an owner of this name held, who is known to be dead, is due at once. released: how many jobs. */
MUST_USE bool source_release_dead(struct db *db, struct bytes owner, int64_t *released,
                                  struct err *err);

/* What was put off for longer than any rule says, while the database's clock was ahead, is due at once. mended: how
 * many jobs. */
MUST_USE bool source_mend_schedule(struct db *db, int64_t *mended, struct err *err);

/*
 * A claimed job has one connection to its source. Asks for `wanted` of them (1: gives back the others);
 * granted: how many it has now, at least one, until the lease ends or it asks again.
 */
MUST_USE bool source_ask_connections(struct db *db, const struct source_lease *lease,
                                     int32_t wanted, int32_t host_connections, int32_t *granted,
                                     struct err *err);

/* Is a job waiting for a worker, all of them being busy? Not one that waits for a host: it sleeps or is full
 * (host_connections: see source_claim_job), and it is not the host of this lease. */
MUST_USE bool source_others_wait(struct db *db, const struct source_lease *lease,
                                 int32_t host_connections, bool *is_waiting, struct err *err);

/* A day (UTC) of an account, by the database's clock, which is the same for all workers. */
struct source_day {
    uint64_t bytes;       /* that came in all runs */
    int64_t left_seconds; /* > 0 */
};

/* Adds octets that came from the source to the account's day. */
MUST_USE bool source_count_intake(struct db *db, const struct source_lease *lease, uint64_t bytes,
                                  struct source_day *today, struct err *err);

/* The source's host asked to be left alone, for all accounts. why: one line. */
MUST_USE bool source_sleep_host(struct db *db, const struct source_lease *lease, int64_t seconds,
                                struct bytes why, struct err *err);

/* Prolongs the lease; progress: NULL leaves it as it is. ERR_DENIED: lease lost. */
MUST_USE bool source_renew(struct db *db, const struct source_lease *lease,
                           const struct source_progress *progress, struct err *err);

/* Why a run stops short that has not failed. */
enum source_rest {
    SOURCE_REST_NONE,
    SOURCE_REST_YIELDED,   /* others wait: the same run goes on when its turn comes again */
    SOURCE_REST_BUDGET,    /* the day's octets are spent */
    SOURCE_REST_THROTTLED, /* the source said for how long */
};

struct source_outcome {
    enum err_code code;      /* ERR_NONE: complete */
    const char *text;        /* one line: which account, what failed, what to do */
    int64_t next_in_seconds; /* when it is due again; -1: not before somebody asks */
    enum source_rest rest;   /* other than NONE: not counted as a failed attempt */
};

/* Gives the job back. ERR_DENIED: lease lost. */
MUST_USE bool source_finish(struct db *db, const struct source_lease *lease,
                            const struct source_outcome *outcome,
                            const struct source_progress *progress, struct err *err);

/* What the worker needs of the account and of the job. */
struct source_work {
    struct source_account_settings account;
    bool is_paused, is_removed;
    bool is_journal;                 /* its messages are journal reports */
    int32_t attempts;                /* failed runs since the last good one */
    int64_t started_usec;            /* the run, in its first slice if it has yielded since */
    struct source_progress progress; /* of the slices before this one */
    int64_t daily_bytes;             /* budget; 0: none; -1: as the provider bears */
    uint64_t today_bytes;            /* of it, spent (UTC) */
};
MUST_USE bool source_load_work(struct db *db, const struct source_lease *lease, struct arena *arena,
                               struct source_work *out, struct err *err);

/* How the claimed account proves who it is; for CLEANUP: source_free_identity. */
enum source_proof {
    SOURCE_BY_PASSWORD,
    SOURCE_BY_TOKEN,       /* an OAuth access token */
    SOURCE_BY_CERTIFICATE, /* PEM: a client certificate with its chain, and its private key */
};

struct source_identity {
    enum source_proof proof;
    struct secret *secret; /* owned */
};
void source_free_identity(struct source_identity *identity);

/*
 * From holdfast-gate at this socket. refused: a token that the source did not take (another one comes, or
 * the same when it is brand new); NULL: none. ERR_DENIED: the gate knows no such lease, or the token endpoint refuses, as the text
 * says. ERR_RETRY: nobody answers there, or not the endpoint.
 */
MUST_USE bool source_get_identity(const char *gate_socket, const struct source_lease *lease,
                                  const struct secret *refused, struct source_identity *out,
                                  struct err *err);
