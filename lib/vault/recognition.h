/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/recognition.h - how the octets of a source UID are known.
 */
#pragma once

#include "base/bytes.h"

enum vault_recognition {
    VAULT_BY_OCTETS, /* they came from the source */
    VAULT_BY_ID,     /* what the source calls the message */
    VAULT_BY_HEADER, /* its header, size and date, those of other messages having been compared */
};

/* As in the database, packs and manifests: "", "id", "header". */
static inline struct bytes vault_recognition_name(enum vault_recognition by)
{
    return by == VAULT_BY_ID ? BYTES("id") : by == VAULT_BY_HEADER ? BYTES("header") : BYTES("");
}
