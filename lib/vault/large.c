/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/large.c - a message that does not fit a batch: a run and a transaction of its own.
 *
 * Its frames go out while it arrives, behind a savepoint: when the hash turns out to be known they
 * are undone and only the placement stays. The transaction holds the job meanwhile (hold_job), so that nobody
 * claims it however long the literal takes; it can be stopped or asked for at any time. But a worker that is
 * stopped must not hold it for ever: the server ends a transaction in which it hears nothing
 * (db_target.transaction_idle_ms). It counts only where it awaits the next command, hence no pipeline stays open
 * while octets are waited for; and whoever receives them, slowly or not, asks in between whether the job is still
 * its own.
 */
#include "vault/line.h"

enum {
    PIPELINE_FRAMES = 8 /* of octets that came together: 2 MiB */
};

bool vault_drain_large(struct vault_writer *writer, struct err *err)
{
    if (writer->large_queued == 0)
        return true;
    writer->large_queued = 0;
    return db_pipeline_end(writer->db, NULL, 0, err);
}

struct vault_outlet vault_into_statements(struct vault_writer *writer)
{
    return (struct vault_outlet){ writer, vault_put_frame, vault_put_rows, vault_put_blocks };
}

bool vault_put_frame(void *context, const struct store_frame *frame, struct err *err)
{
    struct vault_writer *writer = context;

    if (writer->is_large && writer->large_queued == 0 && !db_pipeline_begin(writer->db, err))
        return false;
    if (!db_queue(writer->db, DB_VAULT_FRAME_ADD,
                  DB_ARGS(DB_I64(writer->lease.account_id), DB_I64(writer->run_id),
                          DB_I32(frame->ordinal), DB_I64(frame->raw_start),
                          DB_I32(frame->facts.raw_bytes), DB_I32(frame->facts.stored_bytes),
                          DB_BYTEA(crypto_sha256_bytes(&frame->facts.stored_sha256)),
                          DB_BYTEA(frame->stored)),
                  err))
        return false;
    writer->stored_octets += frame->facts.stored_bytes;
    if (!writer->is_large)
        return true;
    writer->large_queued++;
    return writer->large_queued < PIPELINE_FRAMES || vault_drain_large(writer, err);
}

static bool hold(struct vault_writer *writer, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *held = NULL;

    writer->ask_by = deadline_after_ms(VAULT_LARGE_ASK_MS);
    return db_run_one(writer->db, DB_VAULT_HOLD,
                      DB_ARGS(DB_I64(writer->lease.job_id), DB_I64(writer->lease.fence)), &held,
                      err) &&
           vault_check_lease(writer, held, err);
}

bool vault_write_large(struct vault_writer *writer, struct bytes octets, struct err *err)
{
    return store_write_large(writer->maker->run, octets, err) && vault_drain_large(writer, err) &&
           (!deadline_has_passed(writer->ask_by) || hold(writer, err));
}

static bool take_run_id(struct vault_writer *writer, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *row = NULL;

    if (!db_run_one(writer->db, DB_VAULT_RUN_NEXT, DB_NO_ARGS, &row, err))
        return false;
    writer->run_id = db_i64(row, 0, 0);
    return true;
}

bool vault_begin_large(struct vault_writer *writer, struct err *err)
{
    const struct vault_deriver *deriver = &writer->maker->deriver;

    writer->large_queued = 0;
    writer->stored_octets = 0;
    if (!vault_settle(writer, err) || !db_begin(writer->db, DB_READ_COMMITTED, &writer->tx, err) ||
        !hold(writer, err) || !take_run_id(writer, err) || !db_savepoint_begin(&writer->tx, err)) {
        db_rollback(&writer->tx);
        return false;
    }
    writer->is_large = true;
    vault_begin_making(writer->maker, vault_into_statements(writer));
    store_begin_large(writer->maker->run);
    if (deriver->begin != NULL)
        deriver->begin(deriver->context);
    return true;
}

bool vault_end_large(struct vault_writer *writer, const struct vault_arrival *arrival,
                     struct err *err)
{
    struct crypto_sha256 sha256;
    uint64_t size_bytes = 0;

    if (!store_finish_large(writer->maker->run, &sha256, &size_bytes, err) ||
        !vault_drain_large(writer, err) ||
        !vault_add_entry(writer->batch, arrival, &sha256, 0, size_bytes, err) ||
        !vault_commit_entries(writer, err))
        return false;
    writer->is_large = false;
    return true;
}
