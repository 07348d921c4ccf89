/* SPDX-License-Identifier: Apache-2.0 */
/*
 * export/mbox.h - the mboxrd format: separator lines, and quoting that can be undone.
 *
 * A line that matches ^>*From_ (one space) gets one ">" in front. A line begins at the message's first
 * octet and behind each LF; CR is an ordinary octet. Taking one ">" away from each line that matches
 * ^>+From_ gives the octets back, whatever they are.
 *
 * Streaming, constant memory; one thread at a time. RFC 4155 describes the separator line.
 */
#pragma once

#include "base/buf.h"

typedef bool export_write_fn(void *context, struct bytes octets, struct err *err);

struct export_quoter { /* starts with export_begin_quoting; all but the counters private */
    export_write_fn *write;
    void *context;
    uint64_t quoted_lines;
    uint64_t written; /* octets, with those added */
    bool is_inside_line;
    uint64_t held_signs; /* ">" at the start of the line that are not written yet */
    size_t held_letters; /* of "From " behind them */
    uint8_t last;        /* octet of the message; '\n' before the first */
};

struct export_quoter export_begin_quoting(export_write_fn *write, void *context);

/* The next octets of a message. Failure: the writer's. */
MUST_USE bool export_quote(struct export_quoter *quoter, struct bytes octets, struct err *err);

/* The message is over: writes what is held. */
MUST_USE bool export_end_quoting(struct export_quoter *quoter, struct err *err);

/* "From MAILER-DAEMON Mon Oct  1 08:00:00 2001\n": the INTERNALDATE in UTC. */
void export_write_separator(int64_t internal_usec, struct buf *out);
