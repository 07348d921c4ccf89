/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest/sasl_token.h - the two mechanisms that carry an OAuth access token: XOAUTH2 (Google's, which
 * Exchange Online has alone) and OAUTHBEARER (RFC 7628). libgsasl has neither. Pure.
 */
#pragma once

#include "base/buf.h"
#include "ingest/sasl.h"

enum {
    INGEST_TOKEN_MESSAGE_BYTES = 24 << 10, /* the client's message, in base64 */
};

/* The client's one message, in base64. The token's memory: reserved at once, the caller wipes it. */
void ingest_write_xoauth2(struct buf *out, const struct ingest_subject *subject);
void ingest_write_oauthbearer(struct buf *out, const struct ingest_subject *subject);

/*
 * What a challenge of a failed exchange says (RFC 7628 §3.2.2: JSON in base64), as printable ASCII, cut:
 * {"status":"401","schemes":"bearer","scope":"mail"}. Empty when it is none.
 */
void ingest_read_token_refusal(struct bytes challenge, char out[INGEST_REFUSAL_BYTES]);
