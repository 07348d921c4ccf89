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

/* jwt.c: PEM. A private key without passphrase, RSA of at least 2,048 bits; certificates; a key that
 * belongs to the certificate. ERR_SYNTAX. */
MUST_USE bool oauth_check_key(struct bytes pem, struct err *err);
MUST_USE bool oauth_check_certificate(struct bytes pem, struct err *err);
MUST_USE bool oauth_check_pair(struct bytes certificate, struct bytes key, struct err *err);

/* Wipes what the buffer holds and frees it. For CLEANUP. Reserve all of it at once: a buffer that
 * grows leaves copies behind. */
void oauth_wipe_buf(struct buf *buf);
