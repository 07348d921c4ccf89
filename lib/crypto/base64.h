/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crypto/base64.h - RFC 4648 §4, on one line. Pure.
 */
#pragma once

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

/* Appends the text, padded, without line breaks. */
void crypto_write_base64(struct buf *out, struct bytes octets);

/* Appends the octets. Strict: whole groups, padding only at the end and required, unused bits zero,
 * no blanks. ERR_SYNTAX otherwise; nothing is appended then. What did not fit is told by buf_done. */
MUST_USE bool crypto_read_base64(struct bytes text, struct buf *out, struct err *err);
