/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gate/internal.h - datagrams with descriptors, for the client and the server alike.
 */
#pragma once

#include "base/clock.h"
#include "gate/message.h"

#include <sys/un.h>

/* ERR_LIMIT: the path does not fit a socket address. */
MUST_USE bool gate_set_address(const char *path, struct sockaddr_un *out, struct err *err);

/* Sends one datagram, with a descriptor unless it is -1. ERR_RETRY at the deadline or without peer. */
MUST_USE bool gate_send_datagram(int fd, const struct gate_datagram *datagram, int passed_fd,
                                 struct deadline deadline, struct err *err);

/* Waits for one datagram. *passed_fd: the first descriptor that came along, or -1; others are closed.
 * ERR_RETRY at the deadline or when the peer has closed. ERR_LIMIT: longer than a datagram may be. */
MUST_USE bool gate_receive_datagram(int fd, struct gate_datagram *out, int *passed_fd,
                                    struct deadline deadline, struct err *err);
