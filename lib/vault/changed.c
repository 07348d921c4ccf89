/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/changed.c - which messages changed since a MODSEQ, by index steps.
 *
 * Whatever has a greater MODSEQ either appeared since (then it stands behind the last UID that was
 * there: UIDs and MODSEQs rise together, README 3) or changed after it had appeared (placement_modseq).
 */
#include "vault/internal.h"

enum {
    TOUCHED,
    LAST_AT,
    QUERIES
};

static size_t add_range(struct vault_uid_range *ranges, size_t count, uint32_t first, uint32_t last)
{
    if (count > 0 && ranges[count - 1].last >= first - 1) {
        if (ranges[count - 1].last < last)
            ranges[count - 1].last = last;
        return count;
    }
    ranges[count] = (struct vault_uid_range){ first, last };
    return count + 1;
}

static bool make_ranges(struct db_result **results, struct arena *arena,
                        const struct vault_uid_range **out, size_t *count, struct err *err)
{
    size_t touched = db_rows(results[TOUCHED]);
    int64_t last_at = db_rows(results[LAST_AT]) > 0 ? db_i64(results[LAST_AT], 0, 0) : 0;
    struct vault_uid_range *ranges;
    size_t used = 0;
    void *room;

    if (!arena_try_alloc(arena, touched + 1, sizeof *ranges, &room, err))
        return false;
    ranges = room;
    for (size_t i = 0; i < touched && db_i64(results[TOUCHED], i, 0) <= last_at; i++) {
        uint32_t uid = (uint32_t)db_i64(results[TOUCHED], i, 0);

        used = add_range(ranges, used, uid, uid);
    }
    if (last_at < UINT32_MAX)
        used = add_range(ranges, used, (uint32_t)last_at + 1, UINT32_MAX);
    if (touched > VAULT_CHANGED_MAX) { /* then reading everything is no slower */
        ranges[0] = (struct vault_uid_range){ 1, UINT32_MAX };
        used = 1;
    }
    *out = ranges;
    *count = used;
    return true;
}

bool vault_find_changed(struct vault_reader *reader, int64_t account_id, int64_t mailbox_id,
                        uint64_t changed_since, struct arena *arena,
                        const struct vault_uid_range **out, size_t *count, struct err *err)
{
    struct db_value account = DB_I64(account_id);
    struct db_value mailbox = DB_I64(mailbox_id);
    struct db_value since = DB_I64(changed_since < INT64_MAX ? changed_since : INT64_MAX);
    const struct vault_query queries[QUERIES] = {
        [TOUCHED] = { DB_VAULT_PLACEMENT_TOUCHED,
                      DB_ARGS(account, mailbox, since, DB_I64(VAULT_CHANGED_MAX + 1)) },
        [LAST_AT] = { DB_VAULT_PLACEMENT_LAST_AT, DB_ARGS(account, mailbox, since) },
    };
    struct db_result *results[QUERIES] = { NULL };
    bool is_ok;

    if (!vault_run_queries(reader, queries, QUERIES, results, err))
        return false;
    is_ok = make_ranges(results, arena, out, count, err);
    vault_free_results(results, QUERIES);
    return is_ok;
}
