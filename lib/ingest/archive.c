/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vault as the sink of a fetch, its commits, and the progress of the run.
 */
#include "base/buf.h"
#include "base/limits.h"
#include "ingest/internal.h"
#include "ingest/pace.h"

enum {
    KEYWORDS_ARENA_BYTES = 2 << 20 /* LIMIT_KEYWORDS_PER_MAILBOX of LIMIT_KEYWORD_BYTES */
};

bool ingest_open_writer(struct ingest_run *run, struct err *err)
{
    struct vault_lease lease = {
        .account_id = run->lease->account_id,
        .job_id = run->lease->job_id,
        .fence = run->lease->fence,
        .lease_ms = SOURCE_LEASE_SECONDS * 1000,
    };
    struct vault_deriver deriver;

    run->deriver = ingest_create_deriver();
    ingest_derive_journal(run->deriver, run->work.is_journal);
    deriver = ingest_use_deriver(run->deriver);
    return ingest_archive(run, vault_open_writer(run->db, &lease, &deriver, &run->writer, err));
}

/* A message that the vault refuses is that message's failure; all else is the archive's. */
static bool judge(struct ingest_run *run, bool is_done, const struct err *err)
{
    if (!is_done && err->code != ERR_SYNTAX && err->code != ERR_LIMIT)
        run->has_archive_failed = true;
    return is_done;
}

/* A batch before it may have failed while it was committed: whatever the reason, it is not this message's, unless
 * it is larger than any that is archived. */
static bool judge_beginning(struct ingest_run *run, bool is_done, uint64_t announced_bytes,
                            struct err *err)
{
    bool is_refused = announced_bytes > LIMIT_MESSAGE_BYTES;

    if (!is_done && !is_refused && (err->code == ERR_SYNTAX || err->code == ERR_LIMIT))
        err->code = ERR_SYSTEM;
    return judge(run, is_done, err);
}

static bool begin(void *context, uint64_t announced_bytes, struct err *err)
{
    struct ingest_run *run = context;
    bool is_done = vault_begin_message(run->writer, announced_bytes, err);

    if (!is_done && err->code == ERR_RETRY) { /* a serialization failure, say: what waits is kept */
        err_clear(err);
        is_done = vault_begin_message(run->writer, announced_bytes, err);
    }
    if (!judge_beginning(run, is_done, announced_bytes, err))
        return false;
    run->is_in_large = announced_bytes > LIMIT_BATCH_BYTES;
    run->beginning_bytes = 0;
    return true;
}

static bool take_octets(void *context, struct bytes octets, struct err *err)
{
    struct ingest_run *run = context;
    struct bytes first = bytes_slice(octets, 0, sizeof run->beginning - run->beginning_bytes);

    if (first.len > 0)
        memcpy(run->beginning + run->beginning_bytes, first.ptr, first.len);
    run->beginning_bytes += first.len;
    return ingest_archive(run, vault_write_message(run->writer, octets, err));
}

static void give_up(void *context)
{
    struct ingest_run *run = context;

    vault_abort_message(run->writer);
    run->is_in_large = false;
}

bool ingest_copy_keywords(const struct imap_flags *flags, bool is_doubtful, struct arena *arena,
                          const struct bytes **out, struct err *err)
{
    CLEANUP(buf_free) struct buf name = buf_create(LIMIT_KEYWORD_BYTES);
    struct bytes *names = arena_new_array(arena, struct bytes, flags->keyword_count + 1);

    for (size_t i = 0; i < flags->keyword_count; i++) {
        buf_reset(&name, LIMIT_KEYWORD_BYTES);
        ingest_write_keyword(&name, flags->keywords[i]);
        if (!arena_try_copy(arena, buf_bytes(&name), LIMIT_KEYWORD_BYTES, &names[i], err))
            return false;
    }
    if (is_doubtful)
        names[flags->keyword_count] = BYTES(IMAP_STORED_NOT_ORIGINAL);
    *out = names;
    return true;
}

static bool settle_keywords(const struct imap_flags *flags, struct arena *arena,
                            struct vault_arrival *arrival, struct err *err)
{
    bool is_doubtful = arrival->doubt != VAULT_ORIGINAL;

    arrival->keyword_count = flags->keyword_count + is_doubtful;
    return arrival->keyword_count == 0 ||
           ingest_copy_keywords(flags, is_doubtful, arena, &arrival->keywords, err);
}

static enum vault_doubt doubt_of(const struct ingest_run *run)
{
    return run->doubt == VAULT_ORIGINAL &&
                   ingest_is_placeholder(bytes_of(run->beginning, run->beginning_bytes))
               ? VAULT_PLACEHOLDER
               : run->doubt;
}

static void note_doubt(struct ingest_run *run, const struct vault_arrival *arrival)
{
    if (arrival->doubt == VAULT_PLACEHOLDER && run->placeholder_count < run->placeholder_cap)
        run->placeholders[run->placeholder_count++] = arrival->source_uid;
}

