/* SPDX-License-Identifier: Apache-2.0 */
/*
 * imap/search_args.h - SEARCH as a tree.
 *
 * Pure; all in the command's arena. At most LIMIT_SEARCH_KEYS keys, LIMIT_COMMAND_NESTING deep, so
 * recursion over the tree is bounded. RFC 9051 §6.4.4, RFC 3501 (NEW, OLD, RECENT), RFC 5032
 * (OLDER, YOUNGER).
 */
#pragma once

#include "base/arena.h"
#include "base/bytes.h"
#include "base/err.h"
#include "imap/set.h"

enum imap_search_kind {
    IMAP_SEARCH_AND, /* children: any number, none is ALL */
    IMAP_SEARCH_OR,  /* two children */
    IMAP_SEARCH_NOT, /* one child */
    IMAP_SEARCH_ALL,
    IMAP_SEARCH_SEQ_SET, /* set: sequence numbers */
    IMAP_SEARCH_UID_SET, /* set: UIDs */
    IMAP_SEARCH_FLAG,    /* flag; UNSEEN and the like are NOT of it */
    IMAP_SEARCH_KEYWORD, /* text; UNKEYWORD is NOT of it */
    IMAP_SEARCH_RECENT,  /* NEW is AND of RECENT and NOT FLAG \Seen; OLD is NOT RECENT */
    IMAP_SEARCH_BEFORE,  /* days: INTERNALDATE, zone ignored */
    IMAP_SEARCH_ON,
    IMAP_SEARCH_SINCE,
    IMAP_SEARCH_SENTBEFORE, /* days: Date field, zone ignored */
    IMAP_SEARCH_SENTON,
    IMAP_SEARCH_SENTSINCE,
    IMAP_SEARCH_LARGER, /* number: octets */
    IMAP_SEARCH_SMALLER,
    IMAP_SEARCH_OLDER, /* number: seconds */
    IMAP_SEARCH_YOUNGER,
    IMAP_SEARCH_SUBJECT, /* text, in the command's charset */
    IMAP_SEARCH_FROM,
    IMAP_SEARCH_TO,
    IMAP_SEARCH_CC,
    IMAP_SEARCH_BCC,
    IMAP_SEARCH_BODY,
    IMAP_SEARCH_TEXT,
    IMAP_SEARCH_HEADER, /* field and text; an empty text asks whether the field is there */
    IMAP_SEARCH_MODSEQ, /* number: the MODSEQ is at least that (RFC 7162) */
    /* Not of IMAP, no command gives them: search/language.h does. */
    IMAP_SEARCH_ATTACHMENT, /* has an attachment, as message_index says */
    IMAP_SEARCH_MESSAGE_ID, /* text: within the Message-ID, as message_index has it (of a journal
                             * report: of the message in it) */
    IMAP_SEARCH_SHA256,     /* text: the front of the hash of its octets, lower case hex */
};

struct imap_search_key {
    enum imap_search_kind kind;
    uint8_t flag; /* IMAP_FLAG_* */
    struct imap_sequence_set set;
    int64_t days; /* since 1970-01-01 */
    uint64_t number;
    struct bytes text;
    struct bytes field;
    const struct imap_search_key *children; /* the first of them */
    const struct imap_search_key *next;     /* the next child of the same parent */
};

enum {
    IMAP_RETURN_MIN = 1,
    IMAP_RETURN_MAX = 2,
    IMAP_RETURN_ALL = 4,
    IMAP_RETURN_COUNT = 8,
    IMAP_RETURN_SAVE = 16,
};

struct imap_search_args {
    bool has_return;      /* answer with ESEARCH; RETURN () is RETURN (ALL) and so given here */
    uint32_t returns;     /* IMAP_RETURN_* */
    struct bytes charset; /* as sent; empty when not given */
    struct imap_search_key key; /* always IMAP_SEARCH_AND at the root */
};
