/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fd.h"
#include "ingest/idle.h"
#include "peer.h"

#include <stdio.h>

static const struct ingest_idle_pace at_once = { .renew_ms = 0,
                                                 .answer_ms = 0,
                                                 .flood_bytes = 1 << 20 };

struct bench {
    struct peer peer;
    struct ingest_idle idle;
    struct arena *scratch;
    struct err err;
};

/* script: what the source has said before it is listened to. */
static void begin(struct bench *b, const char *script, const struct ingest_idle_pace *pace)
{
    struct net_stream *stream;

    *b = (struct bench){ .scratch = arena_create(1 << 20) };
    stream = peer_play(&b->peer, bytes_of_text(script), false);
    CHECK(ingest_begin_idle(&b->idle, &stream, pace, &b->err));
    CHECK(stream == NULL);
}

static void end(struct bench *b)
{
    ingest_end_idle(&b->idle);
    ingest_end_idle(&b->idle);
    CHECK_EQ_U64(b->idle.state, INGEST_IDLE_NONE);
    peer_close(&b->peer);
    arena_free(&b->scratch);
}

static bool hear(struct bench *b)
{
    return ingest_hear_idle(&b->idle, b->scratch, &b->err);
}

static void say(struct bench *b, const char *text)
{
    CHECK(fd_write_all(b->peer.fd, bytes_of_text(text), &b->err));
    CHECK(hear(b));
}

TEST(news_is_what_says_that_messages_came_went_or_changed)
{
    static const char *const news[] = { "* 2 EXISTS\r\n", "* 1 EXPUNGE\r\n", "* VANISHED 3:5\r\n",
                                        "* 1 FETCH (FLAGS (\\Seen))\r\n" };
    static const char *const other[] = { "* OK Still here\r\n",   "* 1 RECENT\r\n",
                                         "* NONSENSE (\r\n",      "\r\n",
                                         "* FLAGS (\\Seen)\r\n",  "+ what\r\n",
                                         "x9 OK nobody asked\r\n" };
    struct bench bench, *b = &bench;

    begin(b, "+ idling\r\n", &ingest_idle_usual_pace);
    CHECK(hear(b));
    CHECK_EQ_U64(b->idle.state, INGEST_IDLE_HELD);
    CHECK_STR(peer_heard(&b->peer), "w1 IDLE\r\n");
    for (size_t i = 0; i < ARRAY_LEN(other); i++)
        say(b, other[i]);
    CHECK(!b->idle.has_news);
    for (size_t i = 0; i < ARRAY_LEN(news); i++) {
        b->idle.has_news = false;
        say(b, news[i]);
        CHECK(b->idle.has_news);
    }
    end(b);
}

TEST(news_that_comes_octet_by_octet_is_news_when_its_line_ends)
{
    static const char script[] = "+ idling\r\n* 2 EXISTS\r\n";
    struct bench bench, *b = &bench;

    begin(b, "", &ingest_idle_usual_pace);
    for (size_t i = 0; i < sizeof script - 1; i++) {
        char octet[] = { script[i], '\0' };

        CHECK(!b->idle.has_news);
        say(b, octet);
    }
    CHECK(b->idle.has_news && b->idle.state == INGEST_IDLE_HELD);
    end(b);
}

TEST(an_idle_lasts_for_nine_minutes_at_most_and_ends_at_different_times)
{
    struct bench bench, *b = &bench;
    int left_ms;

    begin(b, "+ idling\r\n", &ingest_idle_usual_pace);
    left_ms = deadline_poll_ms(b->idle.deadline);
    CHECK(left_ms > 0 && left_ms <= ingest_idle_usual_pace.answer_ms);
    CHECK(hear(b));
    left_ms = deadline_poll_ms(b->idle.deadline);
    CHECK(left_ms <= 9 * 60 * 1000 && left_ms > 8 * 60 * 1000 - 60 * 1000);
    end(b);
}

