/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/text.h - the search text of messages, for scans (DESIGN 6; lib/vault/README.md, "Search text").
 *
 * What is given out is what lib/text made of a message when it was archived (text/record.h says what a
 * record is): derived, never the message. It may be missing for any message at any time, and then
 * the caller reads the octets and makes the record itself; so an answer never depends on what is
 * stored here, only its speed does.
 */
#pragma once

#include "base/bytes.h"
#include "base/err.h"

struct vault_reader; /* vault/read.h */

struct vault_text_query {
    int64_t account_id;
    const int64_t *message_ids; /* ascending, distinct */
    size_t count;
    /* Folded, as text_needle of text/match.h gives them. Where it is known that a record holds none of
     * them, an empty one is given in its place, and its block stays shut. None: every record is given. */
    const struct bytes *needles;
    size_t needle_count;
};

/*
 * record  whole and of the current parser version, or empty as above; borrowed for the call. ptr NULL:
 *         there is none (never made, older, too large, damaged, not to be had just now): read the octets.
 * No database connection is held meanwhile, and fn may use another reader, but not this one. False
 * ends the scan with the error it has set.
 */
typedef bool vault_text_fn(void *context, int64_t message_id, struct bytes record, struct err *err);

/* During fn: TEXT_NOTE_* of the message whose record it was given (text/extract.h); 0 without one, and
 * with an empty one in its place. */
uint32_t vault_text_notes(const struct vault_reader *reader);

/*
 * Calls fn exactly once for each of these messages, in the order in which their records lie (that
 * in which they were archived, by and large), then for those without a record. Messages that the token
 * may not see are among those without.
 *
 * Give many ids at once (a mailbox, or tens of thousands): a call costs two round trips and a bitmap,
 * then one round trip for each few MiB; each block of up to 64 records is fetched and opened once.
 * Memory: about 6 MiB, whatever count is; kept until vault_trim_reader.
 *
 * ERR_RETRY: database. What is wrong with stored text is never a failure. After one, fn has been
 * called for some of them.
 */
MUST_USE bool vault_read_texts(struct vault_reader *reader, const struct vault_text_query *query,
                               vault_text_fn *fn, void *context, struct err *err);
