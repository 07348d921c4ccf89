/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/derived.c - rows of message_index: gathered as messages are framed, a few hundred to a
 * statement.
 */
#include "vault/internal.h"

void vault_clear_rows(struct vault_gathered_rows *rows)
{
    rows->count = 0;
    rows->octets = 0;
    rows->reference_count = 0;
    arena_reset(rows->arena);
}

/* Calls visit for each of the values but references. */
static void for_each_value(struct vault_index *index,
                           void (*visit)(struct bytes *value, void *context), void *context)
{
    struct bytes *values[] = { &index->message_id, &index->subject,      &index->from,
                               &index->to,         &index->cc,           &index->bcc,
                               &index->structure,  &index->envelope,     &index->bodystructure,
                               &index->notes,      &index->header_sha256 };

    for (size_t i = 0; i < ARRAY_LEN(values); i++)
        visit(values[i], context);
}

static void add_size(struct bytes *value, void *context)
{
    size_t *total = context;

    *total += value->len;
}

static size_t measure(struct vault_index *index)
{
    size_t total = 0;

    for_each_value(index, add_size, &total);
    for (size_t i = 0; i < index->reference_count; i++)
        total += index->references[i].len;
    return total;
}

static void keep(struct bytes *value, void *context)
{
    if (value->ptr != NULL)
        value->ptr = arena_copy(context, value->ptr, value->len);
}

struct vault_index vault_copy_index(const struct vault_index *index, struct arena *arena)
{
    struct vault_index copy = *index;
    struct bytes *references = arena_new_array(arena, struct bytes, index->reference_count);

    for_each_value(&copy, keep, arena);
    for (size_t i = 0; i < index->reference_count; i++) {
        references[i] = vault_not_null(index->references[i]);
        keep(&references[i], arena);
    }
    copy.references = references;
    copy.text = (struct bytes){ NULL, 0 };
    return copy;
}

/* ---- the statement ------------------------------------------------------------------------- */

/* The columns of all rows that wait. */
struct columns {
    int64_t *ids, *header_bytes, *dates, *days;
    bool *has_no_date, *has_attachment;
    int32_t *firsts, *counts, *text_notes;
    struct bytes *message_ids, *references, *subjects, *froms, *tos, *ccs, *bccs;
    struct bytes *structures, *envelopes, *bodystructures, *notes, *header_hashes;
};

static struct columns make_columns(struct arena *arena, const struct vault_rows *rows)
{
    size_t n = rows->count;

    return (struct columns){
        .ids = arena_new_array(arena, int64_t, n),
        .header_bytes = arena_new_array(arena, int64_t, n),
        .dates = arena_new_array(arena, int64_t, n),
        .days = arena_new_array(arena, int64_t, n),
        .has_no_date = arena_new_array(arena, bool, n),
        .has_attachment = arena_new_array(arena, bool, n),
        .firsts = arena_new_array(arena, int32_t, n),
        .counts = arena_new_array(arena, int32_t, n),
        .text_notes = arena_new_array(arena, int32_t, n),
        .message_ids = arena_new_array(arena, struct bytes, n),
        .references = arena_new_array(arena, struct bytes, rows->reference_count),
        .subjects = arena_new_array(arena, struct bytes, n),
        .froms = arena_new_array(arena, struct bytes, n),
        .tos = arena_new_array(arena, struct bytes, n),
        .ccs = arena_new_array(arena, struct bytes, n),
        .bccs = arena_new_array(arena, struct bytes, n),
        .structures = arena_new_array(arena, struct bytes, n),
        .envelopes = arena_new_array(arena, struct bytes, n),
        .bodystructures = arena_new_array(arena, struct bytes, n),
        .notes = arena_new_array(arena, struct bytes, n),
        .header_hashes = arena_new_array(arena, struct bytes, n),
    };
}

static void fill_columns(const struct vault_rows *rows, const int64_t *message_ids,
                         struct columns *columns)
{
    size_t used = 0;

