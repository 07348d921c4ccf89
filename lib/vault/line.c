/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/line.c - the line of batches and its threads; see line.h.
 */
#include "vault/line.h"

#include "base/locks.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>

enum {
    LINE_BATCHES = 4,  /* one fills, one is committed, the others are prepared */
    PREPARERS_MAX = 2, /* PostgreSQL takes about as long as two of them */
    /* A batch of less is made in its transaction: nobody gains by handing it over. */
    WORTH_PREPARING_BYTES = LIMIT_FRAME_TARGET_BYTES,
};

/* Octets of messages, and what is made of them, which is hardly ever more: they count twice. */
#define LINE_BYTES ((size_t)3 * LIMIT_BATCH_BYTES)

struct vault_line {
    struct vault_writer *writer;
    pthread_t committer, preparers[PREPARERS_MAX];
    bool has_committer;
    size_t preparer_count; /* the committer's, until it has ended */

    pthread_mutex_t lock; /* LOCK_VAULT_LINE: all below, and the states of batches */
    pthread_cond_t has_moved;
    struct vault_batch batches[LINE_BATCHES]; /* a ring; the one behind the last is filled */
    size_t first, count;                      /* in the line */
    bool has_failed;                          /* the first of the line, with err: it stands still */
    bool is_told;                             /* the caller knows */
    struct err err;
    struct vault_counts counts; /* of what is committed and not yet told */
    bool is_busy;               /* the committer uses the connection */
    bool is_paused;             /* and takes it for nothing new */
    bool is_closing;
};

static void lock(struct vault_line *line)
{
    int status = pthread_mutex_lock(&line->lock);

    assert(status == 0);
    (void)status;
}

static void unlock(struct vault_line *line)
{
    (void)pthread_mutex_unlock(&line->lock);
}

/* Under the lock, as all below that takes a line and no writer. */
static void wait_for_move(struct vault_line *line)
{
    (void)pthread_cond_wait(&line->has_moved, &line->lock);
}

static void tell_move(struct vault_line *line)
{
    (void)pthread_cond_broadcast(&line->has_moved);
}

static void move(struct vault_line *line, struct vault_batch *batch, enum vault_batch_state state)
{
    batch->state = state;
    tell_move(line);
}

static struct vault_batch *batch_at(struct vault_line *line, size_t position)
{
    return &line->batches[(line->first + position) % LINE_BATCHES];
}

/* The position of the first batch in this state; count: none is. */
static size_t find_state(struct vault_line *line, enum vault_batch_state state)
{
    size_t at = 0;

    while (at < line->count && batch_at(line, at)->state != state)
        at++;
    return at;
}

/* ---- threads ------------------------------------------------------------------------------------- */

/* Signals are for the thread that waits for the network: they end its wait. */
static int start_thread(pthread_t *thread, void *(*run)(void *context), void *context)
{
    sigset_t all, before;
    int status;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    status = pthread_create(thread, NULL, run, context);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return status;
}

/* ---- preparers ---------------------------------------------------------------------------------- */

static void *run_preparer(void *context)
{
    struct vault_line *line = context;
    const struct vault_deriver *first = &line->writer->maker->deriver;
    struct vault_deriver deriver = { 0 };
    struct vault_maker *maker;

    if (first->begin != NULL)
        deriver = first->make_another(first->context);
    maker = vault_create_maker(&deriver);
    lock(line);
    while (!line->is_closing) {
        size_t at = find_state(line, VAULT_BATCH_GUESSED);
        struct vault_batch *batch = batch_at(line, at);

        if (at == line->count) {
            wait_for_move(line);
            continue;
        }
        batch->state = VAULT_BATCH_PREPARING;
        unlock(line);
        vault_prepare(maker, batch);
        lock(line);
        move(line, batch, VAULT_BATCH_READY);
    }
    unlock(line);
    vault_free_maker(&maker);
    if (first->begin != NULL)
        first->free_another(deriver.context);
    return NULL;
}

static size_t count_cores(void)
{
    cpu_set_t cores;

    CPU_ZERO(&cores);
    return sched_getaffinity(0, sizeof cores, &cores) == 0 ? (size_t)CPU_COUNT(&cores) : 1;
}

