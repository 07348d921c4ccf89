/* SPDX-License-Identifier: Apache-2.0 */
#include "ingest/lane.h"
#include "test.h"

#include <unistd.h>

/* A sink that writes down what it is told: "b7 o7 e;" */
struct writer {
    struct buf told;
    struct ingest_turn turn;
    enum err_code begin_fails, end_fails;
    bool is_enough;
    size_t beats;
};

static bool begin(void *context, uint64_t announced_bytes, struct err *err)
{
    struct writer *w = context;

    buf_text(&w->told, "b");
    buf_u64(&w->told, announced_bytes);
    return w->begin_fails == ERR_NONE || err_fail(err, w->begin_fails, "not this one");
}

static bool octets(void *context, struct bytes some, struct err *err)
{
    struct writer *w = context;

    (void)err;
    buf_text(&w->told, " o");
    buf_u64(&w->told, some.len);
    return true;
}

static bool end(void *context, const struct imap_fetch_response *message, struct err *err)
{
    struct writer *w = context;

    (void)message;
    buf_text(&w->told, " e;");
    return w->end_fails == ERR_NONE || err_fail(err, w->end_fails, "not this one");
}

static void give_up(void *context)
{
    buf_text(&((struct writer *)context)->told, " a;");
}

static bool may_go_on(void *context, struct err *why)
{
    return !((struct writer *)context)->is_enough || err_fail(why, ERR_RETRY, "enough");
}

static bool beat(void *context, struct err *err)
{
    (void)err;
    ((struct writer *)context)->beats++;
    return true;
}

static struct ingest_lane open_lane(struct writer *w)
{
    return (struct ingest_lane){
        .turn = &w->turn,
        .sink = { w, begin, octets, end, give_up, may_go_on },
        .beat = beat,
        .beat_context = w,
    };
}

static void open_writer(struct writer *w)
{
    *w = (struct writer){ .told = buf_create(1 << 16) };
    (void)pthread_mutex_init(&w->turn.lock, NULL);
}

static void close_writer(struct writer *w)
{
    (void)pthread_mutex_destroy(&w->turn.lock);
    buf_free(&w->told);
}

static bool is_turn_free(struct writer *w)
{
    bool is_free = pthread_mutex_trylock(&w->turn.lock) == 0;

    if (is_free)
        (void)pthread_mutex_unlock(&w->turn.lock);
    return is_free;
}

static const struct imap_fetch_response message;

TEST(messages_of_two_lanes_reach_the_sink_one_after_the_other_when_they_are_whole)
{
    struct writer w;
    struct err err = { 0 };

    open_writer(&w);
    struct ingest_lane one = open_lane(&w), two = open_lane(&w);
    struct ingest_sink first = ingest_lane_sink(&one), second = ingest_lane_sink(&two);

    CHECK(first.begin(first.context, 5, &err));
    CHECK(first.octets(first.context, BYTES("ab"), &err));
    CHECK(second.begin(second.context, 3, &err));
    CHECK(second.octets(second.context, BYTES("xyz"), &err));
    CHECK_BYTES(buf_bytes(&w.told), BYTES(""));
    CHECK(second.end(second.context, &message, &err));
    CHECK(first.octets(first.context, BYTES("cde"), &err));
    CHECK(first.end(first.context, &message, &err));
    CHECK_BYTES(buf_bytes(&w.told), BYTES("b3 o3 e;b5 o5 e;"));
    CHECK(is_turn_free(&w));
    ingest_free_lane(&one);
    ingest_free_lane(&two);
    close_writer(&w);
}

TEST(a_message_that_breaks_off_in_its_lane_never_reaches_the_sink)
{
    struct writer w;
    struct err err = { 0 };

    open_writer(&w);
    struct ingest_lane lane = open_lane(&w);
    struct ingest_sink sink = ingest_lane_sink(&lane);

    CHECK(sink.begin(sink.context, 5, &err));
    CHECK(sink.octets(sink.context, BYTES("ab"), &err));
    sink.abort(sink.context);
    CHECK(sink.begin(sink.context, 0, &err));
    CHECK(sink.end(sink.context, &message, &err));
    CHECK_BYTES(buf_bytes(&w.told), BYTES("b0 e;"));
    ingest_free_lane(&lane);
    close_writer(&w);
}

