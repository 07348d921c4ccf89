/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/writer.c - a writer and its states; see write.h.
 */
#include "vault/line.h"

#include <stdlib.h>

/* Of a unit of work: no more than the names and numbers of its batch. */
#define ARENA_BYTES ((size_t)8 << 20)

bool vault_open_writer(struct db *db, const struct vault_lease *lease,
                       const struct vault_deriver *deriver, struct vault_writer **out,
                       struct err *err)
{
    struct vault_writer *writer = calloc(1, sizeof *writer);

    if (writer == NULL)
        return err_errno(err, "vault writer");
    writer->db = db;
    writer->lease = *lease;
    writer->maker = vault_create_maker(deriver);
    writer->line = vault_create_line(writer);
    writer->batch = vault_filling(writer->line);
    writer->arena = arena_create(ARENA_BYTES);
    *out = writer;
    return true;
}

void vault_close_writer(struct vault_writer **writer)
{
    if (*writer == NULL)
        return;
    vault_forget_entries(*writer);
    vault_free_line(&(*writer)->line);
    db_rollback(&(*writer)->tx);
    vault_free_maker(&(*writer)->maker);
    arena_free(&(*writer)->arena);
    free(*writer);
    *writer = NULL;
}

/* ---- the lease ----------------------------------------------------------------------------- */

bool vault_queue_renew(struct vault_writer *writer, struct err *err)
{
    return db_queue(writer->db, DB_VAULT_RENEW,
                    DB_ARGS(DB_I64(writer->lease.job_id), DB_I64(writer->lease.fence),
                            DB_I64(writer->lease.lease_ms)),
                    err);
}

bool vault_check_lease(const struct vault_writer *writer, const struct db_result *answer,
                       struct err *err)
{
    if (db_rows(answer) == 1 && !db_is_null(answer, 0, 0) && db_bool(answer, 0, 0))
        return true;
    return err_fail(err, ERR_DENIED, "lease lost: job %jd of account %jd",
                    (intmax_t)writer->lease.job_id, (intmax_t)writer->lease.account_id);
}

bool vault_begin_tx(struct vault_writer *writer, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *renewed = NULL;

    if (!vault_settle(writer, err))
        return false;
    if (db_pipeline_begin(writer->db, err) &&
        db_begin(writer->db, DB_READ_COMMITTED, &writer->tx, err) &&
        vault_queue_renew(writer, err) && db_pipeline_end(writer->db, &renewed, 1, err) &&
        vault_check_lease(writer, renewed, err))
        return true;
    db_pipeline_cancel(writer->db);
    db_rollback(&writer->tx);
    return false;
}

/* ---- messages ------------------------------------------------------------------------------ */

bool vault_begin_batch(struct vault_writer *writer, int64_t mailbox_id, int32_t epoch,
                       struct err *err)
{
    if (epoch < 1)
        return err_fail(err, ERR_SYNTAX, "source epoch %d", epoch);
    vault_forget_entries(writer);
    db_rollback(&writer->tx);
    writer->is_large = false;
    vault_aim_line(writer->line, mailbox_id, epoch);
    (void)vault_take_line_counts(writer->line);
    writer->state = VAULT_FILLING;
    return true;
}

bool vault_batch_is_full(const struct vault_writer *writer)
{
    return writer->batch->count == LIMIT_BATCH_MESSAGES ||
           writer->batch->octets.len >= LIMIT_BATCH_TARGET_BYTES;
}

size_t vault_batch_messages(const struct vault_writer *writer)
{
    return vault_line_messages(writer->line);
}

/* What is over the target has a batch alone. */
static bool has_room(const struct vault_batch *batch, uint64_t bytes)
{
    return batch->count < LIMIT_BATCH_MESSAGES &&
           (batch->octets.len == 0 || batch->octets.len + bytes <= LIMIT_BATCH_TARGET_BYTES);
}

/* Of a message that does not go alone: in the batch, and in memory. */
static bool make_room(struct vault_writer *writer, uint64_t bytes, struct err *err)
{
    if (!has_room(writer->batch, bytes) && !vault_send_entries(writer, err))
        return false;
    if (writer->batch->octets.len > 0)
        return true;
    return vault_await_room(
        writer, bytes > LIMIT_BATCH_TARGET_BYTES ? bytes : LIMIT_BATCH_TARGET_BYTES, err);
}