/* As many as there are cores; none where the deriver is the only one. */
static bool has_preparers(struct vault_line *line)
{
    const struct vault_deriver *deriver = &line->writer->maker->deriver;
    size_t wanted = count_cores();

    if (line->preparer_count > 0)
        return true;
    if (deriver->begin != NULL && deriver->make_another == NULL)
        return false;
    if (wanted > PREPARERS_MAX)
        wanted = PREPARERS_MAX;
    while (line->preparer_count < wanted &&
           start_thread(&line->preparers[line->preparer_count], run_preparer, line) == 0)
        line->preparer_count++;
    return line->preparer_count > 0;
}

/* ---- the committer ------------------------------------------------------------------------------ */

static bool is_worth_preparing(const struct vault_batch *batch)
{
    return batch->octets.len >= WORTH_PREPARING_BYTES;
}

/* Asks what is new of the batch at this position. A failure is not told: the commit will find out. */
static void guess(struct vault_line *line, size_t at)
{
    struct vault_batch *batch = batch_at(line, at);
    struct vault_batch *ahead[LINE_BATCHES];
    struct err ignored = { 0 };
    bool is_guessed;

    for (size_t i = 0; i < at; i++)
        ahead[i] = batch_at(line, i);
    line->is_busy = true;
    unlock(line);
    vault_sort_hashes(batch);
    is_guessed = is_worth_preparing(batch) && has_preparers(line) &&
                 vault_guess_new(line->writer, batch, ahead, at, &ignored);
    lock(line);
    line->is_busy = false;
    move(line, batch, is_guessed ? VAULT_BATCH_GUESSED : VAULT_BATCH_READY);
}

static void add_counts(struct vault_counts *total, const struct vault_counts *counts)
{
    total->messages += counts->messages;
    total->octets += counts->octets;
    total->placed += counts->placed;
    total->new_messages += counts->new_messages;
    total->matched += counts->matched;
    total->repeated += counts->repeated;
    total->new_octets += counts->new_octets;
    total->stored_octets += counts->stored_octets;
    total->keywords_dropped += counts->keywords_dropped;
}

static void commit_first(struct vault_line *line)
{
    struct vault_batch *batch = batch_at(line, 0);
    struct vault_counts counts = { 0 };
    struct err err = { 0 };
    bool is_done;

    line->is_busy = true;
    unlock(line);
    is_done = vault_commit(line->writer, batch, &counts, &err);
    lock(line);
    line->is_busy = false;
    if (is_done) {
        vault_clear_batch(batch);
        add_counts(&line->counts, &counts);
        line->first = (line->first + 1) % LINE_BATCHES;
        line->count--;
    } else {
        line->has_failed = true;
        line->is_told = false;
        line->err = err;
    }
    tell_move(line);
}

static void *run_committer(void *context)
{
    struct vault_line *line = context;

    lock(line);
    while (!line->is_closing) {
        size_t sent = find_state(line, VAULT_BATCH_SENT);

        if (line->has_failed || line->is_paused || line->count == 0)
            wait_for_move(line);
        else if (sent < line->count) /* first, so that preparers have work meanwhile */
            guess(line, sent);
        else if (batch_at(line, 0)->state == VAULT_BATCH_READY)
            commit_first(line);
        else
            wait_for_move(line);
    }
    unlock(line);
    return NULL;
}

/* ---- the caller's side ---------------------------------------------------------------------------- */

struct vault_line *vault_create_line(struct vault_writer *writer)
{
    struct vault_line *line = calloc(1, sizeof *line);

    assert(line != NULL);
    line->writer = writer;
    (void)pthread_mutex_init(&line->lock, NULL);
    (void)pthread_cond_init(&line->has_moved, NULL);
    for (size_t i = 0; i < LINE_BATCHES; i++)
        vault_open_batch(&line->batches[i]);
    return line;
}

void vault_free_line(struct vault_line **line)
{
    struct vault_line *l = *line;

    if (l == NULL)
        return;
    lock(l);
    l->is_closing = true;
    tell_move(l);
    unlock(l);
    if (l->has_committer)
        (void)pthread_join(l->committer, NULL);
    for (size_t i = 0; i < l->preparer_count; i++)
        (void)pthread_join(l->preparers[i], NULL);
    for (size_t i = 0; i < LINE_BATCHES; i++)
        vault_close_batch(&l->batches[i]);
    (void)pthread_cond_destroy(&l->has_moved);
    (void)pthread_mutex_destroy(&l->lock);
    free(l);
    *line = NULL;
}

