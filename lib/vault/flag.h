/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/flag.h - system flags as the database keeps them. The same bits as IMAP_FLAG_*.
 */
#pragma once

enum {
    VAULT_FLAG_SEEN = 1,
    VAULT_FLAG_ANSWERED = 2,
    VAULT_FLAG_FLAGGED = 4,
    VAULT_FLAG_DELETED = 8,
    VAULT_FLAG_DRAFT = 16,
    VAULT_FLAGS_ALL = 31,
};
