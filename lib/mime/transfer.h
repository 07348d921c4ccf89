/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mime/transfer.h - content transfer encodings, decoded as a stream.
 *
 * Lenient: what is no base64 is skipped, what is no quoted-printable is kept as it stands; both are
 * counted. Chunks may be cut anywhere. Pure; constant memory. RFC 2045 §6.7, §6.8.
 */
#pragma once

#include "base/buf.h"
#include "base/bytes.h"

enum mime_transfer {
    MIME_TRANSFER_IDENTITY, /* 7bit, 8bit, binary, and whatever we do not know */
    MIME_TRANSFER_BASE64,
    MIME_TRANSFER_QUOTED_PRINTABLE,
};

/* NULL, no field: identity. *is_known: false for a name that RFC 2045 does not have. */
enum mime_transfer mime_transfer_of(const struct bytes *encoding, bool *is_known);

struct mime_transfer_decoder { /* starts with mime_start_transfer */
    enum mime_transfer kind;
    uint64_t error_count; /* octets that did not belong there */
    uint32_t bits;        /* private: base64 digits of an unfinished group */
    uint8_t held[2];      /* private: "=" and what came behind it */
    uint8_t held_len;
};

struct mime_transfer_decoder mime_start_transfer(enum mime_transfer kind);
void mime_decode_transfer(struct mime_transfer_decoder *decoder, struct bytes chunk,
                          struct buf *out);
/* The part has ended: what was held back comes. */
void mime_finish_transfer(struct mime_transfer_decoder *decoder, struct buf *out);
