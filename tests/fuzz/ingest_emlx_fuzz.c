/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file of Apple Mail: the message that is found lies within it, behind a number that says how long it is; what
 * follows gives flags that there are and a date that a message can have.
 */
#include "ingest/emlx.h"
#include "vault/flag.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes file = bytes_of(data, size);
    struct ingest_emlx_facts facts;
    struct err err = { 0 };
    uint64_t offset = 0, bytes = 0, count;

    if (ingest_read_emlx(file, size, &offset, &bytes, &err)) {
        assert(bytes > 0 && offset < size && bytes <= size - offset);
        assert(file.ptr[offset - 1] == '\n' && scan_u64(&file, &count) && count == bytes);
    } else {
        assert(err.code == ERR_SYNTAX && offset == 0 && bytes == 0);
    }
    ingest_read_emlx_facts(bytes_slice(bytes_of(data, size), (size_t)(offset + bytes), SIZE_MAX),
                           &facts);
    assert((facts.flags & ~VAULT_FLAGS_ALL) == 0);
    assert(!facts.has_date || facts.received_usec > 0);
    return 0;
}
