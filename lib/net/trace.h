/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net/trace.h - what was said on a stream, line by line, for a human. Off by default.
 *
 * Shows plain text above TLS; outlives STARTTLS. Masked: arguments of LOGIN, all of an AUTHENTICATE
 * exchange, and the octets of literals in both directions. Other content (quoted strings) is shown:
 * a trace is asked for by the operator and goes where he says, never to the log. Lines over
 * NET_TRACE_LINE_BYTES are cut.
 *
 *     22:17:55.123456 3 C: a1 LOGIN ***
 *     22:17:55.140102 3 S: * 1 FETCH (BODY[] {18230}
 *     22:17:55.140110 3 S: <literal of 18230 octets>
 */
#pragma once

#include "net/stream.h"

enum {
    NET_TRACE_LINE_BYTES = 1024
};

enum net_side {
    NET_SIDE_CLIENT,
    NET_SIDE_SERVER
}; /* which one we are */

/* fd: borrowed, must stay open as long as the stream. label: shown in each line, a session number.
 * Failure to write the trace is ignored. */
void net_start_trace(struct net_stream *stream, int fd, enum net_side side, uint64_t label);
