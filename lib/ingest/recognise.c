/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages that a new source epoch shows and that are archived already: known by their header, size and
 * date, and placed without their octets once a sample of them was downloaded and compared.
 *
 * What the proof is, and what it is not: ingest/README 25.
 */
#include "crypto/random.h"
#include "ingest/header.h"
#include "ingest/internal.h"
#include "ingest/pace.h"
#include "ingest/set.h"

#include <stdlib.h>

enum {
    SAMPLE_LEAST = 10,                 /* of a page; the first and the last are among them */
    SAMPLE_ONE_IN = 100,               /* where that is more */
    ALIKE_MAX = 2 * INGEST_FETCH_PAGE, /* archived messages of the sizes and dates of a page */
    ALIKE_FIRST = 512,
};

/* What the source shows of a message before its header is asked for. */
struct outline {
    int64_t internal_usec;
    uint64_t size_bytes;
};

/* The archived messages that have one of the outlines. */
struct alikes {
    struct arena *arena;
    const struct outline *outlines; /* sorted */
    size_t outline_count;
    struct vault_alike *rows; /* sorted by outline and header, in the end */
    size_t count, cap;
    bool is_too_many;
};

/* ---- outlines ---- */

static int compare_outlines(const void *a, const void *b)
{
    const struct outline *x = a;
    const struct outline *y = b;

    if (x->internal_usec != y->internal_usec)
        return x->internal_usec < y->internal_usec ? -1 : 1;
    return (x->size_bytes > y->size_bytes) - (x->size_bytes < y->size_bytes);
}

static const struct outline *list_outlines(const struct ingest_fact *facts, size_t count,
                                           struct arena *arena, size_t *told)
{
    struct outline *outlines = arena_new_array(arena, struct outline, count);

    *told = 0;
    for (size_t i = 0; i < count; i++)
        if (facts[i].is_told)
            outlines[(*told)++] = (struct outline){ facts[i].internal_usec, facts[i].size_bytes };
    if (*told > 0)
        qsort(outlines, *told, sizeof *outlines, compare_outlines);
    return outlines;
}

/* ---- archived messages like them ---- */

/* By outline, then by header. */
static int compare_alikes(const void *a, const void *b)
{
    const struct vault_alike *x = a;
    const struct vault_alike *y = b;
    struct outline of_x = { x->internal_usec, x->size_bytes };
    struct outline of_y = { y->internal_usec, y->size_bytes };
    int order = compare_outlines(&of_x, &of_y);

    return order != 0 ? order
                      : memcmp(x->header_sha256.octets, y->header_sha256.octets,
                               sizeof x->header_sha256.octets);
}

static bool grow(struct alikes *alikes, struct err *err)
{
    size_t cap = alikes->cap == 0 ? ALIKE_FIRST : alikes->cap * 2;
    void *rows;

    if (!arena_try_alloc(alikes->arena, cap, sizeof *alikes->rows, &rows, err))
        return false;
    if (alikes->count > 0)
        memcpy(rows, alikes->rows, alikes->count * sizeof *alikes->rows);
    alikes->rows = rows;
    alikes->cap = cap;
    return true;
}

/* vault_alike_fn */
static bool take_alike(void *context, const struct vault_alike *alike, struct err *err)
{
    struct alikes *alikes = context;
    struct outline outline = { alike->internal_usec, alike->size_bytes };

    if (alikes->is_too_many || bsearch(&outline, alikes->outlines, alikes->outline_count,
                                       sizeof outline, compare_outlines) == NULL)
        return true;
    alikes->is_too_many = alikes->count == ALIKE_MAX;
    if (alikes->is_too_many)
        return true;
    if (alikes->count == alikes->cap && !grow(alikes, err))
        return false;
    alikes->rows[alikes->count++] = *alike;
    return true;
}

/* A failed commit is tried once more, as everywhere (archive.c); nothing of the walk is kept then. */
static bool walk(struct ingest_run *run, uint32_t uidvalidity, struct alikes *alikes,
                 struct err *err)
{
    return ingest_settle(run, err) &&
           ingest_archive(
               run, vault_walk_alike(run->writer, uidvalidity, alikes->outlines[0].internal_usec,
                                     alikes->outlines[alikes->outline_count - 1].internal_usec,
                                     take_alike, alikes, err));
}

/* None when there are too many to be told apart. */
static bool find_alikes(struct ingest_run *run, uint32_t uidvalidity,
                        const struct ingest_fact *facts, size_t count, struct alikes *out,
                        struct err *err)
{
    struct alikes alikes = { .arena = run->page_arena };

    alikes.outlines = list_outlines(facts, count, run->page_arena, &alikes.outline_count);
    if (alikes.outline_count > 0 && !walk(run, uidvalidity, &alikes, err))
        return false;
    if (alikes.is_too_many)
        alikes.count = 0;
    if (alikes.count > 0)
        qsort(alikes.rows, alikes.count, sizeof *alikes.rows, compare_alikes);
    *out = alikes;
    return true;
}

