/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gate/client.h - asking holdfast-gate: one connection, one request, one reply.
 *
 *     CLEANUP(gate_wipe) struct gate_datagram store = { 0 };
 *     struct gate_request ask = { .kind = GATE_SOURCE_SECRET, .source_secret = { job, fence } };
 *     struct gate_reply reply;
 *     if (!gate_call(path, &ask, &store, &reply, NULL, deadline_after_ms(GATE_CALL_MS), err) ||
 *         !gate_check_done(&reply, err))
 *         return false;
 *     use(reply.secret.octets);
 *
 * Any thread; nothing is kept between calls.
 */
#pragma once

#include "base/clock.h"
#include "gate/message.h"

/* The sockets, in the run-time folder. A request on the wrong one is refused and audited. */
#define GATE_IMAPD_SOCKET "gate-imapd.sock"
#define GATE_INGEST_SOCKET "gate-ingest.sock"

enum {
    GATE_CALL_MS = 15000
}; /* a login may wait for a turn at the KDF */

/*
 * socket_path  at most 107 octets.
 * store        holds the reply's octets; *reply borrows from it. The caller wipes it.
 * fd           receives the descriptor of GATE_OPEN_PACK, the caller's to close; -1 when none came.
 *              NULL for the other kinds: a descriptor that comes all the same is closed.
 *
 * Success      a reply to this request came, whatever its outcome.
 * ERR_RETRY    the gate is not there, or did not answer before the deadline.
 * ERR_SYNTAX   what came was not a reply.   ERR_LIMIT: the request does not fit.
 * ERR_DENIED   we may not use the socket.
 */
MUST_USE bool gate_call(const char *socket_path, const struct gate_request *request,
                        struct gate_datagram *store, struct gate_reply *reply, int *fd,
                        struct deadline deadline, struct err *err);

/*
 * True for GATE_DONE. Otherwise an error that says it: DENIED and REFUSED as ERR_DENIED, THROTTLED
 * as ERR_LIMIT ("wait 30 s"), ABSENT, RETRY and CORRUPT as the codes of these names, GRANT_DENIED and
 * GRANT_RETRY as ERR_DENIED and ERR_RETRY with the text that came.
 */
MUST_USE bool gate_check_done(const struct gate_reply *reply, struct err *err);
