/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/line.h - batches on their way from the network into the database. Private to vault.
 *
 * Three kinds of threads, so that neither waits for the others as long as there is room:
 *
 *     the caller       fills a batch, and sends it down the line
 *     the preparers    make of a batch what its transaction will need: parse, extract, compress
 *     the committer    speaks to PostgreSQL: asks what is new, and commits batch by batch, in order
 *
 *     FILLING --vault_send_entries--> SENT --committer: vault_guess_new--> GUESSED
 *     GUESSED --a preparer takes it--> PREPARING --vault_prepare--> READY
 *     SENT --too small to be worth it--> READY
 *     READY, at the head of the line --committer: vault_commit--> FILLING (empty)
 *
 * A batch changes hands with its state, under the lock; nothing else is shared. When a commit fails the
 * line stands still, with all that is in it, until the caller was told and asks for anything again: then
 * the same batch is tried again. While the line is empty, stands still or is paused, the connection and
 * what struct vault_writer keeps for a unit of work are the caller's.
 *
 * Memory: 24 MiB of octets and what is made of them, the batch that is being filled included, and about
 * 5 MiB a preparer. At worst 36 MiB: more may be made of a batch than it is, up to 8 MiB, and the batch that is
 * being filled is counted twice only when it is sent.
 */
#pragma once

#include "vault/internal.h"

/* LOCK_VAULT_LINE. Threads begin with the first batch that needs them. */
struct vault_line *vault_create_line(struct vault_writer *writer); /* never NULL */

/* What was sent ends first. */
void vault_free_line(struct vault_line **line);

/* The batch to fill. */
struct vault_batch *vault_filling(struct vault_line *line);

/* All batches that follow are of this mailbox. Nothing may be in the line. */
void vault_aim_line(struct vault_line *line, int64_t mailbox_id, int32_t epoch);

/* Sends what was filled, and waits for room for the next batch. Failure: one before it has failed; it is
 * not sent. ERR_SYSTEM too: no thread. */
MUST_USE bool vault_send_entries(struct vault_writer *writer, struct err *err);

/* Waits until so many octets more may be held. Failure: a batch has failed. */
MUST_USE bool vault_await_room(struct vault_writer *writer, uint64_t octets, struct err *err);

/* Waits until the line is empty. Failure: a batch has failed. */
MUST_USE bool vault_settle(struct vault_writer *writer, struct err *err);

/*
 * Waits until the committer has done what it is at, and lets it begin nothing: the connection is the
 * caller's. Preparers go on. Nothing that waits for the line may be called until it is resumed. Failure: a
 * batch has failed; it is not paused.
 */
MUST_USE bool vault_pause_line(struct vault_line *line, struct err *err);
void vault_resume_line(struct vault_line *line);

/* Sends what was filled, and settles. */
MUST_USE bool vault_commit_entries(struct vault_writer *writer, struct err *err);

/* What was sent has ended, either way; nothing is left in the line, nor in the batch to fill. */
void vault_forget_entries(struct vault_writer *writer);

/* Messages in the line, and in the batch that is being filled. */
size_t vault_line_messages(struct vault_line *line);

/* Takes what was counted since the last call. */
struct vault_counts vault_take_line_counts(struct vault_line *line);
