/* SPDX-License-Identifier: Apache-2.0 */
#include "ingest/run.h"

#include "base/fd.h"
#include "imap/list_args.h"
#include "ingest/compress.h"
#include "ingest/crew.h"
#include "ingest/login.h"
#include "ingest/pace.h"
#include "ingest/provider.h"
#include "ingest/rename.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    TEST_STATUS_MAX = 500, /* mailboxes that `account test` counts one by one */
    BREAK_WAIT_MS = 500,
};

/* ---- connection ---- */

static void disconnect(struct ingest_run *run)
{
    ingest_dismiss_crew(run);
    if (run->client == NULL)
        return;
    run->progress.odd_responses += ingest_odd_responses(run->client);
    run->was_stopped = run->was_stopped || ingest_was_stopped(run->client);
    run->was_refused = run->was_refused || ingest_was_refused(run->client);
    run->is_given_up = run->is_given_up || ingest_is_worn_out(run->client);
    ingest_close_client(&run->client);
}

static bool get_identity(struct ingest_run *run, struct err *err)
{
    struct source_identity identity = { 0 };

    if (!source_get_identity(run->settings->gate_socket, run->lease, NULL, &identity, err))
        return false;
    source_free_identity(&run->identity);
    run->identity = identity;
    return true;
}

/* The source refused the token, as *err says, which stays when the gate has no other one. */
static bool replace_token(struct ingest_run *run, struct err *err)
{
    struct source_identity other = { 0 };
    struct err why = { 0 };
    bool is_same;

    if (!source_get_identity(run->settings->gate_socket, run->lease, run->identity.secret, &other,
                             &why)) {
        *err = why;
        return false;
    }
    is_same = secret_equal(secret_bytes(other.secret), secret_bytes(run->identity.secret));
    source_free_identity(&run->identity);
    run->identity = other;
    if (!is_same)
        err_clear(err);
    return !is_same;
}

static bool log_in(struct ingest_run *run, bool *was_refused, struct err *err)
{
    struct ingest_client_options options = {
        .stop_fd = run->settings->stop_fd,
        .stall_ms = run->settings->stall_ms,
        .beat = ingest_beat,
        .context = run,
        .beat_ms = run->settings->slice_ms < INGEST_BEAT_MS ? run->settings->slice_ms : 0,
    };
    struct ingest_login login = { .account = &run->work.account, .identity = &run->identity };
    bool is_in = ingest_log_in(&login, &options, &run->client, err);

    *was_refused = login.was_refused;
    return is_in;
}

/*
 * A token is asked for at every connection: the gate keeps it until it must be renewed. One that looks
 * good there and is refused here is replaced exactly once, unless it is brand new.
 */
static bool connect_source(struct ingest_run *run, struct err *err)
{
    bool was_refused;

    if ((run->identity.secret == NULL || run->identity.proof == SOURCE_BY_TOKEN) &&
        !get_identity(run, err))
        return false;
    if (!ingest_report(run, false, err)) /* a token endpoint may be slow */
        return false;
    if (!log_in(run, &was_refused, err) &&
        (!was_refused || run->identity.proof != SOURCE_BY_TOKEN || !replace_token(run, err) ||
         !log_in(run, &was_refused, err)))
        return false;
    if (!ingest_compress(run->client, run->settings->compress, err))
        return false;
    if (run->has_listing)
        ingest_set_rules(run->client, &run->rules);
    run->state = run->has_listing ? INGEST_READY : INGEST_ONLINE;
    return true;
}

/* ---- mailboxes ---- */

/* Both in the order of ingest_compare_paths. */
static int compare_with_path(const void *path, const void *row)
{
    const struct source_mailbox *mailbox = row;

    return ingest_compare_paths(*(const struct bytes *)path, mailbox->path);
}

static const struct source_mailbox *find_known(const struct source_mailbox_list *known,
                                               struct bytes path)
{
    return known->count == 0
               ? NULL
               : bsearch(&path, known->rows, known->count, sizeof *known->rows, compare_with_path);
}

