/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages that are archived already under the source's id for them (X-GM-MSGID, EMAILID): they are placed
 * without a second download.
 *
 * A wrong id must never lose mail (ingest/README 17): ids are trusted within one account at one host only,
 * the size must agree too, and some known messages are downloaded all the same. When their octets are
 * others, the vault ends the trust, and what was placed by ids is read again in a new epoch.
 */
#include "base/buf.h"
#include "ingest/internal.h"

enum {
    SAMPLED_ONE_IN = 1000, /* known messages that are downloaded and compared all the same */
};

static struct bytes kind_of(enum ingest_identity identity)
{
    return identity == INGEST_IDENTITY_GMAIL ? BYTES("X-GM-MSGID") : BYTES("EMAILID");
}

bool ingest_check_identities(struct ingest_run *run, struct err *err)
{
    struct ingest_identities *identities = &run->identities;
    bool was_in_use = identities->is_in_use;

    if (identities->kind == INGEST_IDENTITY_NONE)
        return true;
    if (!ingest_archive(run, source_open_id_scope(run->db, run->lease, kind_of(identities->kind),
                                                  &identities->state, err)))
        return false;
    identities->is_in_use = identities->state.scope != 0 && identities->state.is_trusted;
    identities->has_failed |= was_in_use && !identities->state.is_trusted;
    return true;
}

bool ingest_begin_identities(struct ingest_run *run, struct err *err)
{
    struct ingest_identities *identities = &run->identities;

    identities->kind = ingest_rules(run->client)->identity;
    if (!ingest_check_identities(run, err))
        return false;
    vault_use_identities(run->writer, identities->is_in_use ? identities->state.scope : 0);
    return true;
}

/* ---- ids as the vault keeps them ---- */

static bool copy_number(uint64_t number, struct arena *arena, struct bytes *out, struct err *err)
{
    CLEANUP(buf_free) struct buf text = buf_create(32);

    buf_u64(&text, number);
    return arena_try_copy(arena, buf_bytes(&text), 32, out, err);
}

bool ingest_copy_id(const struct imap_fetch_response *message, enum ingest_identity kind,
                    struct arena *arena, struct bytes *out, struct err *err)
{
    *out = (struct bytes){ NULL, 0 };
    if (kind == INGEST_IDENTITY_GMAIL)
        return (message->has & IMAP_HAS_GM_MSGID) == 0 || message->gm_msgid == 0 ||
               copy_number(message->gm_msgid, arena, out, err);
    return (message->has & IMAP_HAS_EMAILID) == 0 || !vault_is_identity(message->emailid) ||
           arena_try_copy(arena, message->emailid, VAULT_IDENTITY_BYTES, out, err);
}

static bool copy_thread(const struct imap_fetch_response *message, enum ingest_identity kind,
                        struct arena *arena, struct bytes *out, struct err *err)
{
    if (kind == INGEST_IDENTITY_GMAIL)
        return (message->has & IMAP_HAS_GM_THRID) == 0 ||
               copy_number(message->gm_thrid, arena, out, err);
    return (message->has & IMAP_HAS_THREADID) == 0 || !vault_is_identity(message->threadid) ||
           arena_try_copy(arena, message->threadid, VAULT_IDENTITY_BYTES, out, err);
}

/* One a line; those that do not fit are dropped. */
static bool copy_labels(const struct imap_words *labels, struct arena *arena, struct bytes *out,
                        struct err *err)
{
    CLEANUP(buf_free) struct buf text = buf_create(VAULT_LABELS_BYTES + LIMIT_KEYWORD_BYTES + 1);

    for (size_t i = 0; i < labels->count; i++) {
        size_t before = text.len;

        if (i > 0)
            buf_byte(&text, '\n');
        ingest_write_keyword(&text, labels->words[i]);
        for (size_t k = before + (i > 0); k < text.len; k++)
            if (text.ptr[k] == '\n')
                text.ptr[k] = '?';
        if (text.len > VAULT_LABELS_BYTES) {
            text.len = before;
            break;
        }
    }
    return text.len == 0 || arena_try_copy(arena, buf_bytes(&text), VAULT_LABELS_BYTES, out, err);
}

bool ingest_describe_identity(const struct ingest_run *run,
                              const struct imap_fetch_response *message, struct arena *arena,
                              struct vault_identity *out, struct err *err)
{
    enum ingest_identity kind = run->identities.kind;

    if (!run->identities.is_in_use)
        return true;
    return ingest_copy_id(message, kind, arena, &out->id, err) &&
           copy_thread(message, kind, arena, &out->thread, err) &&
           copy_labels(&message->gm_labels, arena, &out->labels, err);
}

/* ---- placing ---- */

/* A failed commit is tried once more, as everywhere (archive.c). */
static bool find_known(struct ingest_run *run, const struct bytes *ids, size_t count,
                       struct vault_known *known, struct err *err)
{
    bool is_done = vault_find_known(run->writer, ids, count, known, err);

    if (!is_done && err->code == ERR_RETRY) {
        err_clear(err);
        is_done = vault_find_known(run->writer, ids, count, known, err);
    }
    return ingest_archive(run, is_done);
}

/* FNV-1a: which ones is the same for every run, so that a repeated run does not sample ever more. */
static uint32_t hash_id(struct bytes id)
{
    uint32_t hash = 2166136261u;

    for (size_t i = 0; i < id.len; i++)
        hash = (hash ^ id.ptr[i]) * 16777619u;
    return hash;
}

/* The first one of all, so that no scope is trusted without any proof; then one in so many. */
static bool is_sampled(struct ingest_identities *identities, struct bytes id)
{
    bool is_first = identities->state.placed == 0 && !identities->has_sampled;

    identities->has_sampled |= is_first;
    return is_first || hash_id(id) % SAMPLED_ONE_IN == 0;
}

static bool place_all(struct ingest_run *run, const uint32_t *uids, const struct ingest_fact *facts,
                      size_t count, uint32_t *left, size_t *left_count, struct err *err)
{
    struct bytes *ids = arena_new_array(run->window_arena, struct bytes, count);
    struct vault_known *known = arena_new_array(run->window_arena, struct vault_known, count);
    size_t asked = 0;

    *left_count = 0;
    for (size_t i = 0; i < count; i++)
        if (facts[i].id.len > 0)
            ids[asked++] = facts[i].id;
    if (asked > 0 && !find_known(run, ids, asked, known, err))
        return false;
    for (size_t i = 0, at = 0; i < count; i++) {
        const struct ingest_fact *fact = &facts[i];
        const struct vault_known *row = fact->id.len > 0 ? &known[at++] : NULL;
        bool is_placed = false;

        if (row != NULL && row->is_known && row->size_bytes == fact->size_bytes &&
            !is_sampled(&run->identities, fact->id) &&
            !ingest_place_fact(run, uids[i], fact, row, &is_placed, err))
            return false;
        if (!is_placed)
            left[(*left_count)++] = uids[i];
    }
    return true;
}

bool ingest_place_known(struct ingest_run *run, const uint32_t **uids, size_t *count,
                        struct err *err)
{
    uint32_t *left = arena_new_array(run->window_arena, uint32_t, *count);
    const uint32_t *all = *uids;
    const struct ingest_fact *facts;

    if (!run->identities.is_in_use || run->identities.state.is_empty)
        return true;
    if (!ingest_ask_facts(run, all, *count, run->identities.kind, &facts, err))
        return false;
    if (facts == NULL)
        return true; /* then all are downloaded */
    *uids = left;
    return place_all(run, all, facts, *count, left, count, err);
}
