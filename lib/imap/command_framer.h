/* SPDX-License-Identifier: Apache-2.0 */
/*
 * imap/command_framer.h - where a client's command ends; the server's side of framing.
 *
 * The caller reads octets into a receive buffer of its own and feeds them; the framer takes from
 * the front of *in exactly what belongs to the current command and never an octet more. So what a
 * client pipelined (or slipped in behind STARTTLS) stays in the caller's buffer. Octets may come
 * one at a time. A literal is counted, never scanned.
 *
 *     switch (imap_framer_feed(framer, &in)) {
 *     case IMAP_FRAME_MORE:     receive more
 *     case IMAP_FRAME_LITERAL:  head = imap_framer_head(framer);
 *                               a write command? imap_framer_refuse(framer)
 *                               else imap_framer_accept(framer), and when
 *                               imap_framer_literal(framer).awaits_continuation send "+ OK\r\n"
 *                               feed again
 *     case IMAP_FRAME_COMMAND:  imap_parse_command(imap_framer_text(framer), …)
 *     case IMAP_FRAME_REFUSED:  one tagged NO or BAD, by imap_framer_head and imap_framer_fault
 *     case IMAP_FRAME_CLOSE:    "* BYE", close
 *     }
 *
 * Nothing is ever answered but when COMMAND or REFUSED comes, each once per command. A refused
 * command is read to its end and dropped: the octets of its {n+} literals never run as commands;
 * at a {n} it ends at once, for the client then waits and sends nothing more of it.
 *
 * A line ends with LF; a CR in front of it belongs to the line end (as Dovecot does it). Every line
 * end behind {n}, {n+}, ~{n} or ~{n+} is a literal header, whatever stands before it.
 *
 * Pure, one thread at a time. RFC 9051 §2.2, §4.3; RFC 7888 (LITERAL-).
 */
#pragma once

#include "base/bytes.h"
#include "imap/literal.h"

struct imap_framer;

enum {
    IMAP_TAG_BYTES = 128,            /* a longer tag is answered as if there were none */
    IMAP_LITERAL_MINUS_BYTES = 4096, /* RFC 7888 §5: the largest {n+} under LITERAL- */
};

struct imap_framer_limits {
    size_t command_bytes;       /* lines and literals of one command together */
    size_t literal_bytes;       /* one literal */
    size_t dropped_line_bytes;  /* lines of a refused command beyond which it is CLOSE */
    size_t dropped_octet_bytes; /* {n+} octets of a refused command beyond which it is CLOSE */
};

/* From base/limits.h. */
struct imap_framer_limits imap_limits_before_login(void);
struct imap_framer_limits imap_limits_after_login(void);

enum imap_frame {
    IMAP_FRAME_MORE,    /* all of *in was taken; there is no whole command yet */
    IMAP_FRAME_LITERAL, /* a literal header was read; accept or refuse, then feed again */
    IMAP_FRAME_COMMAND, /* a whole command: imap_framer_text */
    IMAP_FRAME_LINE,    /* (imap_framer_feed_line only) a whole line: imap_framer_text */
    IMAP_FRAME_REFUSED, /* the command is over and its octets are gone; answer it */
    IMAP_FRAME_CLOSE,   /* more than is worth dropping: say BYE and close */
};

/* Why a command was refused. A write command is answered NO [NOPERM] whatever stands here. */
enum imap_framer_fault {
    IMAP_FAULT_NONE,             /* imap_framer_refuse was called */
    IMAP_FAULT_COMMAND_TOO_LONG, /* BAD */
    IMAP_FAULT_LITERAL_TOO_LONG, /* BAD [TOOBIG] */
    IMAP_FAULT_LITERAL_MINUS,    /* BAD [TOOBIG]: {n+} with n over IMAP_LITERAL_MINUS_BYTES */
};

struct imap_framer *imap_framer_create(struct imap_framer_limits limits);
void imap_framer_free(struct imap_framer **framer); /* wipes: there may have been a password */

/* From the next command on. */
void imap_framer_set_limits(struct imap_framer *framer, struct imap_framer_limits limits);

/* Takes octets of one command from the front of *in. The first call after COMMAND, LINE or REFUSED
 * begins the next command. After CLOSE only imap_framer_free may follow. */
MUST_USE enum imap_frame imap_framer_feed(struct imap_framer *framer, struct bytes *in);

/*
 * The same for one bare line, in which {n} means nothing: DONE of IDLE, an answer to a SASL
 * challenge. MORE, LINE (text without its line end) or CLOSE (longer than command_bytes). Between
 * two commands only.
 */
MUST_USE enum imap_frame imap_framer_feed_line(struct imap_framer *framer, struct bytes *in);

/* After LITERAL, exactly one of these two. */
void imap_framer_accept(struct imap_framer *framer);
void imap_framer_refuse(struct imap_framer *framer);

/* After LITERAL: its header. */
struct imap_literal imap_framer_literal(const struct imap_framer *framer);

/* What is known of the command, after LITERAL, COMMAND and REFUSED. Borrowed until the next feed. */
struct imap_frame_head {
    struct bytes tag;  /* empty: no tag, or none that may be echoed; answer "* BAD" */
    struct bytes name; /* upper case, "UID" not included; empty when there is none or it is over
                          IMAP_COMMAND_NAME_BYTES */
    bool is_uid;       /* "UID" stood before the name */
};
struct imap_frame_head imap_framer_head(const struct imap_framer *framer);
enum {
    IMAP_COMMAND_NAME_BYTES = 32
};

enum imap_framer_fault imap_framer_fault(const struct imap_framer *framer);

/* After COMMAND: the command with its literals, without the last line end. After LINE: the line.
 * Borrowed until the next feed, which wipes it. */
struct bytes imap_framer_text(const struct imap_framer *framer);

/* Octets of memory that an idle framer holds is 0 after this; call it before parking a session. */
void imap_framer_shrink(struct imap_framer *framer);