static struct vault_listed describe(const struct ingest_listed *listed)
{
    return (struct vault_listed){
        .source_name = listed->wire_name,
        .delimiter = bytes_of(&listed->delimiter, listed->delimiter == 0 ? 0 : 1),
        .path = listed->path,
        .special_use = listed->special_use,
        .object_id = listed->object_id,
        .is_noselect = listed->is_noselect,
    };
}

/* Archived mailboxes go on under the names that their source gave them. *known is read anew then. */
static bool follow_renames(struct ingest_run *run, struct source_mailbox_list *known,
                           struct err *err)
{
    const struct ingest_rename *renames;
    size_t count = ingest_find_renames(&run->listing, known, run->arena, &renames);
    int64_t *ids = arena_new_array(run->arena, int64_t, count);
    struct vault_listed *listed = arena_new_array(run->arena, struct vault_listed, count);

    for (size_t i = 0; i < count; i++) {
        ids[i] = renames[i].known->mailbox_id;
        listed[i] = describe(renames[i].listed);
        log_info(run->settings->log, "mailbox renamed at the source",
                 F_I64("account", run->lease->account_id), F_I64("mailbox", ids[i]));
    }
    run->renamed_ids = ids;
    run->renamed_count = count;
    return count == 0 ||
           (ingest_archive(run, vault_rename_mailboxes(run->writer, ids, listed, count, err)) &&
            ingest_archive(run,
                           source_load_mailboxes(run->db, run->lease, run->arena, known, err)));
}

static bool was_renamed(const struct ingest_run *run, int64_t mailbox_id)
{
    for (size_t i = 0; i < run->renamed_count; i++)
        if (run->renamed_ids[i] == mailbox_id)
            return true;
    return false;
}

static bool save_left_out(struct ingest_run *run, struct err *err)
{
    const struct ingest_listing *listing = &run->listing;
    struct source_left_out_mailbox *rows =
        arena_new_array(run->arena, struct source_left_out_mailbox, listing->count);
    size_t count = 0;

    for (size_t i = 0; i < listing->count; i++) {
        const struct ingest_listed *listed = &listing->rows[i];

        if (listed->left_out != SOURCE_NOT_LEFT_OUT && !listed->is_noselect)
            rows[count++] = (struct source_left_out_mailbox){ .path = listed->path,
                                                              .reason = listed->left_out,
                                                              .rule = listed->rule };
    }
    run->progress.skipped = count;
    return ingest_archive(
        run, source_record_left_out(run->db, run->lease, rows, count, run->arena, err));
}

/* Paths that imports have taken (id 0) are not the source's any more: such a mailbox cannot be archived. */
static void note_imported(struct ingest_run *run, const int64_t *ids, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (ids[i] == 0) {
            run->listing.unusable++;
            run->listing.unusable_why = "files were imported into a mailbox of this path";
        }
}

/* Makes the mailboxes that are new and marks those that are listed no more. */
static bool save_listing(struct ingest_run *run, const struct source_mailbox_list *known,
                         struct err *err)
{
    const struct ingest_listing *listing = &run->listing;
    struct vault_listed *wanted = arena_new_array(run->arena, struct vault_listed, listing->count);
    int64_t *ids = arena_new_array(run->arena, int64_t, listing->count);
    size_t count = 0;

    for (size_t i = 0; i < listing->count; i++)
        if (listing->rows[i].left_out == SOURCE_NOT_LEFT_OUT)
            wanted[count++] = describe(&listing->rows[i]);
    if (!ingest_archive(run, vault_open_mailboxes(run->writer, wanted, count, ids, err)))
        return false;
    note_imported(run, ids, count);
    if (listing->unusable > 0)
        return true; /* not the whole list: proves nothing gone */
    for (size_t i = 0; i < listing->count; i++) {
        const struct source_mailbox *row = find_known(known, listing->rows[i].path);

        if (listing->rows[i].left_out != SOURCE_NOT_LEFT_OUT && row != NULL)
            ids[count++] = row->mailbox_id; /* left out by rule, not gone */
    }
    return ingest_archive(run, vault_mark_unlisted(run->writer, ids, count, NULL, err)) &&
           save_left_out(run, err);
}