static bool end_message(struct ingest_run *run, const struct imap_fetch_response *message,
                        struct arena *arena, struct err *err)
{
    struct vault_arrival arrival = {
        .source_uid = message->uid.n,
        .flags = message->flags.system,
        .internal_usec = message->internaldate.usec,
        .internal_zone = message->internaldate.zone_minutes,
        .doubt = doubt_of(run),
    };

    if (!ingest_has_date(message)) {
        arrival.internal_usec = clock_now_usec(); /* the source has none that can be kept */
        arrival.internal_zone = 0;
        run->progress.odd_responses++;
    }
    if (!settle_keywords(&message->flags, arena, &arrival, err) ||
        !ingest_describe_identity(run, message, arena, &arrival.identity, err)) {
        vault_abort_message(run->writer);
        return false;
    }
    if (!judge(run, vault_end_message(run->writer, &arrival, err), err))
        return false;
    note_doubt(run, &arrival);
    return true;
}

bool ingest_settle(struct ingest_run *run, struct err *err)
{
    bool is_settled = vault_settle_batch(run->writer, err);

    if (!is_settled &&
        err->code == ERR_RETRY) { /* a serialization failure, say: what waits is kept */
        err_clear(err);
        is_settled = vault_settle_batch(run->writer, err);
    }
    return ingest_archive(run, is_settled);
}

bool ingest_take_connection(struct ingest_run *run, struct err *err)
{
    bool is_taken;

    if (run->writer == NULL)
        return true;
    is_taken = vault_pause_commits(run->writer, err);
    if (!is_taken &&
        err->code == ERR_RETRY) { /* a serialization failure, say: what waits is kept */
        err_clear(err);
        is_taken = vault_pause_commits(run->writer, err);
    }
    return ingest_archive(run, is_taken);
}

void ingest_give_connection(struct ingest_run *run)
{
    if (run->writer != NULL)
        vault_resume_commits(run->writer);
}

static void note_committed(struct ingest_run *run, const struct vault_counts *counts)
{
    run->next_commit = deadline_after_ms(INGEST_COMMIT_MS);
    run->progress.fetched += counts->placed;
    run->progress.bytes += counts->octets;
    if (run->target_at < run->target_count)
        run->targets[run->target_at].fetched += counts->messages;
}

/* A batch that fills slowly goes to the archive all the same; nobody waits for it. */
static bool pass_on(struct ingest_run *run, struct err *err)
{
    struct vault_counts counts;
    bool is_told;

    if (!ingest_take_connection(run, err))
        return false;
    counts = vault_take_counts(run->writer);
    note_committed(run, &counts);
    is_told = ingest_report(run, false, err);
    ingest_give_connection(run);
    return is_told && ingest_archive(run, vault_send_batch(run->writer, err));
}

static bool end(void *context, const struct imap_fetch_response *message, struct err *err)
{
    struct ingest_run *run = context;
    struct arena *arena = arena_create(KEYWORDS_ARENA_BYTES);
    bool is_done = end_message(run, message, arena, err);

    arena_free(&arena);
    run->is_in_large = false;
    if (!is_done)
        return false;
    if (!ingest_keep_pace(run, message->body_bytes, err))
        return false;
    if (deadline_has_passed(run->next_commit)) /* a full one is sent by itself */
        return pass_on(run, err);
    return true;
}

struct ingest_sink ingest_make_sink(struct ingest_run *run)
{
    return (struct ingest_sink){
        .context = run,
        .begin = begin,
        .octets = take_octets,
        .end = end,
        .abort = give_up,
        .may_go_on = ingest_may_go_on,
    };
}

bool ingest_prolong_lease(void *context, struct err *err)
{
    struct ingest_run *run = context;
    bool is_prolonged;

    if (run->is_in_large)
        return true; /* the vault's transaction holds the job: nobody can claim it */
    if (!ingest_take_connection(run, err))
        return false;
    is_prolonged = ingest_report(run, true, err);
    ingest_give_connection(run);
    return is_prolonged;
}

bool ingest_report(struct ingest_run *run, bool is_urgent, struct err *err)
{
    if (!is_urgent && !deadline_has_passed(run->next_report))
        return true;
    run->next_report = deadline_after_ms(INGEST_REPORT_MS);
    return ingest_count_intake(run, err) &&
           ingest_archive(run, source_renew(run->db, run->lease, &run->progress, err));
}

bool ingest_commit(struct ingest_run *run, struct err *err)
{
    struct vault_counts counts = { 0 };
    bool is_done = vault_commit_batch(run->writer, &counts, err);

    if (!is_done && err->code == ERR_RETRY) { /* a serialization failure, say: the batch is kept */
        err_clear(err);
        is_done = vault_commit_batch(run->writer, &counts, err);
    }
    if (!ingest_archive(run, is_done))
        return false;
    note_committed(run, &counts);
    return ingest_report(run, false, err);
}
