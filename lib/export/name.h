/* SPDX-License-Identifier: Apache-2.0 */
/*
 * export/name.h - file names that every file system, archiver and shell takes as they are.
 *
 * The rule stands in README.md ("File names"): ASCII letters, digits and a few signs stay, every other
 * octet is %XX. What a hostile account or mailbox name holds never becomes "/", "..", a device's name
 * or an option. Pure; any thread.
 */
#pragma once

#include "base/buf.h"

enum {
    EXPORT_ACCOUNT_NAME_BYTES = 100, /* of the escaped account, without the mark of a cut */
    EXPORT_MAILBOX_NAME_BYTES = 180, /* of all levels of the escaped mailbox together */
};

/* Appends "mail/<account>/<level>/…/<level>.<mailbox id><suffix>"; suffix: ".mbox". Names that differ
 * in case only, or were cut, differ in the id. */
void export_write_mailbox_name(struct bytes account, struct bytes path, int64_t mailbox_id,
                               const char *suffix, struct buf *out);

/* Appends one escaped name of at most max octets, "%~" behind it when it was cut. */
void export_write_level(struct bytes name, size_t max, struct buf *out);
