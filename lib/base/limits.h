/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/limits.h - every limit that holds across modules, with its unit and its reason.
 *
 * A limit that only one module knows stands in that module's header. DESIGN section 11.
 */
#pragma once

#include <stdint.h>

/* Messages and mailboxes. */
#define LIMIT_MESSAGE_BYTES (UINT64_C(2) << 30) /* one message: ustar and clients cope with it */
#define LIMIT_UID UINT32_MAX                    /* RFC 9051 §9 nz-number */

/* Batches: what one transaction of ingest may hold in memory, and how many messages. */
#define LIMIT_BATCH_BYTES (8u << 20)
#define LIMIT_BATCH_MESSAGES 500u
#define LIMIT_BATCH_TARGET_BYTES                                                                   \
    (3u << 20) /* it is sent before a message that would take it further */

/* Frames (lib/store): aimed-at raw size, and the largest that a reader accepts. */
#define LIMIT_FRAME_TARGET_BYTES (256u << 10)
#define LIMIT_FRAME_RAW_BYTES (1u << 20)

/* What an auditor's client may send. */
#define LIMIT_COMMAND_BYTES (64u << 10)       /* mail clients send UID sets of 16 to 64 KB */
#define LIMIT_COMMAND_UNAUTH_BYTES (8u << 10) /* before login nobody needs more */
#define LIMIT_LITERAL_UNAUTH_BYTES (4u << 10)
#define LIMIT_REFUSED_LITERAL_BYTES (64u << 10) /* {n+} of a refused command: read and dropped */
#define LIMIT_COMMAND_NESTING 64u               /* parentheses and NOT/OR in one command */
#define LIMIT_SEARCH_KEYS 1000u
#define LIMIT_SET_RANGES 20000u /* ranges in one sequence-set: fits in a command */

/* What a source server may send outside literals, in one line. */
#define LIMIT_RESPONSE_LINE_BYTES (1u << 20)
#define LIMIT_RESPONSE_NESTING 100u

/* Enumeration of a source mailbox: UIDs asked for in one command. */
#define LIMIT_ENUMERATE_UIDS 100000u

/* Names. */
#define LIMIT_MAILBOX_NAME_BYTES 4096u /* wire form; longer than any server permits */
#define LIMIT_ACCOUNT_NAME_BYTES 128u
#define LIMIT_KEYWORDS_PER_MAILBOX                                                                 \
    4096u /* distinct names; the bitmap of a placement has one bit each */
#define LIMIT_KEYWORD_BYTES 255u

/* Rows in one keyset page: as fast as one long result, and bounded. */
#define LIMIT_PAGE_ROWS 1000u
#define LIMIT_BRIEF_ROWS 4000u /* of flags and sizes alone */
