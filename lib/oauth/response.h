/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oauth/response.h - what a token endpoint answered (RFC 6749 §5, RFC 8628 §3.2 and §3.5). Pure.
 *
 * Hostile input: whatever the octets are, what comes out is inside the limits below: tokens are
 * printable ASCII without blanks (RFC 6750 §2.1), texts for humans are printable ASCII.
 */
#pragma once

#include "base/secret.h"

enum {
    OAUTH_RESPONSE_MAX_BYTES = 64 << 10,
    OAUTH_TOKEN_MAX_BYTES = 8 << 10,
    OAUTH_EXPIRES_DEFAULT_SECONDS = 3600, /* when the answer does not say */
    OAUTH_EXPIRES_MAX_SECONDS = 30 * 86400,
    OAUTH_INTERVAL_DEFAULT_SECONDS = 5, /* RFC 8628 §3.2 */
    OAUTH_INTERVAL_MAX_SECONDS = 120,
    OAUTH_DEVICE_TEXT_BYTES = 512,
    OAUTH_REST_DEFAULT_SECONDS = 60, /* after a 429 that does not say */
    OAUTH_ERROR_SHOWN_BYTES = 60,
    OAUTH_DESCRIPTION_SHOWN_BYTES = 160,
};

struct oauth_tokens {
    struct secret *access;  /* owned, as refresh: oauth_free_tokens */
    struct secret *refresh; /* NULL: the one we have stays */
    int64_t expires_in_seconds;
};
void oauth_free_tokens(struct oauth_tokens *tokens); /* for CLEANUP */

enum oauth_progress {
    OAUTH_DONE,
    OAUTH_PENDING,   /* RFC 8628 §3.5: the human has not answered yet */
    OAUTH_SLOW_DOWN, /* nor that, and we ask too often: 5 s more between two requests, for good */
    OAUTH_FAILED,    /* *err is set */
    OAUTH_INVALID,   /* that too, and it is the grant itself that is refused: invalid_grant */
};

/*
 * status: of HTTP. Only OAUTH_DONE sets *out.
 *
 * ERR_DENIED  a human must act: the text names the endpoint's error and says what it means.
 * ERR_RETRY   busy, throttled or broken there: 429, 5xx, temporarily_unavailable, or an answer that is
 *             none.
 */
MUST_USE enum oauth_progress oauth_read_token_response(unsigned status, struct bytes body,
                                                       struct oauth_tokens *out, struct err *err);

struct oauth_device {
    struct secret *code; /* owned: oauth_free_device */
    char user_code[OAUTH_DEVICE_TEXT_BYTES];
    char verification_uri[OAUTH_DEVICE_TEXT_BYTES];
    int64_t expires_in_seconds;
    int64_t interval_seconds;
};
void oauth_free_device(struct oauth_device *device); /* for CLEANUP */

/* Errors as above. */
MUST_USE bool oauth_read_device_response(unsigned status, struct bytes body,
                                         struct oauth_device *out, struct err *err);
