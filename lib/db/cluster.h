/* SPDX-License-Identifier: Apache-2.0 */
/*
 * db/cluster.h - the private PostgreSQL in the data directory.
 *
 *   ABSENT --db_cluster_open--> STOPPED --db_cluster_start--> RUNNING --db_cluster_stop--> STOPPED
 *
 * Layout:  <data_dir>/postgres/                      the cluster: UTF-8, C.UTF-8, data checksums
 *          <data_dir>/postgres/holdfast.conf         our settings, written anew by every open
 *          <data_dir>/postgres/local.conf            the operator's, if there is one; wins
 *          <data_dir>/postgres.log                   the server's messages (no content: see cluster.c)
 *          <data_dir>/keys/db-<nickname>.password    owner, ingest, keeper, gate, reader; mode 0600
 *          <runtime_dir>/.s.PGSQL.5432               its only door: a Unix socket, SCRAM passwords
 *
 * PostgreSQL refuses to run as root, so the caller drops its rights first. The server is a direct
 * child in a process group of its own and ends (fast shutdown) with the thread that started it.
 * One thread at a time.
 */
#pragma once

#include "base/clock.h"
#include "db/migrate.h"

#define DB_CLUSTER_DATABASE "holdfast"

struct db_cluster_settings {
    const char *data_dir;     /* made if absent, mode 0700 */
    const char *runtime_dir;  /* made if absent, mode 0700; at most 90 bytes (sockets' limit) */
    const char *program_dir;  /* folder of initdb and postgres; NULL: db_find_programs */
    const char *const *extra; /* further settings "name=value" for this run, then NULL; or NULL */
};

struct db_cluster;

/*
 * The newest PostgreSQL (15 or later) with initdb and postgres: /usr/lib/postgresql/<n>/bin,
 * /usr/pgsql-<n>/bin, then the PATH. ERR_ABSENT: none; the text says which package to install.
 */
enum {
    DB_PROGRAM_DIR_BYTES = 512
};
MUST_USE bool db_find_programs(char out[DB_PROGRAM_DIR_BYTES], struct err *err);

/*
 * Makes passwords and cluster unless they are there (initdb: about a second; a half-made one is
 * removed and made again), and checks that the programs fit the cluster. ERR_DENIED: we are root.
 */
MUST_USE bool db_cluster_open(const struct db_cluster_settings *settings, struct db_cluster **out,
                              struct err *err);

/*
 * Starts the server and waits until it accepts connections; makes the database "holdfast" if absent.
 * A server that already runs on this cluster is used and not ours (db_cluster_is_ours); one that is
 * just stopping is waited for, and so are the processes of one that was killed. ERR_RETRY: not ready
 * at the deadline, or when stop_fd (-1: none) became readable; what it began to recover, it begins again the
 * next time. ERR_SYSTEM: it ended; its last log line is in the text.
 */
MUST_USE bool db_cluster_start(struct db_cluster *cluster, struct deadline deadline, int stop_fd,
                               struct err *err);
bool db_cluster_is_ours(const struct db_cluster *cluster);

/* The child's process id, for waitpid in a supervisor; -1 when not ours. */
int db_cluster_pid(const struct db_cluster *cluster);

/* True while the server lives; reaps it when it has ended. */
bool db_cluster_is_running(struct db_cluster *cluster);

/* Fast shutdown: sessions end, everything is on disk. SIGQUIT at the deadline (recovery at the next
 * start). Nothing when it is not ours. */
MUST_USE bool db_cluster_stop(struct db_cluster *cluster, struct deadline deadline,
                              struct err *err);

/* Migrates and gives every role the password of its file. */
MUST_USE bool db_cluster_prepare(struct db_cluster *cluster, struct err *err);

/* Stops a server that is ours (10 s), then forgets everything; the files stay. */
void db_cluster_free(struct db_cluster **cluster);

/* A target for this role; borrowed from the cluster. */
struct db_target db_cluster_target(const struct db_cluster *cluster, enum db_role role);

/* For processes that only connect: reads the password file of a role. */
MUST_USE bool db_read_password(const char *data_dir, enum db_role role, struct secret **out,
                               struct err *err);
