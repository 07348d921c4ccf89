/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/watch.h - which of many waiting sessions have news: one connection, one statement for all.
 *
 * A hint (NOTIFY, sent by the transaction that changes a mailbox) says where to look at once; it may be
 * lost. What is right is what vault_poll_waiting answers, on the primary. A watch belongs to one thread.
 *
 * Codes: ERR_RETRY: the database cannot be asked now; the next call connects anew, and hints that
 * came meanwhile are lost.
 */
#pragma once

#include "base/bytes.h"
#include "base/err.h"

struct db_target;
struct vault_watch;

/* target: role holdfast_reader, the primary; copied. Connects nobody yet. */
MUST_USE bool vault_create_watch(const struct db_target *target, struct vault_watch **out,
                                 struct err *err);
void vault_free_watch(struct vault_watch **watch);

/* Connects and listens, if it is not so already. *is_new: it was not, so hints may have been lost. */
MUST_USE bool vault_connect_watch(struct vault_watch *watch, bool *is_new, struct err *err);

/* For poll(2): readable when hints have come. -1: not connected. */
int vault_watch_fd(const struct vault_watch *watch);

/* A mailbox that has changed. */
struct vault_hint {
    int64_t account_id;
    int64_t mailbox_id;
};

/* The next hint that has come, without waiting. *has_one false: there is none. */
MUST_USE bool vault_take_hint(struct vault_watch *watch, struct vault_hint *out, bool *has_one,
                              struct err *err);

/* "7 12": the payload of a hint. False: somebody else wrote it. */
MUST_USE bool vault_read_hint(struct bytes payload, struct vault_hint *out);

/* A session that waits: whose it is, what it has selected, and what it was told of it. */
struct vault_waiting {
    struct bytes token;
    int64_t account_id;
    int64_t mailbox_id; /* 0: nothing that could change */
    uint64_t uidnext, highestmodseq, messages;
};

struct vault_news {
    size_t index; /* of the item */
    bool is_over; /* the session is: expired, revoked, its auditor disabled. Otherwise: look */
};

enum {
    VAULT_WAITING_MAX = 2000 /* in one statement: its parameters are about 200 KB */
};

/*
 * news: room for count items; *news_count is set, indexes ascend. A mailbox that the session may not
 * read any more is no news. One round trip; READ COMMITTED.
 */
MUST_USE bool vault_poll_waiting(struct vault_watch *watch, const struct vault_waiting *items,
                                 size_t count, struct vault_news *news, size_t *news_count,
                                 struct err *err);
