/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest/pieces.h - a message that the source does not give as a whole, put together from what it gives.
 *
 * First BODY[HEADER] and BODY[TEXT], which joined are the message (RFC 9051 §6.4.5); where TEXT is denied too,
 * each part with its own MIME header, and the boundary lines between them as the header names them (preamble
 * and epilogue are lost then). Servers exist whose pieces differ from their whole (Zimbra): whoever stores
 * the result says so beside it (VAULT_REASSEMBLED). One thread.
 */
#pragma once

#include "ingest/fetch.h"

enum {
    INGEST_HEADER_PIECE_BYTES = 4 << 20, /* a longer header is not put together */
    INGEST_PIECES_BYTES = 8 << 20, /* a message from its parts; TEXT streams, whatever its size */
    INGEST_PIECES_MAX = 200,       /* parts of the first level */
};

/*
 * Gives the message to the sink, if the source gives at least its header; *is_given tells. A piece that is
 * refused, NIL or absent is not given. Failures as of ingest_fetch.
 */
MUST_USE bool ingest_fetch_in_pieces(struct ingest_client *client, uint32_t uid,
                                     const struct ingest_sink *sink, bool *is_given,
                                     struct err *err);

/* Asks for the FLAGS and INTERNALDATE of the message and gives it to the sink with these octets. */
MUST_USE bool ingest_fetch_as(struct ingest_client *client, uint32_t uid, struct bytes octets,
                              const struct ingest_sink *sink, bool *is_given, struct err *err);
