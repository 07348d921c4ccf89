/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest/import.h - files into an account, by the same path as mail from a source.
 *
 * Takes its order and open files from a socket (import_feed.h), claims the job, archives what it finds, and
 * gives the job back with its outcome. What an import is interrupted in, it goes on with when it is asked for
 * again; what is known is not archived twice (source/import.h, README 18). Memory and stopping as of
 * ingest_run_job. One thread.
 */
#pragma once

#include "ingest/run.h"

/* Failure: the archive's, or that there was no order or no such job. A file that fails is an outcome. */
MUST_USE bool ingest_run_import(struct db *db, int feed_fd, struct bytes owner,
                                const struct ingest_settings *settings, struct err *err);