/* The first of them that does not come before `wanted`. */
static size_t find_first(const struct alikes *alikes, const struct vault_alike *wanted)
{
    size_t low = 0;
    size_t high = alikes->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (compare_alikes(&alikes->rows[middle], wanted) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool has_outline(const struct alikes *alikes, const struct ingest_fact *fact)
{
    struct vault_alike wanted = { .internal_usec = fact->internal_usec,
                                  .size_bytes = fact->size_bytes };
    size_t at = find_first(alikes, &wanted); /* no header comes before zeros */

    return fact->is_told && at < alikes->count &&
           alikes->rows[at].internal_usec == fact->internal_usec &&
           alikes->rows[at].size_bytes == fact->size_bytes;
}

/* The one message of this outline and header; with two of them nothing is known. */
static bool find_known(const struct alikes *alikes, const struct ingest_fact *fact,
                       const struct ingest_header *header, struct vault_known *out)
{
    struct vault_alike wanted = { .internal_usec = fact->internal_usec,
                                  .size_bytes = fact->size_bytes,
                                  .header_sha256 = header->sha256 };
    size_t first = find_first(alikes, &wanted);

    if (!header->has_come || first == alikes->count ||
        compare_alikes(&alikes->rows[first], &wanted) != 0)
        return false;
    for (size_t at = first + 1;
         at < alikes->count && compare_alikes(&alikes->rows[at], &wanted) == 0; at++)
        if (!bytes_equal(crypto_sha256_bytes(&alikes->rows[at].sha256),
                         crypto_sha256_bytes(&alikes->rows[first].sha256)))
            return false;
    *out = (struct vault_known){ .is_known = true,
                                 .by = VAULT_BY_HEADER,
                                 .sha256 = alikes->rows[first].sha256,
                                 .size_bytes = fact->size_bytes };
    return true;
}

/* ---- the sample ---- */

static size_t sample_size(size_t count)
{
    size_t size = count / SAMPLE_ONE_IN;

    if (size < SAMPLE_LEAST)
        size = SAMPLE_LEAST;
    return size < count ? size : count;
}

/* The first, the last, and one of each stretch between them that nobody can foretell. */
static void choose_sample(struct ingest_recognition *recognition, struct arena *arena)
{
    size_t count = recognition->count;
    size_t size = sample_size(count);

    recognition->sample = arena_new_array(arena, uint32_t, size);
    for (size_t i = 0; i < size; i++) {
        size_t first = i * count / size;
        size_t stretch = (i + 1) * count / size - first;
        uint32_t random;

        crypto_fill_random(&random, sizeof random);
        if (i > 0)
            first += i == size - 1 ? stretch - 1 : random % stretch;
        recognition->sample[recognition->sample_count++] = recognition->rows[first].uid;
    }
}

/* ---- a page ---- */

static bool hash_headers(struct ingest_run *run, const struct alikes *alikes, const uint32_t *uids,
                         const struct ingest_fact *facts, size_t count, uint32_t *asked,
                         struct ingest_header *headers, size_t *asked_count, struct err *err)
{
    *asked_count = 0;
    for (size_t i = 0; i < count; i++)
        if (has_outline(alikes, &facts[i]))
            asked[(*asked_count)++] = uids[i];
    return ingest_hash_headers(run->client, asked, *asked_count, headers, err);
}

static bool match(struct ingest_run *run, const struct alikes *alikes, const uint32_t *uids,
                  const struct ingest_fact *facts, size_t count, struct ingest_recognition *out,
                  struct err *err)
{
    uint32_t *asked = arena_new_array(run->page_arena, uint32_t, count);
    struct ingest_header *headers = arena_new_array(run->page_arena, struct ingest_header, count);
    size_t asked_count;

    if (!hash_headers(run, alikes, uids, facts, count, asked, headers, &asked_count, err))
        return false;
    out->rows = arena_new_array(run->window_arena, struct ingest_recognised, asked_count);
    for (size_t i = 0; i < asked_count; i++) {
        const struct ingest_fact *fact = &facts[ingest_find_uid(uids, count, asked[i])];
        struct ingest_recognised *row = &out->rows[out->count];

        *row = (struct ingest_recognised){ .uid = asked[i], .fact = fact };
        out->count += find_known(alikes, fact, &headers[i], &row->known);
    }
    return true;
}

void ingest_end_recognition(struct ingest_recognition *recognition)
{
    crypto_free_hasher(&recognition->hasher);
}

bool ingest_recognise(struct ingest_run *run, const struct source_epoch *epoch,
                      const uint32_t *uids, size_t count, struct ingest_recognition *out,
                      struct err *err)
{
    const struct ingest_fact *facts;
    struct alikes alikes;

    *out = (struct ingest_recognition){ .run = run, .hasher = crypto_create_hasher() };
    if (count <= SAMPLE_LEAST)
        return true; /* all of them would be the sample */
    arena_reset(run->page_arena);
    if (!ingest_ask_facts(run, uids, count, INGEST_IDENTITY_NONE, &facts, err))
        return false;
    if (facts == NULL)
        return true;
    if (!find_alikes(run, epoch->uidvalidity, facts, count, &alikes, err))
        return false;
    if (alikes.count == 0)
        return true;
    if (!match(run, &alikes, uids, facts, count, out, err))
        return false;
    if (out->count <= SAMPLE_LEAST)
        out->count = 0;
    else
        choose_sample(out, run->window_arena);
    return true;
}

/* ---- the proof ---- */

/* Octets of the sample are compared and not kept: what they prove is archived. */
static bool begin(void *context, uint64_t announced_bytes, struct err *err)
{
    struct ingest_recognition *recognition = context;

    (void)announced_bytes;
    (void)err;
    (void)crypto_finish_hasher(recognition->hasher);
    return true;
}

static bool hash_octets(void *context, struct bytes octets, struct err *err)
{
    struct ingest_recognition *recognition = context;

    (void)err;
    crypto_update_hasher(recognition->hasher, octets);
    return true;
}

static void give_up(void *context)
{
    (void)context;
}

static struct ingest_recognised *find_row(const struct ingest_recognition *recognition,
                                          uint32_t uid)
{
    size_t low = 0;
    size_t high = recognition->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (recognition->rows[middle].uid == uid)
            return &recognition->rows[middle];
        if (recognition->rows[middle].uid < uid)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static bool compare(void *context, const struct imap_fetch_response *message, struct err *err)
{
    struct ingest_recognition *recognition = context;
    struct crypto_sha256 sha256 = crypto_finish_hasher(recognition->hasher);
    struct ingest_recognised *row = find_row(recognition, message->uid.n);

    assert(row != NULL); /* nothing else was asked for */
    if (bytes_equal(crypto_sha256_bytes(&sha256), crypto_sha256_bytes(&row->known.sha256))) {
        row->known.by = VAULT_BY_OCTETS;
        recognition->equal++;
    } else {
        recognition->other++;
    }
    return ingest_keep_pace(recognition->run, message->body_bytes, err);
}

static bool may_go_on(void *context, struct err *why)
{
    struct ingest_recognition *recognition = context;

    return ingest_may_go_on(recognition->run, why);
}

struct ingest_sink ingest_make_comparer(struct ingest_recognition *recognition)
{
    return (struct ingest_sink){
        .context = recognition,
        .begin = begin,
        .octets = hash_octets,
        .end = compare,
        .abort = give_up,
        .may_go_on = may_go_on,
    };
}

static bool refute(struct ingest_run *run, struct ingest_target *target, struct err *err)
{
    run->progress.refuted++;
    log_warn(run->settings->log, "messages are not what they were taken for, all are downloaded",
             F_I64("account", run->lease->account_id), F_I64("mailbox", target->known.mailbox_id),
             F_I64("epoch", target->known.epoch.number));
    target->is_refuted = true;
    target->was_denied = true;
    target->known.epoch.recognises = false;
    target->known.denied++; /* what of earlier pages is pending again */
    return ingest_archive(run, source_refute_epoch(run->db, run->lease, target->known.mailbox_id,
                                                   target->known.epoch.number, err));
}

/* In the order of the source, so that the archive's UIDs have it too. */
static bool place_all(struct ingest_run *run, const struct ingest_recognition *recognition,
                      const uint32_t **uids, size_t *count, struct err *err)
{
    uint32_t *left = arena_new_array(run->window_arena, uint32_t, *count);
    size_t left_count = 0;
    size_t at = 0;

    for (size_t i = 0; i < *count; i++) {
        const struct ingest_recognised *row = &recognition->rows[at];
        bool is_recognised = at < recognition->count && row->uid == (*uids)[i];
        bool is_placed = false;

        if (is_recognised &&
            !ingest_place_fact(run, row->uid, row->fact, &row->known, &is_placed, err))
            return false;
        if (!is_placed)
            left[left_count++] = (*uids)[i];
        at += is_recognised;
    }
    *uids = left;
    *count = left_count;
    return true;
}

bool ingest_place_recognised(struct ingest_run *run, struct ingest_target *target,
                             const struct ingest_recognition *recognition, const uint32_t **uids,
                             size_t *count, struct err *err)
{
    if (recognition->other > 0)
        return refute(run, target, err);
    return recognition->equal < recognition->sample_count ||
           place_all(run, recognition, uids, count, err);
}
