/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest/namespace.h - whose mailboxes a source lists, and who the source says it is.
 *
 * A server that shows several namespaces (RFC 2342) lists other users' and shared mailboxes beside the
 * account's own. These are the account's only when its operator asked for them: otherwise everybody who
 * can read a shared mailbox would archive it again. One thread.
 */
#pragma once

#include "base/arena.h"
#include "ingest/client.h"

enum ingest_owner {
    INGEST_PERSONAL, /* the account's own; also whatever is in no namespace that was told */
    INGEST_OTHERS,
    INGEST_SHARED,
};

struct ingest_namespace {
    struct bytes prefix; /* as on the wire, with its delimiter at the end */
    enum ingest_owner owner;
};

struct ingest_namespaces {
    const struct ingest_namespace *rows;
    size_t count; /* 0: the server tells none, so everything is personal */
};

/*
 * NAMESPACE and ID, where offered, in one round trip; an ID that is recognised sets the rules of the
 * client. A server that refuses either has told nothing.
 */
MUST_USE bool ingest_ask_namespaces(struct ingest_client *client, struct arena *arena,
                                    struct ingest_namespaces *out, struct err *err);

/* By the longest prefix; INBOX is personal. Pure. */
enum ingest_owner ingest_owner_of(const struct ingest_namespaces *namespaces,
                                  struct bytes wire_name);