/* Is something left to do in it, though nothing is new? */
static bool has_work(const struct ingest_target *target)
{
    return target->known.pending_due > 0 ||
           (target->known.pending == 0 && ingest_is_unsettled(target));
}

/* Was it proved by STATUS that nothing happened since the last enumeration? */
static bool is_unchanged(const struct ingest_target *target)
{
    const struct ingest_listed *listed = target->listed;
    const struct source_epoch *epoch = &target->known.epoch;
    uint32_t needed = IMAP_STATUS_MESSAGES | IMAP_STATUS_UIDNEXT | IMAP_STATUS_UIDVALIDITY |
                      IMAP_STATUS_HIGHESTMODSEQ;

    return epoch->number > 0 && epoch->enumerated_usec != 0 &&
           (listed->status & needed) == needed && listed->uidvalidity == epoch->uidvalidity &&
           listed->uidnext == epoch->uidnext && listed->messages == epoch->exists &&
           listed->highestmodseq != 0 && listed->highestmodseq == epoch->highestmodseq &&
           !has_work(target) && !epoch->is_doubtful && !target->was_renamed;
}

/* Mailboxes that hold every message come first: the others are then placed by their ids. */
static void put_bodies_first(struct ingest_run *run)
{
    uint32_t bodies = ingest_rules(run->client)->bodies;
    struct ingest_target *sorted =
        arena_new_array(run->arena, struct ingest_target, run->target_count);
    size_t count = 0;

    for (int is_body = 1; is_body >= 0; is_body--)
        for (size_t i = 0; i < run->target_count; i++)
            if (((run->targets[i].listed->attributes & bodies) != 0) == (is_body != 0))
                sorted[count++] = run->targets[i];
    run->targets = sorted;
}

static bool note_unchanged(struct ingest_run *run, const int64_t *ids, size_t count,
                           struct err *err)
{
    run->progress.mailboxes_done += count;
    return count == 0 ||
           ingest_archive(run, source_finish_unchanged(run->db, run->lease, ids, count, err));
}

/* Enumerated by this run, before it gave way to others. */
static bool is_done_before(const struct ingest_run *run, const struct ingest_target *target)
{
    return target->known.epoch.enumerated_in_usec == run->work.started_usec && !has_work(target);
}

/* The mailboxes to look at: wanted, selectable, not proved unchanged. */
static bool choose_targets(struct ingest_run *run, const struct source_mailbox_list *known,
                           struct err *err)
{
    const struct ingest_listing *listing = &run->listing;
    int64_t *unchanged = arena_new_array(run->arena, int64_t, listing->count);
    size_t unchanged_count = 0;

    run->targets = arena_new_array(run->arena, struct ingest_target, listing->count);
    run->progress.mailboxes += listing->unusable;
    run->progress.mailboxes_failed += listing->unusable;
    (void)snprintf(run->first_failure, sizeof run->first_failure, "%s", listing->unusable_why);
    for (size_t i = 0; i < listing->count; i++) {
        const struct ingest_listed *listed = &listing->rows[i];
        const struct source_mailbox *row = find_known(known, listed->path);
        struct ingest_target target = { .listed = listed };

        if (listed->left_out != SOURCE_NOT_LEFT_OUT || listed->is_noselect || row == NULL)
            continue;
        run->progress.mailboxes++;
        target.known = *row;
        target.was_renamed = was_renamed(run, row->mailbox_id);
        if (is_done_before(run, &target))
            run->progress.mailboxes_done++;
        else if (!run->lease->is_full && is_unchanged(&target))
            unchanged[unchanged_count++] = row->mailbox_id;
        else
            run->targets[run->target_count++] = target;
    }
    put_bodies_first(run);
    return note_unchanged(run, unchanged, unchanged_count, err);
}

/* What was pending in mailboxes that are gone, or a mere name by now, cannot be had. */
static bool abandon_gone(struct ingest_run *run, const struct source_mailbox_list *known,
                         struct err *err)
{
    for (size_t i = 0; i < known->count; i++)
        if ((known->rows[i].is_gone || known->rows[i].is_noselect) && known->rows[i].pending > 0 &&
            !ingest_archive(
                run, source_abandon_mailbox(run->db, run->lease, known->rows[i].mailbox_id, err)))
            return false;
    return true;
}

