/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crypto/certificate.h - a self-signed TLS certificate, so that imapd works before anyone has bought
 * or made one.
 */
#pragma once

#include "base/bytes.h"
#include "base/err.h"

enum {
    CRYPTO_CERTIFICATE_NAMES_MAX = 32,
    CRYPTO_CERTIFICATE_DAYS = 825
};

/*
 * EC P-256, valid from an hour ago for CRYPTO_CERTIFICATE_DAYS, CN "Holdfast", with the alternative
 * names localhost, 127.0.0.1, ::1, this machine's host name, and names[0 … count-1] (host names or
 * IP literals; duplicates are dropped). Writes PEM: the key (0600) first, then the certificate
 * (0644). Existing files are kept and refused (ERR_DENIED).
 */
MUST_USE bool crypto_make_certificate(const char *const *names, size_t count, const char *cert_path,
                                      const char *key_path, struct err *err);
