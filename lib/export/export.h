/* SPDX-License-Identifier: Apache-2.0 */
/*
 * export/export.h - mail out of the archive as evidence: one tar that can be checked without us.
 *
 * Reads under the reader's token at a position of the archive (vault/position.h) and writes a .tar.zst
 * as README.md specifies it. Constant memory. The caller makes the file appear under its name, signs
 * (the key is not in the process that reads mail) and records what was done. One thread.
 */
#pragma once

#include "crypto/sign.h"
#include "vault/position.h"

/* Nameless and empty, on the disc where the export goes; borrowed. */
struct export_files {
    int out;     /* the .tar.zst */
    int csv;     /* manifest.csv until it is complete */
    int json;    /* manifest.jsonl */
    int list;    /* mailboxes.csv */
    int sums;    /* SHA256SUMS */
    int origins; /* source UIDs of the mailbox at hand */
};
enum {
    EXPORT_FILE_COUNT = 6
};

/* Which messages: ascending UIDs below the mailbox's uidnext. */
struct export_choice {
    /* *has_none: nothing in this mailbox. */
    bool (*open)(void *context, const struct vault_position_mailbox *mailbox, bool *has_none,
                 struct err *err);
    bool (*next)(void *context, uint32_t uids[LIMIT_PAGE_ROWS], size_t *count, bool *is_last,
                 struct err *err);
    /* After the last mailbox: how many messages were looked at, and the text of how many of them could
     * not be. */
    bool (*finish)(void *context, uint64_t *searched, uint64_t *unsearched, struct err *err);
    void *context;
};

struct export_signer_call {
    struct crypto_public_key key;
    /* Signs all octets of files.sums. */
    bool (*sign)(void *context, uint64_t size_bytes, struct crypto_signature *out, struct err *err);
    void *context;
};

struct export_counts {
    uint64_t mailboxes; /* in scope */
    uint64_t files;     /* of mail */
    uint64_t messages;  /* exported */
    uint64_t octets;    /* of them */
    uint64_t gone;      /* of them, no longer at the source */
    uint64_t damaged;   /* chosen, not exported */
    uint64_t unreadable;
    uint64_t
        disposed; /* UIDs of the mailboxes that were read, below the position, that are no more */
    uint64_t searched; /* messages that the query was asked about; without a query those in scope */
    uint64_t
        unsearched; /* of them: whose text had to decide and could not be searched, or not wholly */
};

struct export_order {
    struct vault_reader *reader;
    const struct vault_position *position;
    struct bytes query;                 /* as given */
    const struct export_choice *choice; /* NULL: everything */
    const char *format;                 /* "mbox", "eml", "maildir" */
    struct export_files files;
    int level; /* of zstd; 0: 3 */
    struct export_signer_call signer;
    /* A message that could not be exported, for the operator; may be NULL. */
    void (*tell)(void *context, const struct vault_position_mailbox *mailbox, uint32_t uid,
                 const struct err *why);
    /* Now and then; may be NULL. */
    void (*progress)(void *context, const struct export_counts *counts);
    void *context; /* of both */
};

/* False: no such format. names: NULL, or all of them as "mbox, eml, maildir". */
bool export_knows_format(const char *name);

/*
 * Messages that are damaged or cannot be read are rows of the manifest, counted, and no failure.
 * ERR_RETRY: the database. ERR_SYSTEM: the disc is full. On failure what was written is worth nothing.
 */
MUST_USE bool export_run(const struct export_order *order, struct export_counts *out,
                         struct err *err);

/*
 * What the signer checks before it signs, so that the process that reads mail cannot have anything
 * else signed: lines of a hash, two spaces and a file name as export/name.h makes them.
 */
bool export_is_sums(struct bytes text);

/* The script in each export, for those who want it from a source they trust. */
struct bytes export_verify_script(void);
