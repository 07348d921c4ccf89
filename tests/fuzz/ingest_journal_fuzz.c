/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text of a journal report, and the header of a copy. Lists keep to their bounds, hold no line end where
 * none belongs, and what is no report leaves nothing behind.
 */
#include "ingest/journal.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct ingest_journal *journal)
{
    const struct buf *const lists[] = { &journal->from, &journal->to, &journal->cc, &journal->bcc };
    struct bytes rest = buf_bytes(&journal->recipients);
    struct bytes one;

    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        assert(!lists[i]->has_failed && lists[i]->len <= INGEST_JOURNAL_TEXT_MAX);
    while (ingest_next_recipient(&rest, &one))
        assert(one.len > 0);
    assert(rest.len == 0 && !journal->recipients.has_failed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes text = bytes_of(data, size);
    struct ingest_journal journal;

    ingest_start_journal(&journal);
    if (!ingest_read_journal(text, text.len % 2 == 0, &journal))
        assert(journal.from.len + journal.to.len + journal.cc.len + journal.bcc.len +
                       journal.recipients.len ==
                   0 &&
               journal.subject.ptr == NULL);
    check(&journal);
    ingest_free_journal(&journal);
    ingest_start_journal(&journal);
    if (!ingest_read_journal_header(text, &journal))
        assert(journal.recipients.len == 0);
    check(&journal);
    ingest_free_journal(&journal);
    return 0;
}
