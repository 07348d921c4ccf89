/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conf/runtime.h - the short private folder where the processes' Unix sockets lie.
 *
 * It is made by whoever starts first (holdfastd, or `holdfast sync` when none runs), and recorded as
 * the symbolic link <data_dir>/run, so that everybody who may read the data directory finds the same
 * folder, whoever he is:
 *
 *     made by root              /run/holdfast/<8 hex of the hash of data_dir>, owner as told
 *     else, with XDG_RUNTIME_DIR  $XDG_RUNTIME_DIR/holdfast-<hex>
 *     else                      /tmp/holdfast-<uid>-<hex>
 *
 * Mode 0700. Before use it is checked to be a folder (no link) that belongs to the caller, to root
 * or to the owner of data_dir and that nobody else can write to. Paths are at most
 * CONF_RUNTIME_DIR_BYTES long, so that a socket path stays under the 108 bytes of sun_path.
 */
#pragma once

#include "conf/conf.h"

#include <sys/types.h>

enum {
    CONF_RUNTIME_DIR_BYTES = 64,
    CONF_SOCKET_NAME_BYTES = 32,
    CONF_SOCKET_PATH_BYTES = 100,
};

struct conf_runtime {
    char dir[CONF_RUNTIME_DIR_BYTES];
};

/* Finds the recorded folder. ERR_ABSENT: none, nothing runs here. ERR_DENIED: not safe to use. */
MUST_USE bool conf_find_runtime_dir(const struct conf *conf, struct conf_runtime *out,
                                    struct err *err);

/* Finds or makes and records it; data_dir must exist. owner, group: whose it shall be when the
 * caller is root; ignored otherwise. */
MUST_USE bool conf_make_runtime_dir(const struct conf *conf, uid_t owner, gid_t group,
                                    struct conf_runtime *out, struct err *err);

/* dir/name, of a socket: "gate.sock". name is ours and under CONF_SOCKET_NAME_BYTES. */
void conf_get_socket_path(const struct conf_runtime *runtime, const char *name,
                          char path[CONF_SOCKET_PATH_BYTES]);