static bool list_mailboxes(struct ingest_run *run, struct err *err)
{
    struct source_mailbox_list known;

    if (!ingest_archive(run, source_load_mailboxes(run->db, run->lease, run->arena, &known, err)) ||
        !ingest_list(run->client, &run->work.account,
                     known.count > 0 ? INGEST_ASK_COUNTS : INGEST_ASK_NAMES, run->arena,
                     &run->listing, err))
        return false;
    if (run->listing.count == 0)
        return err_fail(err, ERR_RETRY, "the source lists no mailbox at all");
    run->rules = *ingest_rules(run->client); /* with what its ID told */
    if (!follow_renames(run, &known, err) || !save_listing(run, &known, err) ||
        !ingest_archive(run, source_load_mailboxes(run->db, run->lease, run->arena, &known, err)) ||
        !abandon_gone(run, &known, err) || !choose_targets(run, &known, err) ||
        !ingest_report(run, true, err))
        return false;
    run->has_listing = true;
    run->state = INGEST_READY;
    return true;
}

static bool select_next(struct ingest_run *run, struct err *err)
{
    if (run->target_at == run->target_count) {
        run->state = INGEST_DONE;
        return true;
    }
    run->state = INGEST_DRAINING;
    return ingest_keep_pace(run, 0, err) && ingest_may_go_on(run, err);
}

/* The mailbox is left as it is; the others go on. */
static void fail_mailbox(struct ingest_run *run, struct err *err)
{
    const struct ingest_target *target = &run->targets[run->target_at];

    if (run->progress.mailboxes_failed++ == 0)
        (void)snprintf(run->first_failure, sizeof run->first_failure, "%.*s: %.*s",
                       (int)bytes_slice(target->listed->path, 0, 100).len,
                       (const char *)target->listed->path.ptr, 300, err->text);
    log_warn(run->settings->log, "mailbox not read", F_I64("account", run->lease->account_id),
             F_I64("mailbox", target->known.mailbox_id), F_TEXT("code", err_code_name(err->code)));
    err_clear(err);
    run->target_at++;
    run->state = INGEST_READY;
}

static bool drain_mailbox(struct ingest_run *run, struct err *err)
{
    if (ingest_drain_mailbox(run, &run->targets[run->target_at], err)) {
        run->progress.mailboxes_done++;
        run->target_at++;
        run->state = INGEST_READY;
        return ingest_rest_crew(run, err) && ingest_report(run, false, err);
    }
    if (!run->has_archive_failed && err->code == ERR_ABSENT) {
        fail_mailbox(run, err);
        return true;
    }
    return false;
}

/*
 *   OFFLINE --connect_source--> ONLINE --list_mailboxes--> READY --select_next--> DRAINING
 *   DRAINING --drain_mailbox--> READY          READY --select_next, none is left--> DONE
 *   ONLINE, DRAINING --recover, the connection was lost--> OFFLINE (then straight to READY)
 *
 *   ONLINE: logged in, capabilities known. READY: has_listing; target_at is the next mailbox.
 *   DRAINING: targets[target_at] is selected, by EXAMINE, and its open epoch is the source's
 *   UIDVALIDITY (ingest/README 3).
 */
static bool step(struct ingest_run *run, struct err *err)
{
    switch (run->state) {
    case INGEST_OFFLINE:
        return connect_source(run, err);
    case INGEST_ONLINE:
        return list_mailboxes(run, err);
    case INGEST_READY:
        return select_next(run, err);
    case INGEST_DRAINING:
        return drain_mailbox(run, err);
    case INGEST_DONE:
        return true;
    }
    UNREACHABLE();
}

/* True: asked to stop meanwhile. */
static bool wait_a_little(const struct ingest_run *run, int times)
{
    return fd_wait(run->settings->stop_fd, BREAK_WAIT_MS * times);
}

/* What was placed without a download may still be on its way: until it is there, the connection is not ours. */
static bool settle_placed(struct ingest_run *run, struct err *err)
{
    struct err archive_err = { 0 };

    if (run->has_archive_failed || ingest_settle(run, &archive_err))
        return true;
    *err = archive_err;
    return false;
}

