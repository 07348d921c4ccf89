/* SPDX-License-Identifier: Apache-2.0 */
/*
 * operate/user.h - whose archive it is: the data directory and the rights a program keeps.
 *
 * Started by root, holdfastd and holdfast become the user of `[holdfast] user`; everything that only
 * root can read (settings, password files, the program files) is opened before. Before the first
 * thread.
 */
#pragma once

#include "conf/conf.h"

#include <limits.h>

/*
 * Makes the data directory (0700) and its folder keys/, becomes its user when started by root, and
 * leaves the folder the program was started in. Then HOLDFAST_HOLDFAST_DATA_DIR names the data
 * directory for programs started from here, whose default would be another.
 *
 * Root: the user is made with useradd if absent, and the directory becomes his when it is empty or
 * an archive. keep_low_ports: programs started with operate_allow_low_ports may listen below 1024.
 *
 * ERR_DENIED: the directory belongs to somebody else, or to other things; the text says what to do.
 */
MUST_USE bool operate_settle(const struct conf *conf, bool keep_low_ports, struct err *err);

/* In a child, before exec: passes on the right to listen on ports below 1024, if there is one. */
void operate_allow_low_ports(void);

/*
 * The settings file as a path that the user of operate_settle can read too: call before it. *fd
 * stays open as long as the path is used and is inherited by children. Without a file, or when not
 * root, fd is -1 and path the absolute path, "" for none.
 */
MUST_USE bool operate_keep_settings(const struct conf *conf, char path[PATH_MAX], int *fd,
                                    struct err *err);
