/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest/watch.h - many mailboxes of many accounts held in IDLE (RFC 2177, idle.h) by one thread.
 *
 *     CLEANUP(ingest_free_watcher) struct ingest_watcher *watcher = NULL;
 *     ingest_create_watcher(&settings, owner, &watcher, err)
 *     while (!stopped) ingest_watch(watcher, db, err)
 *
 * Each mailbox is opened by EXAMINE on a connection of its own, by one of a few threads (watch_login.h); it then
 * costs a stream without buffers and a line of this module. News (EXISTS, EXPUNGE, FETCH, VANISHED) makes the account's sync due at once.
 * It is a hint: schedules go on, and whatever goes wrong here delays mail by an interval at most.
 */
#pragma once

#include "ingest/run.h"
#include "source/watch.h"

struct ingest_watcher;

MUST_USE bool ingest_create_watcher(const struct ingest_settings *settings, struct bytes owner,
                                    struct ingest_watcher **out, struct err *err);
void ingest_free_watcher(struct ingest_watcher **watcher);

/*
 * One round: claims and renews what is due, begins and ends logins, waits at most a second for news, tells of
 * it. Returns at once when stop_fd is readable. False: the archive failed; connections stay,
 * call again when it is back.
 */
MUST_USE bool ingest_watch(struct ingest_watcher *watcher, struct db *db, struct err *err);

/* Connections that are in IDLE now. */
size_t ingest_count_watched(const struct ingest_watcher *watcher);
