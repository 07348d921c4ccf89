/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One mailbox: EXAMINE, epoch, enumeration, then every message that is not archived.
 */
#include "base/limits.h"
#include "ingest/crew.h"
#include "ingest/pieces.h"
#include "ingest/set.h"

#include <stdio.h>
#include <stdlib.h>

/* One pass over a mailbox. */
struct drain {
    struct ingest_run *run;
    struct ingest_target *target;
    struct ingest_selected selected;
    struct ingest_names names;
    uint64_t enumerated; /* UIDs that were shown */
    uint32_t top;        /* the largest of them */
    bool is_replaced;
    bool is_short; /* fewer than EXISTS promised: the enumeration is not complete */
};

/* ---- epoch ---- */

static bool open_epoch(struct drain *drain, struct err *err)
{
    struct ingest_run *run = drain->run;
    struct ingest_target *target = drain->target;

    if (!ingest_archive(run,
                        source_open_epoch(run->db, run->lease, target->known.mailbox_id,
                                          drain->selected.uidvalidity, &target->known.epoch, err)))
        return false;
    target->known.pending = target->known.pending_due = target->known.denied = 0;
    target->is_epoch_new = true;
    return true;
}

/* Does the mailbox look other than when it was last enumerated? Always when asked to look at everything. */
static bool is_sample_due(const struct drain *drain)
{
    const struct source_epoch *epoch = &drain->target->known.epoch;

    return drain->selected.uidvalidity != 0 && epoch->enumerated_usec != 0 &&
           !drain->target->is_sampled &&
           (drain->run->lease->is_full || drain->target->was_renamed ||
            drain->selected.exists != epoch->exists || drain->selected.uidnext != epoch->uidnext);
}

/*
 * A UIDVALIDITY that went away and returned between two looks, or a mailbox that was made anew with the old
 * number, shows old UIDs over other messages: when most of a sample are others, it is another epoch.
 */
static bool check_sample(struct drain *drain, struct err *err)
{
    struct ingest_run *run = drain->run;
    const struct source_mailbox *known = &drain->target->known;
    struct source_sample sample;
    size_t same;
    size_t other;

    if (!ingest_archive(run, source_load_sample(run->db, run->lease, known->mailbox_id,
                                                known->epoch.number, &sample, err)))
        return false;
    drain->target->is_sampled = true;
    if (sample.count == 0)
        return true;
    return ingest_compare_sample(run->client, &sample, &drain->selected, &same, &other, err) &&
           (other <= same || open_epoch(drain, err));
}

/* One that was filled by ids that are not trusted any more is read again, octet for octet. */
static bool open_epoch_of_octets(struct drain *drain, struct err *err)
{
    struct ingest_run *run = drain->run;
    struct source_mailbox *known = &drain->target->known;

    if (!open_epoch(drain, err))
        return false;
    known->epoch.recognises = false;
    return ingest_archive(run, source_expect_octets(run->db, run->lease, known->mailbox_id,
                                                    known->epoch.number, err));
}

/* A run that ended while it denied what was recognised goes on with that. */
static bool go_on_refuting(struct drain *drain, struct err *err)
{
    struct ingest_run *run = drain->run;
    const struct source_mailbox *known = &drain->target->known;

    return !known->epoch.is_refuted || known->denied == 0 ||
           ingest_archive(run, source_refute_epoch(run->db, run->lease, known->mailbox_id,
                                                   known->epoch.number, err));
}

static bool settle_epoch(struct drain *drain, struct err *err)
{
    const struct source_epoch *epoch = &drain->target->known.epoch;

    drain->target->was_denied = drain->target->was_denied || drain->target->known.denied > 0;
    if (epoch->is_doubtful || ingest_needs_second_epoch(drain->target))
        return open_epoch_of_octets(drain, err);
    if (epoch->number == 0 || epoch->uidvalidity != drain->selected.uidvalidity)
        return open_epoch(drain, err);
    return go_on_refuting(drain, err) && (!is_sample_due(drain) || check_sample(drain, err));
}

