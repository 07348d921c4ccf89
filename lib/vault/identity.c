/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/identity.c - messages that are known without their octets: by what their source calls them, or by
 * their header.
 */
#include "vault/line.h"

bool vault_is_identity(struct bytes id)
{
    for (size_t i = 0; i < id.len; i++)
        if (id.ptr[i] <= 0x20 || id.ptr[i] >= 0x7f)
            return false;
    return id.len > 0 && id.len <= VAULT_IDENTITY_BYTES;
}

void vault_use_identities(struct vault_writer *writer, int32_t scope)
{
    assert(vault_line_messages(writer->line) == 0);
    writer->identity_scope = scope;
}

static bool read_hash(struct bytes octets, struct crypto_sha256 *out, struct err *err)
{
    if (octets.len != sizeof out->octets)
        return err_fail(err, ERR_CORRUPT, "SHA-256 of %zu octets", octets.len);
    memcpy(out->octets, octets.ptr, octets.len);
    return true;
}

static bool read_known(const struct db_result *rows, size_t row, size_t count,
                       struct vault_known *known, struct err *err)
{
    size_t position = (size_t)db_i64(rows, row, 0);
    struct vault_known *out;

    assert(position >= 1 && position <= count);
    out = &known[position - 1];
    if (!read_hash(db_bytes(rows, row, 1), &out->sha256, err))
        return false;
    out->size_bytes = (uint64_t)db_i64(rows, row, 2);
    out->by = VAULT_BY_ID;
    out->is_known = true;
    return true;
}

bool vault_find_known(struct vault_writer *writer, const struct bytes *identities, size_t count,
                      struct vault_known *known, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *rows = NULL;

    assert(writer->state == VAULT_FILLING && writer->identity_scope != 0);
    for (size_t i = 0; i < count; i++)
        known[i] = (struct vault_known){ .is_known = false };
    if (!vault_settle(writer, err) ||
        !db_run(writer->db, DB_VAULT_IDENTITY_FIND,
                DB_ARGS(DB_I64(writer->lease.account_id), DB_I32(writer->identity_scope),
                        DB_TEXTS(identities, count)),
                &rows, err))
        return false;
    for (size_t i = 0; i < db_rows(rows); i++)
        if (!read_known(rows, i, count, known, err))
            return false;
    return true;
}

struct alike_walk {
    vault_alike_fn *fn;
    void *context;
};

/* db_row_fn */
static bool give_alike(void *context, const struct db_result *row, struct err *err)
{
    const struct alike_walk *walk = context;
    struct vault_alike alike = { .internal_usec = db_time_usec(row, 0, 0),
                                 .size_bytes = (uint64_t)db_i64(row, 0, 1) };

    return read_hash(db_bytes(row, 0, 2), &alike.sha256, err) &&
           read_hash(db_bytes(row, 0, 3), &alike.header_sha256, err) &&
           walk->fn(walk->context, &alike, err);
}

bool vault_walk_alike(struct vault_writer *writer, uint32_t uidvalidity, int64_t first_usec,
                      int64_t last_usec, vault_alike_fn *fn, void *context, struct err *err)
{
    struct alike_walk walk = { fn, context };

    assert(writer->state == VAULT_FILLING);
    return vault_settle(writer, err) &&
           db_stream(writer->db, DB_VAULT_ALIKE_WALK,
                     DB_ARGS(DB_I64(writer->lease.account_id), DB_I64(writer->batch->mailbox_id),
                             DB_I64(uidvalidity), DB_TIME(first_usec), DB_TIME(last_usec)),
                     give_alike, &walk, err);
}

bool vault_place_known(struct vault_writer *writer, const struct vault_known *known,
                       const struct vault_arrival *arrival, struct err *err)
{
    struct vault_entry *entry;

    assert(writer->state == VAULT_FILLING && known->is_known);
    if (writer->batch->count == LIMIT_BATCH_MESSAGES && !vault_send_entries(writer, err))
        return false;
    if (!vault_add_entry(writer->batch, arrival, &known->sha256, writer->batch->octets.len,
                         known->size_bytes, err))
        return false;
    entry = &writer->batch->entries[writer->batch->count - 1];
    entry->is_known = true;
    entry->by = known->by;
    entry->identity = (struct vault_identity){ { NULL, 0 }, { NULL, 0 }, { NULL, 0 } };
    return true;
}

/* ---- the transaction ------------------------------------------------------------------------- */

struct vault_identity_rows vault_make_identity_rows(struct arena *arena, size_t room)
{
    return (struct vault_identity_rows){
        .identities = arena_new_array(arena, struct bytes, room),
        .threads = arena_new_array(arena, struct bytes, room),
        .labels = arena_new_array(arena, struct bytes, room),
        .message_ids = arena_new_array(arena, int64_t, room),
    };
}

void vault_add_identity(struct vault_identity_rows *rows, const struct vault_entry *entry,
                        int64_t message_id)
{
    if (entry->by == VAULT_BY_ID)
        rows->known++;
    if (entry->identity.id.len == 0 || entry->doubt != VAULT_ORIGINAL)
        return; /* an id stands for the original octets only */
    rows->identities[rows->count] = entry->identity.id;
    rows->threads[rows->count] = entry->identity.thread;
    rows->labels[rows->count] = entry->identity.labels;
    rows->message_ids[rows->count++] = message_id;
}

bool vault_queue_identities(struct vault_writer *writer, const struct vault_batch *batch,
                            const struct vault_identity_rows *rows, struct err *err)
{
    struct db_value account = DB_I64(writer->lease.account_id);
    struct db_value scope = DB_I32(writer->identity_scope);

    if (writer->identity_scope == 0)
        return true;
    if (rows->count > 0 &&
        !db_queue(writer->db, DB_VAULT_IDENTITY_ADD,
                  DB_ARGS(account, scope, DB_TEXTS(rows->identities, rows->count),
                          DB_I64S(rows->message_ids, rows->count),
                          DB_TEXTS(rows->threads, rows->count),
                          DB_TEXTS(rows->labels, rows->count)),
                  err))
        return false;
    return rows->known == 0 || db_queue(writer->db, DB_VAULT_IDENTITY_PLACED,
                                        DB_ARGS(account, DB_I64(batch->mailbox_id),
                                                DB_I32(batch->epoch), scope, DB_I64(rows->known)),
                                        err);
}
