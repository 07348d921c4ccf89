/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest/emlx.h - a message as Apple Mail keeps it: "1234.emlx".
 *
 *     1048      \n            octets of the message, in decimal
 *     (so many octets: the message)
 *     <?xml …                 a property list; of it: flags, date-received
 *
 * Pure. Hostile: nothing behind the message can alter it, and a count that the file does not have is an error.
 */
#pragma once

#include "base/bytes.h"
#include "base/err.h"

enum {
    INGEST_EMLX_TAIL_BYTES = 64 << 10, /* of what follows the message, that are looked at */
};

/* Is it one by its name? */
bool ingest_is_emlx(struct bytes name);

/* "1234.partial.emlx": one whose attachments lie apart, in files of their own. */
bool ingest_is_partial_emlx(struct bytes name);

/* Where the message lies. head: the first octets of the file, 32 at least when it has them. ERR_SYNTAX: it is
 * none, or is shorter than it says. */
MUST_USE bool ingest_read_emlx(struct bytes head, uint64_t file_bytes, uint64_t *offset,
                               uint64_t *bytes, struct err *err);

struct ingest_emlx_facts {
    uint8_t flags; /* VAULT_FLAG_* */
    bool has_date;
    int64_t received_usec; /* since 1970 UTC */
};

/* tail: what follows the message. What it does not say, or not as it should, is left 0. */
void ingest_read_emlx_facts(struct bytes tail, struct ingest_emlx_facts *out);
