/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of a mailbox: what is archived of it and is not there any more, once all that is there has come.
 */
#include "ingest/internal.h"

static bool mark_placements_gone(struct ingest_run *run, const struct ingest_target *target,
                                 const uint32_t *uids, size_t count, struct err *err)
{
    struct vault_change *changes = arena_new_array(run->window_arena, struct vault_change, count);
    uint64_t changed = 0;

    for (size_t i = 0; i < count; i++)
        changes[i] = (struct vault_change){ .uid = uids[i], .is_gone = true };
    if (count > 0 &&
        !ingest_archive(run, vault_record_changes(run->writer, target->known.mailbox_id, changes,
                                                  count, &changed, err)))
        return false;
    run->progress.gone += changed;
    return true;
}

/* What an earlier epoch had and this one has not. */
static bool mark_orphans(struct ingest_run *run, const struct ingest_target *target,
                         struct err *err)
{
    struct source_orphans orphans = { .through = 0 };

    do {
        arena_reset(run->window_arena);
        if (!ingest_archive(run, source_load_orphans(run->db, run->lease, target->known.mailbox_id,
                                                     target->known.epoch.number, orphans.through,
                                                     VAULT_CHANGES_MAX, run->window_arena, &orphans,
                                                     err)) ||
            !mark_placements_gone(run, target, orphans.uids, orphans.count, err) ||
            !ingest_report(run, false, err))
            return false;
    } while (orphans.through != 0);
    return true;
}

/* What stood in for messages whose originals came: the source has those now. */
static bool mark_superseded(struct ingest_run *run, const struct ingest_target *target,
                            struct err *err)
{
    const uint32_t *uids;
    size_t count;

    if (target->fetched == 0)
        return true;
    arena_reset(run->window_arena);
    return ingest_archive(run, source_load_superseded(run->db, run->lease, target->known.mailbox_id,
                                                      run->window_arena, &uids, &count, err)) &&
           mark_placements_gone(run, target, uids, count, err);
}

static bool note_whole(struct ingest_run *run, const struct ingest_target *target, struct err *err)
{
    return ingest_archive(run, source_note_whole(run->db, run->lease, target->known.mailbox_id,
                                                 target->known.epoch.number, err));
}

bool ingest_settle_epoch(struct ingest_run *run, const struct ingest_target *target,
                         struct err *err)
{
    bool is_unsettled = ingest_is_unsettled(target);

    if (!mark_superseded(run, target, err))
        return false;
    if (!ingest_is_whole(target) || (!is_unsettled && !target->known.epoch.recognises))
        return true;
    return (!is_unsettled || mark_orphans(run, target, err)) && note_whole(run, target, err);
}