static bool load_names(struct drain *drain, struct err *err)
{
    struct ingest_run *run = drain->run;
    struct source_keywords known;

    arena_reset(run->mailbox_arena);
    return ingest_archive(run,
                          source_load_keywords(run->db, run->lease, drain->target->known.mailbox_id,
                                               run->mailbox_arena, &known, err)) &&
           ingest_start_names(&known, run->mailbox_arena, &drain->names, err);
}

/* ---- enumeration ---- */

static bool enumerate_window(struct drain *drain, uint32_t first, uint32_t last, struct err *err)
{
    struct ingest_run *run = drain->run;
    struct ingest_enumeration window = { NULL, 0 };
    bool is_numbered_anew_unseen = drain->selected.uidvalidity == 0;

    arena_reset(run->window_arena);
    if (drain->selected.exists > 0 &&
        !ingest_enumerate(run->client, first, last, is_numbered_anew_unseen, &drain->selected,
                          &drain->names, run->window_arena, &window, err))
        return false;
    drain->enumerated += window.count;
    if (window.count > 0 && window.seen[window.count - 1].uid > drain->top)
        drain->top = window.seen[window.count - 1].uid;
    return ingest_apply_window(run, drain->target, &window, first, last, &drain->selected,
                               &drain->names, &drain->is_replaced, err);
}

/* The largest UID that the windows must reach. A UIDNEXT that is too small costs nothing: the last
 * window is open. */
static bool find_top(struct drain *drain, uint32_t *top, struct err *err)
{
    if (drain->selected.uidnext > 1) {
        *top = drain->selected.uidnext - 1;
        return true;
    }
    return ingest_find_top(drain->run->client, &drain->selected, top, err);
}

/* As many messages as a window may hold come in one answer; more in windows of UIDs. */
static bool enumerate_all(struct drain *drain, struct err *err)
{
    uint32_t top;
    uint32_t first = 1;

    if (drain->selected.exists <= LIMIT_ENUMERATE_UIDS)
        return enumerate_window(drain, 1, 0, err);
    if (!find_top(drain, &top, err))
        return false;
    while (!drain->is_replaced && top >= first && top - first >= LIMIT_ENUMERATE_UIDS) {
        if (!enumerate_window(drain, first, first + LIMIT_ENUMERATE_UIDS - 1, err) ||
            !ingest_report(drain->run, false, err))
            return false;
        first += LIMIT_ENUMERATE_UIDS;
    }
    return drain->is_replaced || enumerate_window(drain, first, 0, err);
}

/* Mail may have come while we read; whatever EXISTS promised before must have been shown. Above the largest UID
 * there is nothing to look for. */
static bool check_count(struct drain *drain, struct err *err)
{
    uint64_t promised = drain->selected.exists;

    if (drain->enumerated >= promised)
        return true;
    if (drain->top < UINT32_MAX && !enumerate_window(drain, drain->top + 1, 0, err))
        return false;
    if (promised > drain->selected.exists)
        promised = drain->selected.exists; /* expunged since */
    drain->is_short = drain->enumerated < promised;
    if (drain->is_short)
        return err_fail(err, ERR_ABSENT, "%ju messages are announced and only %ju are listed",
                        (uintmax_t)promised, (uintmax_t)drain->enumerated);
    return true;
}

/* Records that what the source has is known to the last message. */
static bool finish_enumeration(struct drain *drain, uint64_t exists, bool is_listed,
                               struct err *err)
{
    struct ingest_run *run = drain->run;
    struct source_epoch *epoch = &drain->target->known.epoch;
    struct source_enumeration end = {
        .uidnext = (uint64_t)drain->top + 1,
        .exists = exists,
        .highestmodseq = drain->selected.highestmodseq,
        .is_listed = is_listed,
    };

    if (drain->selected.uidnext > end.uidnext)
        end.uidnext = drain->selected.uidnext;
    epoch->uidnext = end.uidnext;
    return ingest_archive(run, source_finish_enumeration(run->db, run->lease,
                                                         drain->target->known.mailbox_id,
                                                         epoch->number, &end, err));
}

