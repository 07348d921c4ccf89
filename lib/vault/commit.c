/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/commit.c - one transaction for a batch, or the end of one for a large message.
 *
 * Two round trips. The first takes the mailbox row, adds the hashes that the account does not have
 * and reads what decides; the second carries frames, locators, index, placements, source UIDs and counters,
 * and the COMMIT. READ COMMITTED: everything that is decided on is read under the mailbox row, or
 * is protected by the unique key of `message`.
 */
#include "vault/internal.h"

#include <stdlib.h>

/* What becomes of an entry. */
struct outcome {
    const struct vault_entry *entry;
    int64_t message_id;
    uint32_t placement_uid; /* 0: repeated */
    bool has_row;           /* its source UID: in source_uid */
    bool is_repeated;
    bool is_denied; /* it was recognised once, which is not believed any more */
    bool is_matched;
    bool is_new;           /* its octets: the first entry that has them */
    struct bytes keywords; /* bitmap */
};

struct commit {
    struct vault_writer *writer;
    struct vault_batch *batch;
    struct arena *arena;
    struct outcome *outcomes; /* as the entries stand */
    struct outcome **by_hash; /* sorted by hash, then as they stand */
    struct bytes *hashes;     /* distinct, sorted */
    int64_t *sizes;
    size_t hash_count;
    size_t keywords_known;
    int64_t uidnext, modseq; /* after this transaction */
    struct vault_change_set changes;
    struct vault_counts counts;
};

/* Answers of the first round trip; the last only for a later epoch. */
enum {
    LOOK_RENEWED,
    LOOK_MAILBOX,
    LOOK_EPOCH,
    LOOK_KEYWORDS,
    LOOK_MESSAGES,
    LOOK_STORED,
    LOOK_RUN,
    LOOK_CANDIDATES,
    LOOK_MAX
};

/* As the database has it; NULL: none. */
static struct bytes doubt_of(const struct vault_entry *entry)
{
    switch (entry->doubt) {
    case VAULT_ORIGINAL:
        return (struct bytes){ NULL, 0 };
    case VAULT_REASSEMBLED:
        return BYTES("reassembled");
    case VAULT_PLACEHOLDER:
        return BYTES("placeholder");
    case VAULT_EMPTY:
        return BYTES("empty");
    }
    UNREACHABLE();
}

/* ---- preparing ----------------------------------------------------------------------------- */

static int compare_hashes(const void *a, const void *b)
{
    const struct outcome *const *x = a;
    const struct outcome *const *y = b;
    int order = memcmp((*x)->entry->sha256.octets, (*y)->entry->sha256.octets, CRYPTO_SHA256_BYTES);

    if (order != 0)
        return order;
    return *x < *y ? -1 : *x > *y;
}

static bool has_same_octets(const struct outcome *a, const struct outcome *b)
{
    return memcmp(a->entry->sha256.octets, b->entry->sha256.octets, CRYPTO_SHA256_BYTES) == 0;
}

static void sort_hashes(struct commit *commit)
{
    size_t count = commit->batch->count;

    for (size_t i = 0; i < count; i++)
        commit->by_hash[i] = &commit->outcomes[i];
    qsort(commit->by_hash, count, sizeof(struct outcome *), compare_hashes);
    for (size_t i = 0; i < count; i++) {
        const struct outcome *outcome = commit->by_hash[i];

        if (i > 0 && has_same_octets(outcome, commit->by_hash[i - 1]))
            continue;
        commit->hashes[commit->hash_count] = crypto_sha256_bytes(&outcome->entry->sha256);
        commit->sizes[commit->hash_count] = (int64_t)outcome->entry->size_bytes;
        commit->hash_count++;
    }
}

static struct commit prepare(struct vault_writer *writer, struct vault_batch *batch)
{
    struct arena *arena = writer->arena;
    size_t count = batch->count;
    struct commit commit = { .writer = writer,
                             .batch = batch,
                             .arena = arena,
                             .outcomes = arena_new_array(arena, struct outcome, count),
                             .by_hash = arena_new_array(arena, struct outcome *, count),
                             .hashes = arena_new_array(arena, struct bytes, count),
                             .sizes = arena_new_array(arena, int64_t, count),
                             .changes = vault_make_change_set(arena, count) };

