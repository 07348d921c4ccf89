/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oauth/http.h - one POST of a form over HTTPS (libcurl): no redirects, no cookies, bounded.
 *
 * Any thread; nothing is kept between calls. The octets sent and received hold secrets and are wiped.
 */
#pragma once

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"

struct oauth_reply {
    unsigned status;
    int64_t retry_after_seconds; /* RFC 9110 §10.2.3; 0: it does not say */
    struct buf body;             /* wiped by oauth_free_reply; at most OAUTH_RESPONSE_MAX_BYTES */
};
void oauth_free_reply(struct oauth_reply *reply); /* for CLEANUP */

/*
 * ca: PEM, trusted instead of the system's certificates; NULL: those. form: x-www-form-urlencoded.
 * was_sent is set in any case: octets of the request have left, so that it may have been acted on.
 *
 * Success     the server answered, whatever it answered.
 * ERR_RETRY   no connection, a broken one, the deadline.
 * ERR_DENIED  the certificate is not trusted, or not for this host.
 * ERR_LIMIT   the answer is too long.
 */
MUST_USE bool oauth_post(const char *url, const char *ca, struct bytes form,
                         struct deadline deadline, struct oauth_reply *out, bool *was_sent,
                         struct err *err);

/* Appends "name=value", percent-encoded, with "&" in front if something stands there. value NULL: nothing. */
void oauth_add_parameter(struct buf *form, const char *name, const char *value);
void oauth_add_octets(struct buf *form, const char *name, struct bytes value);
