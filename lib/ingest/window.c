/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an enumeration showed, made known: new UIDs are announced, changes and disappearances recorded.
 */
#include "ingest/internal.h"
#include "ingest/set.h"

/* Differences of one page, as they are to be written. Arrays live in the page arena. */
struct findings {
    uint32_t *fresh;
    size_t fresh_count;
    uint32_t *vanished, *vanished_placements;
    size_t vanished_count;
    uint32_t *back;
    size_t back_count;
    struct vault_change *changes;
    size_t change_count;
    bool is_replaced;
};

static void start_findings(struct findings *findings, struct arena *arena, size_t seen,
                           size_t known)
{
    *findings = (struct findings){
        .fresh = arena_new_array(arena, uint32_t, seen),
        .vanished = arena_new_array(arena, uint32_t, known),
        .vanished_placements = arena_new_array(arena, uint32_t, known),
        .back = arena_new_array(arena, uint32_t, known),
        .changes = arena_new_array(arena, struct vault_change, known),
    };
}

/*
 * The placement's keywords that are still its own: all when the source said nothing of flags, else the
 * one that is not the source's to take back.
 */
static void keep_keywords(struct vault_change *change, struct bytes *keywords,
                          const struct source_known *known, const struct ingest_names *names,
                          bool keeps_all)
{
    for (size_t i = 0; i < known->keywords.len * 8 && i < names->known_count; i++)
        if ((known->keywords.ptr[i / 8] >> (i % 8) & 1) != 0 &&
            (keeps_all || bytes_equal(names->names[i], BYTES(IMAP_STORED_NOT_ORIGINAL))))
            keywords[change->keyword_count++] = names->names[i];
}

static void add_change(struct findings *findings, const struct ingest_seen *seen,
                       const struct source_known *known, const struct ingest_names *names,
                       struct arena *arena)
{
    struct vault_change *change = &findings->changes[findings->change_count++];
    size_t said = seen->has_flags ? seen->keyword_count : 0;
    size_t kept = seen->has_flags ? 1 : ingest_count_bits(known->keywords); /* keep_keywords */
    struct bytes *keywords = arena_new_array(arena, struct bytes, said + kept);

    *change = (struct vault_change){ .uid = known->placement_uid,
                                     .flags = seen->has_flags ? seen->flags : known->flags,
                                     .keywords = keywords };
    for (size_t i = 0; i < said; i++)
        keywords[change->keyword_count++] = names->names[seen->keywords[i]];
    keep_keywords(change, keywords, known, names, !seen->has_flags);
}

static void add_finding(struct findings *findings, enum ingest_difference kind,
                        const struct ingest_seen *seen, const struct source_known *known,
                        const struct ingest_names *names, struct arena *arena)
{
    switch (kind) {
    case INGEST_SAME:
        break;
    case INGEST_FRESH:
        findings->fresh[findings->fresh_count++] = seen->uid;
        break;
    case INGEST_VANISHED:
        findings->vanished[findings->vanished_count] = known->uid;
        findings->vanished_placements[findings->vanished_count++] = known->placement_uid;
        break;
    case INGEST_BACK:
        findings->back[findings->back_count++] = known->uid;
        if (known->placement_uid != 0)
            add_change(findings, seen, known, names, arena);
        break;
    case INGEST_CHANGED:
        add_change(findings, seen, known, names, arena);
        break;
    case INGEST_REPLACED:
        findings->is_replaced = true;
        break;
    }
}

static bool record_changes(struct ingest_run *run, struct ingest_target *target,
                           const struct vault_change *changes, size_t count, uint64_t *changed,
                           struct err *err)
{
    *changed = 0;
    for (size_t at = 0; at < count; at += VAULT_CHANGES_MAX) {
        size_t some = count - at < VAULT_CHANGES_MAX ? count - at : VAULT_CHANGES_MAX;
        uint64_t these = 0;

        if (!ingest_archive(run, vault_record_changes(run->writer, target->known.mailbox_id,
                                                      changes + at, some, &these, err)))
            return false;
        *changed += these;
    }
    return true;
}