static bool list_windows(struct drain *drain, struct err *err)
{
    drain->enumerated = 0;
    drain->top = 0;
    drain->is_replaced = false;
    return enumerate_all(drain, err);
}

static bool list_all(struct drain *drain, struct err *err)
{
    if (!list_windows(drain, err))
        return false;
    /* Without UIDVALIDITY, INTERNALDATE told (ingest/README 5). */
    if (drain->is_replaced && (!open_epoch(drain, err) || !list_windows(drain, err)))
        return false;
    return check_count(drain, err) && finish_enumeration(drain, drain->enumerated, true, err);
}

/* Is there a complete enumeration to go on from, and was all listed not long ago? (Later than now: by a clock that was
 * ahead.) */
static bool may_ask_changes(const struct drain *drain)
{
    const struct source_epoch *epoch = &drain->target->known.epoch;
    int64_t listed_ago_usec = clock_now_usec() - epoch->listed_usec;

    return !drain->run->lease->is_full && !drain->target->lists_all &&
           (ingest_capabilities(drain->run->client) & INGEST_CONDSTORE) != 0 &&
           drain->selected.uidvalidity != 0 && drain->selected.exists > 0 &&
           epoch->enumerated_usec != 0 && epoch->highestmodseq != 0 &&
           drain->selected.highestmodseq >= epoch->highestmodseq &&
           llabs(listed_ago_usec) < (int64_t)INGEST_LIST_AGAIN_SECONDS * 1000000;
}

static bool count_present(struct drain *drain, uint64_t *present, struct err *err)
{
    struct ingest_run *run = drain->run;
    const struct source_mailbox *known = &drain->target->known;

    return ingest_archive(run, source_count_present(run->db, run->lease, known->mailbox_id,
                                                    known->epoch.number, present, err));
}

/* Over all UIDs that were ever shown. */
static uint64_t find_unseen(const struct drain *drain)
{
    uint64_t known = drain->target->known.epoch.uidnext;

    return known > drain->top ? known : (uint64_t)drain->top + 1;
}

/* Is there more at the source than we know? Then it came just now, or was not told: it is looked for
 * over all UIDs that we know. */
static bool look_above(struct drain *drain, uint64_t *present, struct err *err)
{
    uint64_t first = find_unseen(drain);

    if ((*present >= drain->selected.exists && drain->selected.uidnext <= first) ||
        first > UINT32_MAX)
        return true;
    return enumerate_window(drain, (uint32_t)first, 0, err) && count_present(drain, present, err);
}

/*
 * What changed since the last complete enumeration. It counts as another (*is_whole) when afterwards as
 * many messages are known as the source says there are: what is new has been told, so there can be no
 * other. Until this is proved lists_all is set: a question that ends the connection (an answer too
 * large, a server that fails) is not asked again.
 */
static bool follow_changes(struct drain *drain, bool *is_whole, struct err *err)
{
    struct ingest_run *run = drain->run;
    struct ingest_target *target = drain->target;
    struct ingest_changes changes;
    uint64_t present;

    *is_whole = false;
    target->lists_all = true;
    arena_reset(run->window_arena);
    if (!ingest_ask_changes(run->client, target->known.epoch.highestmodseq, &drain->selected,
                            &drain->names, run->window_arena, &changes, err)) {
        if (err->code != ERR_ABSENT)
            return false;
        err_clear(err); /* it offers MODSEQ and refuses the question */
        return true;
    }
    if (changes.is_doubtful)
        return true;
    if (changes.seen.count > 0)
        drain->top = changes.seen.seen[changes.seen.count - 1].uid;
    if (!ingest_apply_changes(run, target, &changes, &drain->selected, &drain->names, err) ||
        !count_present(drain, &present, err) || !look_above(drain, &present, err))
        return false;
    if (present != drain->selected.exists)
        return true;
    *is_whole = true;
    target->lists_all = false;
    return finish_enumeration(drain, present, false, err);
}

static bool enumerate(struct drain *drain, struct err *err)
{
    bool is_whole = false;

    if (may_ask_changes(drain) && !follow_changes(drain, &is_whole, err))
        return false;
    return is_whole || list_all(drain, err);
}

