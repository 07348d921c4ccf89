/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/large.c - a message that does not fit a batch: a run and a transaction of its own.
 *
 * Its frames go out while it arrives, in pipelines of PIPELINE_FRAMES, behind a savepoint: when the
 * hash turns out to be known they are undone and only the placement stays. The job's row stays
 * locked meanwhile, so that nobody claims the job however long the literal takes.
 */
#include "vault/line.h"

enum {
    PIPELINE_FRAMES = 8
}; /* 2 MiB of raw octets */

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

bool vault_drain_large(struct vault_writer *writer, struct err *err)
{
    bool has_any = writer->large_queued > 0;

    writer->large_queued = 0;
    return !has_any || db_pipeline_end(writer->db, NULL, 0, err);
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
    if (!vault_begin_tx(writer, err) || !take_run_id(writer, err) ||
        !db_savepoint_begin(&writer->tx, err)) {
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
