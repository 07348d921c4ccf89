/* SPDX-License-Identifier: Apache-2.0 */
/*
 * operate/internal.h - what the files of operate share: one child of holdfastd.
 *
 *   WAITING --child_launch--> STARTING --"ready\n"--> READY
 *   STARTING, READY --it ends--> WAITING until restart_at (back-off doubles from 0.1 s to 30 s)
 */
#pragma once

#include "db/cluster.h"
#include "operate/supervise.h"

#include <sys/types.h>

enum {
    CHILD_READY_MS = 60000, /* from start to "ready"; sanitizer builds are slow */
    CHILD_BACKOFF_FIRST_MS = 100,
    CHILD_BACKOFF_MAX_MS = 30000,
    CHILD_STEADY_MS = 60000, /* one that served for so long begins with the first back-off again */
};

enum child_state {
    CHILD_WAITING,
    CHILD_STARTING,
    CHILD_READY
};

struct child {
    enum operate_program program;
    enum db_role role;
    uint32_t number; /* of its kind, from 0 */
    enum child_state state;
    pid_t pid;    /* while not WAITING */
    int pidfd;    /* readable when it has ended; -1 while WAITING */
    int ready_fd; /* while STARTING */
    int64_t backoff_ms;
    struct deadline restart_at;  /* of WAITING */
    struct deadline ready_until; /* of STARTING */
    struct deadline steady_at;
};

struct child_setup {
    const struct operate_plan *plan;
    const char *conf_path; /* "": none */
    bool has_passwords;    /* the files of keys/ are what the server expects */
};

MUST_USE bool child_launch(struct child *child, const struct child_setup *setup, struct err *err);

/* Reads what stands on ready_fd; true once the child is ready. */
bool child_hear(struct child *child);

/* Reaps a child whose pidfd is readable and puts it into WAITING. text: "exit status 1", "signal 9". */
enum {
    CHILD_END_BYTES = 48
};
void child_reap(struct child *child, char text[CHILD_END_BYTES], int *exit_status);

void child_signal(const struct child *child, int signal_number);

/* A pipe's reading end from which the role's password can be read, up to the end. */
MUST_USE bool child_hand_down_password(const struct conf *conf, enum db_role role, int *out,
                                       struct err *err);

/* In a child, before exec: the descriptor stays open in the program, and the variable names it. -1: none. */
void child_pass_descriptor(const char *variable, int fd);

/* <data_dir>/holdfast.log, for what a command starts; /dev/null when it cannot be had. */
int operate_open_log(const struct conf *conf);
