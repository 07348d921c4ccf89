/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oauth/authorize.h - a human's consent in a browser: authorization code with PKCE (RFC 6749 §4.1, RFC 7636).
 *
 *     oauth_begin_authorization   an address to open; its state and challenge only we can answer for
 *     oauth_read_redirect         what the browser brings back is the answer to it: a code, or a refusal
 *     oauth_redeem_code           (token.h) the code becomes tokens
 *
 * How the answer reaches us: by a browser on this machine (loopback.h), or pasted by a human.
 */
#pragma once

#include "base/buf.h"
#include "oauth/grant.h"

enum {
    OAUTH_STATE_BYTES = 44, /* with its NUL: 32 random octets in base64url */
    OAUTH_CODE_MAX_BYTES = 4 << 10,
    OAUTH_REDIRECT_MAX_BYTES = 16 << 10, /* of an address that comes back */
};

struct oauth_authorization {
    struct secret *verifier; /* RFC 7636 §4.1; owned, as url: oauth_free_authorization */
    char state[OAUTH_STATE_BYTES];
    struct buf url; /* to be opened; NUL-terminated */
};
void oauth_free_authorization(struct oauth_authorization *authorization); /* for CLEANUP */

/* The grant is of OAUTH_AUTHORIZATION_CODE. redirect_url: where the browser shall come back to. */
MUST_USE bool oauth_begin_authorization(const struct oauth_grant *grant, const char *redirect_url,
                                        struct oauth_authorization *out, struct err *err);

/*
 * Reads the answer from the address at which a browser ended (RFC 6749 §4.1.2). Pure; hostile input.
 * address: absolute, or path and query. What counts is the query.
 *
 * Success     *code is 1 to OAUTH_CODE_MAX_BYTES octets of printable ASCII.
 * ERR_SYNTAX  it is no answer, or not to the request of this state: go on waiting for that.
 * ERR_DENIED, ERR_RETRY  the answer is a refusal, as of oauth_read_token_response.
 */
MUST_USE bool oauth_read_redirect(struct bytes address, const char *state, struct secret **code,
                                  struct err *err);