static bool announce(struct ingest_run *run, struct ingest_target *target, const uint32_t *uids,
                     size_t count, struct err *err)
{
    run->progress.messages += count;
    for (size_t at = 0; at < count; at += INGEST_ANNOUNCE_UIDS) {
        size_t some = count - at < INGEST_ANNOUNCE_UIDS ? count - at : INGEST_ANNOUNCE_UIDS;

        if (!ingest_archive(run, source_announce(run->db, run->lease, target->known.mailbox_id,
                                                 target->known.epoch.number, uids + at, some,
                                                 &run->progress, err)))
            return false;
    }
    return true;
}

static bool mark_gone(struct ingest_run *run, struct ingest_target *target, const uint32_t *uids,
                      const uint32_t *placement_uids, size_t count, struct arena *arena,
                      struct err *err)
{
    struct vault_change *changes = arena_new_array(arena, struct vault_change, count);
    size_t change_count = 0;
    uint64_t ignored;

    for (size_t i = 0; i < count; i++)
        if (placement_uids != NULL && placement_uids[i] != 0)
            changes[change_count++] =
                (struct vault_change){ .uid = placement_uids[i], .is_gone = true };
    if (!record_changes(run, target, changes, change_count, &ignored, err))
        return false;
    run->progress.gone += count;
    return ingest_archive(run,
                          source_mark_gone(run->db, run->lease, target->known.mailbox_id,
                                           target->known.epoch.number, uids, count, true, err));
}

bool ingest_mark_vanished(struct ingest_run *run, struct ingest_target *target,
                          const uint32_t *uids, const uint32_t *placement_uids, size_t count,
                          struct ingest_selected *selected, const uint32_t **present,
                          size_t *present_count, struct arena *arena, struct err *err)
{
    uint32_t *found = arena_new_array(arena, uint32_t, count);
    uint32_t *gone = arena_new_array(arena, uint32_t, count);
    uint32_t *gone_placements = arena_new_array(arena, uint32_t, count);
    size_t found_count = 0;
    size_t gone_count = 0;

    if (count > 0 && !ingest_confirm(run->client, uids, count, selected, found, &found_count, err))
        return false;
    for (size_t i = 0; i < count; i++)
        if (ingest_find_uid(found, found_count, uids[i]) == SIZE_MAX) {
            gone_placements[gone_count] = placement_uids == NULL ? 0 : placement_uids[i];
            gone[gone_count++] = uids[i];
        }
    if (gone_count > 0 && !mark_gone(run, target, gone, gone_placements, gone_count, arena, err))
        return false;
    if (present != NULL) {
        *present = found;
        *present_count = found_count;
    }
    return true;
}

static bool write_findings(struct ingest_run *run, struct ingest_target *target,
                           const struct findings *findings, struct ingest_selected *selected,
                           struct err *err)
{
    uint64_t changed;

    if (findings->fresh_count > 0 &&
        !announce(run, target, findings->fresh, findings->fresh_count, err))
        return false;
    if (!record_changes(run, target, findings->changes, findings->change_count, &changed, err))
        return false;
    run->progress.flag_changes += changed;
    if (findings->back_count > 0 &&
        !ingest_archive(run, source_mark_gone(run->db, run->lease, target->known.mailbox_id,
                                              target->known.epoch.number, findings->back,
                                              findings->back_count, false, err)))
        return false;
    return ingest_mark_vanished(run, target, findings->vanished, findings->vanished_placements,
                                findings->vanished_count, selected, NULL, NULL, run->page_arena,
                                err);
}

/* How many of seen[from …] have a UID of at most upto. */
static size_t count_through(const struct ingest_enumeration *window, size_t from, uint32_t upto)
{
    size_t count = 0;

    while (from + count < window->count && window->seen[from + count].uid <= upto)
        count++;
    return count;
}

/* One page: what was seen against what is known of the same UIDs. */
static bool apply_page(struct ingest_run *run, struct ingest_target *target,
                       struct ingest_diff *diff, struct ingest_selected *selected,
                       struct ingest_names *names, bool *is_replaced, struct err *err)
{
    struct findings findings;
    enum ingest_difference kind;
    const struct ingest_seen *seen;
    const struct source_known *row;

    start_findings(&findings, run->page_arena, diff->seen_count, diff->known_count);
    while (ingest_next_difference(diff, names, &kind, &seen, &row))
        add_finding(&findings, kind, seen, row, names, run->page_arena);
    if (findings.is_replaced) {
        *is_replaced = true;
        return true;
    }
    return write_findings(run, target, &findings, selected, err);
}

