/* SPDX-License-Identifier: Apache-2.0 */
/*
 * export/message_id.h - the Message-ID of a message, and the hash that review platforms know it by.
 *
 * Pure; any thread. RFC 5322 §3.6.4; EDRM Message Identification Hash (README, "EDRM MIH").
 */
#pragma once

#include "base/buf.h"
#include "crypto/hash.h"

enum {
    EXPORT_MESSAGE_ID_BYTES = 4096, /* longer ones are cut; RFC 5322 lines end at 998 */
    EXPORT_HEADER_BYTES = 1 << 20,  /* how far a Message-ID is looked for */
};

/*
 * Appends the unfolded value of the first Message-ID field to *out; nothing when there is none.
 * message: the front of a message.
 */
void export_find_message_id(struct bytes message, struct buf *out);

/* From its first "<" to the ">" behind it; empty: there is no such part. */
struct bytes export_id_of(struct bytes value);

/* 32 hexadecimal digits in upper case; nothing when value has no id. */
void export_write_mih(struct bytes value, struct buf *out);
