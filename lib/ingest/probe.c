/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a test of an account saw, kept for the operator: every mailbox, and what would become of it.
 */
#include "imap/list_args.h"
#include "ingest/internal.h"
#include "ingest/rule.h"

enum {
    USES_TEXT_BYTES = 128, /* of all special uses together */
};

static int64_t number_if(const struct ingest_listed *row, uint32_t status, uint64_t number)
{
    return (row->status & status) != 0 && number <= INT64_MAX ? (int64_t)number : -1;
}

static bool describe(const struct ingest_listed *row, struct arena *arena,
                     struct source_listed *out, struct err *err)
{
    CLEANUP(buf_free) struct buf uses = buf_create(USES_TEXT_BYTES);

    *out = (struct source_listed){
        .path = row->path,
        .is_noselect = row->is_noselect,
        .left_out = row->left_out,
        .rule = row->rule,
        .messages = number_if(row, IMAP_STATUS_MESSAGES, row->messages),
        .octets = number_if(row, IMAP_STATUS_SIZE, row->size_bytes),
    };
    ingest_write_special_uses(&uses, row->attributes);
    return arena_try_copy(arena, buf_bytes(&uses), USES_TEXT_BYTES, &out->special_use, err);
}

bool ingest_save_probe(struct ingest_run *run, struct err *err)
{
    const struct ingest_listing *listing = &run->listing;
    struct source_listed *rows = arena_new_array(run->arena, struct source_listed, listing->count);

    for (size_t i = 0; i < listing->count; i++)
        if (!describe(&listing->rows[i], run->arena, &rows[i], err))
            return false;
    return ingest_archive(
        run, source_save_listing(run->db, run->lease, rows, listing->count, run->arena, err));
}
