/* SPDX-License-Identifier: Apache-2.0 */
/*
 * process/sandbox.h - what is left to a process that parses hostile octets, should they take it over.
 *
 * Two layers, for good, and for every thread made later:
 *
 *   Landlock   no file is written, made, removed or executed; none is read but those that the system's libraries
 *              need (`readable` comes to them; SANDBOX_READS_ALL: any); no TCP port is connected or bound without the right
 *   seccomp    what Landlock cannot see: no program and no process is started, no other process traced, signalled or
 *              limited, nothing typed at the terminal,
 *              no owner, mode, time or attribute of a file changed, no link made, no part of the system
 *              reconfigured
 *
 * Descriptors that are open stay what they are: log, sockets, what the gate hands over. Sockets of the file system can
 * be connected; those that have but a name (abstract ones) on kernels before Linux 6.12 only.
 */
#pragma once

#include "base/err.h"
#include "conf/conf.h"

enum sandbox_right {
    /* also what lies elsewhere: certificates and password files of libpq */
    SANDBOX_READS_ALL = 1 << 0,
    SANDBOX_CONNECTS = 1 << 1, /* by TCP */
    SANDBOX_LISTENS = 1 << 2,  /* by TCP */
};

struct sandbox {
    unsigned rights; /* of enum sandbox_right */
    /* a folder besides those of the system, which need not be there; NULL: none */
    const char *readable;
};

/* What libpq needs for the database of these settings: nothing for the private one, behind its socket. */
unsigned sandbox_rights_of_libpq(const struct conf *conf);

/*
 * To be called before the first thread, and before the first octet that is not ours. Sets no_new_privs.
 * *has_landlock false: this kernel has none, or it is switched off; seccomp is in force all the same.
 * Builds with a sanitizer keep all rights but that of changing files: their reports need them. Builds that measure
 * coverage keep all, since they write what they measured.
 */
MUST_USE bool sandbox_enter(const struct sandbox *sandbox, bool *has_landlock, struct err *err);