bool ingest_apply_window(struct ingest_run *run, struct ingest_target *target,
                         const struct ingest_enumeration *window, uint32_t first, uint32_t last,
                         struct ingest_selected *selected, struct ingest_names *names,
                         bool *is_replaced, struct err *err)
{
    uint32_t top = last == 0 ? UINT32_MAX : last;
    uint32_t from = first;
    size_t seen_at = 0;

    for (;;) {
        struct source_window known;
        struct ingest_diff diff = { 0 };
        uint32_t upto = top;

        arena_reset(run->page_arena);
        if (!ingest_archive(run,
                            source_load_window(run->db, run->lease, target->known.mailbox_id,
                                               target->known.epoch.number, from, top,
                                               INGEST_KNOWN_ROWS, run->page_arena, &known, err)))
            return false;
        if (known.count == INGEST_KNOWN_ROWS)
            upto = known.rows[known.count - 1].uid;
        diff.known = known.rows;
        diff.known_count = known.count;
        diff.seen = window->seen + seen_at;
        diff.seen_count = count_through(window, seen_at, upto);
        if (!apply_page(run, target, &diff, selected, names, is_replaced, err))
            return false;
        if (*is_replaced || upto == top)
            return true;
        seen_at += diff.seen_count;
        from = upto + 1;
    }
}

/* ---- changes ---- */

static size_t at_most(size_t count, size_t max)
{
    return count < max ? count : max;
}

static bool apply_seen(struct ingest_run *run, struct ingest_target *target,
                       const struct ingest_enumeration *seen, struct ingest_selected *selected,
                       struct ingest_names *names, struct err *err)
{
    bool is_replaced = false; /* never: INTERNALDATE is not asked for */

    for (size_t at = 0; at < seen->count; at += INGEST_KNOWN_ROWS) {
        size_t some = at_most(seen->count - at, INGEST_KNOWN_ROWS);
        struct ingest_diff diff = { .seen = seen->seen + at, .seen_count = some };
        struct source_window known;
        uint32_t *uids;

        arena_reset(run->page_arena);
        uids = arena_new_array(run->page_arena, uint32_t, some);
        for (size_t i = 0; i < some; i++)
            uids[i] = diff.seen[i].uid;
        if (!ingest_archive(run, source_load_known(run->db, run->lease, target->known.mailbox_id,
                                                   target->known.epoch.number, uids, some,
                                                   run->page_arena, &known, err)))
            return false;
        diff.known = known.rows;
        diff.known_count = known.count;
        if (!apply_page(run, target, &diff, selected, names, &is_replaced, err))
            return false;
    }
    return true;
}

static bool apply_vanished(struct ingest_run *run, struct ingest_target *target,
                           const struct imap_range *vanished, size_t count,
                           struct ingest_selected *selected, struct err *err)
{
    struct source_uid_range ranges[INGEST_VANISHED_RANGES];
    uint32_t after = 0;

    for (size_t i = 0; i < count; i++)
        ranges[i] = (struct source_uid_range){ vanished[i].first, vanished[i].last };
    for (;;) {
        struct source_present present;

        arena_reset(run->page_arena);
        if (!ingest_archive(run, source_load_present(run->db, run->lease, target->known.mailbox_id,
                                                     target->known.epoch.number, ranges, count,
                                                     after, INGEST_KNOWN_ROWS, run->page_arena,
                                                     &present, err)) ||
            !ingest_mark_vanished(run, target, present.uids, present.placement_uids, present.count,
                                  selected, NULL, NULL, run->page_arena, err))
            return false;
        if (present.count < INGEST_KNOWN_ROWS)
            return true;
        after = present.uids[present.count - 1];
    }
}

bool ingest_apply_changes(struct ingest_run *run, struct ingest_target *target,
                          const struct ingest_changes *changes, struct ingest_selected *selected,
                          struct ingest_names *names, struct err *err)
{
    const struct imap_set *vanished = &changes->vanished;

    for (size_t at = 0; at < vanished->count; at += INGEST_VANISHED_RANGES)
        if (!apply_vanished(run, target, vanished->ranges + at,
                            at_most(vanished->count - at, INGEST_VANISHED_RANGES), selected, err))
            return false;
    return apply_seen(run, target, &changes->seen, selected, names, err);
}