    for (size_t i = 0; i < count; i++)
        commit.outcomes[i].entry = &batch->entries[i];
    sort_hashes(&commit);
    return commit;
}

/* ---- the first round trip ------------------------------------------------------------------ */

/* What copies are looked for by. */
struct copies {
    size_t count;
    struct bytes *hashes;
    int64_t *dates;
};

static struct copies list_copies(const struct commit *commit, bool only_denied)
{
    struct copies copies = {
        .hashes = arena_new_array(commit->arena, struct bytes, commit->batch->count),
        .dates = arena_new_array(commit->arena, int64_t, commit->batch->count),
    };

    for (size_t i = 0; i < commit->batch->count; i++) {
        if (only_denied && !commit->outcomes[i].is_denied)
            continue;
        copies.hashes[copies.count] = crypto_sha256_bytes(&commit->batch->entries[i].sha256);
        copies.dates[copies.count++] = commit->batch->entries[i].internal_usec;
    }
    return copies;
}

static bool queue_candidates(struct commit *commit, struct db_value account,
                             struct db_value mailbox, struct err *err)
{
    struct copies copies = list_copies(commit, false);

    return db_queue(commit->writer->db, DB_VAULT_EPOCH_CANDIDATES,
                    DB_ARGS(account, mailbox, DB_I32(commit->batch->epoch),
                            DB_BYTEAS(copies.hashes, copies.count),
                            DB_TIMES(copies.dates, copies.count)),
                    err);
}

static bool queue_look(struct commit *commit, struct err *err)
{
    struct db *db = commit->writer->db;
    struct db_value account = DB_I64(commit->writer->lease.account_id);
    struct db_value mailbox = DB_I64(commit->batch->mailbox_id);
    struct db_value hashes = DB_BYTEAS(commit->hashes, commit->hash_count);
    int64_t *uids = arena_new_array(commit->arena, int64_t, commit->batch->count);
    struct bytes *doubts = arena_new_array(commit->arena, struct bytes, commit->batch->count);

    for (size_t i = 0; i < commit->batch->count; i++) {
        uids[i] = commit->batch->entries[i].source_uid;
        doubts[i] = doubt_of(&commit->batch->entries[i]);
    }
    return vault_queue_renew(commit->writer, err) &&
           db_queue(db, DB_VAULT_MAILBOX_LOCK, DB_ARGS(account, mailbox), err) &&
           db_queue(db, DB_VAULT_EPOCH_FIND,
                    DB_ARGS(account, mailbox, DB_I32(commit->batch->epoch)), err) &&
           db_queue(db, DB_VAULT_KEYWORD_NUMBERS, DB_ARGS(account, mailbox), err) &&
           db_queue(db, DB_VAULT_MESSAGE_ADD,
                    DB_ARGS(account, hashes, DB_I64S(commit->sizes, commit->hash_count)), err) &&
           db_queue(db, DB_VAULT_SOURCE_UID_STORED,
                    DB_ARGS(account, mailbox, DB_I32(commit->batch->epoch),
                            DB_I64S(uids, commit->batch->count),
                            DB_TEXTS(doubts, commit->batch->count)),
                    err) &&
           db_queue(db, DB_VAULT_RUN_NEXT, DB_NO_ARGS, err) &&
           (commit->batch->epoch == 1 || queue_candidates(commit, account, mailbox, err));
}

static bool look(struct commit *commit, struct db_result **results, struct err *err)
{
    struct vault_writer *writer = commit->writer;
    size_t count = commit->batch->epoch == 1 ? LOOK_CANDIDATES : LOOK_MAX;

    if (!db_pipeline_begin(writer->db, err) ||
        (writer->tx.db == NULL && !db_begin(writer->db, DB_READ_COMMITTED, &writer->tx, err)) ||
        !queue_look(commit, err) || !db_pipeline_end(writer->db, results, count, err))
        return false;
    if (!vault_check_lease(writer, results[LOOK_RENEWED], err))
        return false;
    if (db_rows(results[LOOK_MAILBOX]) == 0)
        return err_fail(err, ERR_ABSENT, "no mailbox %jd in account %jd",
                        (intmax_t)commit->batch->mailbox_id, (intmax_t)writer->lease.account_id);
    if (db_rows(results[LOOK_EPOCH]) == 0)
        return err_fail(err, ERR_ABSENT, "no source epoch %d in mailbox %jd", commit->batch->epoch,
                        (intmax_t)commit->batch->mailbox_id);
    return true;
}

