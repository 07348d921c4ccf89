/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest/rule.h - include and exclude patterns: which mailboxes of an account are archived. Pure.
 *
 * A pattern is one of two kinds:
 *
 *   "\\Junk"    every mailbox that the source says to be of this use (RFC 6154), whatever its name;
 *               in any case of letters
 *   a path      as the archive shows it: UTF-8, "/" between levels, "*" for anything, "%" for anything
 *               within one level; the whole path must match, octet for octet, but INBOX in any case
 *
 * No include: everything is included. An exclude is stronger than any include.
 */
#pragma once

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "source/account.h"

/* attributes: IMAP_MAILBOX_* of the mailbox; those that are no special use do not matter. */
bool ingest_pattern_matches(struct bytes pattern, struct bytes path, uint32_t attributes);

/* Is it archived? *rule: the exclude that says no; empty when no include says yes. */
bool ingest_is_wanted(const struct source_account_settings *account, struct bytes path,
                      uint32_t attributes, struct bytes *rule);

/* ERR_SYNTAX: it begins with a backslash and names no use that there is. */
MUST_USE bool ingest_check_pattern(struct bytes pattern, struct err *err);

/* The first of those in attributes: "\\Sent"; empty: none. */
struct bytes ingest_special_use_of(uint32_t attributes);

/* Appends all of them, with blanks between. */
void ingest_write_special_uses(struct buf *out, uint32_t attributes);