/* A step failed. True: the run goes on without what failed. False: *err is how it ends. */
static bool recover(struct ingest_run *run, struct err *err)
{
    bool is_broken = err->code == ERR_RETRY || err->code == ERR_SYNTAX || err->code == ERR_LIMIT;

    if (!settle_placed(run, err) || run->rest != SOURCE_REST_NONE)
        return false;
    disconnect(run);
    if (run->has_archive_failed || !is_broken || run->was_stopped || run->was_refused ||
        run->is_given_up || run->state != INGEST_DRAINING || ++run->breaks > INGEST_BREAKS_PER_RUN)
        return false;
    log_info(run->settings->log, "source connection lost, connecting again",
             F_I64("account", run->lease->account_id), F_I64("breaks", run->breaks),
             F_TEXT("code", err_code_name(err->code)));
    if (++run->targets[run->target_at].breaks > INGEST_BREAKS_PER_MAILBOX)
        fail_mailbox(run, err);
    if (wait_a_little(run, run->target_at < run->target_count ? run->targets[run->target_at].breaks
                                                              : 1)) {
        run->was_stopped = true;
        return err_fail(err, ERR_RETRY, "asked to stop");
    }
    err_clear(err);
    run->state = INGEST_OFFLINE;
    return true;
}

/* ---- outcome ---- */

static void count_pending(struct ingest_run *run, const struct source_mailbox_list *known)
{
    run->progress.pending = 0;
    for (size_t i = 0; i < known->count; i++)
        if (!known->rows[i].is_gone)
            run->progress.pending += known->rows[i].pending;
}

/* Also of mailboxes in which nothing is new: what the server hides stays hidden. */
static void warn_of_views(struct ingest_run *run, const struct source_mailbox_list *known,
                          char text[INGEST_OUTCOME_BYTES])
{
    const struct source_mailbox *first = NULL;

    run->progress.truncated = 0;
    for (size_t i = 0; i < known->count; i++) {
        const struct source_mailbox *row = &known->rows[i];

        if (row->is_gone || !ingest_is_view_full(&run->rules, row->epoch.exists))
            continue;
        if (run->progress.truncated++ == 0)
            first = row;
    }
    if (first != NULL)
        ingest_warn_of_view(text, run->rules.provider, first->path, first->epoch.exists,
                            run->progress.truncated - 1);
}

static bool finish(struct ingest_run *run, enum err_code code, const char *text,
                   int64_t next_in_seconds, struct err *err)
{
    struct source_outcome outcome = { code, text, next_in_seconds, run->rest };

    if (run->lease->kind == SOURCE_JOB_TEST)
        outcome.next_in_seconds = -1;
    log_info(run->settings->log, "job finished", F_I64("account", run->lease->account_id),
             F_TEXT("outcome", err_code_name(code)), F_U64("fetched", run->progress.fetched),
             F_U64("bytes", run->progress.bytes), F_U64("gone", run->progress.gone),
             F_U64("pending", run->progress.pending),
             F_U64("mailboxes_failed", run->progress.mailboxes_failed));
    return ingest_count_intake(run, err) &&
           ingest_archive(run, source_finish(run->db, run->lease, &outcome, &run->progress, err));
}

static bool finish_whole(struct ingest_run *run, struct err *err)
{
    char text[INGEST_OUTCOME_BYTES];
    struct source_mailbox_list known;
    enum err_code code = ERR_NONE;

    run->rest = SOURCE_REST_NONE; /* whatever it is, it came too late to matter */
    if (!ingest_archive(run, source_load_mailboxes(run->db, run->lease, run->arena, &known, err)) ||
        !ingest_check_identities(run, err))
        return false;
    count_pending(run, &known);
    if (run->identities.has_failed) {
        code = ERR_RETRY;
        ingest_write_distrust(text, run->work.account.name);
    } else if (run->progress.pending > 0 || run->progress.mailboxes_failed > 0) {
        code = ERR_RETRY;
        ingest_write_incomplete(text, run->work.account.name, &run->progress, run->first_failure);
    } else {
        ingest_write_complete(text, run->work.account.name, &run->progress);
    }
    warn_of_views(run, &known, text);
    return finish(run, code, text,
                  ingest_next_seconds(run->work.account.every_seconds, (uint64_t)clock_now_usec()),
                  err);
}

