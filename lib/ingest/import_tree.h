/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest/import_tree.h - walks what the operator wants imported, and feeds its files to who parses them.
 *
 * Runs with the operator's rights, and reads no octet of a file. A folder is a mailbox:
 *
 *   Maildir   has cur/ and new/, or cur/ with files ":2,": those are its messages; a folder ".A.B" that is one too is the mailbox A/B
 *             beside it (Maildir++), every other folder one below it; its other files are given as those of any
 *             folder, but for what mail servers keep there (of that only dovecot-keywords)
 *   others    every regular file is given, to be an mbox or a message; folders are mailboxes below. An
 *             ending ".mbox" or ".sbd" (Thunderbird) of a folder's name is left away, ".X.directory" (KMail) is X; a file "mbox" in a
 *             folder "X.mbox" (Apple Mail) is that folder's own, and so is all within "X.mbox/<UUID>"
 *
 * Names in modified UTF-7 are decoded. Links are not followed, but for the path itself; a folder within
 * itself (bind mounts), devices, sockets, pipes are told. Names of a folder come sorted, in portions of
 * INGEST_TREE_NAMES. Memory is constant. One thread.
 */
#pragma once

#include "base/err.h"

enum {
    INGEST_TREE_NAMES = 20000,         /* sorted at a time */
    INGEST_TREE_NAMES_BYTES = 2 << 20, /* of them */
    INGEST_TREE_DEPTH = 64,            /* folders within one another */
};

/*
 * Feeds all of it, and the end. root: an open file or folder; root_name: how it is called, without "/". Failure: the socket's; what cannot be read is told through it.
 */
MUST_USE bool ingest_feed_tree(int root, const char *root_name, int socket, struct err *err);
