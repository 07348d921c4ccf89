/* SPDX-License-Identifier: Apache-2.0 */
/*
 * source/import.h - files that are imported: which are known, which UIDs their messages have.
 *
 * A mailbox of imports has source epochs and source UIDs like any other, so that the vault stores each UID
 * once and `reconcile` can count (source/mailbox.h, README 10):
 *
 *   a file that is one message   the next UID of the folder's epoch, when it is first seen. It is known again
 *                                by its name in the folder, its size and its time of change
 *   a version of an mbox         an epoch of its own; UIDs count its messages from 1. Read as another format it
 *                                is another version: its borders and quoting differ
 *
 * What changes something is one statement under the lease, ERR_DENIED when that is lost. For
 * holdfast-ingest, but for the last section. One connection, one thread.
 */
#pragma once

#include "source/lease.h"
#include "source/mailbox.h"

/* How a worker of an import on this machine calls itself: "myhost import 4711", by its process. */
enum {
    SOURCE_IMPORT_OWNER_BYTES = 320
};
struct bytes source_import_owner(int pid, char text[SOURCE_IMPORT_OWNER_BYTES]);

/* *is_held: this job is ours now. False: another worker has it, or nobody asks for it. */
MUST_USE bool source_claim_import(struct db *db, int64_t job_id, struct bytes owner,
                                  struct source_lease *out, bool *is_held, struct err *err);

/* ---- files that are one message ------------------------------------------------------------------ */

/* Finds the folder's epoch, or opens it. *next_uid: the first that is free. */
MUST_USE bool source_open_folder(struct db *db, const struct source_lease *lease,
                                 int64_t mailbox_id, int32_t *epoch, uint32_t *next_uid,
                                 struct err *err);

struct source_file {
    uint32_t uid;
    struct bytes name; /* in its folder; octets of any kind */
    struct bytes path; /* below what the operator named */
    uint64_t size_bytes;
    int64_t modified_ns;      /* since 1970 */
    struct bytes mbox_format; /* of an mbox: as which it is read; otherwise empty */
};

struct source_known_file {
    int64_t file_id;
    uint32_t uid;
    struct bytes name;
    uint64_t size_bytes;
    int64_t modified_ns;
    bool is_stored;
    uint32_t placement_uid; /* of the archive; 0: none */
    struct bytes sha256;    /* of what is stored; empty: nothing is */
};

struct source_known_files {
    const struct source_known_file *rows; /* those of one name: the oldest first */
    size_t count;
};

MUST_USE bool source_find_files(struct db *db, const struct source_lease *lease, int64_t mailbox_id,
                                const struct bytes *names, size_t count, struct arena *arena,
                                struct source_known_files *out, struct err *err);

/* Makes them known, their UIDs pending. progress: NULL leaves it as it is. */
MUST_USE bool source_announce_files(struct db *db, const struct source_lease *lease,
                                    int64_t mailbox_id, int32_t epoch,
                                    const struct source_file *files, size_t count,
                                    const struct source_progress *progress, struct err *err);

/* The octets of this file are known under another size or time of change. */
MUST_USE bool source_touch_file(struct db *db, const struct source_lease *lease, int64_t file_id,
                                uint64_t size_bytes, int64_t modified_ns, struct err *err);

/* ---- mboxes -------------------------------------------------------------------------------------- */

struct source_mbox {
    int64_t file_id;
    int32_t epoch;
    bool is_read; /* all its messages were announced */
};

/* Finds this version of the mbox, or opens an epoch for it: then what was pending of the version before
 * becomes 'gone'. */
MUST_USE bool source_open_mbox(struct db *db, const struct source_lease *lease, int64_t mailbox_id,
                               const struct source_file *file, struct source_mbox *out,
                               struct err *err);

struct source_span {
    uint32_t uid;
    uint64_t offset, bytes; /* in the file, quoted */
    uint64_t size_bytes;
    bool has_date;
    int64_t internal_usec;
    int16_t internal_zone;
};

/* Known ones stay as they are. */
MUST_USE bool source_announce_spans(struct db *db, const struct source_lease *lease,
                                    int64_t mailbox_id, const struct source_mbox *mbox,
                                    const struct source_span *spans, size_t count,
                                    const struct source_progress *progress, struct err *err);

/* Spans of the epoch whose UIDs are pending, ascending, over `after`, at most max. */
MUST_USE bool source_load_spans(struct db *db, const struct source_lease *lease, int64_t mailbox_id,
                                int32_t epoch, uint32_t after, size_t max, struct arena *arena,
                                const struct source_span **spans, size_t *count, struct err *err);

/* ---- either -------------------------------------------------------------------------------------- */

/* Records how many messages the epoch has. file_id: of an mbox that was read to its end; 0: none. */
MUST_USE bool source_count_import(struct db *db, const struct source_lease *lease,
                                  int64_t mailbox_id, int32_t epoch, int64_t file_id,
                                  struct err *err);

/* A path that could not be read (is_failure), or was left out. why: one line. */
MUST_USE bool source_note_problem(struct db *db, const struct source_lease *lease,
                                  struct bytes path, bool is_failure, struct bytes why,
                                  struct err *err);

/* Could paths not be read by now? */
MUST_USE bool source_has_problems(struct db *db, const struct source_lease *lease, bool *has,
                                  struct err *err);

/* These were read after all. */
MUST_USE bool source_settle_problems(struct db *db, const struct source_lease *lease,
                                     const struct bytes *paths, size_t count, struct err *err);

/* ---- the operator's side -------------------------------------------------------------------------- */

struct source_problem {
    struct bytes path; /* octets of any kind */
    bool is_failure;
    struct bytes why;
    int64_t noted_usec;
};

struct source_problem_list {
    const struct source_problem *rows; /* by path */
    size_t count;
};

/* Those noted since then, at most max; failures first. */
MUST_USE bool source_list_problems(struct db *db, int64_t account_id, int64_t since_usec,
                                   size_t max, struct arena *arena, struct source_problem_list *out,
                                   struct err *err);
