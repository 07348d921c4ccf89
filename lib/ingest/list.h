/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest/list.h - which mailboxes a source has, and which of them are archived. One thread.
 */
#pragma once

#include "base/arena.h"
#include "ingest/client.h"
#include "ingest/namespace.h"
#include "source/account.h"

enum {
    INGEST_MAILBOXES_MAX = 100000, /* of one account; the arena's ceiling counts too */
    INGEST_PATH_BYTES = 2000,      /* longest path: it stands in an index of the database */
};

struct ingest_listed {
    struct bytes wire_name;
    struct bytes path; /* imap_path_from_source: UTF-8, "/" between levels */
    uint8_t delimiter;
    bool is_noselect;
    enum source_left_out left_out;
    struct bytes rule;        /* of SOURCE_LEFT_OUT_BY_PATTERN: ingest_is_wanted */
    uint32_t attributes;      /* IMAP_MAILBOX_* */
    struct bytes special_use; /* "\Sent"; empty: none */
    uint32_t status;          /* IMAP_STATUS_* of the numbers below that came with LIST-STATUS */
    uint64_t messages, uidnext, uidvalidity, highestmodseq, size_bytes;
    /* MAILBOXID, where the server offers OBJECTID and LIST-STATUS; empty: not told */
    struct bytes object_id;
};

struct ingest_listing {
    struct ingest_listed *rows; /* distinct paths, INBOX first, then by the octets of the path */
    size_t count;
    /* Left out, and so a reason not to be complete: names that are too long or cannot be read, and
     * other names that give the same path (the first by octets stays). unusable_why: of one of
     * them, "" when there is none. */
    size_t unusable;
    const char *unusable_why;
};

/* The first of the account's patterns that no listed mailbox matches; NULL: each matches one. Pure. */
const struct bytes *ingest_find_unmatched(const struct source_account_settings *account,
                                          const struct ingest_listing *listing);

/* What was left out, by reason. */
struct ingest_left_out {
    uint64_t counts[SOURCE_LEFT_OUT_REASONS];
    struct bytes firsts[SOURCE_LEFT_OUT_REASONS]; /* a path of each; \Noselect names do not count */
};
struct ingest_left_out ingest_sum_left_out(const struct ingest_listing *listing);

/* INBOX before all others, then by octets: the order of source_load_mailboxes. Pure. */
int ingest_compare_paths(struct bytes a, struct bytes b);

/* What is asked beside the names, where the server offers LIST-STATUS. */
enum ingest_list_ask {
    INGEST_ASK_NAMES,
    INGEST_ASK_COUNTS, /* what tells whether something happened in a mailbox */
    INGEST_ASK_SIZES,  /* counts, and sizes where it offers STATUS=SIZE (RFC 8438): costs it more */
};

/*
 * LIST "" "*", and of namespaces that are wanted and that it does not show, with special uses and MAILBOXIDs. What is of another namespace is left out unless the
 * account asks for it.
 * ERR_RETRY or ERR_DENIED: refused; ERR_LIMIT: more than INGEST_MAILBOXES_MAX.
 */
MUST_USE bool ingest_list(struct ingest_client *client,
                          const struct source_account_settings *account, enum ingest_list_ask ask,
                          struct arena *arena, struct ingest_listing *out, struct err *err);

/* STATUS of those rows that are selectable, wanted and have no numbers yet, at most max of them.
 * A mailbox that answers NO is left without. */
MUST_USE bool ingest_count_messages(struct ingest_client *client, struct ingest_listing *listing,
                                    size_t max, struct err *err);
