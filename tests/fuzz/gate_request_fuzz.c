/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What gate_read_request accepts it can write again as the same octets, and every field is inside
 * its limit; what it refuses it leaves alone.
 */
#include "gate/message.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct gate_datagram again;
    struct gate_request request = { .source_secret = { -1, -1 } };
    struct err err = { 0 };

    if (!gate_read_request(bytes_of(data, size), &request, &err)) {
        assert(err.code == ERR_SYNTAX || err.code == ERR_LIMIT);
        assert(request.kind == 0 && request.source_secret.fence == -1);
        return 0;
    }
    assert(gate_write_request(&request, &again, &err));
    assert(bytes_equal(gate_datagram_bytes(&again), bytes_of(data, size)));
    return 0;
}
