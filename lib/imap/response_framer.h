/* SPDX-License-Identifier: Apache-2.0 */
/*
 * imap/response_framer.h - where a server's response ends; the client's side of framing.
 *
 * The caller feeds what it received; the framer takes from the front of *in exactly what belongs to
 * the current response. Text outside literals is kept (at most line_bytes). At each literal the
 * caller decides: keep (mailbox names) or stream (message octets, which are then never in the
 * framer's memory). The response may go on behind the literal.
 *
 *     switch (imap_receive(receiver, &in, &err)) {
 *     case IMAP_RECEIVED_MORE:      receive more
 *     case IMAP_RECEIVED_LITERAL:   imap_peek_fetch(imap_received(receiver), …) says whose octets
 *                                   imap_receiver_keep(receiver), or
 *                                   imap_receiver_stream(receiver); then until size_bytes were had:
 *                                   chunk = imap_receive_octets(receiver, &in);
 *                                   receive again
 *     case IMAP_RECEIVED_RESPONSE:  imap_parse_response(imap_received(receiver), …)
 *     case IMAP_RECEIVED_FAILED:    the connection is of no more use
 *     }
 *
 * A line ends with LF; a CR in front of it belongs to the line end. A literal header counts only
 * behind SP or "(" and never in the human-readable text of OK, NO, BAD, BYE, PREAUTH or "+".
 *
 * Pure, one thread at a time. RFC 9051 §2.2, §4.3, §7.
 */
#pragma once

#include "base/bytes.h"
#include "base/err.h"
#include "imap/literal.h"

struct imap_receiver;

enum imap_received_kind {
    IMAP_RECEIVED_MORE,     /* all of *in was taken; the response is not whole */
    IMAP_RECEIVED_LITERAL,  /* *in starts at a literal's first octet; keep or stream it */
    IMAP_RECEIVED_RESPONSE, /* a whole response: imap_received */
    IMAP_RECEIVED_FAILED,   /* ERR_LIMIT: over line_bytes; ERR_SYNTAX: literal size out of range */
};

enum { /* in one response; more is ERR_LIMIT */
    IMAP_STREAMED_MAX = 64,
    IMAP_LITERALS_MAX =
        1000, /* at each imap_peek_fetch reads all of the response that came before */
};

/* A literal whose octets are not in the text: they would stand at this offset of it. */
struct imap_streamed {
    size_t offset;
    uint64_t size_bytes;
};

/* A response as it was received. Borrowed until the next imap_receive. */
struct imap_received {
    struct bytes text; /* without the last line end; kept literals are in it, headers of all are */
    const struct imap_streamed *streamed; /* ascending offsets */
    size_t streamed_count;
};

/* line_bytes: LIMIT_RESPONSE_LINE_BYTES; kept literals count. */
struct imap_receiver *imap_receiver_create(size_t line_bytes);
void imap_receiver_free(struct imap_receiver **receiver);

/* The first call after RESPONSE begins the next response. Only where imap_may_receive: not before all octets of a
 * streamed literal were had, nor after FAILED. */
bool imap_may_receive(const struct imap_receiver *receiver);
MUST_USE enum imap_received_kind imap_receive(struct imap_receiver *receiver, struct bytes *in,
                                              struct err *err);

/* After LITERAL: its header. Exactly one of keep and stream must follow. */
struct imap_literal imap_receiver_literal(const struct imap_receiver *receiver);
void imap_receiver_keep(struct imap_receiver *receiver);
void imap_receiver_stream(struct imap_receiver *receiver);

/* The next octets of the streamed literal: taken from the front of *in and borrowed from it. Empty
 * when *in is, or when all octets of the literal were had: imap_receiver_left is then 0. */
struct bytes imap_receive_octets(struct imap_receiver *receiver, struct bytes *in);
uint64_t imap_receiver_left(const struct imap_receiver *receiver);

/* After LITERAL (the response so far, ending in the literal's header) and after RESPONSE. */
struct imap_received imap_received(const struct imap_receiver *receiver);
