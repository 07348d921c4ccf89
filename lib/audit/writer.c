/* SPDX-License-Identifier: Apache-2.0 */
/*
 * audit/writer.c - see writer.h.
 *
 * An event's number is its place in the order of submission. Everything up to `committed` is in the
 * database. Everything up to `failed` was submitted before an attempt failed: who waits for such a
 * number is told at once, although the event stays in the queue and is tried again.
 */
#include "audit/writer.h"

#include "audit/internal.h"
#include "base/locks.h"
#include "db/pool.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

enum {
    RETRY_PAUSE_MS = 100
};

struct entry {
    struct entry *next;
    struct audit_line line; /* borrows from the two below */
    uint8_t token[AUDIT_TOKEN_BYTES];
    uint8_t detail[];
};

struct audit_writer {
    struct db_pool *pool; /* one connection, the thread's; copies the target */
    const struct log *log;
    pthread_t thread;

    pthread_mutex_t lock; /* LOCK_AUDIT_WRITER: all below */
    pthread_cond_t has_work;
    pthread_cond_t has_settled; /* committed or failed has moved */
    struct entry *first, **end;
    size_t queued;
    uint64_t submitted, committed, failed;
    uint64_t commits, failures;
    bool is_stopping;
    struct deadline stop_at; /* once is_stopping */
};

static void lock(struct audit_writer *w)
{
    int status = pthread_mutex_lock(&w->lock);

    assert(status == 0);
    (void)status;
}

static void unlock(struct audit_writer *w)
{
    (void)pthread_mutex_unlock(&w->lock);
}

/* False: the deadline has passed. Under the lock. */
static bool wait_for(struct audit_writer *w, pthread_cond_t *cond, struct deadline deadline)
{
    struct timespec until = { .tv_sec = (time_t)(deadline.at_usec / 1000000),
                              .tv_nsec = (long)(deadline.at_usec % 1000000 * 1000) };

    if (deadline.at_usec == INT64_MAX)
        return pthread_cond_wait(cond, &w->lock) == 0;
    return pthread_cond_timedwait(cond, &w->lock, &until) != ETIMEDOUT;
}

/* ---- the thread -------------------------------------------------------------------------------- */

/* The oldest events, which stay in the queue. Under the lock. */
static size_t look_at_batch(const struct audit_writer *w, struct audit_line *lines)
{
    size_t count = 0;

    for (const struct entry *e = w->first; e != NULL && count < AUDIT_APPEND_MAX; e = e->next)
        lines[count++] = e->line;
    return count;
}

static bool commit_batch(struct audit_writer *w, const struct audit_line *lines, size_t count,
                         struct err *err)
{
    CLEANUP(db_pool_return) struct db_loan loan = { 0 };

    return db_pool_borrow(w->pool, deadline_after_ms(AUDIT_WAIT_MS), &loan, err) &&
           audit_append_lines(loan.db, lines, count, err);
}

/* Under the lock. Returns the entries to free outside it. */
static struct entry *settle_committed(struct audit_writer *w, size_t count)
{
    struct entry *done = w->first, *last = w->first;

    for (size_t i = 1; i < count; i++)
        last = last->next;
    w->first = last->next;
    if (w->first == NULL)
        w->end = &w->first;
    last->next = NULL;
    w->queued -= count;
    w->committed += count;
    w->commits++;
    (void)pthread_cond_broadcast(&w->has_settled);
    return done;
}

static void free_entries(struct entry *entries)
{
    while (entries != NULL) {
        struct entry *next = entries->next;

        secret_wipe(entries->token, sizeof entries->token);
        free(entries);
        entries = next;
    }
}

static void note_failure(struct audit_writer *w, bool *is_failing, const struct err *err)
{
    lock(w);
    w->failed = w->submitted;
    w->failures++;
    (void)pthread_cond_broadcast(&w->has_settled);
    unlock(w);
    if (!*is_failing) /* once, not for every attempt */
        log_error(w->log, "audit cannot be written", F_ERR(err));
    *is_failing = true;
}

/* Waits for work; false: time to end. Under the lock. */
static bool wait_for_work(struct audit_writer *w, bool is_failing)
{
    struct deadline pause = deadline_after_ms(RETRY_PAUSE_MS);

    while (is_failing && !deadline_has_passed(pause))
        (void)wait_for(w, &w->has_work, pause);
    while (w->first == NULL && !w->is_stopping)
        (void)wait_for(w, &w->has_work, deadline_never());
    return w->first != NULL && (!w->is_stopping || !deadline_has_passed(w->stop_at));
}

static void *run(void *context)
{
    struct audit_writer *w = context;
    struct audit_line *lines = calloc(AUDIT_APPEND_MAX, sizeof *lines);
    bool is_failing = false;

    assert(lines != NULL);
    lock(w);
    while (wait_for_work(w, is_failing)) {
        size_t count = look_at_batch(w, lines);
        struct entry *done = NULL;
        struct err err = { 0 };

        unlock(w);
        if (!commit_batch(w, lines, count, &err)) {
            note_failure(w, &is_failing, &err);
            lock(w);
            continue;
        }
        if (is_failing)
            log_info(w->log, "audit is written again", F_U64("events", count));
        is_failing = false;
        lock(w);
        done = settle_committed(w, count);
        unlock(w);
        free_entries(done);
        lock(w);
    }
    unlock(w);
    free(lines);
    return NULL;
}

