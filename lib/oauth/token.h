/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oauth/token.h - from a grant to an access token: one exchange with the token endpoint.
 *
 * Blocking, until the deadline at most. Any thread. Errors as oauth_post and
 * oauth_read_token_response; the text begins with the URL asked.
 */
#pragma once

#include "base/clock.h"
#include "oauth/grant.h"
#include "oauth/response.h"

/* What is known of an exchange that failed. */
struct oauth_failure {
    /* tokens may have been given that did not reach us: the request left, and what came back, if
     * anything, is no refusal */
    bool may_have_rotated;
    bool is_invalid; /* the grant itself is refused: invalid_grant */
    /* the endpoint asks for it: 429, or 503 with Retry-After; 0: it does not */
    int64_t rest_seconds;
};

/*
 * mailbox: the login whose mail is wanted. ERR_DENIED also for a grant to which nobody has consented
 * yet. When out->refresh is set, the grant's own refresh token may be worth nothing from now
 * on: keep the new one (oauth_renew_grant) before using the access token. One that comes to a grant
 * without any is dropped: its kind has no place for it. *failure is set on failure.
 */
MUST_USE bool oauth_fetch_tokens(const struct oauth_grant *grant, struct bytes mailbox,
                                 struct deadline deadline, struct oauth_tokens *out,
                                 struct oauth_failure *failure, struct err *err);

/* RFC 6749 §4.1.3, RFC 7636 §4.5: the code that a browser brought (authorize.h), once. redirect_url: as it
 * was sent there. */
MUST_USE bool oauth_redeem_code(const struct oauth_grant *grant, const struct secret *code,
                                const struct secret *verifier, const char *redirect_url,
                                struct deadline deadline, struct oauth_tokens *out,
                                struct err *err);

/* RFC 8628 §3.1: asks for a code that a human enters. The grant is of OAUTH_DEVICE. */
MUST_USE bool oauth_begin_device(const struct oauth_grant *grant, struct deadline deadline,
                                 struct oauth_device *out, struct err *err);

/* RFC 8628 §3.4: has the human consented? To be asked every interval_seconds. */
MUST_USE enum oauth_progress oauth_poll_device(const struct oauth_grant *grant,
                                               const struct oauth_device *device,
                                               struct deadline deadline, struct oauth_tokens *out,
                                               struct err *err);