/* ---- messages ---- */

static bool mark_failed(struct drain *drain, const struct source_uid_failure *failures,
                        size_t count, struct err *err)
{
    struct ingest_run *run = drain->run;

    drain->target->failed += count;
    return count == 0 ||
           ingest_archive(
               run, source_mark_failed(run->db, run->lease, drain->target->known.mailbox_id,
                                       drain->target->known.epoch.number, failures, count, err));
}

static bool record_failures(struct drain *drain, const struct ingest_fetch_result *result,
                            struct err *err)
{
    struct source_uid_failure *failures =
        arena_new_array(drain->run->window_arena, struct source_uid_failure, result->failure_count);

    for (size_t i = 0; i < result->failure_count; i++)
        failures[i] = (struct source_uid_failure){
            .uid = result->failures[i].uid,
            .error = result->failures[i].text,
            .retry_in_seconds = INGEST_UID_RETRY_SECONDS,
        };
    return mark_failed(drain, failures, result->failure_count, err);
}

/* OK, and nothing came: either they are gone by now, or the source keeps them from us (*kept). */
static bool settle_missing(struct drain *drain, const uint32_t *uids, size_t count,
                           const struct ingest_fetch_result *result, const uint32_t **kept,
                           size_t *kept_count, struct err *err)
{
    struct arena *arena = drain->run->window_arena;
    uint32_t *missing = arena_new_array(arena, uint32_t, count);
    struct source_uid_failure *failures = arena_new_array(arena, struct source_uid_failure, count);
    const uint32_t *present = NULL;
    size_t missing_count = 0;
    size_t present_count = 0;

    for (size_t i = 0; i < count; i++)
        if (result->states[i] == INGEST_MISSING)
            missing[missing_count++] = uids[i];
    *kept = NULL;
    *kept_count = 0;
    if (missing_count == 0)
        return true;
    if (!ingest_mark_vanished(drain->run, drain->target, missing, NULL, missing_count,
                              &drain->selected, &present, &present_count, arena, err))
        return false;
    for (size_t i = 0; i < present_count; i++)
        failures[i] = (struct source_uid_failure){
            .uid = present[i],
            .error = BYTES("the source lists it, but answered OK without sending it"),
            .retry_in_seconds = INGEST_UID_RETRY_SECONDS,
        };
    *kept = present;
    *kept_count = present_count;
    return mark_failed(drain, failures, present_count, err);
}

/* The connection ended within a message: the second time, or when this run will not come back to it, that message
 * is put aside. */
static bool note_broken(struct drain *drain, uint32_t uid, struct err *err)
{
    struct ingest_target *target = drain->target;
    bool drips = ingest_is_worn_out(drain->run->client);
    bool is_given_up = drain->run->is_given_up || drips;
    struct source_uid_failure failure = {
        .uid = uid,
        .error = drips ? BYTES("the source sends its octets by drips")
                 : is_given_up
                     ? BYTES("the source fell silent within its octets, and others waited")
                     : BYTES("the connection ended within its octets, twice"),
        .retry_in_seconds = INGEST_UID_RETRY_SECONDS,
    };

    if (uid == 0 || (uid != target->suspect_uid && !is_given_up)) {
        target->suspect_uid = uid;
        return true;
    }
    target->suspect_uid = 0;
    target->breaks = 0;
    return mark_failed(drain, &failure, 1, err);
}

/* The fetch failed with *err: what came before is kept. False in any case; *err stays, unless the
 * archive fails too. */
static bool save_rest(struct drain *drain, const struct ingest_fetch_result *result,
                      struct err *err)
{
    struct err archive_err = { 0 };
    uint64_t fetched = drain->target->fetched;

    if (drain->run->has_archive_failed)
        return false;
    if (!ingest_commit(drain->run, &archive_err) || !record_failures(drain, result, &archive_err) ||
        (!result->was_refused && !ingest_was_stopped(drain->run->client) &&
         !note_broken(drain, result->broken_uid, &archive_err))) {
        *err = archive_err;
        return false;
    }
    if (drain->target->fetched > fetched || result->failure_count > 0)
        drain->target->breaks = 0; /* that is progress */
    drain->run->was_refused = result->was_refused;
    return false;
}

