/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oauth/internal.h - what the files of oauth share.
 */
#pragma once

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

/* http.c: https, or http to this machine; nothing but ASCII, no password in it. ERR_SYNTAX. */
MUST_USE bool oauth_check_url(const char *url, struct err *err);

/* http.c: localhost, 127.0.0.0/8 or [::1], as a URL writes it. */
bool oauth_is_local_host(const char *host);

/* jwt.c: PEM. A private key without passphrase, RSA of at least 2,048 bits; certificates; a key that
 * belongs to the certificate. ERR_SYNTAX. */
MUST_USE bool oauth_check_key(struct bytes pem, struct err *err);
MUST_USE bool oauth_check_certificate(struct bytes pem, struct err *err);
MUST_USE bool oauth_check_pair(struct bytes certificate, struct bytes key, struct err *err);

/* token.c: "scope" and "resource", where the grant has them. */
struct oauth_grant;
void oauth_add_scope(struct buf *form, const struct oauth_grant *grant);

/* response.c: what was refused, what it means, and what a human can do about it. where: "HTTP 400"; code and
 * description: the server's, or ""; may_pass: time may mend it, whatever the code is. */
void oauth_explain_refusal(const char *where, bool may_pass, const char *code,
                           const char *description, struct err *err);

/* response.c: as printable ASCII, cut to size - 1. */
void oauth_copy_printable(struct bytes text, char *out, size_t size);

/* Wipes what the buffer holds and frees it. For CLEANUP. Reserve all of it at once: a buffer that
 * grows leaves copies behind. */
void oauth_wipe_buf(struct buf *buf);
