/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest/maildir.h - what the name of a file in a Maildir says of its message: "…:2,FSab".
 *
 * Capitals are flags. Small letters are Dovecot's keywords, by number: "a" is the one that the file
 * dovecot-keywords of the Maildir has as 0, in lines "0 $Forwarded". Where a file system forbids ":", ";" or "!"
 * stands for it.
 *
 * Pure. Both are hostile: what does not belong there is passed over.
 */
#pragma once

#include "base/bytes.h"

enum {
    INGEST_MAILDIR_KEYWORDS = 26,
    INGEST_MAILDIR_KEYWORDS_BYTES = 64 << 10, /* of the file; the rest is not looked at */
};

struct ingest_maildir_keywords {
    struct bytes names[INGEST_MAILDIR_KEYWORDS]; /* by number, borrowed; empty: none */
};

struct ingest_maildir_flags {
    uint8_t system;                                 /* VAULT_FLAG_* */
    struct bytes keywords[INGEST_MAILDIR_KEYWORDS]; /* as the file has them; each once */
    size_t keyword_count;
    bool has_unnamed; /* a keyword beside these, whose name is not known */
};

/* Names may not hold blanks or controls, nor be longer than LIMIT_KEYWORD_BYTES. */
void ingest_read_maildir_keywords(struct bytes file, struct ingest_maildir_keywords *out);

/* Where in the name of a file its flags begin, with ":2,"; name.len: it has none. What stands before stays the
 * same while the message lives. */
size_t ingest_find_maildir_info(struct bytes name);

void ingest_read_maildir_flags(struct bytes path, const struct ingest_maildir_keywords *known,
                               struct ingest_maildir_flags *out);