static bool finish_fetch(struct drain *drain, bool is_done,
                         const struct ingest_fetch_result *result, struct err *err)
{
    drain->run->progress.size_notes += result->size_notes;
    return is_done ? ingest_commit(drain->run, err) : save_rest(drain, result, err);
}

static bool fetch_into(struct drain *drain, const struct ingest_sink *sink, const uint32_t *uids,
                       size_t count, enum ingest_form form, struct ingest_fetch_result *result,
                       struct err *err)
{
    struct ingest_run *run = drain->run;
    struct ingest_share share;
    bool is_done;

    ingest_open_share(uids, count, run->window_arena, &share);
    *result = ingest_start_result(&share, run->window_arena);
    is_done = ingest_fetch(run->client, &share, form, sink, run->window_arena, result, err);
    ingest_close_share(&share);
    return finish_fetch(drain, is_done, result, err);
}

static bool fetch_by(struct drain *drain, const uint32_t *uids, size_t count, enum ingest_form form,
                     struct ingest_fetch_result *result, struct err *err)
{
    struct ingest_sink sink = ingest_make_sink(drain->run);

    return fetch_into(drain, &sink, uids, count, form, result, err);
}

/* By peeking, by as many connections as there may be. */
static bool fetch_by_crew(struct drain *drain, const uint32_t *uids, size_t count,
                          struct ingest_fetch_result *result, struct err *err)
{
    struct ingest_run *run = drain->run;
    uint32_t uidvalidity = drain->selected.uidvalidity;
    struct ingest_share share;
    bool is_done;

    if (!ingest_is_for_crew(run, count, uidvalidity))
        return fetch_by(drain, uids, count, INGEST_BY_PEEK, result, err);
    ingest_open_share(uids, count, run->window_arena, &share);
    *result = ingest_start_result(&share, run->window_arena);
    is_done = ingest_fetch_together(run, drain->target, uidvalidity, &share, result, err);
    ingest_close_share(&share);
    return finish_fetch(drain, is_done, result, err);
}

/* ---- messages that BODY.PEEK[] does not give ---- */

/* Asks in the other forms; what then comes is stored. *count: of those that are left. */
static bool fetch_otherwise(struct drain *drain, uint32_t *uids, size_t *count, struct err *err)
{
    struct ingest_fetch_result result;

    for (enum ingest_form form = INGEST_BY_PEEK + 1; *count > 0 && form < INGEST_FORMS; form++) {
        size_t left = 0;

        if (!fetch_by(drain, uids, *count, form, &result, err))
            return false;
        for (size_t i = 0; i < *count; i++)
            if (result.states[i] != INGEST_FETCHED)
                uids[left++] = uids[i];
        drain->target->failed -= *count - left;
        *count = left;
    }
    return true;
}

/* UIDs that said before, on another connection, that they have no octets, and say it again. */
struct emptied {
    const uint32_t *uids;
    size_t count;
};

/* To be asked before this run's failures are recorded. */
static bool find_emptied(struct drain *drain, const struct ingest_fetch_result *result,
                         struct emptied *out, struct err *err)
{
    struct ingest_run *run = drain->run;
    const struct ingest_target *target = drain->target;
    uint32_t *empty = arena_new_array(run->window_arena, uint32_t, result->failure_count);
    size_t count = 0;

    *out = (struct emptied){ NULL, 0 };
    for (size_t i = 0; i < result->failure_count; i++)
        if (bytes_equal(result->failures[i].text, BYTES(INGEST_EMPTY_TEXT)))
            empty[count++] = result->failures[i].uid;
    return count == 0 || ingest_archive(run, source_load_failed_alike(
                                                 run->db, run->lease, target->known.mailbox_id,
                                                 target->known.epoch.number, empty, count,
                                                 BYTES(INGEST_EMPTY_TEXT), run->window_arena,
                                                 &out->uids, &out->count, err));
}