TEST(an_idle_is_renewed_by_done_and_asked_for_again_once_that_is_answered)
{
    struct bench bench, *b = &bench;

    begin(b, "+ idling\r\n", &at_once);
    for (int round = 1; round <= 3; round++) {
        char answer[64];

        CHECK(hear(b));
        CHECK_EQ_U64(b->idle.state, INGEST_IDLE_HELD);
        CHECK(deadline_has_passed(b->idle.deadline));
        CHECK(ingest_keep_idle(&b->idle, &b->err));
        CHECK_EQ_U64(b->idle.state, INGEST_IDLE_ENDING);
        say(b, "* 7 EXISTS\r\n"); /* between DONE and its answer */
        CHECK(b->idle.has_news);
        b->idle.has_news = false;
        (void)snprintf(answer, sizeof answer, "w%d OK done\r\n", round);
        say(b, answer);
        CHECK_EQ_U64(b->idle.state, INGEST_IDLE_ASKED);
        say(b, "+ idling\r\n");
    }
    CHECK_STR(peer_heard(&b->peer),
              "w1 IDLE\r\nDONE\r\nw2 IDLE\r\nDONE\r\nw3 IDLE\r\nDONE\r\nw4 IDLE\r\n");
    end(b);
}

TEST(a_connection_that_died_in_silence_is_found_by_the_answer_that_does_not_come)
{
    struct bench bench, *b = &bench;

    begin(b, "+ idling\r\n", &at_once);
    CHECK(hear(b));
    CHECK(ingest_keep_idle(&b->idle, &b->err));
    CHECK(hear(b)); /* nothing */
    CHECK(deadline_has_passed(b->idle.deadline));
    CHECK(!ingest_keep_idle(&b->idle, &b->err));
    CHECK_EQ_U64(b->err.code, ERR_RETRY);
    CHECK_STR(b->err.text, "no answer to DONE");
    end(b);
    begin(b, "", &at_once);
    CHECK(!ingest_keep_idle(&b->idle, &b->err));
    CHECK_STR(b->err.text, "no answer to IDLE");
    end(b);
}

static void check_lost(const char *script, enum err_code code)
{
    struct bench bench, *b = &bench;

    begin(b, script, &ingest_idle_usual_pace);
    CHECK(!hear(b));
    if (b->err.code != code)
        test_fail(__FILE__, __LINE__, "%s: %s", script, b->err.text);
    end(b);
}

TEST(a_source_that_refuses_ends_or_answers_nonsense_is_let_go)
{
    static char endless[10 << 10];

    check_lost("w1 NO not now\r\n", ERR_RETRY);
    check_lost("w1 BAD what\r\n", ERR_RETRY);
    check_lost("+ idling\r\nw1 OK enough\r\n", ERR_RETRY);
    check_lost("+ idling\r\n* BYE shutting down\r\n", ERR_RETRY);
    check_lost("+ idling\r\n* 1 FETCH (BODY[] {100}\r\n", ERR_SYNTAX);
    memset(endless, 'x', sizeof endless - 1);
    check_lost(endless, ERR_LIMIT);
}

TEST(a_source_that_never_pauses_is_let_go_and_what_it_said_is_news)
{
    static const struct ingest_idle_pace strict = { .renew_ms = 1000,
                                                    .answer_ms = 1000,
                                                    .flood_bytes = 4 << 10 };
    static char flood[40 << 10];
    struct bench bench, *b = &bench;

    for (size_t at = 0; at + 16 < sizeof flood; at += 12)
        memcpy(flood + at, "* 2 EXISTS\r\n", 12);
    begin(b, flood, &ingest_idle_usual_pace);
    CHECK(hear(b)); /* many news at once are no flood */
    end(b);
    begin(b, flood, &strict);
    CHECK(!hear(b));
    CHECK_EQ_U64(b->err.code, ERR_LIMIT);
    CHECK(b->idle.has_news);
    end(b);
}

TEST(a_connection_that_is_closed_is_lost_at_once)
{
    struct bench bench, *b = &bench;

    begin(b, "+ idling\r\n", &ingest_idle_usual_pace);
    CHECK(hear(b));
    peer_close(&b->peer);
    CHECK(!hear(b));
    CHECK_EQ_U64(b->err.code, ERR_RETRY);
    end(b);
}