/* The run stops short and has not failed: see run->rest. */
static bool finish_resting(struct ingest_run *run, struct err *err)
{
    char text[INGEST_OUTCOME_BYTES] = "";
    int64_t seconds;

    err_clear(err);
    if (run->rest == SOURCE_REST_YIELDED)
        return finish(run, ERR_RETRY, text, 0, err);
    ingest_write_budget(text, run->work.account.name, &run->progress, run->daily_bytes);
    return ingest_end_of_rest(run, &seconds, err) && finish(run, ERR_RETRY, text, seconds, err);
}

/* A source that says how long it wants to be left alone has not failed; one that speaks of all of us is
 * left alone by all. */
static bool heed_source(struct ingest_run *run, struct bytes text, int64_t seconds, struct err *err)
{
    if (ingest_asked_to_wait(text) > 0)
        run->rest = SOURCE_REST_THROTTLED;
    return !ingest_speaks_of_host(text) ||
           ingest_archive(run, source_sleep_host(run->db, run->lease, seconds, text, err));
}

/* The source failed with *failure. If we were asked to stop, it did not: whoever starts next goes on with the
 * run. */
static bool finish_failed(struct ingest_run *run, const struct err *failure, struct err *err)
{
    char text[INGEST_OUTCOME_BYTES], reason[INGEST_OUTCOME_BYTES];
    bool was_stopped = run->was_stopped || wait_a_little(run, 0);
    int64_t seconds =
        was_stopped ? 0
                    : ingest_retry_seconds(failure, run->work.attempts, (uint64_t)clock_now_usec());

    ingest_write_failure(text, run->work.account.name, failure);
    ingest_write_reason(reason, failure);
    if (!heed_source(run, bytes_of_text(reason), seconds, err))
        return false;
    if (was_stopped && failure->code == ERR_RETRY && run->rest == SOURCE_REST_NONE) {
        run->rest = SOURCE_REST_YIELDED;
        return finish_resting(run, err);
    }
    return finish(run, failure->code, text, seconds, err);
}

/* The archive refuses to be written (disk full, no partition of this week), but may still take the reason:
 * whoever waits for the job is told. Otherwise it is left to its lease. */
static void tell_archive_failure(struct ingest_run *run, const struct err *failure)
{
    struct err told = *failure;
    struct err ignored = { 0 };
    char text[INGEST_OUTCOME_BYTES];

    if (failure->code == ERR_RETRY || failure->code == ERR_DENIED)
        return;                       /* the connection is lost, or the lease */
    vault_close_writer(&run->writer); /* rolls back what is open */
    run->rest = SOURCE_REST_NONE;
    (void)err_wrap(&told, "the archive cannot be written");
    ingest_write_failure(text, run->work.account.name, &told);
    if (!finish(run, failure->code, text, INGEST_ARCHIVE_RETRY_SECONDS, &ignored))
        err_clear(&ignored);
}

/* ---- jobs ---- */

static bool run_sync(struct ingest_run *run, struct err *err)
{
    ingest_start_pace(run);
    if (run->rest != SOURCE_REST_NONE)
        return finish_resting(run, err);
    if (!ingest_open_writer(run, err))
        return false;
    while (run->state != INGEST_DONE)
        if (!step(run, err) && !recover(run, err))
            break;
    if (run->state != INGEST_DONE && (run->rest == SOURCE_REST_NONE || run->has_archive_failed))
        return false;
    if (run->client != NULL)
        ingest_log_out(run->client);
    disconnect(run);
    return run->state == INGEST_DONE ? finish_whole(run, err) : finish_resting(run, err);
}

