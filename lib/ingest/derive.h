/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest/derive.h - from a message's octets to its row of message_index and its search text: mime
 * parses, text folds and extracts, imap writes; all in one pass.
 *
 * Nothing here fails because of what a message holds; what was strange or cut is a note.
 *
 * Memory: what the parser holds (mime/parser.h) and INGEST_DERIVED_BYTES, whatever the size of the
 * message. One thread at a time.
 */
#pragma once

#include "vault/write.h"

enum {
    INGEST_ENVELOPE_MAX = 1 << 20,  /* a larger one is not stored: it is made when asked for */
    INGEST_STRUCTURE_MAX = 4 << 20, /* likewise */
    INGEST_DERIVED_BYTES = 16 << 20,
};

struct ingest_deriver;

struct ingest_deriver *ingest_create_deriver(void);
void ingest_free_deriver(struct ingest_deriver **deriver);

/* Are the messages that follow an account's journal reports? Then the columns also say what the report
 * tells of the message in it (README 24). At first they are not. */
void ingest_derive_journal(struct ingest_deriver *deriver, bool is_journal);

/* For vault_open_writer; the deriver must live longer than the writer. */
struct vault_deriver ingest_use_deriver(struct ingest_deriver *deriver);