struct vault_batch *vault_filling(struct vault_line *line)
{
    struct vault_batch *batch;

    lock(line);
    batch = batch_at(line, line->count);
    unlock(line);
    return batch;
}

void vault_aim_line(struct vault_line *line, int64_t mailbox_id, int32_t epoch)
{
    assert(line->count == 0);
    for (size_t i = 0; i < LINE_BATCHES; i++) {
        line->batches[i].mailbox_id = mailbox_id;
        line->batches[i].epoch = epoch;
    }
}

/* What failed, and was told, is tried again. */
static void go_on(struct vault_line *line)
{
    if (!line->has_failed || !line->is_told)
        return;
    line->has_failed = false;
    tell_move(line);
}

static bool tell_failure(struct vault_line *line, struct err *err)
{
    if (!line->has_failed)
        return true;
    line->is_told = true;
    *err = line->err;
    return false;
}

static bool has_room(struct vault_line *line, uint64_t octets)
{
    for (size_t i = 0; i < line->count; i++)
        octets += 2 * batch_at(line, i)->octets.len;
    return line->count == 0 || octets <= LINE_BYTES;
}

bool vault_await_room(struct vault_writer *writer, uint64_t octets, struct err *err)
{
    struct vault_line *line = writer->line;
    bool is_ok;

    lock(line);
    go_on(line);
    while (!has_room(line, octets) && !line->has_failed)
        wait_for_move(line);
    is_ok = tell_failure(line, err);
    unlock(line);
    return is_ok;
}

static bool start_committer(struct vault_line *line, struct err *err)
{
    if (line->has_committer)
        return true;
    errno = start_thread(&line->committer, run_committer, line);
    line->has_committer = errno == 0;
    return line->has_committer || err_errno(err, "vault writer: thread");
}

bool vault_send_entries(struct vault_writer *writer, struct err *err)
{
    struct vault_line *line = writer->line;
    bool is_ok;

    if (writer->batch->count == 0)
        return true;
    if (!start_committer(line, err))
        return false;
    lock(line);
    go_on(line);
    while (line->count + 1 == LINE_BATCHES && !line->has_failed)
        wait_for_move(line);
    is_ok = tell_failure(line, err);
    if (is_ok) {
        line->count++;
        move(line, writer->batch, VAULT_BATCH_SENT);
        writer->batch = batch_at(line, line->count);
    }
    unlock(line);
    return is_ok;
}

bool vault_settle(struct vault_writer *writer, struct err *err)
{
    struct vault_line *line = writer->line;
    bool is_ok;

    lock(line);
    go_on(line);
    while (line->count > 0 && !line->has_failed)
        wait_for_move(line);
    is_ok = tell_failure(line, err);
    unlock(line);
    return is_ok;
}

bool vault_pause_line(struct vault_line *line, struct err *err)
{
    bool is_ok;

    lock(line);
    assert(!line->is_paused);
    line->is_paused = true;
    go_on(line); /* when it is resumed */
    while (line->is_busy)
        wait_for_move(line);
    is_ok = tell_failure(line, err);
    line->is_paused = is_ok;
    unlock(line);
    return is_ok;
}

void vault_resume_line(struct vault_line *line)
{
    lock(line);
    line->is_paused = false;
    tell_move(line);
    unlock(line);
}

bool vault_commit_entries(struct vault_writer *writer, struct err *err)
{
    return vault_send_entries(writer, err) && vault_settle(writer, err);
}

void vault_forget_entries(struct vault_writer *writer)
{
    struct vault_line *line = writer->line;

    lock(line);
    while ((line->count > 0 && !line->has_failed) ||
           find_state(line, VAULT_BATCH_PREPARING) < line->count)
        wait_for_move(line);
    for (size_t i = 0; i <= line->count; i++)
        vault_clear_batch(batch_at(line, i));
    line->count = 0;
    line->has_failed = false;
    writer->batch = batch_at(line, 0);
    unlock(line);
}

size_t vault_line_messages(struct vault_line *line)
{
    size_t messages = 0;

    lock(line);
    for (size_t i = 0; i <= line->count; i++)
        messages += batch_at(line, i)->count;
    unlock(line);
    return messages;
}

struct vault_counts vault_take_line_counts(struct vault_line *line)
{
    struct vault_counts counts;

    lock(line);
    counts = line->counts;
    line->counts = (struct vault_counts){ 0 };
    unlock(line);
    return counts;
}
