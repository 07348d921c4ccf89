/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/change.c - what the source says now about messages that are archived.
 */
#include "vault/line.h"

#include <stdlib.h>

struct vault_change_set vault_make_change_set(struct arena *arena, size_t room)
{
    return (struct vault_change_set){ .uids = arena_new_array(arena, int64_t, room),
                                      .flags = arena_new_array(arena, int16_t, room),
                                      .keywords = arena_new_array(arena, struct bytes, room),
                                      .is_gone = arena_new_array(arena, bool, room) };
}

static int64_t change_of(int16_t was, int16_t now, int16_t flag)
{
    return ((now & flag) != 0) - ((was & flag) != 0);
}

void vault_add_change(struct vault_change_set *set, const struct vault_state *was,
                      const struct vault_state *now)
{
    size_t at = set->count;

    if (was->flags == now->flags && was->is_gone == now->is_gone &&
        bytes_equal(was->keywords, now->keywords))
        return;
    set->uids[at] = was->uid;
    set->flags[at] = now->flags;
    set->keywords[at] = vault_not_null(now->keywords);
    set->is_gone[at] = now->is_gone;
    set->unseen -= change_of(was->flags, now->flags, VAULT_FLAG_SEEN);
    set->deleted += change_of(was->flags, now->flags, VAULT_FLAG_DELETED);
    set->count++;
}

bool vault_queue_changes(struct vault_writer *writer, int64_t mailbox_id, int64_t modseq,
                         const struct vault_change_set *set, struct err *err)
{
    struct db_value account = DB_I64(writer->lease.account_id);
    struct db_value mailbox = DB_I64(mailbox_id);
    struct db_value uids = DB_I64S(set->uids, set->count);
    struct db_value flags = DB_I16S(set->flags, set->count);
    struct db_value keywords = DB_BYTEAS(set->keywords, set->count);
    struct db_value is_gone = DB_BOOLS(set->is_gone, set->count);

    if (set->count == 0)
        return true;
    return db_queue(writer->db, DB_VAULT_FLAG_EVENT_FIRST, DB_ARGS(account, mailbox, uids), err) &&
           db_queue(writer->db, DB_VAULT_FLAG_EVENT_ADD,
                    DB_ARGS(account, mailbox, DB_I64(modseq), uids, flags, keywords, is_gone),
                    err) &&
           db_queue(writer->db, DB_VAULT_PLACEMENT_CHANGE,
                    DB_ARGS(account, mailbox, DB_I64(modseq), uids, flags, keywords, is_gone), err);
}

/* ---- keywords ------------------------------------------------------------------------------ */

void vault_load_numbers(struct vault_writer *writer, const struct db_result *rows)
{
    vault_clear_keywords(&writer->numbers);
    for (size_t i = 0; i < db_rows(rows); i++) {
        /* The table's own CHECK keeps numbers in range. */
        bool is_put = vault_put_keyword(&writer->numbers, writer->arena, (size_t)db_i32(rows, i, 0),
                                        db_bytes(rows, i, 1));

        assert(is_put);
        (void)is_put;
    }
}

bool vault_queue_new_keywords(struct vault_writer *writer, int64_t mailbox_id, size_t known,
                              struct err *err)
{
    size_t count = writer->numbers.count - known;
    int32_t *numbers;

    if (count == 0)
        return true;
    numbers = arena_new_array(writer->arena, int32_t, count);
    for (size_t i = 0; i < count; i++)
        numbers[i] = (int32_t)(known + i);
    return db_queue(writer->db, DB_VAULT_KEYWORD_ADD,
                    DB_ARGS(DB_I64(writer->lease.account_id), DB_I64(mailbox_id),
                            DB_I32S(numbers, count),
                            DB_TEXTS(writer->numbers.names + known, count)),
                    err);
}

/* ---- one unit of work ---------------------------------------------------------------------- */

enum {
    LOOK_RENEWED,
    LOOK_MAILBOX,
    LOOK_KEYWORDS,
    LOOK_STATES,
    LOOK_COUNT
};

/* Begins the transaction, takes the mailbox row and reads what is there, in one round trip. */
static bool look(struct vault_writer *writer, int64_t mailbox_id, const int64_t *uids, size_t count,
                 struct db_result **results, struct err *err)
{
    struct db *db = writer->db;
    struct db_value account = DB_I64(writer->lease.account_id);
    struct db_value mailbox = DB_I64(mailbox_id);

    if (!db_pipeline_begin(db, err) || !db_begin(db, DB_READ_COMMITTED, &writer->tx, err) ||
        !vault_queue_renew(writer, err) ||
        !db_queue(db, DB_VAULT_MAILBOX_LOCK, DB_ARGS(account, mailbox), err) ||
        !db_queue(db, DB_VAULT_KEYWORD_NUMBERS, DB_ARGS(account, mailbox), err) ||
        !db_queue(db, DB_VAULT_PLACEMENT_STATES, DB_ARGS(account, mailbox, DB_I64S(uids, count)),
                  err) ||
        !db_pipeline_end(db, results, LOOK_COUNT, err))
        return false;
    if (!vault_check_lease(writer, results[LOOK_RENEWED], err))
        return false;
    if (db_rows(results[LOOK_MAILBOX]) == 0)
        return err_fail(err, ERR_ABSENT, "no mailbox %jd in account %jd", (intmax_t)mailbox_id,
                        (intmax_t)writer->lease.account_id);
    vault_load_numbers(writer, results[LOOK_KEYWORDS]);
    return true;
}

