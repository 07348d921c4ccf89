/* SPDX-License-Identifier: Apache-2.0 */
/*
 * db/cluster_internal.h - what the files of the private cluster share: programs.c finds initdb and
 * postgres, cluster.c makes the files, server.c runs the server.
 */
#pragma once

#include "db/cluster.h"

#include <limits.h>
#include <sys/types.h>

enum {
    CLUSTER_PATH_BYTES = PATH_MAX,
    CLUSTER_EXTRA_MAX = 16
};

struct db_cluster {
    char data_dir[CLUSTER_PATH_BYTES];    /* absolute */
    char files[CLUSTER_PATH_BYTES];       /* <data_dir>/postgres */
    char runtime_dir[CLUSTER_PATH_BYTES]; /* absolute; where our server's socket will be */
    char socket_dir[CLUSTER_PATH_BYTES];  /* of the server that runs, also of somebody else's */
    char program_dir[DB_PROGRAM_DIR_BYTES];
    char *extra[CLUSTER_EXTRA_MAX + 1]; /* owned */
    struct secret *passwords[DB_ROLE_COUNT];
    pid_t pid;      /* the server, when it is our child; else -1 */
    int stop_fd;    /* db_cluster_start gives up when it becomes readable; -1: none */
    off_t log_from; /* where the server that we started last began to write into its log */
};

/* major 0: the newest. */
MUST_USE bool db_find_programs_of(uint32_t major, char out[DB_PROGRAM_DIR_BYTES], struct err *err);

/* ERR_LIMIT when the path does not fit. */
MUST_USE bool db_join_path(char out[CLUSTER_PATH_BYTES], const char *dir, const char *name,
                           struct err *err);

/* False: asked to stop meanwhile, ERR_RETRY. */
MUST_USE bool db_cluster_wait(const struct db_cluster *cluster, int ms, struct err *err);

/* One process at a time makes or starts a cluster. *fd holds the lock until it is closed. */
MUST_USE bool db_lock_cluster(const struct db_cluster *cluster, struct deadline deadline, int *fd,
                              struct err *err);
