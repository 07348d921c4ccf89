/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whatever address a browser brings or a human pastes: a code comes only with the state, is printable and
 * bounded; what is refused leaves the output alone and is said in printable ASCII.
 */
#include "oauth/authorize.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(secret_free) struct secret *code = NULL;
    struct bytes address = bytes_of(data, size);
    struct bytes octets;
    struct err err = { 0 };

    if (!oauth_read_redirect(address, "s-1", &code, &err)) {
        assert(code == NULL);
        assert(err.code == ERR_SYNTAX || err.code == ERR_DENIED || err.code == ERR_RETRY);
        for (const char *c = err.text; *c != '\0'; c++)
            assert(*c >= 0x20 && *c < 0x7f);
        return 0;
    }
    assert(bytes_find(address, BYTES("state=")) >= 0 && bytes_find(address, BYTES("code=")) >= 0);
    octets = secret_bytes(code);
    assert(octets.len > 0 && octets.len <= OAUTH_CODE_MAX_BYTES);
    for (size_t i = 0; i < octets.len; i++)
        assert(octets.ptr[i] >= 0x20 && octets.ptr[i] < 0x7f);
    return 0;
}
