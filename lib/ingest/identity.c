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
#include "ingest/login.h"
#include "ingest/set.h"

enum {
    SAMPLED_ONE_IN = 1000, /* known messages that are downloaded and compared all the same */
};

/* What the source says of a message beside its octets. */
struct fact {
    uint8_t flags;
    int16_t internal_zone;
    int64_t internal_usec;
    uint64_t size_bytes;
    struct bytes id;
    const struct bytes *keywords;
    size_t keyword_count;
};

struct fact_taker {
    const uint32_t *uids;
    size_t count;
    struct fact *facts; /* of each */
    enum ingest_identity identity;
    struct arena *arena;
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

/* Empty when it has none. */
static bool copy_id(const struct imap_fetch_response *message, enum ingest_identity kind,
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
    return copy_id(message, kind, arena, &out->id, err) &&
           copy_thread(message, kind, arena, &out->thread, err) &&
           copy_labels(&message->gm_labels, arena, &out->labels, err);
}

/* ---- facts ---- */

static bool take_keywords(struct fact_taker *taker, const struct imap_flags *flags,
                          struct fact *fact, struct err *err)
{
    CLEANUP(buf_free) struct buf name = buf_create(LIMIT_KEYWORD_BYTES);
    struct bytes *names = arena_new_array(taker->arena, struct bytes, flags->keyword_count);

    for (size_t i = 0; i < flags->keyword_count; i++) {
        buf_reset(&name, LIMIT_KEYWORD_BYTES);
        ingest_write_keyword(&name, flags->keywords[i]);
        if (!arena_try_copy(taker->arena, buf_bytes(&name), LIMIT_KEYWORD_BYTES, &names[i], err))
            return false;
    }
    fact->keywords = names;
    fact->keyword_count = flags->keyword_count;
    return true;
}

static bool take_fact(void *context, const struct imap_response *response, struct err *err)
{
    const uint32_t needed = IMAP_HAS_UID | IMAP_HAS_FLAGS | IMAP_HAS_RFC822_SIZE;
    const struct imap_fetch_response *message = &response->fetch;
    struct fact_taker *taker = context;
    struct fact fact = { .flags = 0 };
    size_t index;

    if (response->kind != IMAP_RESPONSE_FETCH || (message->has & needed) != needed ||
        !ingest_has_date(message))
        return true;
    index = ingest_find_uid(taker->uids, taker->count, message->uid.n);
    if (index == SIZE_MAX)
        return true;
    fact.flags = message->flags.system;
    fact.internal_usec = message->internaldate.usec;
    fact.internal_zone = message->internaldate.zone_minutes;
    fact.size_bytes = message->rfc822_size;
    if (!copy_id(message, taker->identity, taker->arena, &fact.id, err) ||
        !take_keywords(taker, &message->flags, &fact, err))
        return false;
    taker->facts[index] = fact;
    return true;
}

/* *is_done false: the server does not want to tell. */
static bool fetch_some(struct ingest_run *run, struct fact_taker *taker, size_t at, size_t *taken,
                       bool *is_done, struct err *err)
{
    CLEANUP(buf_free) struct buf set = buf_create(INGEST_SET_BYTES + 64);
    struct ingest_reply reply;
    struct ingest_tag tag;

    *taken = ingest_write_set(&set, taker->uids + at, taker->count - at, INGEST_SET_UIDS);
    ingest_begin_command(run->client, "UID FETCH ");
    ingest_add_bytes(run->client, buf_bytes(&set));
    ingest_add_text(run->client, " (UID FLAGS INTERNALDATE RFC822.SIZE");
    ingest_add_text(run->client, ingest_identity_items(taker->identity));
    ingest_add_text(run->client, ")");
    if (!ingest_send_command(run->client, &tag, err) ||
        !ingest_finish_command(run->client, tag, take_fact, taker, &reply, err))
        return false;
    *is_done = reply.condition == IMAP_OK;
    if (*is_done || !ingest_speaks_of_load(&reply))
        return true;
    ingest_note_refused(run->client);
    return err_fail(err, ERR_RETRY, "UID FETCH is refused for now: %s", reply.text);
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

/* *is_placed false: its octets are wanted. */
static bool place(struct ingest_run *run, uint32_t uid, const struct fact *fact,
                  const struct vault_known *known, bool *is_placed, struct err *err)
{
    struct vault_arrival arrival = {
        .source_uid = uid,
        .internal_usec = fact->internal_usec,
        .internal_zone = fact->internal_zone,
        .flags = fact->flags,
        .keywords = fact->keywords,
        .keyword_count = fact->keyword_count,
    };

    *is_placed = vault_place_known(run->writer, known, &arrival, err);
    if (!*is_placed && err->code == ERR_RETRY) {
        err_clear(err);
        *is_placed = vault_place_known(run->writer, known, &arrival, err);
    }
    if (*is_placed)
        return true;
    if (err->code != ERR_SYNTAX && err->code != ERR_LIMIT)
        return ingest_archive(run, false);
    err_clear(err);
    return true;
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

static bool place_all(struct ingest_run *run, const struct fact_taker *taker, uint32_t *left,
                      size_t *left_count, struct err *err)
{
    struct bytes *ids = arena_new_array(taker->arena, struct bytes, taker->count);
    struct vault_known *known = arena_new_array(taker->arena, struct vault_known, taker->count);
    size_t asked = 0;

    *left_count = 0;
    for (size_t i = 0; i < taker->count; i++)
        if (taker->facts[i].id.len > 0)
            ids[asked++] = taker->facts[i].id;
    if (asked > 0 && !find_known(run, ids, asked, known, err))
        return false;
    for (size_t i = 0, at = 0; i < taker->count; i++) {
        const struct fact *fact = &taker->facts[i];
        const struct vault_known *row = fact->id.len > 0 ? &known[at++] : NULL;
        bool is_placed = false;

        if (row != NULL && row->is_known && row->size_bytes == fact->size_bytes &&
            !is_sampled(&run->identities, fact->id) &&
            !place(run, taker->uids[i], fact, row, &is_placed, err))
            return false;
        if (!is_placed)
            left[(*left_count)++] = taker->uids[i];
    }
    return true;
}

bool ingest_place_known(struct ingest_run *run, const uint32_t **uids, size_t *count,
                        struct err *err)
{
    struct arena *arena = run->window_arena;
    struct fact_taker taker = {
        .uids = *uids,
        .count = *count,
        .facts = arena_new_array(arena, struct fact, *count),
        .identity = run->identities.kind,
        .arena = arena,
    };
    uint32_t *left = arena_new_array(arena, uint32_t, *count);
    bool is_done = true;

    if (!run->identities.is_in_use || run->identities.state.is_empty)
        return true;
    for (size_t at = 0, taken; is_done && at < *count; at += taken)
        if (!fetch_some(run, &taker, at, &taken, &is_done, err))
            return false;
    if (!is_done)
        return true; /* then all are downloaded */
    *uids = left;
    return place_all(run, &taker, left, count, err);
}
