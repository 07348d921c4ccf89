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
    struct bytes special_use; /* "\Sent"; empty: none */
    uint32_t status;          /* IMAP_STATUS_* of the numbers below that came with LIST-STATUS */
    uint64_t messages, uidnext, uidvalidity, highestmodseq;
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

/* What was left out, by reason. */
struct ingest_left_out {
    uint64_t counts[SOURCE_LEFT_OUT_REASONS];
    struct bytes firsts[SOURCE_LEFT_OUT_REASONS]; /* a path of each; \Noselect names do not count */
};
struct ingest_left_out ingest_sum_left_out(const struct ingest_listing *listing);

/* INBOX before all others, then by octets: the order of source_load_mailboxes. Pure. */
int ingest_compare_paths(struct bytes a, struct bytes b);

/* Does the account archive this path? No include: everything; an exclude is stronger. Pure. */
bool ingest_is_wanted(const struct source_account_settings *account, struct bytes path);

/*
 * LIST "" "*", and of namespaces that are wanted and that it does not show. with_status: ask for the
 * numbers too, where the server offers LIST-STATUS. What is of another namespace is left out unless the
 * account asks for it.
 * ERR_RETRY or ERR_DENIED: refused; ERR_LIMIT: more than INGEST_MAILBOXES_MAX.
 */
MUST_USE bool ingest_list(struct ingest_client *client,
                          const struct source_account_settings *account, bool with_status,
                          struct arena *arena, struct ingest_listing *out, struct err *err);

/* STATUS of those rows that are selectable, wanted and have no `messages` yet, at most max of them.
 * A mailbox that answers NO is left without. */
MUST_USE bool ingest_count_messages(struct ingest_client *client, struct ingest_listing *listing,
                                    size_t max, struct err *err);
