/* SPDX-License-Identifier: Apache-2.0 */
#include "ingest/share.h"

#include "ingest/set.h"

enum { /* in holders, beside the numbers of connections */
    OPEN = 0,
    DONE = UINT8_MAX - 1,
    LEFT = UINT8_MAX,
};

static void lock(struct ingest_share *share)
{
    int status = pthread_mutex_lock(&share->lock);

    assert(status == 0);
    (void)status;
}

static void unlock(struct ingest_share *share)
{
    (void)pthread_mutex_unlock(&share->lock);
}

static uint8_t holder_of(const struct ingest_share *share, size_t index)
{
    return atomic_load_explicit(&share->holders[index], memory_order_relaxed);
}

static void hand_over(struct ingest_share *share, size_t index, uint8_t to)
{
    atomic_store_explicit(&share->holders[index], to, memory_order_relaxed);
}

void ingest_open_share(const uint32_t *uids, size_t count, struct arena *arena,
                       struct ingest_share *out)
{
    *out = (struct ingest_share){
        .uids = uids,
        .count = count,
        .states = arena_new_array(arena, enum ingest_fetched, count),
        .holders = arena_new_array(arena, _Atomic uint8_t, count),
        .open_count = count,
        .connections = 1,
    };
    (void)pthread_mutex_init(&out->lock, NULL);
}

void ingest_close_share(struct ingest_share *share)
{
    (void)pthread_mutex_destroy(&share->lock);
}

void ingest_join_share(struct ingest_share *share)
{
    lock(share);
    share->connections++;
    unlock(share);
}

void ingest_leave_share(struct ingest_share *share, uint8_t who)
{
    lock(share);
    share->connections--;
    for (size_t i = 0; i < share->count; i++)
        if (ingest_awaits(share, who, i)) {
            hand_over(share, i, OPEN);
            share->open_count++;
        }
    unlock(share);
}

/* The part of a connection of what is open. */
static size_t part_of(const struct ingest_share *share, size_t most)
{
    size_t part = share->open_count / (2 * share->connections);

    if (part < INGEST_SHARE_PART)
        part = INGEST_SHARE_PART;
    return share->connections == 1 || part > most ? most : part;
}

/* The first of those with this holder, up to `most`, with nothing between them but what is done. */
static size_t find_held(const struct ingest_share *share, uint8_t holder, size_t most,
                        size_t indices[INGEST_SET_UIDS_MAX])
{
    size_t found = 0;

    for (size_t i = 0; i < share->count && found < most; i++) {
        uint8_t holds = holder_of(share, i);

        if (holds == holder)
            indices[found++] = i;
        else if (found > 0 && holds != DONE)
            break;
    }
    return found;
}

bool ingest_take_set(struct ingest_share *share, uint8_t who, size_t most, struct buf *set,
                     struct ingest_span *span, size_t *taken)
{
    size_t indices[INGEST_SET_UIDS_MAX];
    uint32_t uids[INGEST_SET_UIDS_MAX];
    bool is_left;
    size_t found = 0;

    assert(most > 0 && most <= INGEST_SET_UIDS_MAX);
    lock(share);
    is_left = share->open_count == 0 && who == INGEST_FIRST;
    if (share->open_count > 0)
        found = find_held(share, OPEN, part_of(share, most), indices);
    else if (is_left && share->left_count > 0)
        found = find_held(share, LEFT, most, indices);
    for (size_t i = 0; i < found; i++)
        uids[i] = share->uids[indices[i]];
    *taken = ingest_write_set(set, uids, found, most);
    for (size_t i = 0; i < *taken; i++)
        hand_over(share, indices[i], who);
    if (is_left)
        share->left_count -= *taken;
    else
        share->open_count -= *taken;
    unlock(share);
    if (*taken > 0)
        *span = (struct ingest_span){ indices[0], indices[*taken - 1] - indices[0] + 1 };
    return *taken > 0;
}

bool ingest_has_more(struct ingest_share *share, uint8_t who)
{
    bool has_more;

    lock(share);
    has_more = share->open_count > 0 || (who == INGEST_FIRST && share->left_count > 0);
    unlock(share);
    return has_more;
}

bool ingest_awaits(const struct ingest_share *share, uint8_t who, size_t index)
{
    return holder_of(share, index) == who;
}

void ingest_settle_uid(struct ingest_share *share, size_t index, enum ingest_fetched state)
{
    share->states[index] = state;
    hand_over(share, index, DONE);
}

void ingest_leave_uid(struct ingest_share *share, size_t index)
{
    lock(share);
    hand_over(share, index, LEFT);
    share->left_count++;
    unlock(share);
}
