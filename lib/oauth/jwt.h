/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oauth/jwt.h - JSON Web Tokens that we sign ourselves, RS256 (RFC 7515, RFC 7518 §3.3).
 *
 * Both assertions of RFC 7523: §2.2, by which a client with a certificate proves who it is, and
 * §2.1, by which a service account asks for a mailbox. Any thread.
 */
#pragma once

#include "base/buf.h"
#include "oauth/grant.h"

enum {
    OAUTH_JWT_MAX_BYTES = 8 << 10,
    OAUTH_CLIENT_ASSERTION_SECONDS = 600,
    OAUTH_MAILBOX_ASSERTION_SECONDS = 3600, /* Google takes no more */
};

/* base64url without padding (RFC 7515 §2). */
void oauth_write_base64url(struct buf *out, struct bytes octets);

/* header.payload.signature of these octets. key: PEM. */
MUST_USE bool oauth_sign_jwt(struct bytes key, struct bytes header, struct bytes payload,
                             struct buf *out, struct err *err);

/*
 * iss = sub = client_id, aud = "audience" or the token URL. The header names the certificate, if the
 * grant has one, by x5t and x5t#S256 (Microsoft asks for the first), else "private_key_id" as kid.
 */
MUST_USE bool oauth_make_client_assertion(const struct oauth_grant *grant, int64_t now_usec,
                                          struct buf *out, struct err *err);

/* iss = "issuer", sub = the mailbox, scope, aud as above. */
MUST_USE bool oauth_make_mailbox_assertion(const struct oauth_grant *grant, struct bytes mailbox,
                                           int64_t now_usec, struct buf *out, struct err *err);
