/* SPDX-License-Identifier: Apache-2.0 */
/*
 * audit/writer.h - one thread that commits the audit events of all sessions together.
 *
 *     if (!audit_submit(writer, &event, &ticket, err) ||
 *         !audit_wait(writer, ticket, deadline_after_ms(AUDIT_WAIT_MS), err))
 *         return false;         ERR_RETRY: answer NO [UNAVAILABLE], send nothing of the content
 *     ... first octet of content
 *
 * Events that arrive while a commit is under way travel with the next one; nobody is kept waiting to
 * let more arrive. Order of submission is order of the rows. A batch that could not be written is
 * kept and tried again, and whoever waits for it is told at once: an event may thus be recorded for
 * content that was refused, or twice when a commit's answer was lost, but never not at all.
 *
 * Shared between threads under its own lock (base/locks.h, LOCK_AUDIT_WRITER).
 */
#pragma once

#include "audit/event.h"
#include "base/clock.h"
#include "base/log.h"
#include "db/db.h"

enum {
    AUDIT_QUEUE_EVENTS = 8192, /* then audit_submit refuses */
    AUDIT_WAIT_MS = 5000,      /* what a session should grant */
};

struct audit_writer;

struct audit_ticket {
    uint64_t number;
};

/* Makes a connection of its own (at the first event) and starts the thread. log: borrowed. */
MUST_USE bool audit_create_writer(const struct db_target *target, const struct log *log,
                                  struct audit_writer **out, struct err *err);

/* Tries for AUDIT_WAIT_MS to commit what is queued, then ends the thread. Nobody may be using it. */
void audit_free_writer(struct audit_writer **writer);

/*
 * Copies the event into the queue; never waits. ticket may be NULL: nobody will wait.
 * ERR_RETRY: the queue is full. ERR_SYNTAX, ERR_LIMIT: as audit_append_one.
 */
MUST_USE bool audit_submit(struct audit_writer *writer, const struct audit_event *event,
                           struct audit_ticket *ticket, struct err *err);

/* True when the event's row is committed. ERR_RETRY: it could not be written, or not in time. */
MUST_USE bool audit_wait(struct audit_writer *writer, struct audit_ticket ticket,
                         struct deadline deadline, struct err *err);

struct audit_counts {
    uint64_t committed, commits, failures;
    size_t queued;
};
struct audit_counts audit_get_counts(struct audit_writer *writer);