/* In pieces, which leaves it pending; or, said to be empty again, as that. */
static bool fetch_substitute(struct drain *drain, uint32_t uid, const struct emptied *emptied,
                             struct err *err)
{
    struct ingest_run *run = drain->run;
    struct ingest_sink sink = ingest_make_sink(run);
    bool is_given;
    bool is_done;

    run->doubt = VAULT_REASSEMBLED;
    is_done = ingest_fetch_in_pieces(run->client, uid, &sink, &is_given, err);
    if (is_done && !is_given && ingest_find_uid(emptied->uids, emptied->count, uid) != SIZE_MAX) {
        run->doubt = VAULT_EMPTY;
        is_done = ingest_fetch_as(run->client, uid, BYTES(""), &sink, &is_given, err);
        drain->target->failed -= is_done && is_given;
    }
    run->doubt = VAULT_ORIGINAL;
    return is_done;
}

static bool fetch_substitutes(struct drain *drain, const uint32_t *uids, size_t count,
                              const struct emptied *emptied, struct err *err)
{
    struct ingest_run *run = drain->run;
    struct err archive_err = { 0 };
    bool is_done = true;

    for (size_t i = 0; is_done && i < count; i++)
        is_done = fetch_substitute(drain, uids[i], emptied, err);
    if (run->has_archive_failed)
        return false;
    if (!ingest_commit(run, &archive_err)) {
        *err = archive_err;
        return false;
    }
    return is_done;
}

/* What came only as a text that the server made in its place stays pending. */
static bool record_placeholders(struct drain *drain, struct err *err)
{
    struct ingest_run *run = drain->run;
    size_t count = run->placeholder_count;
    struct source_uid_failure *failures =
        arena_new_array(run->window_arena, struct source_uid_failure, count);

    for (size_t i = 0; i < count; i++)
        failures[i] = (struct source_uid_failure){
            .uid = run->placeholders[i],
            .error = BYTES("the server cannot give it, and sends a text of its own in its place"),
            .retry_in_seconds = INGEST_PLACEHOLDER_RETRY_SECONDS,
        };
    run->placeholder_count = 0;
    return mark_failed(drain, failures, count, err);
}

