/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whatever a token endpoint answers: a token that is done is printable without blanks and lives for a
 * bounded time, texts are printable, and what is refused leaves the output alone. The first octet
 * chooses the status.
 */
#include "oauth/response.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_token(const struct secret *token)
{
    struct bytes octets = secret_bytes(token);

    assert(octets.len > 0 && octets.len <= OAUTH_TOKEN_MAX_BYTES);
    for (size_t i = 0; i < octets.len; i++)
        assert(octets.ptr[i] > 0x20 && octets.ptr[i] < 0x7f);
}

static void check_text(const char *text)
{
    for (; *text != '\0'; text++)
        assert(*text >= 0x20 && *text < 0x7f);
}

static void check_device(unsigned status, struct bytes body)
{
    CLEANUP(oauth_free_device) struct oauth_device device = { 0 };
    struct err err = { 0 };

    if (!oauth_read_device_response(status, body, &device, &err)) {
        assert(device.code == NULL && err.code != ERR_NONE);
        check_text(err.text);
        return;
    }
    check_token(device.code);
    check_text(device.user_code);
    check_text(device.verification_uri);
    assert(device.interval_seconds >= 1 && device.interval_seconds <= OAUTH_INTERVAL_MAX_SECONDS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const unsigned statuses[] = { 200, 400, 401, 429, 503, 302 };
    CLEANUP(oauth_free_tokens) struct oauth_tokens tokens = { 0 };
    struct err err = { 0 };
    struct bytes body;
    unsigned status;

    if (size == 0)
        return 0;
    status = statuses[data[0] % ARRAY_LEN(statuses)];
    body = bytes_of(data + 1, size - 1);
    check_device(status, body);
    switch (oauth_read_token_response(status, body, &tokens, &err)) {
    case OAUTH_DONE:
        check_token(tokens.access);
        if (tokens.refresh != NULL)
            check_token(tokens.refresh);
        assert(tokens.expires_in_seconds >= 1 &&
               tokens.expires_in_seconds <= OAUTH_EXPIRES_MAX_SECONDS);
        return 0;
    case OAUTH_INVALID:
        assert(err.code == ERR_DENIED);
        check_text(err.text);
        break;
    case OAUTH_FAILED:
        assert(err.code == ERR_DENIED || err.code == ERR_RETRY);
        check_text(err.text);
        break;
    case OAUTH_PENDING:
    case OAUTH_SLOW_DOWN:
        assert(err.code == ERR_NONE);
        break;
    }
    assert(tokens.access == NULL && tokens.refresh == NULL);
    return 0;
}