static int compare_changes(const void *a, const void *b)
{
    const struct vault_change *const *x = a;
    const struct vault_change *const *y = b;

    if ((*x)->uid != (*y)->uid)
        return (*x)->uid < (*y)->uid ? -1 : 1;
    return *x < *y ? -1 : *x > *y; /* as given */
}

static struct bytes number_keywords(struct vault_writer *writer, const struct vault_change *change)
{
    struct vault_bitmap bitmap = { .len = 0 };
    uint16_t number;

    for (size_t i = 0; i < change->keyword_count; i++)
        if (vault_number_keyword(&writer->numbers, writer->arena, change->keywords[i], &number))
            vault_set_bit(&bitmap, number);
    return vault_keep_bitmap(&bitmap, writer->arena);
}

/* Both ascend by UID. Of several changes to one UID the last counts. */
static void compare_states(struct vault_writer *writer, const struct vault_change **sorted,
                           size_t count, const struct db_result *states,
                           struct vault_change_set *set)
{
    size_t at = 0;

    for (size_t row = 0; row < db_rows(states); row++) {
        struct vault_state was = { .uid = (uint32_t)db_i64(states, row, 0),
                                   .flags = db_i16(states, row, 1),
                                   .keywords = db_bytes(states, row, 2),
                                   .is_gone = db_bool(states, row, 3) };
        struct vault_state now = was;

        while (at < count && sorted[at]->uid < was.uid)
            at++;
        while (at + 1 < count && sorted[at + 1]->uid == was.uid)
            at++;
        assert(at < count && sorted[at]->uid == was.uid);
        now.is_gone = sorted[at]->is_gone;
        if (!now.is_gone) {
            now.flags = sorted[at]->flags & VAULT_FLAGS_ALL;
            now.keywords = number_keywords(writer, sorted[at]);
        }
        vault_add_change(set, &was, &now);
    }
}

static bool write_changes(struct vault_writer *writer, int64_t mailbox_id, size_t known,
                          const struct db_result *row, const struct vault_change_set *set,
                          struct err *err)
{
    struct db *db = writer->db;
    int64_t modseq = db_i64(row, 0, 1) + 1;

    if (set->count == 0) {
        return db_commit(&writer->tx, err); /* the lease was prolonged */
    }
    return db_pipeline_begin(db, err) && vault_queue_new_keywords(writer, mailbox_id, known, err) &&
           vault_queue_changes(writer, mailbox_id, modseq, set, err) &&
           db_queue(db, DB_VAULT_MAILBOX_GROW,
                    DB_ARGS(DB_I64(writer->lease.account_id), DB_I64(mailbox_id),
                            DB_I64(db_i64(row, 0, 0)), DB_I64(modseq), DB_I64(0),
                            DB_I64(set->unseen), DB_I64(set->deleted), DB_I64(0)),
                    err) &&
           db_commit(&writer->tx, err) && db_pipeline_end(db, NULL, 0, err);
}

static bool record(struct vault_writer *writer, int64_t mailbox_id,
                   const struct vault_change *changes, size_t count, struct db_result **results,
                   uint64_t *changed, struct err *err)
{
    struct vault_change_set set = vault_make_change_set(writer->arena, count);
    const struct vault_change **sorted =
        arena_new_array(writer->arena, const struct vault_change *, count);
    int64_t *uids = arena_new_array(writer->arena, int64_t, count);
    size_t known;

    for (size_t i = 0; i < count; i++) {
        sorted[i] = &changes[i];
        uids[i] = changes[i].uid;
    }
    qsort(sorted, count, sizeof *sorted, compare_changes);
    if (!look(writer, mailbox_id, uids, count, results, err))
        return false;
    known = writer->numbers.count;
    compare_states(writer, sorted, count, results[LOOK_STATES], &set);
    if (!write_changes(writer, mailbox_id, known, results[LOOK_MAILBOX], &set, err))
        return false;
    if (changed != NULL)
        *changed = set.count;
    return true;
}

/* READ COMMITTED; what decides is read under the mailbox row. ERR_RETRY goes to the caller, who may
 * simply call again: what is recorded already differs no more. */
bool vault_record_changes(struct vault_writer *writer, int64_t mailbox_id,
                          const struct vault_change *changes, size_t count, uint64_t *changed,
                          struct err *err)
{
    struct db_result *results[LOOK_COUNT] = { NULL };
    bool is_ok;

    assert(writer->state == VAULT_CLOSED || writer->state == VAULT_FILLING);
    if (count > VAULT_CHANGES_MAX)
        return err_fail(err, ERR_LIMIT, "%zu changes at once, at most %d", count,
                        (int)VAULT_CHANGES_MAX);
    if (count == 0) {
        if (changed != NULL)
            *changed = 0;
        return true;
    }
    is_ok = vault_settle(writer, err) &&
            record(writer, mailbox_id, changes, count, results, changed, err);
    if (!is_ok) {
        db_pipeline_cancel(writer->db);
        db_rollback(&writer->tx);
    }
    vault_free_results(results, LOOK_COUNT);
    arena_reset(writer->arena);
    return is_ok;
}