    for (size_t i = 0; i < rows->count; i++) {
        const struct vault_index *row = &rows->values[i];

        columns->ids[i] = message_ids[rows->entries[i]];
        columns->header_bytes[i] = (int64_t)row->header_bytes;
        columns->has_no_date[i] = !row->has_date || !vault_is_date(row->date_usec, 0);
        columns->dates[i] = columns->has_no_date[i] ? 0 : row->date_usec;
        columns->days[i] = columns->has_no_date[i] ? 0 : row->date_day;
        columns->firsts[i] = (int32_t)used + 1; /* PostgreSQL counts from 1 */
        columns->counts[i] = (int32_t)row->reference_count;
        for (size_t k = 0; k < row->reference_count; k++)
            columns->references[used++] = vault_not_null(row->references[k]);
        columns->message_ids[i] = row->message_id;
        columns->subjects[i] = row->subject;
        columns->froms[i] = row->from;
        columns->tos[i] = row->to;
        columns->ccs[i] = row->cc;
        columns->bccs[i] = row->bcc;
        columns->structures[i] = row->structure;
        columns->envelopes[i] = row->envelope;
        columns->bodystructures[i] = row->bodystructure;
        columns->notes[i] = row->notes;
        columns->header_hashes[i] = row->header_sha256;
        columns->text_notes[i] = (int32_t)row->text_notes;
        columns->has_attachment[i] = row->has_attachment;
    }
}

bool vault_put_rows(void *context, const struct vault_rows *rows, struct err *err)
{
    struct vault_writer *writer = context;
    struct columns c = make_columns(writer->arena, rows);
    size_t n = rows->count;

    fill_columns(rows, writer->message_ids, &c);
    return db_queue(
        writer->db, DB_VAULT_INDEX_ADD,
        DB_ARGS(DB_I64(writer->lease.account_id), DB_I32(rows->values[0].parser_version),
                DB_I64S(c.ids, n), DB_I64S(c.header_bytes, n),
                db_with_nulls(DB_TIMES(c.dates, n), c.has_no_date),
                db_with_nulls(DB_DATES(c.days, n), c.has_no_date), DB_TEXTS(c.message_ids, n),
                DB_I32S(c.firsts, n), DB_I32S(c.counts, n),
                DB_TEXTS(c.references, rows->reference_count), DB_TEXTS(c.subjects, n),
                DB_TEXTS(c.froms, n), DB_TEXTS(c.tos, n), DB_TEXTS(c.ccs, n), DB_TEXTS(c.bccs, n),
                DB_BYTEAS(c.structures, n), DB_BYTEAS(c.envelopes, n),
                DB_BYTEAS(c.bodystructures, n), DB_TEXTS(c.notes, n), DB_I32S(c.text_notes, n),
                DB_BOOLS(c.has_attachment, n), DB_BYTEAS(c.header_hashes, n)),
        err);
}

/* ---- gathering ------------------------------------------------------------------------------ */

bool vault_send_rows(struct vault_maker *maker, struct err *err)
{
    struct vault_gathered_rows *rows = &maker->rows;
    struct vault_rows all = { rows->count, rows->octets, rows->reference_count, rows->entries,
                              rows->values };

    if (rows->count > 0 && !maker->outlet.rows(maker->outlet.context, &all, err))
        return false;
    vault_clear_rows(rows);
    return true;
}

bool vault_derive(struct vault_maker *maker, size_t entry, const struct crypto_sha256 *sha256,
                  struct err *err)
{
    struct vault_gathered_rows *rows = &maker->rows;
    struct vault_index row = { 0 };
    size_t size;

    if (maker->deriver.begin == NULL)
        return true;
    maker->deriver.end(maker->deriver.context, &row);
    if (!vault_add_text(maker, entry, sha256, &row, err))
        return false;
    size = measure(&row);
    if ((rows->count == VAULT_ROWS_MAX || rows->octets + size > VAULT_ROWS_BYTES ||
         rows->reference_count + row.reference_count > VAULT_REFERENCES_MAX) &&
        !vault_send_rows(maker, err))
        return false;
    rows->entries[rows->count] = entry;
    rows->values[rows->count++] =
        size <= VAULT_ROWS_BYTES ? vault_copy_index(&row, rows->arena) : row;
    rows->octets += size;
    rows->reference_count += row.reference_count;
    /* A large one is not copied: it goes at once. */
    return size <= VAULT_ROWS_BYTES || vault_send_rows(maker, err);
}