bool vault_begin_message(struct vault_writer *writer, uint64_t announced_bytes, struct err *err)
{
    bool is_large = announced_bytes > LIMIT_BATCH_BYTES;

    assert(writer->state == VAULT_FILLING);
    if (announced_bytes > LIMIT_MESSAGE_BYTES)
        return err_fail(err, ERR_LIMIT, "message of %ju bytes, at most %ju are archived",
                        (uintmax_t)announced_bytes, (uintmax_t)LIMIT_MESSAGE_BYTES);
    if (is_large ? !vault_commit_entries(writer, err) : !make_room(writer, announced_bytes, err))
        return false;
    writer->announced_bytes = announced_bytes;
    writer->written_bytes = 0;
    if (is_large && !vault_begin_large(writer, err))
        return false;
    writer->state = is_large ? VAULT_IN_LARGE : VAULT_IN_MESSAGE;
    return true;
}

bool vault_write_message(struct vault_writer *writer, struct bytes octets, struct err *err)
{
    const struct vault_deriver *deriver = &writer->maker->deriver;

    assert(writer->state == VAULT_IN_MESSAGE || writer->state == VAULT_IN_LARGE);
    if (octets.len > writer->announced_bytes - writer->written_bytes)
        return err_fail(err, ERR_LIMIT, "message is longer than the %ju bytes announced",
                        (uintmax_t)writer->announced_bytes);
    writer->written_bytes += octets.len;
    if (writer->state == VAULT_IN_LARGE) {
        if (deriver->begin != NULL)
            deriver->octets(deriver->context, octets);
        return vault_write_large(writer, octets, err);
    }
    buf_append(&writer->batch->octets, octets);
    if (writer->batch->octets.has_failed) /* its ceiling was checked: there is no memory */
        return err_fail(err, ERR_SYSTEM, "no memory for a batch");
    return true;
}

static bool end_small(struct vault_writer *writer, const struct vault_arrival *arrival,
                      struct err *err)
{
    struct vault_batch *batch = writer->batch;
    size_t start = batch->octets.len - (size_t)writer->written_bytes;
    struct crypto_sha256 sha256 =
        crypto_hash(bytes_slice(buf_bytes(&batch->octets), start, SIZE_MAX));

    return vault_add_entry(batch, arrival, &sha256, start, writer->written_bytes, err);
}

bool vault_end_message(struct vault_writer *writer, const struct vault_arrival *arrival,
                       struct err *err)
{
    bool is_ok;

    assert(writer->state == VAULT_IN_MESSAGE || writer->state == VAULT_IN_LARGE);
    if (writer->written_bytes != writer->announced_bytes) {
        is_ok = err_fail(err, ERR_SYNTAX, "message of %ju bytes where %ju were announced",
                         (uintmax_t)writer->written_bytes, (uintmax_t)writer->announced_bytes);
    } else if (writer->state == VAULT_IN_LARGE) {
        is_ok = vault_end_large(writer, arrival, err);
    } else {
        is_ok = end_small(writer, arrival, err);
    }
    if (is_ok)
        writer->state = VAULT_FILLING;
    else
        vault_abort_message(writer);
    return is_ok;
}

void vault_abort_message(struct vault_writer *writer)
{
    switch (writer->state) {
    case VAULT_CLOSED:
    case VAULT_FILLING:
        return;
    case VAULT_IN_MESSAGE:
        writer->batch->octets.has_failed = false;
        writer->batch->octets.len = 0; /* where the last whole message ends */
        if (writer->batch->count > 0) {
            const struct vault_entry *last = &writer->batch->entries[writer->batch->count - 1];

            writer->batch->octets.len =
                last->start + (last->is_known ? 0 : (size_t)last->size_bytes);
        }
        break;
    case VAULT_IN_LARGE: /* all before it is committed; its octets are not held */
        vault_forget_entries(writer);
        db_rollback(&writer->tx);
        writer->is_large = false;
        break;
    }
    writer->state = VAULT_FILLING;
}

bool vault_settle_batch(struct vault_writer *writer, struct err *err)
{
    assert(writer->state != VAULT_IN_LARGE);
    return vault_settle(writer, err);
}

bool vault_pause_commits(struct vault_writer *writer, struct err *err)
{
    assert(writer->state != VAULT_IN_LARGE);
    return vault_pause_line(writer->line, err);
}

void vault_resume_commits(struct vault_writer *writer)
{
    vault_resume_line(writer->line);
}

bool vault_send_batch(struct vault_writer *writer, struct err *err)
{
    assert(writer->state == VAULT_FILLING);
    return vault_send_entries(writer, err);
}

struct vault_counts vault_take_counts(struct vault_writer *writer)
{
    return vault_take_line_counts(writer->line);
}

bool vault_commit_batch(struct vault_writer *writer, struct vault_counts *counts, struct err *err)
{
    assert(writer->state == VAULT_FILLING);
    if (!vault_commit_entries(writer, err))
        return false;
    *counts = vault_take_counts(writer);
    return true;
}
