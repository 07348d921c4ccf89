/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest/import_feed.h - what an import is fed with: open files, over a socket (SOCK_SEQPACKET).
 *
 * Who walks the operator's folders has his rights there and parses nothing (import_tree.h); who parses has
 * neither those rights nor a path, but descriptors that can be read (import.h). One record is one
 * datagram, a file's descriptor with it (SCM_RIGHTS). The order comes first, then files and problems as
 * they are found, then the end. A sender waits when the receiver is behind. One thread.
 */
#pragma once

#include "base/bytes.h"
#include "base/clock.h"
#include "base/err.h"
#include "ingest/mbox.h"

enum {
    INGEST_FEED_TEXT_BYTES = 4096, /* of each text of a record: PATH_MAX */
    INGEST_FEED_RECORD_BYTES = 4 * (INGEST_FEED_TEXT_BYTES + 2) + 16,
};

enum ingest_feed_kind {
    /* job_id, mbox_format, is_dry, folder: the mailbox that everything goes below */
    INGEST_FEED_ORDER,
    INGEST_FEED_FILE,    /* folder, name, stem, path; its descriptor */
    INGEST_FEED_MAILDIR, /* the same, of a Maildir: nothing but one message */
    /* folder, path: before the files of a Maildir; its dovecot-keywords, if any */
    INGEST_FEED_KEYWORDS,
    INGEST_FEED_FAILED,   /* path, name: why; what could not be read */
    INGEST_FEED_LEFT_OUT, /* path, name: why; what is no file, such as a link */
    INGEST_FEED_END,
};

/* Texts: octets of the file system, of whatever encoding, at most INGEST_FEED_TEXT_BYTES. */
struct ingest_feed_record {
    enum ingest_feed_kind kind;
    enum ingest_mbox_format mbox_format;
    bool is_dry;
    int64_t job_id;
    struct bytes folder; /* the mailbox, "/" between levels; empty: the top */
    struct bytes name;   /* of a file within its folder: what it is known by */
    struct bytes stem;   /* last level of its mailbox when it is an mbox; empty: the folder's own */
    struct bytes path;   /* below what the operator named */
    int fd;              /* -1: none. Of a record that was received: the receiver's to close */
};

/* Waits as long as it takes. fd of the record: sent along, and stays the caller's. */
MUST_USE bool ingest_send_record(int socket, const struct ingest_feed_record *record,
                                 struct err *err);

/* Texts lie in room. ERR_RETRY: nothing came before the deadline, or stop_fd is readable. ERR_ABSENT: the
 * feeder has ended. ERR_SYNTAX: no record. */
MUST_USE bool ingest_receive_record(int socket, int stop_fd, struct deadline deadline,
                                    uint8_t room[INGEST_FEED_RECORD_BYTES],
                                    struct ingest_feed_record *out, struct err *err);