static int compare_uids(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

/* Those that failed, were it not for us, and those that did not come: ascending. */
static uint32_t *list_denied(struct drain *drain, const struct ingest_fetch_result *result,
                             const uint32_t *kept, size_t kept_count, size_t *count)
{
    uint32_t *denied =
        arena_new_array(drain->run->window_arena, uint32_t, result->failure_count + kept_count);

    *count = 0;
    for (size_t i = 0; i < result->failure_count; i++)
        if (!result->failures[i].is_ours)
            denied[(*count)++] = result->failures[i].uid;
    for (size_t i = 0; i < kept_count; i++)
        denied[(*count)++] = kept[i];
    if (*count > 0)
        qsort(denied, *count, sizeof *denied, compare_uids);
    return denied;
}

/* ---- a page of messages ---- */

/* May messages be taken for archived ones? Not what was taken so and is to come after all. */
static bool may_recognise(const struct drain *drain)
{
    return drain->run->settings->recognises && !drain->target->was_denied;
}

/* What the epoch shows again is placed, once a sample of it was downloaded and compared. What of that did not
 * come is asked for again with what is left. */
static bool fetch_recognised(struct drain *drain, const uint32_t **uids, size_t *count,
                             struct err *err)
{
    struct ingest_run *run = drain->run;
    struct ingest_target *target = drain->target;
    CLEANUP(ingest_end_recognition) struct ingest_recognition recognition = { .count = 0 };
    struct ingest_sink comparer = ingest_make_comparer(&recognition);
    struct ingest_fetch_result result;

    if (!target->known.epoch.recognises)
        return true;
    if (!ingest_recognise(run, &target->known.epoch, *uids, *count, &recognition, err))
        return false;
    return recognition.count == 0 ||
           (fetch_into(drain, &comparer, recognition.sample, recognition.sample_count,
                       INGEST_BY_PEEK, &result, err) &&
            ingest_place_recognised(run, target, &recognition, uids, count, err));
}

static bool place_archived(struct drain *drain, const uint32_t **uids, size_t *count,
                           struct err *err)
{
    return !may_recognise(drain) || (ingest_place_known(drain->run, uids, count, err) &&
                                     fetch_recognised(drain, uids, count, err));
}

static bool fetch_page(struct drain *drain, const uint32_t *uids, size_t count, struct err *err)
{
    struct ingest_run *run = drain->run;
    struct ingest_fetch_result result;
    struct emptied emptied;
    const uint32_t *kept;
    size_t kept_count;
    uint32_t *denied;
    size_t denied_count;

    run->placeholders = arena_new_array(run->window_arena, uint32_t, count);
    run->placeholder_cap = count;
    run->placeholder_count = 0;
    if (!place_archived(drain, &uids, &count, err))
        return false;
    if (ingest_needs_second_epoch(drain->target))
        return true;
    if (!fetch_by_crew(drain, uids, count, &result, err) ||
        !find_emptied(drain, &result, &emptied, err) || !record_failures(drain, &result, err) ||
        !settle_missing(drain, uids, count, &result, &kept, &kept_count, err))
        return false;
    denied = list_denied(drain, &result, kept, kept_count, &denied_count);
    if (denied_count > INGEST_OTHERWISE_UIDS)
        denied_count = 0; /* it is not about single messages */
    return fetch_otherwise(drain, denied, &denied_count, err) &&
           fetch_substitutes(drain, denied, denied_count, &emptied, err) &&
           record_placeholders(drain, err);
}

static bool fetch_pending(struct drain *drain, struct err *err)
{
    struct ingest_run *run = drain->run;
    struct ingest_target *target = drain->target;
    uint32_t after = 0;

    if (!ingest_archive(run, vault_begin_batch(run->writer, target->known.mailbox_id,
                                               target->known.epoch.number, err)) ||
        !ingest_begin_identities(run, err))
        return false;
    for (;;) {
        const uint32_t *uids;
        size_t count;

        arena_reset(run->window_arena);
        if (!ingest_archive(run, source_load_pending(run->db, run->lease, target->known.mailbox_id,
                                                     target->known.epoch.number, after,
                                                     INGEST_FETCH_PAGE, run->window_arena, &uids,
                                                     &count, err)))
            return false;
        if (count == 0)
            return true;
        after = uids[count - 1];
        if (!fetch_page(drain, uids, count, err))
            return false;
        if (ingest_needs_second_epoch(target))
            return true;
        if (target->is_refuted)
            after = 0; /* pages before are pending again */
        else if (count < INGEST_FETCH_PAGE)
            return true;
        target->is_refuted = false;
    }
}

/* ---- both ---- */

/* In an earlier slice of this run: what it showed is announced, and is fetched now. */
static bool was_enumerated(const struct drain *drain)
{
    const struct source_epoch *epoch = &drain->target->known.epoch;

    return !drain->target->is_epoch_new && drain->selected.uidvalidity != 0 &&
           epoch->enumerated_in_usec == drain->run->work.started_usec;
}

static bool drain_epoch(struct ingest_run *run, struct ingest_target *target, struct err *err)
{
    struct drain drain = { .run = run, .target = target };
    struct err fetch_err = { 0 };

    if (!ingest_examine(run->client, target->listed->wire_name, &drain.selected, err) ||
        !settle_epoch(&drain, err) || !load_names(&drain, err))
        return false;
    if (!was_enumerated(&drain) && !enumerate(&drain, err)) {
        /* What was listed is fetched all the same; that there is more stays the outcome. */
        if (drain.is_short && !fetch_pending(&drain, &fetch_err))
            *err = fetch_err;
        return false;
    }
    return fetch_pending(&drain, err) && ingest_settle_epoch(run, target, err);
}

bool ingest_drain_mailbox(struct ingest_run *run, struct ingest_target *target, struct err *err)
{
    return drain_epoch(run, target, err) &&
           (!ingest_needs_second_epoch(target) || drain_epoch(run, target, err));
}
