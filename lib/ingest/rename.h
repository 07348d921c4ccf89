/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest/rename.h - mailboxes that a source renamed, by their MAILBOXID (RFC 8474). Pure.
 */
#pragma once

#include "base/arena.h"
#include "ingest/list.h"
#include "source/mailbox.h"

struct ingest_rename {
    const struct source_mailbox *known;
    const struct ingest_listed *listed; /* what it is called now */
};

/*
 * Archived mailboxes that are to be archived under another path from now on. An id that two mailboxes have, here or
 * there, is not believed; INBOX is not renamed, nor anything to it (RFC 9051 §6.3.6 moves its messages); and a
 * path that another archived mailbox keeps is not taken from it. known: by path, as source_load_mailboxes gives
 * them. *renames is in the arena.
 */
size_t ingest_find_renames(const struct ingest_listing *listing,
                           const struct source_mailbox_list *known, struct arena *arena,
                           const struct ingest_rename **renames);
