/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A list of addresses ends, every group that starts ends, every mailbox has a local part and a host,
 * and all pieces fit the scratch buffer that the header asks for.
 */
#include "mime/address.h"
#include "mime/date.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf scratch = buf_create(mime_address_scratch_bytes(bytes_of(data, size)));
    struct mime_address_reader reader = mime_read_addresses(bytes_of(data, size), &scratch);
    struct mime_address address;
    struct mime_date date;
    bool is_in_group = false;
    size_t count = 0;

    while (mime_next_address(&reader, &address)) {
        assert(!scratch.has_failed);
        assert(++count <= 2 * size + 2);
        switch (address.kind) {
        case MIME_ADDRESS_GROUP_START:
            assert(!is_in_group);
            is_in_group = true;
            break;
        case MIME_ADDRESS_GROUP_END:
            assert(is_in_group);
            is_in_group = false;
            break;
        case MIME_ADDRESS_MAILBOX:
            assert(address.domain.len > 0 && (address.has_name || address.name.len == 0));
            break;
        }
    }
    assert(!is_in_group && !mime_next_address(&reader, &address));
    if (mime_read_date(bytes_of(data, size), &date))
        assert(date.zone_minutes > -1500 && date.zone_minutes < 1500);
    buf_free(&scratch);
    return 0;
}