/* ---- deciding ------------------------------------------------------------------------------ */

/* The first of by_hash with this hash; there is one. */
static size_t find_hash(const struct commit *commit, struct bytes hash)
{
    size_t low = 0, high = commit->batch->count;

    assert(hash.len == CRYPTO_SHA256_BYTES);
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (memcmp(commit->by_hash[middle]->entry->sha256.octets, hash.ptr, hash.len) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The message of this row is that of all entries with its octets; gives the first of them. */
static struct outcome *note_message(struct commit *commit, const struct db_result *messages,
                                    size_t row)
{
    size_t first = find_hash(commit, db_bytes(messages, row, 1));

    for (size_t i = first;
         i < commit->batch->count && has_same_octets(commit->by_hash[i], commit->by_hash[first]);
         i++)
        commit->by_hash[i]->message_id = db_i64(messages, row, 0);
    return commit->by_hash[first];
}

static bool has_all_messages(const struct commit *commit)
{
    for (size_t i = 0; i < commit->batch->count; i++)
        if (commit->outcomes[i].message_id == 0)
            return false;
    return true;
}

/* Which octets are new, and the message of each entry. What another job of the account added at this very
 * moment is found by looking again. */
static bool decide_messages(struct commit *commit, const struct db_result *messages,
                            struct err *err)
{
    struct vault_writer *writer = commit->writer;
    CLEANUP(db_result_free) struct db_result *found = NULL;

    for (size_t row = 0; row < db_rows(messages); row++)
        note_message(commit, messages, row)->is_new = db_bool(messages, row, 2);
    if (has_all_messages(commit))
        return true;
    if (!db_run(writer->db, DB_VAULT_MESSAGE_FIND,
                DB_ARGS(DB_I64(writer->lease.account_id),
                        DB_BYTEAS(commit->hashes, commit->hash_count)),
                &found, err))
        return false;
    for (size_t row = 0; row < db_rows(found); row++)
        (void)note_message(commit, found, row);
    return has_all_messages(commit) ||
           err_fail(err, ERR_RETRY, "a message vanished while it was looked up");
}

static void decide_repeated(struct commit *commit, const struct db_result *known)
{
    for (size_t i = 0; i < commit->batch->count; i++) {
        struct outcome *outcome = &commit->outcomes[i];

        for (size_t row = 0; row < db_rows(known) && !outcome->has_row; row++)
            if (db_i64(known, row, 0) == outcome->entry->source_uid) {
                outcome->has_row = true;
                outcome->is_repeated = db_bool(known, row, 1);
                outcome->is_denied = db_bool(known, row, 2);
            }
        for (size_t other = 0; other < i && !outcome->is_repeated; other++)
            outcome->is_repeated =
                commit->outcomes[other].entry->source_uid == outcome->entry->source_uid;
    }
}

static void number_keywords(struct commit *commit)
{
    struct vault_writer *writer = commit->writer;
    const struct vault_batch *batch = commit->batch;
    uint16_t number;

    commit->keywords_known = writer->numbers.count;
    commit->counts.keywords_dropped = batch->keywords_dropped;
    for (size_t i = 0; i < batch->count; i++) {
        const struct vault_entry *entry = &batch->entries[i];
        struct vault_bitmap bitmap = { .len = 0 };

        for (size_t k = 0; k < entry->keyword_count; k++) {
            if (vault_number_keyword(&writer->numbers, commit->arena,
                                     batch->keywords.names[entry->keywords[k]], &number))
                vault_set_bit(&bitmap, number);
            else
                commit->counts.keywords_dropped++;
        }
        commit->outcomes[i].keywords = vault_keep_bitmap(&bitmap, commit->arena);
    }
}

/* The k-th equal copy is the k-th placement that no UID of the epoch stands for yet: of a new epoch all, of the first
 * what was recognised and denied. */
static void match_copies(struct commit *commit, const struct db_result *candidates)
{
    bool *is_used = arena_new_array(commit->arena, bool, db_rows(candidates));

    for (size_t i = 0; i < commit->batch->count; i++) {
        struct outcome *outcome = &commit->outcomes[i];

        for (size_t row = 0; row < db_rows(candidates); row++) {
            if (outcome->is_repeated || is_used[row] ||
                (commit->batch->epoch == 1 && !outcome->is_denied) ||
                db_i64(candidates, row, 1) != outcome->message_id ||
                db_time_usec(candidates, row, 2) != outcome->entry->internal_usec)
                continue;
            struct vault_state was = { .uid = (uint32_t)db_i64(candidates, row, 0),
                                       .flags = db_i16(candidates, row, 3),
                                       .keywords = db_bytes(candidates, row, 4),
                                       .is_gone = db_bool(candidates, row, 5) };
            struct vault_state now = { .uid = was.uid,
                                       .flags = outcome->entry->flags,
                                       .keywords = outcome->keywords };

            is_used[row] = true;
            outcome->is_matched = true;
            outcome->placement_uid = was.uid;
            vault_add_change(&commit->changes, &was, &now);
            break;
        }
    }
}

static bool match_denied(struct commit *commit, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *candidates = NULL;
    const struct vault_writer *writer = commit->writer;
    struct copies copies = list_copies(commit, true);

    if (copies.count == 0)
        return true;
    if (!db_run(writer->db, DB_VAULT_DENIED_CANDIDATES,
                DB_ARGS(DB_I64(writer->lease.account_id), DB_I64(commit->batch->mailbox_id),
                        DB_I32(commit->batch->epoch), DB_BYTEAS(copies.hashes, copies.count),
                        DB_TIMES(copies.dates, copies.count)),
                &candidates, err))
        return false;
    match_copies(commit, candidates);
    return true;
}

static bool give_uids(struct commit *commit, const struct db_result *mailbox, struct err *err)
{
    commit->uidnext = db_i64(mailbox, 0, 0);
    for (size_t i = 0; i < commit->batch->count; i++) {
        struct outcome *outcome = &commit->outcomes[i];

        if (outcome->is_repeated || outcome->is_matched)
            continue;
        if (commit->uidnext > (int64_t)LIMIT_UID)
            return err_fail(err, ERR_LIMIT, "mailbox %jd has no UID left",
                            (intmax_t)commit->batch->mailbox_id);
        outcome->placement_uid = (uint32_t)commit->uidnext++;
        commit->counts.placed++;
    }
    commit->modseq = db_i64(mailbox, 0, 1) + 1;
    return true;
}

static bool decide(struct commit *commit, struct db_result **results, struct err *err)
{
    vault_load_numbers(commit->writer, results[LOOK_KEYWORDS]);
    number_keywords(commit);
    if (!decide_messages(commit, results[LOOK_MESSAGES], err))
        return false;
    decide_repeated(commit, results[LOOK_STORED]);
    if (commit->batch->epoch > 1)
        match_copies(commit, results[LOOK_CANDIDATES]);
    else if (!match_denied(commit, err))
        return false;
    return give_uids(commit, results[LOOK_MAILBOX], err);
}

/* ---- the second round trip ----------------------------------------------------------------- */

/* Was just what is new made of those that are prepared? */
static bool is_prepared_right(const struct commit *commit)
{
    for (size_t i = 0; i < commit->batch->prepared.entries; i++)
        if (commit->outcomes[i].is_new != commit->batch->entries[i].is_taken_for_new)
            return false;
    return true;
}

/* What is prepared goes first; what is not is made now, into statements as it goes. */
static bool queue_small(struct commit *commit, struct err *err)
{
    const struct vault_prepared *prepared = &commit->batch->prepared;
    struct vault_outlet statements = vault_into_statements(commit->writer);
    struct vault_maker *maker = commit->writer->maker;
    size_t first = 0;

    vault_begin_making(maker, statements);
    if (is_prepared_right(commit)) {
        if (!vault_give_prepared(prepared, &statements, err))
            return false;
        store_resume_run(maker->run, prepared->frames, prepared->raw_bytes);
        first = prepared->entries;
    } else { /* for good: what is made now gives the entries other offsets */
        vault_clear_prepared(&commit->batch->prepared);
    }
    for (size_t i = first; i < commit->batch->count; i++) {
        struct vault_entry *entry = &commit->batch->entries[i];

        if (commit->outcomes[i].is_new &&
            !vault_make(maker, i, &entry->sha256, vault_entry_octets(commit->batch, entry),
                        &entry->raw_offset, err))
            return false;
    }
    return vault_end_making(maker, err);
}

/* Its frames went out while it came. */
static bool queue_large(struct commit *commit, struct err *err)
{
    struct vault_maker *maker = commit->writer->maker;
    struct vault_entry *entry = &commit->batch->entries[0];

    if (!commit->outcomes[0].is_new)
        return true;
    entry->raw_offset = STORE_LARGE_RAW_OFFSET;
    return vault_derive(maker, 0, &entry->sha256, err) && vault_send_rows(maker, err) &&
           vault_send_blocks(maker, err);
}

static bool queue_locators(struct commit *commit, struct err *err)
{
    struct vault_writer *writer = commit->writer;
    size_t count = commit->batch->count, used = 0;
    int64_t *ids = arena_new_array(commit->arena, int64_t, count);
    int64_t *offsets = arena_new_array(commit->arena, int64_t, count);

    for (size_t i = 0; i < count; i++) {
        if (!commit->outcomes[i].is_new)
            continue;
        ids[used] = commit->outcomes[i].message_id;
        offsets[used++] = (int64_t)commit->batch->entries[i].raw_offset;
        commit->counts.new_messages++;
        commit->counts.new_octets += commit->batch->entries[i].size_bytes;
    }
    return used == 0 || db_queue(writer->db, DB_VAULT_LOCATOR_ADD,
                                 DB_ARGS(DB_I64(writer->lease.account_id), DB_I64(writer->run_id),
                                         DB_I64S(ids, used), DB_I64S(offsets, used)),
                                 err);
}

static bool queue_octets(struct commit *commit, struct err *err)
{
    struct vault_writer *writer = commit->writer;
    size_t count = commit->batch->count;
    int64_t *ids = arena_new_array(commit->arena, int64_t, count);

    for (size_t i = 0; i < count; i++) {
        if (commit->outcomes[i].is_new && commit->batch->entries[i].is_known)
            return err_fail(err, ERR_RETRY, "a message that was known by its id has vanished");
        ids[i] = commit->outcomes[i].message_id;
    }
    writer->message_ids = ids;
    writer->next_block = 0;
    return (writer->is_large ? queue_large(commit, err) : queue_small(commit, err)) &&
           queue_locators(commit, err);
}

/* The date as it was written, in its own zone. */
static int64_t day_of(const struct vault_entry *entry)
{
    int64_t usec = entry->internal_usec + entry->internal_zone * INT64_C(60000000);
    int64_t day = usec / INT64_C(86400000000);

    return usec < day * INT64_C(86400000000) ? day - 1 : day;
}

struct placement_arrays {
    size_t count;
    int64_t *uids, *message_ids, *internal_at, *days;
    int16_t *zones, *flags;
    struct bytes *keywords;
    int64_t unseen, deleted, octets;
};

static void collect_placements(const struct commit *commit, struct placement_arrays *arrays)
{
    size_t count = commit->batch->count;

    *arrays =
        (struct placement_arrays){ .uids = arena_new_array(commit->arena, int64_t, count),
                                   .message_ids = arena_new_array(commit->arena, int64_t, count),
                                   .internal_at = arena_new_array(commit->arena, int64_t, count),
                                   .days = arena_new_array(commit->arena, int64_t, count),
                                   .zones = arena_new_array(commit->arena, int16_t, count),
                                   .flags = arena_new_array(commit->arena, int16_t, count),
                                   .keywords =
                                       arena_new_array(commit->arena, struct bytes, count) };
    for (size_t i = 0; i < count; i++) {
        const struct outcome *outcome = &commit->outcomes[i];
        const struct vault_entry *entry = outcome->entry;
        size_t at = arrays->count;

        if (outcome->is_repeated || outcome->is_matched)
            continue;
        arrays->uids[at] = outcome->placement_uid;
        arrays->message_ids[at] = outcome->message_id;
        arrays->internal_at[at] = entry->internal_usec;
        arrays->days[at] = day_of(entry);
        arrays->zones[at] = entry->internal_zone;
        arrays->flags[at] = entry->flags;
        arrays->keywords[at] = outcome->keywords;
        arrays->unseen += (entry->flags & VAULT_FLAG_SEEN) == 0;
        arrays->deleted += (entry->flags & VAULT_FLAG_DELETED) != 0;
        arrays->octets += (int64_t)entry->size_bytes;
        arrays->count++;
    }
}

static bool queue_placements(struct commit *commit, struct db_value account,
                             struct db_value mailbox, struct err *err)
{
    struct vault_writer *writer = commit->writer;
    struct placement_arrays a;

    collect_placements(commit, &a);
    if (a.count > 0 &&
        !db_queue(writer->db, DB_VAULT_PLACEMENT_ADD,
                  DB_ARGS(account, mailbox, DB_I64(commit->modseq), DB_I64S(a.uids, a.count),
                          DB_I64S(a.message_ids, a.count), DB_TIMES(a.internal_at, a.count),
                          DB_I16S(a.zones, a.count), DB_DATES(a.days, a.count),
                          DB_I16S(a.flags, a.count), DB_BYTEAS(a.keywords, a.count)),
                  err))
        return false;
    if (!vault_queue_changes(writer, commit->batch->mailbox_id, commit->modseq, &commit->changes,
                             err))
        return false;
    if (a.count == 0 && commit->changes.count == 0)
        return true; /* MODSEQ stays: nothing that a client sees has changed */
    return db_queue(writer->db, DB_VAULT_MAILBOX_GROW,
                    DB_ARGS(account, mailbox, DB_I64(commit->uidnext), DB_I64(commit->modseq),
                            DB_I64(a.count), DB_I64(a.unseen + commit->changes.unseen),
                            DB_I64(a.deleted + commit->changes.deleted), DB_I64(a.octets)),
                    err);
}

/* Is the row with which its UID becomes 'stored' its first? A substitute's stays pending. */
static bool is_stored_at_once(const struct outcome *outcome)
{
    return !outcome->has_row &&
           (outcome->entry->doubt == VAULT_ORIGINAL || outcome->entry->doubt == VAULT_EMPTY);
}

/* Those that are stored at once, or the others. */
static bool queue_source_uids(struct commit *commit, bool at_once, struct db_value account,
                              struct db_value mailbox, struct err *err)
{
    struct db_value epoch = DB_I32(commit->batch->epoch);
    size_t count = commit->batch->count, used = 0;
    int64_t *uids = arena_new_array(commit->arena, int64_t, count);
    int64_t *placements = arena_new_array(commit->arena, int64_t, count);
    struct bytes *doubts = arena_new_array(commit->arena, struct bytes, count);
    bool *matched = arena_new_array(commit->arena, bool, count);

    for (size_t i = 0; i < count; i++) {
        if (commit->outcomes[i].is_repeated || is_stored_at_once(&commit->outcomes[i]) != at_once)
            continue;
        uids[used] = commit->outcomes[i].entry->source_uid;
        doubts[used] = doubt_of(commit->outcomes[i].entry);
        matched[used] = commit->outcomes[i].is_matched;
        placements[used++] = commit->outcomes[i].placement_uid;
    }
    if (used == 0)
        return true;
    return db_queue(commit->writer->db,
                    at_once ? DB_VAULT_SOURCE_UID_ADD : DB_VAULT_SOURCE_UID_STORE,
                    DB_ARGS(account, mailbox, epoch, DB_I64S(uids, used), DB_I64S(placements, used),
                            DB_TEXTS(doubts, used), DB_BOOLS(matched, used)),
                    err) &&
           db_queue(commit->writer->db, DB_VAULT_SOURCE_UID_SETTLE,
                    DB_ARGS(account, mailbox, epoch, DB_I64S(uids, used)), err);
}

/* Those whose octets did not come. */
static bool queue_recognised(struct commit *commit, struct db_value account,
                             struct db_value mailbox, struct err *err)
{
    size_t count = commit->batch->count, used = 0;
    int64_t *uids = arena_new_array(commit->arena, int64_t, count);
    struct bytes *ways = arena_new_array(commit->arena, struct bytes, count);

    for (size_t i = 0; i < count; i++) {
        const struct vault_entry *entry = commit->outcomes[i].entry;

        if (commit->outcomes[i].is_repeated || entry->by == VAULT_BY_OCTETS)
            continue;
        uids[used] = entry->source_uid;
        ways[used++] = vault_recognition_name(entry->by);
    }
    return used == 0 || db_queue(commit->writer->db, DB_VAULT_SOURCE_UID_RECOGNISED,
                                 DB_ARGS(account, mailbox, DB_I32(commit->batch->epoch),
                                         DB_I64S(uids, used), DB_TEXTS(ways, used)),
                                 err);
}

static bool queue_identities(struct commit *commit, struct err *err)
{
    const struct vault_batch *batch = commit->batch;
    struct vault_identity_rows rows = vault_make_identity_rows(commit->arena, batch->count);

    for (size_t i = 0; i < batch->count; i++)
        vault_add_identity(&rows, commit->outcomes[i].entry, commit->outcomes[i].message_id);
    return vault_queue_identities(commit->writer, batch, &rows, err);
}

static bool write_all(struct commit *commit, struct err *err)
{
    struct vault_writer *writer = commit->writer;
    struct db_value account = DB_I64(writer->lease.account_id);
    struct db_value mailbox = DB_I64(commit->batch->mailbox_id);

    return db_pipeline_begin(writer->db, err) && queue_octets(commit, err) &&
           vault_queue_new_keywords(writer, commit->batch->mailbox_id, commit->keywords_known,
                                    err) &&
           queue_placements(commit, account, mailbox, err) &&
           queue_source_uids(commit, true, account, mailbox, err) &&
           queue_source_uids(commit, false, account, mailbox, err) &&
           queue_recognised(commit, account, mailbox, err) && queue_identities(commit, err) &&
           db_commit(&writer->tx, err);
}

/* ---- both ---------------------------------------------------------------------------------- */

/*
 * The octets of a large message stand behind a savepoint. New ones stay, once their header frame is
 * there; known ones are undone, and with them what the look has locked, so it is repeated.
 */
static bool settle_large(struct commit *commit, struct db_result **results, struct err *err)
{
    struct vault_writer *writer = commit->writer;

    if (commit->outcomes[0].is_new)
        return store_put_large_header(writer->maker->run, err) && vault_drain_large(writer, err) &&
               db_savepoint_keep(&writer->tx, err);
    writer->stored_octets = 0;
    vault_free_results(results, LOOK_MAX);
    arena_reset(writer->arena);
    *commit = prepare(writer, commit->batch);
    if (!db_savepoint_undo(&writer->tx, err) || !look(commit, results, err) ||
        !decide(commit, results, err))
        return false;
    if (commit->outcomes[0].is_new)
        return err_fail(err, ERR_RETRY, "a message vanished while it was looked up");
    return true;
}

static void finish_counts(struct commit *commit)
{
    struct vault_counts *counts = &commit->counts;

    counts->messages = commit->batch->count;
    counts->stored_octets = commit->writer->stored_octets;
    for (size_t i = 0; i < commit->batch->count; i++) {
        counts->octets += commit->batch->entries[i].size_bytes;
        counts->matched += commit->outcomes[i].is_matched;
        counts->repeated += commit->outcomes[i].is_repeated;
    }
}

static bool run(struct commit *commit, struct db_result **results, struct err *err)
{
    struct vault_writer *writer = commit->writer;

    if (!look(commit, results, err) || !decide(commit, results, err))
        return false;
    if (writer->is_large)
        return settle_large(commit, results, err) && write_all(commit, err);
    writer->run_id = db_i64(results[LOOK_RUN], 0, 0);
    writer->stored_octets = 0;
    return write_all(commit, err);
}

bool vault_commit(struct vault_writer *writer, struct vault_batch *batch,
                  struct vault_counts *counts, struct err *err)
{
    struct db_result *results[LOOK_MAX] = { NULL };
    struct commit commit = prepare(writer, batch);
    bool is_ok = run(&commit, results, err);

    if (is_ok) {
        finish_counts(&commit);
        *counts = commit.counts;
        is_ok = db_pipeline_end(writer->db, NULL, 0, err);
    } else {
        db_pipeline_cancel(writer->db);
        db_rollback(&writer->tx);
    }
    vault_free_results(results, LOOK_MAX);
    arena_reset(writer->arena);
    return is_ok;
}