TEST(a_message_over_the_lane_has_the_turn_from_beginning_to_end)
{
    struct writer w;
    struct err err = { 0 };

    open_writer(&w);
    struct ingest_lane lane = open_lane(&w);
    struct ingest_sink sink = ingest_lane_sink(&lane);

    CHECK(sink.begin(sink.context, INGEST_LANE_BYTES + 1, &err));
    CHECK(!is_turn_free(&w));
    CHECK(sink.octets(sink.context, BYTES("ab"), &err));
    CHECK(ingest_beat_lane(&lane, &err)); /* in the turn that it has */
    CHECK_EQ_U64(w.beats, 1);
    sink.abort(sink.context);
    CHECK(is_turn_free(&w));
    CHECK_BYTES(buf_bytes(&w.told), BYTES("b1048577 o2 a;"));
    w.begin_fails = ERR_LIMIT;
    CHECK(!sink.begin(sink.context, INGEST_LANE_BYTES + 1, &err));
    CHECK(err.code == ERR_LIMIT && !lane.has_failed);
    CHECK(is_turn_free(&w));
    ingest_free_lane(&lane);
    close_writer(&w);
}

TEST(a_refused_message_is_not_a_failure_of_the_sink)
{
    struct writer w;
    struct err err = { 0 };

    open_writer(&w);
    struct ingest_lane lane = open_lane(&w);
    struct ingest_sink sink = ingest_lane_sink(&lane);

    w.end_fails = ERR_SYNTAX;
    CHECK(sink.begin(sink.context, 1, &err) && sink.octets(sink.context, BYTES("a"), &err));
    CHECK(!sink.end(sink.context, &message, &err));
    CHECK(err.code == ERR_SYNTAX && !lane.has_failed && is_turn_free(&w));
    w.begin_fails = ERR_DENIED; /* of one that was held: told when it is whole */
    CHECK(sink.begin(sink.context, 1, &err) && sink.octets(sink.context, BYTES("a"), &err));
    CHECK(!sink.end(sink.context, &message, &err));
    CHECK(err.code == ERR_DENIED && lane.has_failed && is_turn_free(&w));
    ingest_free_lane(&lane);
    close_writer(&w);
}

TEST(when_one_lane_is_told_to_stop_no_other_asks_for_more)
{
    struct writer w;
    struct err err = { 0 };

    open_writer(&w);
    struct ingest_lane one = open_lane(&w), two = open_lane(&w);
    struct ingest_sink first = ingest_lane_sink(&one), second = ingest_lane_sink(&two);

    CHECK(second.may_go_on(second.context, &err));
    w.is_enough = true;
    CHECK(first.begin(first.context, 0, &err) && first.end(first.context, &message, &err));
    CHECK(!second.may_go_on(second.context, &err));
    CHECK_STR(err.text, "enough");
    ingest_free_lane(&one);
    ingest_free_lane(&two);
    close_writer(&w);
}

TEST(an_idle_lane_leaves_the_run_alone)
{
    struct writer w;
    struct err err = { 0 };

    open_writer(&w);
    struct ingest_lane lane = open_lane(&w);

    lane.is_idle = true;
    CHECK(ingest_beat_lane(&lane, &err));
    CHECK_EQ_U64(w.beats, 0);
    close_writer(&w);
}

TEST(a_lane_that_has_the_turn_is_told_to_stop_within_its_message)
{
    struct writer w;
    struct err err = { 0 };

    open_writer(&w);
    struct ingest_lane lane = open_lane(&w);
    struct ingest_sink sink = ingest_lane_sink(&lane);

    CHECK(sink.begin(sink.context, INGEST_LANE_BYTES + 1, &err));
    w.is_enough = true;
    atomic_store(&w.turn.is_over, true); /* by another lane */
    (void)alarm(5);                      /* to wait for its own turn is to wait for ever */
    CHECK(!sink.may_go_on(sink.context, &err));
    (void)alarm(0);
    CHECK_STR(err.text, "enough");
    CHECK(!is_turn_free(&w)); /* the message goes on */
    CHECK(sink.end(sink.context, &message, &err) && is_turn_free(&w));
    ingest_free_lane(&lane);
    close_writer(&w);
}
