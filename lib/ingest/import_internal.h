/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest/import_internal.h - an import and the file it is at, for the files of ingest that carry it out.
 */
#pragma once

#include "ingest/import_feed.h"
#include "ingest/internal.h"
#include "ingest/maildir.h"
#include "source/import.h"

#include <time.h>

enum {
    IMPORT_PAGE_FILES = 128,  /* open at a time */
    IMPORT_PAGE_SPANS = 1000, /* of an mbox, in one statement */
    IMPORT_CHUNK_BYTES = 256 << 10,
    IMPORT_HEAD_BYTES = 64 << 10, /* of a message, in which its dates and flags are looked for */
    IMPORT_BEAT_MS = 10000,
    IMPORT_NS_A_SECOND = 1000000000,
};

enum import_kind {
    IMPORT_NOTHING, /* no mail, or no file */
    IMPORT_MESSAGE,
    IMPORT_MBOX,
};

struct import_file {
    int fd;
    bool is_maildir;
    bool is_handled; /* known, archived, or its failure is told */
    enum import_kind kind;
    struct source_file facts; /* its uid once it has one; texts in the page's arena */
    struct bytes stem;
    bool is_emlx;
    uint64_t offset, bytes; /* of the message in it, when it is one */
};

struct import_target { /* a mailbox, and the epoch that is filled in it */
    int64_t mailbox_id;
    int32_t epoch;
};

struct import {
    struct ingest_run run;
    struct source_lease lease;
    int feed_fd;
    enum ingest_mbox_format mbox_format;
    bool is_dry;
    bool has_problems; /* paths could not be read, in some run */
    struct buf prefix; /* the mailbox that everything goes below; empty: none */

    /* The folder whose files are gathered. */
    struct buf folder; /* as it is fed */
    bool has_folder;
    bool is_folder_open;
    struct import_target messages;           /* of its files that are one message */
    struct ingest_maildir_keywords keywords; /* of the Maildir */
    struct buf keywords_file;                /* in which they lie */
    uint32_t next_uid;
    struct import_file files[IMPORT_PAGE_FILES];
    size_t file_count;

    struct import_target batch; /* of the vault; mailbox_id 0: none was begun */
    struct deadline next_beat;
    uint8_t *chunk; /* IMPORT_CHUNK_BYTES */
    uint8_t *room;  /* INGEST_FEED_RECORD_BYTES */
};

/* One message of a file. */
struct import_message {
    const struct import_file *file;
    uint32_t uid;
    uint64_t offset, bytes; /* in the file */
    uint64_t size_bytes;    /* of the message */
    bool has_date;
    struct imap_date_time date;
    uint8_t flags;                  /* of an .emlx: VAULT_FLAG_* */
    enum ingest_mbox_format format; /* how it is quoted */
    bool is_in_mbox;
    const struct ingest_maildir_keywords *keywords; /* of a Maildir */
};

/* ---- import.c ---- */

/* The lease is prolonged now and then, and a wish to stop is seen: ERR_RETRY. */
MUST_USE bool ingest_beat_import(struct import *import, struct err *err);

/* Makes the connection free for statements. */
MUST_USE bool ingest_settle_import(struct import *import, struct err *err);

/* Commits what waits, if a batch was begun. */
MUST_USE bool ingest_commit_import(struct import *import, struct err *err);

/* Finds or makes the mailbox of these levels below the prefix. ERR_ABSENT: it cannot be one, or is a source's
 * own. */
MUST_USE bool ingest_open_import_mailbox(struct import *import, struct bytes folder,
                                         struct bytes stem, int64_t *mailbox_id, struct err *err);

/* Counts and records a path that could not be read, or was left out. */
MUST_USE bool ingest_tell_problem(struct import *import, struct bytes path, bool is_failure,
                                  struct bytes why, struct err *err);

/* ---- import_message.c ---- */

/* Reads the message into the vault's batch, which is changed when the target is another. A message that
 * cannot be had is pending, with the reason. Failure: the archive's, or a wish to stop. */
MUST_USE bool ingest_import_message(struct import *import, const struct import_target *target,
                                    const struct import_message *message, struct err *err);

/* Reads at a place of the file; short only at its end. */
MUST_USE bool ingest_read_file(int fd, uint64_t offset, uint8_t *room, size_t size, size_t *got,
                               struct err *err);

/* Since 1970; later than a number can say: the last whole second. */
int64_t ingest_modified_ns(struct timespec time);

/* Has the file stayed as it was when it came? */
bool ingest_file_is_same(const struct import_file *file);

/* What the header of a message says: when it arrived, and in an mbox its flags. Pure. */
struct import_header {
    bool has_date;
    struct imap_date_time date; /* of the topmost Received field, else of Date */
    uint8_t flags;              /* of Status, X-Status, X-Mozilla-Status */
};
void ingest_read_import_header(struct bytes head, struct import_header *out);

/* What a file holds, by its first octets. Pure. */
enum import_kind ingest_judge_file(struct bytes name, struct bytes head);

/* ---- import_folder.c ---- */

/* Archives the files that were gathered, closes them, and forgets them. */
MUST_USE bool ingest_import_files(struct import *import, struct err *err);

/* ---- import_mbox.c ---- */

MUST_USE bool ingest_import_mbox(struct import *import, struct import_file *file, struct err *err);
