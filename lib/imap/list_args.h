/* SPDX-License-Identifier: Apache-2.0 */
/*
 * imap/list_args.h - what LIST, LSUB and STATUS ask for.
 *
 * Pure; all in the command's arena. RFC 9051 §6.3.9 (LIST-EXTENDED, RFC 5258), RFC 5819
 * (LIST-STATUS), RFC 6154 (SPECIAL-USE), RFC 8440 (LIST-MYRIGHTS), §6.3.11 (STATUS).
 */
#pragma once

#include "base/bytes.h"

enum { /* selection options and return options share these bits */
    IMAP_LIST_SUBSCRIBED = 1,
    IMAP_LIST_REMOTE = 2,         /* selection only */
    IMAP_LIST_RECURSIVEMATCH = 4, /* selection only, never alone or with REMOTE alone */
    IMAP_LIST_SPECIAL_USE = 8,
    IMAP_LIST_CHILDREN = 16, /* return only, as the rest */
    IMAP_LIST_STATUS = 32,
    IMAP_LIST_MYRIGHTS = 64,
};

enum {
    IMAP_STATUS_MESSAGES = 1,
    IMAP_STATUS_RECENT = 2,
    IMAP_STATUS_UIDNEXT = 4,
    IMAP_STATUS_UIDVALIDITY = 8,
    IMAP_STATUS_UNSEEN = 16,
    IMAP_STATUS_DELETED = 32,
    IMAP_STATUS_SIZE = 64,
    IMAP_STATUS_HIGHESTMODSEQ = 128,
    IMAP_STATUS_MAILBOXID = 256,
};

/* The name of one IMAP_STATUS_* bit, as requests and answers spell it. */
struct bytes imap_status_name(uint32_t item);

enum {
    IMAP_LIST_PATTERNS_MAX = 100
};

struct imap_list_args {
    bool is_extended;      /* had selection options, several patterns or RETURN */
    uint32_t select;       /* IMAP_LIST_* */
    uint32_t returns;      /* IMAP_LIST_* */
    uint32_t status_items; /* IMAP_STATUS_*, with IMAP_LIST_STATUS */
    struct bytes reference;
    const struct bytes *patterns; /* encoded form, not yet joined with the reference */
    size_t pattern_count;         /* at least 1 */
};
