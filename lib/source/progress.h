/* SPDX-License-Identifier: Apache-2.0 */
/*
 * source/progress.h - the counters of a run, as the job row keeps them (a JSON object).
 *
 * Written by ingest at every commit, read by the CLI. To add a counter: a member here and a row in
 * progress.c. Pure.
 */
#pragma once

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

struct source_progress {
    uint64_t mailboxes;      /* to look at in this run; 0: not listed yet */
    uint64_t mailboxes_done; /* enumerated to the end, or found unchanged */
    uint64_t mailboxes_failed;
    uint64_t skipped;    /* mailboxes left out by rule */
    uint64_t messages;   /* UIDs that must be fetched, as far as is known */
    uint64_t fetched;    /* messages archived in this run */
    uint64_t bytes;      /* their octets */
    uint64_t recognised; /* UIDs that are archived without a download */
    /* mailboxes in which a sample of them was other octets: all of it came */
    uint64_t refuted;
    uint64_t flag_changes;   /* placements whose flags or keywords changed */
    uint64_t gone;           /* messages that vanished at the source */
    uint64_t pending;        /* UIDs left unfetched by this run */
    uint64_t size_notes;     /* RFC822.SIZE was not the size of the octets */
    uint64_t files;          /* of an import: looked at */
    uint64_t files_known;    /* of them: imported before, and not changed since */
    uint64_t files_failed;   /* could not be read, or not to the end */
    uint64_t files_left_out; /* hold no mail, or are no files */
    uint64_t odd_responses;  /* responses that were ignored as unusable or not asked for */
    uint64_t truncated;      /* mailboxes that show as many messages as their server ever does */
};

/* Appends the object. */
void source_write_progress(struct buf *out, const struct source_progress *progress);

/* Reads what source_write_progress gives, also with members unknown here or missing (0), and blanks
 * as PostgreSQL puts them. ERR_SYNTAX. */
MUST_USE bool source_read_progress(struct bytes json, struct source_progress *out, struct err *err);
