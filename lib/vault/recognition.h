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

/* Of such a name. */
static inline enum vault_recognition vault_recognition_of(struct bytes name)
{
    return bytes_equal(name, BYTES("id"))       ? VAULT_BY_ID
           : bytes_equal(name, BYTES("header")) ? VAULT_BY_HEADER
                                                : VAULT_BY_OCTETS;
}

/* As in the database, packs and manifests: "", "id", "header". */
static inline struct bytes vault_recognition_name(enum vault_recognition by)
{
    return by == VAULT_BY_ID ? BYTES("id") : by == VAULT_BY_HEADER ? BYTES("header") : BYTES("");
}
