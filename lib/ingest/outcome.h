/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest/outcome.h - how a run ended, in one line for the operator, and when the next one is due. Pure.
 */
#pragma once

#include "base/err.h"
#include "ingest/list.h"
#include "source/account.h"
#include "source/progress.h"

enum {
    INGEST_OUTCOME_BYTES = 900,
    INGEST_RETRY_FIRST_SECONDS = 30,
    INGEST_RETRY_MAX_SECONDS = 3600,
};

/* "account alice: complete: 12 mailboxes, 3 new messages, 1 gone at the source" */
void ingest_write_complete(char text[INGEST_OUTCOME_BYTES], struct bytes name,
                           const struct source_progress *progress);

/*
 * A run that went to its end with something left. first: what was said of the first mailbox that
 * failed, or "".
 */
void ingest_write_incomplete(char text[INGEST_OUTCOME_BYTES], struct bytes name,
                             const struct source_progress *progress, const char *first);

/* Adds to what was written: a mailbox shows as many messages as its server shows at most, and `more`
 * others likewise. */
void ingest_warn_of_view(char text[INGEST_OUTCOME_BYTES], const char *provider, struct bytes path,
                         uint64_t messages, uint64_t more);

/* Two messages came under one id of the source (ingest/README 17). */
void ingest_write_distrust(char text[INGEST_OUTCOME_BYTES], struct bytes name);

/* The day's budget is spent: "account alice: the day's 2,000 MB are fetched, …". */
void ingest_write_budget(char text[INGEST_OUTCOME_BYTES], struct bytes name,
                         const struct source_progress *progress, uint64_t daily_bytes);

/* "account alice: login ok, 12 mailboxes, 3,412 messages; left out …; no mailbox matches …". unmatched: a
 * pattern, or NULL. */
void ingest_write_test(char text[INGEST_OUTCOME_BYTES], struct bytes name, uint64_t mailboxes,
                       uint64_t messages, bool is_all_counted,
                       const struct ingest_left_out *left_out, const struct bytes *unmatched);

/* "account alice: import complete: 3 mailboxes, 120 new messages; 5 files known from before". What failed is
 * pending or files_failed; first: what was said of the first of it, or "". */
void ingest_write_import(char text[INGEST_OUTCOME_BYTES], struct bytes name,
                         const struct source_progress *progress, bool is_dry, const char *first);

/* "account alice: …", with what to look at where the server's words need it (provider.h) */
void ingest_write_failure(char text[INGEST_OUTCOME_BYTES], struct bytes name,
                          const struct err *err);

/* The words alone, of a job that is no run; whole characters, whatever was cut. */
void ingest_write_reason(char text[INGEST_OUTCOME_BYTES], const struct err *err);

/*
 * When to try again after a run that ended with *err and `attempts` failed ones before it. ERR_RETRY:
 * doubling from INGEST_RETRY_FIRST_SECONDS to INGEST_RETRY_MAX_SECONDS; what a human must mend: the
 * maximum, so that no account is locked for wrong passwords. jitter: any number; moves the time by up to
 * a quarter. Never earlier than the source asked for in the text (ingest_asked_to_wait).
 */
int64_t ingest_retry_seconds(const struct err *err, int32_t attempts, uint64_t jitter);

/* When the next run of a schedule begins: up to a twentieth earlier or later, so that accounts that were
 * added together do not come together for ever. */
int64_t ingest_next_seconds(int32_t every_seconds, uint64_t jitter);

/* Until the next day has begun, of which this one has so much left, and up to ten minutes more. */
int64_t ingest_next_day_seconds(int64_t left_seconds, uint64_t jitter);
