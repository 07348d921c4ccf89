/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gate/server.h - the sockets of holdfast-gate, seen from inside.
 *
 * Each call waits at most until its deadline, so that a client which says nothing costs one thread
 * for that long and no more. Any thread; a descriptor belongs to one at a time.
 */
#pragma once

#include "base/clock.h"
#include "gate/message.h"

#include <sys/types.h>

/*
 * A listening SOCK_SEQPACKET socket at path, mode 0600, close-on-exec, non-blocking. A socket that
 * a dead predecessor left there is replaced; one that still answers is not (ERR_DENIED).
 */
MUST_USE bool gate_listen(const char *path, int backlog, int *out, struct err *err);

/*
 * Accepts one connection if there is one. ERR_ABSENT: nobody was waiting. ERR_DENIED: the peer
 * (SO_PEERCRED) is not of this user; it was closed. ERR_SYSTEM: no descriptors; try again later.
 */
MUST_USE bool gate_accept(int listener, uid_t allowed_uid, int *out, struct err *err);

/*
 * Waits for one request. *request borrows from *store, which the caller wipes. Descriptors that a
 * client sends along are closed. ERR_RETRY: nothing came before the deadline, or the peer is gone;
 * ERR_SYNTAX and ERR_LIMIT as gate_read_request.
 */
MUST_USE bool gate_receive(int fd, struct gate_datagram *store, struct gate_request *request,
                           struct deadline deadline, struct err *err);

/* Sends a reply, with a descriptor (which stays the caller's) unless passed_fd is -1. */
MUST_USE bool gate_send(int fd, const struct gate_reply *reply, int passed_fd,
                        struct deadline deadline, struct err *err);
