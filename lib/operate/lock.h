/* SPDX-License-Identifier: Apache-2.0 */
/*
 * operate/lock.h - one holdfastd per data directory, and commands that share a passing one.
 *
 *     <data_dir>/holdfastd.lock    locked by holdfastd; says "PID SERVICES", and "schema N"
 *     <data_dir>/commands.lock     shared by every `holdfast` that uses the database: a holdfastd
 *                                  that one of them started ends only when no other is left
 */
#pragma once

#include "base/clock.h"
#include "base/err.h"

/* What runs. holdfastd alone on a machine: all of them. */
enum {
    OPERATE_SERVICE_DATABASE = 1,
    OPERATE_SERVICE_GATE = 2,
    OPERATE_SERVICE_KEEPER = 4,
    OPERATE_SERVICE_INGEST = 8,
    OPERATE_SERVICE_IMAPD = 16,
    OPERATE_SERVICE_WATCH = 32,
    OPERATE_SERVICE_ALL = 63,
};

enum {
    OPERATE_SERVICES_TEXT_BYTES = 64
};

/* "database,gate", both ways. ERR_SYNTAX names the word that is no service. */
void operate_write_services(unsigned services, char text[OPERATE_SERVICES_TEXT_BYTES]);
MUST_USE bool operate_read_services(const char *text, unsigned *out, struct err *err);

/* Takes holdfastd's lock; *fd holds it. ERR_DENIED: another holds it; the text names its process. */
MUST_USE bool operate_take_lock(const char *data_dir, unsigned services, int *fd, struct err *err);

struct operate_holder {
    bool is_running;
    int pid;           /* 0: not written yet */
    unsigned services; /* OPERATE_SERVICE_* */
    uint32_t schema;   /* the newest migration that it knows; 0: of a version that did not say */
};

/* Who holds it. */
MUST_USE bool operate_find_holder(const char *data_dir, struct operate_holder *out,
                                  struct err *err);

/* A command's share; *fd holds it. */
MUST_USE bool operate_take_share(const char *data_dir, int *fd, struct err *err);

/* Waits until no command has a share, at most until the deadline. */
void operate_await_shares(const char *data_dir, struct deadline deadline);

/* True: it runs, and will never bring the database to the schema that this program needs. */
bool operate_holder_is_older(const struct operate_holder *holder);