static bool run_test(struct ingest_run *run, struct err *err)
{
    char text[INGEST_OUTCOME_BYTES];
    struct ingest_left_out left_out;
    uint64_t mailboxes = 0;
    uint64_t messages = 0;
    bool is_all_counted = true;

    if (!connect_source(run, err) ||
        !ingest_list(run->client, &run->work.account, INGEST_ASK_SIZES, run->arena, &run->listing,
                     err) ||
        !ingest_count_messages(run->client, &run->listing, TEST_STATUS_MAX, err))
        return false;
    for (size_t i = 0; i < run->listing.count; i++) {
        const struct ingest_listed *row = &run->listing.rows[i];

        if (row->left_out != SOURCE_NOT_LEFT_OUT || row->is_noselect)
            continue;
        mailboxes++;
        messages += row->messages;
        is_all_counted = is_all_counted && (row->status & IMAP_STATUS_MESSAGES) != 0;
    }
    ingest_log_out(run->client);
    disconnect(run);
    left_out = ingest_sum_left_out(&run->listing);
    run->progress.mailboxes = mailboxes;
    run->progress.messages = messages;
    ingest_write_test(text, run->work.account.name, mailboxes, messages, is_all_counted, &left_out,
                      ingest_find_unmatched(&run->work.account, &run->listing));
    return ingest_save_probe(run, err) && finish(run, ERR_NONE, text, -1, err);
}

/* What earlier slices of the run brought; what they saw is looked at again. */
static void carry_over(struct source_progress *progress, const struct source_progress *before)
{
    progress->messages = before->fetched;
    progress->fetched = before->fetched;
    progress->bytes = before->bytes;
    progress->flag_changes = before->flag_changes;
    progress->gone = before->gone;
    progress->size_notes = before->size_notes;
    progress->odd_responses = before->odd_responses;
}

static bool get_ready(struct ingest_run *run, struct err *err)
{
    if (!ingest_archive(run, source_load_work(run->db, run->lease, run->arena, &run->work, err)))
        return false;
    carry_over(&run->progress, &run->work.progress);
    return true;
}

static bool run_job(struct ingest_run *run, struct err *err)
{
    if (run->work.is_removed || (run->work.is_paused && run->lease->kind != SOURCE_JOB_TEST))
        return err_fail(err, ERR_DENIED, "paused or removed: nothing is fetched");
    return run->lease->kind == SOURCE_JOB_TEST ? run_test(run, err) : run_sync(run, err);
}

void ingest_clean_up(struct ingest_run *run)
{
    ingest_dismiss_crew(run);
    ingest_close_client(&run->client);
    vault_close_writer(&run->writer);
    ingest_free_deriver(&run->deriver);
    source_free_identity(&run->identity);
    arena_free(&run->arena);
    arena_free(&run->mailbox_arena);
    arena_free(&run->window_arena);
    arena_free(&run->page_arena);
}

bool ingest_run_job(struct db *db, const struct source_lease *lease,
                    const struct ingest_settings *settings, struct err *err)
{
    CLEANUP(ingest_clean_up)
    struct ingest_run run = {
        .db = db,
        .settings = settings,
        .lease = lease,
        .arena = arena_create(INGEST_RUN_ARENA_BYTES),
        .mailbox_arena = arena_create(INGEST_MAILBOX_ARENA_BYTES),
        .window_arena = arena_create(INGEST_WINDOW_ARENA_BYTES),
        .page_arena = arena_create(INGEST_PAGE_ARENA_BYTES),
        .next_report = deadline_after_ms(INGEST_REPORT_MS),
        .next_commit = deadline_after_ms(INGEST_COMMIT_MS),
        .slice_end = deadline_after_ms(settings->slice_ms),
        .connections = 1,
    };
    struct err failure = { 0 };

    log_info(settings->log, "job begins", F_I64("account", lease->account_id),
             F_I64("job", lease->job_id), F_I64("fence", lease->fence));
    if (get_ready(&run, &failure) && run_job(&run, &failure))
        return true;
    /* Our own mistake; its outcome would read as that of a whole run. */
    if (failure.code == ERR_NONE)
        (void)err_fail(&failure, ERR_SYSTEM, "the run ended and does not say why");
    disconnect(&run);
    if (run.has_archive_failed) {
        tell_archive_failure(&run, &failure);
        *err = failure;
        return false;
    }
    vault_close_writer(&run.writer); /* rolls back what is open */
    return finish_failed(&run, &failure, err);
}
