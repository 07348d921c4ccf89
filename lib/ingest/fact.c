/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the source says of messages beside their octets, and messages that are placed by it alone.
 */
#include "base/buf.h"
#include "ingest/internal.h"
#include "ingest/login.h"
#include "ingest/set.h"

enum {
    /* in memory, of a page: a message whose keywords have no room is downloaded */
    KEYWORDS_BYTES = 8 << 20,
};

struct fact_taker {
    const uint32_t *uids;
    size_t count;
    struct ingest_fact *facts; /* of each */
    enum ingest_identity identity;
    struct arena *arena;
    size_t keywords_bytes; /* taken by now, at most KEYWORDS_BYTES */
};

/* What they take at most: octets that are no UTF-8 are written as two, and each copy is aligned. */
static size_t measure_keywords(const struct imap_flags *flags)
{
    size_t size = 0;

    for (size_t i = 0; i < flags->keyword_count; i++)
        size += sizeof(struct bytes) + 2 * flags->keywords[i].len + sizeof(max_align_t);
    return size;
}

/* False: they have no room. */
static bool take_keywords(struct fact_taker *taker, const struct imap_flags *flags,
                          struct ingest_fact *fact)
{
    CLEANUP(buf_free) struct buf name = buf_create(LIMIT_KEYWORD_BYTES);
    size_t size = measure_keywords(flags);
    struct bytes *names;

    if (size > KEYWORDS_BYTES - taker->keywords_bytes)
        return false;
    taker->keywords_bytes += size;
    names = arena_new_array(taker->arena, struct bytes, flags->keyword_count);
    for (size_t i = 0; i < flags->keyword_count; i++) {
        buf_reset(&name, LIMIT_KEYWORD_BYTES);
        ingest_write_keyword(&name, flags->keywords[i]);
        names[i] = bytes_of(arena_copy(taker->arena, name.ptr, name.len), name.len);
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
    struct ingest_fact fact = { .is_told = true };
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
    if (!ingest_copy_id(message, taker->identity, taker->arena, &fact.id, err))
        return false;
    if (take_keywords(taker, &message->flags, &fact))
        taker->facts[index] = fact;
    return true;
}

/* *is_done false: the server does not want to tell. */
static bool ask_some(struct ingest_run *run, struct fact_taker *taker, size_t at, size_t *taken,
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

bool ingest_ask_facts(struct ingest_run *run, const uint32_t *uids, size_t count,
                      enum ingest_identity identity, const struct ingest_fact **facts,
                      struct err *err)
{
    struct fact_taker taker = {
        .uids = uids,
        .count = count,
        .facts = arena_new_array(run->window_arena, struct ingest_fact, count),
        .identity = identity,
        .arena = run->window_arena,
    };
    bool is_done = true;

    *facts = NULL;
    for (size_t at = 0, taken; is_done && at < count; at += taken)
        if (!ask_some(run, &taker, at, &taken, &is_done, err))
            return false;
    if (is_done)
        *facts = taker.facts;
    return true;
}

bool ingest_place_fact(struct ingest_run *run, uint32_t uid, const struct ingest_fact *fact,
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
    run->progress.recognised += *is_placed && known->by != VAULT_BY_OCTETS;
    if (*is_placed)
        return true;
    if (err->code != ERR_SYNTAX && err->code != ERR_LIMIT)
        return ingest_archive(run, false);
    err_clear(err);
    return true;
}
