/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest/placeholder.h - is this the text that a server makes up for a message it cannot give? Pure.
 *
 * Exchange answers FETCH of a message that it cannot convert with a small message of its own, OK and all. It is
 * archived, for it is what the source said, but never as the original (vault/write.h, VAULT_PLACEHOLDER).
 */
#pragma once

#include "base/bytes.h"

enum {
    INGEST_PLACEHOLDER_BYTES = 2048 /* of the message's beginning, that are looked at */
};

bool ingest_is_placeholder(struct bytes beginning);
