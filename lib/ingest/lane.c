/* SPDX-License-Identifier: Apache-2.0 */
#include "ingest/lane.h"

#include "base/clock.h"

#include <stdlib.h>

void ingest_take_turn(struct ingest_turn *turn)
{
    int status = pthread_mutex_lock(&turn->lock);

    assert(status == 0);
    (void)status;
}

void ingest_end_turn(struct ingest_turn *turn)
{
    (void)pthread_mutex_unlock(&turn->lock);
}

static void take_turn(struct ingest_lane *lane)
{
    ingest_take_turn(lane->turn);
    lane->has_turn = true;
}

static void end_turn(struct ingest_lane *lane)
{
    lane->has_turn = false;
    ingest_end_turn(lane->turn);
}

/* ---- what is done in the turn ---- */

static int64_t monotonic_usec(void)
{
    return deadline_after_ms(0).at_usec;
}

/* A message that the sink refuses is no failure of the sink. */
static bool judge(struct ingest_lane *lane, bool is_done, int64_t since_usec, const struct err *err)
{
    atomic_fetch_add(&lane->turn->used_usec, (uint64_t)(monotonic_usec() - since_usec));
    if (!is_done && err->code != ERR_SYNTAX && err->code != ERR_LIMIT)
        lane->has_failed = true;
    return is_done;
}

/* What ends the fetch of one ends it for all. */
static void tell_others(struct ingest_lane *lane)
{
    struct err why = { 0 };

    if (lane->sink.may_go_on != NULL && !lane->sink.may_go_on(lane->sink.context, &why))
        atomic_store(&lane->turn->is_over, true);
}

static bool give_begin(struct ingest_lane *lane, struct err *err)
{
    int64_t now = monotonic_usec();

    return judge(lane, lane->sink.begin(lane->sink.context, lane->announced_bytes, err), now, err);
}

static bool give_octets(struct ingest_lane *lane, struct bytes octets, struct err *err)
{
    int64_t now = monotonic_usec();

    return judge(lane, lane->sink.octets(lane->sink.context, octets, err), now, err);
}

static bool give_end(struct ingest_lane *lane, const struct imap_fetch_response *message,
                     struct err *err)
{
    int64_t now = monotonic_usec();
    bool is_done = judge(lane, lane->sink.end(lane->sink.context, message, err), now, err);

    tell_others(lane);
    return is_done;
}

static bool give_held(struct ingest_lane *lane, struct err *err)
{
    if (!give_begin(lane, err))
        return false;
    if (lane->len == 0 || give_octets(lane, bytes_of(lane->octets, lane->len), err))
        return true;
    lane->sink.abort(lane->sink.context);
    return false;
}

/* ---- the lane as a sink ---- */

static bool make_room(struct ingest_lane *lane, uint64_t size, struct err *err)
{
    size_t cap = lane->cap == 0 ? 64 << 10 : lane->cap;
    uint8_t *octets;

    while (cap < size)
        cap *= 2;
    if (cap == lane->cap)
        return true;
    octets = realloc(lane->octets, cap);
    if (octets == NULL)
        return err_errno(err, "a message of %ju octets", (uintmax_t)size);
    lane->octets = octets;
    lane->cap = cap;
    return true;
}

static bool begin(void *context, uint64_t announced_bytes, struct err *err)
{
    struct ingest_lane *lane = context;

    lane->announced_bytes = announced_bytes;
    lane->len = 0;
    if (announced_bytes <= INGEST_LANE_BYTES)
        return make_room(lane, announced_bytes, err);
    take_turn(lane);
    if (give_begin(lane, err))
        return true;
    end_turn(lane);
    return false;
}

static bool take_octets(void *context, struct bytes octets, struct err *err)
{
    struct ingest_lane *lane = context;

    if (lane->has_turn)
        return give_octets(lane, octets, err);
    if (octets.len > lane->cap - lane->len)
        return err_fail(err, ERR_SYNTAX, "more octets than announced");
    memcpy(lane->octets + lane->len, octets.ptr, octets.len);
    lane->len += octets.len;
    return true;
}

static bool end(void *context, const struct imap_fetch_response *message, struct err *err)
{
    struct ingest_lane *lane = context;
    bool is_begun = lane->has_turn;
    bool is_done;

    if (!is_begun)
        take_turn(lane);
    is_done = (is_begun || give_held(lane, err)) && give_end(lane, message, err);
    end_turn(lane);
    return is_done;
}

static void give_up(void *context)
{
    struct ingest_lane *lane = context;

    if (!lane->has_turn)
        return;
    lane->sink.abort(lane->sink.context);
    end_turn(lane);
}

static bool may_go_on(void *context, struct err *why)
{
    const struct ingest_lane *lane = context;
    bool may = true;

    if (!atomic_load(&lane->turn->is_over))
        return true;
    if (!lane->has_turn) /* within a large message it is its own already */
        ingest_take_turn(lane->turn);
    if (lane->sink.may_go_on != NULL)
        may = lane->sink.may_go_on(lane->sink.context, why);
    if (!lane->has_turn)
        ingest_end_turn(lane->turn);
    return may ? err_fail(why, ERR_RETRY, "another connection of this run has failed") : false;
}

struct ingest_sink ingest_lane_sink(struct ingest_lane *lane)
{
    return (struct ingest_sink){
        .context = lane,
        .begin = begin,
        .octets = take_octets,
        .end = end,
        .abort = give_up,
        .may_go_on = may_go_on,
    };
}

bool ingest_beat_lane(void *context, struct err *err)
{
    struct ingest_lane *lane = context;
    bool had_turn = lane->has_turn;
    bool is_done;

    if (lane->is_idle || lane->beat == NULL)
        return true;
    if (!had_turn)
        take_turn(lane);
    is_done = lane->beat(lane->beat_context, err);
    lane->has_failed = lane->has_failed || !is_done;
    tell_others(lane);
    if (!had_turn)
        end_turn(lane);
    return is_done;
}

void ingest_free_lane(struct ingest_lane *lane)
{
    free(lane->octets);
    lane->octets = NULL;
    lane->cap = 0;
}
