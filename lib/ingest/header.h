/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest/header.h - SHA-256 of messages' headers, from the selected mailbox.
 *
 * UID FETCH set (UID BODY.PEEK[HEADER]), in sets of INGEST_SET_UIDS. Headers are hashed as they arrive and not
 * held. One thread.
 */
#pragma once

#include "crypto/hash.h"
#include "ingest/client.h"

struct ingest_header {
    bool has_come;
    struct crypto_sha256 sha256;
};

/*
 * uids: ascending, distinct; headers: room for count, cleared first. What the server does not give, or refuses, has
 * not come. ERR_RETRY also when it speaks of load (ingest_was_refused).
 */
MUST_USE bool ingest_hash_headers(struct ingest_client *client, const uint32_t *uids, size_t count,
                                  struct ingest_header *headers, struct err *err);
