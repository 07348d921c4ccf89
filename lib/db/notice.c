/* SPDX-License-Identifier: Apache-2.0 */
/*
 * db/notice.c - LISTEN and what it brings. A hint only: notices are lost with the connection.
 */
#include "db/internal.h"

#include <stdio.h>

bool db_listen(struct db *db, const char *channel, struct err *err)
{
    char sql[96];

    assert(strlen(channel) < 64 &&
           strspn(channel, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(channel) &&
           "channel: a plain name of ours");
    (void)snprintf(sql, sizeof sql, "LISTEN %s", channel);
    return db_run_script(db, "listen", sql, err);
}

int db_fd(const struct db *db)
{
    return db_is_broken(db) ? -1 : PQsocket(db->pg);
}

void db_drop_notices(struct db *db)
{
    PGnotify *notice;

    while (!db_is_broken(db) && (notice = PQnotifies(db->pg)) != NULL)
        PQfreemem(notice);
}

bool db_take_notice(struct db *db, struct db_notice *out, bool *has_one, struct err *err)
{
    PGnotify *notice;

    if (!db_looks_alive(db))
        return db_fail_lost(db, "listen", err);
    notice = PQnotifies(db->pg);
    *has_one = notice != NULL;
    if (notice != NULL) {
        (void)snprintf(out->channel, sizeof out->channel, "%s", notice->relname);
        (void)snprintf(out->payload, sizeof out->payload, "%s", notice->extra);
        PQfreemem(notice);
    }
    return true;
}