/* ---- for the sessions -------------------------------------------------------------------------- */

static void init_cond(pthread_cond_t *cond)
{
    pthread_condattr_t attributes;

    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC); /* as struct deadline */
    (void)pthread_cond_init(cond, &attributes);
    (void)pthread_condattr_destroy(&attributes);
}

static void destroy(struct audit_writer *w)
{
    free_entries(w->first);
    db_pool_free(&w->pool);
    (void)pthread_cond_destroy(&w->has_work);
    (void)pthread_cond_destroy(&w->has_settled);
    (void)pthread_mutex_destroy(&w->lock);
    free(w);
}

bool audit_create_writer(const struct db_target *target, const struct log *log,
                         struct audit_writer **out, struct err *err)
{
    struct audit_writer *w = calloc(1, sizeof *w);
    int status;

    if (w == NULL)
        return err_errno(err, "audit writer");
    w->log = log;
    w->end = &w->first;
    (void)pthread_mutex_init(&w->lock, NULL);
    init_cond(&w->has_work);
    init_cond(&w->has_settled);
    if (!db_pool_create(target, 1, &w->pool, err)) {
        destroy(w);
        return false;
    }
    status = pthread_create(&w->thread, NULL, run, w);
    if (status != 0) {
        destroy(w);
        errno = status;
        return err_errno(err, "audit writer: thread");
    }
    *out = w;
    return true;
}

void audit_free_writer(struct audit_writer **writer)
{
    struct audit_writer *w = *writer;

    if (w == NULL)
        return;
    lock(w);
    w->is_stopping = true;
    w->stop_at = deadline_after_ms(AUDIT_WAIT_MS);
    (void)pthread_cond_signal(&w->has_work);
    unlock(w);
    (void)pthread_join(w->thread, NULL);
    if (w->queued > 0)
        log_error(w->log, "audit events are lost", F_U64("events", w->queued));
    destroy(w);
    *writer = NULL;
}

static bool make_entry(const struct audit_event *event, struct entry **out, struct err *err)
{
    CLEANUP(buf_free) struct buf detail = buf_create(AUDIT_DETAIL_BYTES);
    struct bytes octets;
    struct entry *entry;

    if (!audit_check_token(event->token, err) || !audit_write_detail(event->fields, &detail, err) ||
        !buf_done(&detail, &octets, err))
        return false;
    entry = malloc(sizeof *entry + octets.len);
    if (entry == NULL)
        return err_errno(err, "audit event");
    entry->next = NULL;
    if (event->token.len > 0)
        memcpy(entry->token, event->token.ptr, event->token.len);
    memcpy(entry->detail, octets.ptr, octets.len);
    entry->line = (struct audit_line){ .kind = event->kind,
                                       .token = bytes_of(entry->token, event->token.len),
                                       .account_id = event->account_id,
                                       .mailbox_id = event->mailbox_id,
                                       .detail = bytes_of(entry->detail, octets.len) };
    *out = entry;
    return true;
}

bool audit_submit(struct audit_writer *writer, const struct audit_event *event,
                  struct audit_ticket *ticket, struct err *err)
{
    struct entry *entry = NULL;
    bool has_room;

    if (!make_entry(event, &entry, err))
        return false;
    lock(writer);
    has_room = writer->queued < AUDIT_QUEUE_EVENTS;
    if (has_room) {
        *writer->end = entry;
        writer->end = &entry->next;
        writer->queued++;
        writer->submitted++;
        if (ticket != NULL)
            ticket->number = writer->submitted;
        (void)pthread_cond_signal(&writer->has_work);
    }
    unlock(writer);
    if (has_room)
        return true;
    free_entries(entry);
    return err_fail(err, ERR_RETRY, "audit: %d events already wait", AUDIT_QUEUE_EVENTS);
}

bool audit_wait(struct audit_writer *writer, struct audit_ticket ticket, struct deadline deadline,
                struct err *err)
{
    bool is_in_time = true, is_committed, has_failed;

    lock(writer);
    while (writer->committed < ticket.number && writer->failed < ticket.number && is_in_time)
        is_in_time = wait_for(writer, &writer->has_settled, deadline);
    is_committed = writer->committed >= ticket.number;
    has_failed = writer->failed >= ticket.number;
    unlock(writer);
    if (is_committed)
        return true;
    return err_fail(err, ERR_RETRY,
                    has_failed ? "audit: the event could not be written"
                               : "audit: the event was not written in time");
}

struct audit_counts audit_get_counts(struct audit_writer *writer)
{
    struct audit_counts counts;

    lock(writer);
    counts = (struct audit_counts){ .committed = writer->committed,
                                    .commits = writer->commits,
                                    .failures = writer->failures,
                                    .queued = writer->queued };
    unlock(writer);
    return counts;
}
