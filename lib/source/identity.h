/* SPDX-License-Identifier: Apache-2.0 */
/*
 * source/identity.h - how far a source's own ids of messages (X-GM-MSGID, EMAILID) are trusted.
 *
 * Ids of one kind mean the same within one account at one host, their scope. When two messages come under
 * one id, the vault ends the trust in the scope (vault/write.h), for good. For holdfast-ingest.
 */
#pragma once

#include "source/lease.h"

struct source_id_scope {
    int32_t scope; /* 0: none at this moment */
    bool is_trusted;
    bool is_empty;   /* no message of it is known yet */
    uint64_t placed; /* messages that were placed without a download */
};

/* The scope of the account as it is now, made if need be. kind: "X-GM-MSGID", "EMAILID". */
MUST_USE bool source_open_id_scope(struct db *db, const struct source_lease *lease,
                                   struct bytes kind, struct source_id_scope *out, struct err *err);
