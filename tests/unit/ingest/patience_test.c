/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sources that are never silent and do not come to an end either (client.h, INGEST_PATIENCE_MS).
 */
#include "base/clock.h"
#include "base/fd.h"
#include "peer.h"

#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>

enum {
    DRIP_MS = 20,
    PATIENCE_MS = 400,       /* that is to be worn out */
    LONG_PATIENCE_MS = 2000, /* that is not */
    LOGOUT_AT_MOST_MS = 20000,
};

struct bench {
    struct peer peer;
    struct ingest_client *client;
    pthread_t talker;
    struct err err;
};

/* What the peer says before it talks is said at once. */
static void start(struct bench *b, const char *script, int64_t patience_ms, void *(*talk)(void *))
{
    struct ingest_client_options options = {
        .stop_fd = -1,
        .stall_ms = 60000,
        .patience_ms = patience_ms,
    };
    struct net_stream *stream;

    memset(b, 0, sizeof *b);
    stream = peer_play(&b->peer, bytes_of_text(script), false);
    CHECK(ingest_open_client(&stream, &options, &b->client, &b->err));
    CHECK(pthread_create(&b->talker, NULL, talk, &b->peer) == 0);
}

static void drop(struct bench *b)
{
    ingest_close_client(&b->client);
    (void)pthread_join(b->talker, NULL);
    peer_close(&b->peer);
}

static bool ask(struct bench *b)
{
    struct ingest_reply reply;
    struct ingest_tag tag;

    ingest_begin_command(b->client, "UID SEARCH ALL");
    return ingest_send_command(b->client, &tag, &b->err) &&
           ingest_finish_command(b->client, tag, NULL, NULL, &reply, &b->err);
}

static bool say(const struct peer *peer, struct bytes octets, int then_wait_ms)
{
    while (octets.len > 0) {
        ssize_t sent = send(peer->fd, octets.ptr, octets.len, MSG_NOSIGNAL);

        if (sent <= 0)
            return false;
        octets = bytes_slice(octets, (size_t)sent, SIZE_MAX);
    }
    (void)poll(NULL, 0, then_wait_ms);
    return true;
}

static void *keep_alive(void *peer)
{
    while (say(peer, BYTES("* OK Still here\r\n"), DRIP_MS))
        continue;
    return NULL;
}

static void *drip_octets(void *peer)
{
    while (say(peer, BYTES("1"), DRIP_MS))
        continue;
    return NULL;
}

static void *answer_too_much(void *peer)
{
    while (say(peer, BYTES("h1 OK done\r\n"), DRIP_MS))
        continue;
    return NULL;
}

/* As much as gives patience back, if it were of any use. */
static void *flood_with_keep_alives(void *peer)
{
    static uint8_t text[INGEST_PATIENCE_BYTES];
    struct bytes line = BYTES("* OK [INPROGRESS] Still here\r\n");

    for (size_t i = 0; i < sizeof text; i++)
        text[i] = line.ptr[i % line.len];
    while (say(peer, bytes_of(text, sizeof text / line.len * line.len), DRIP_MS))
        continue;
    return NULL;
}

static void *send_slowly(void *peer)
{
    static uint8_t text[INGEST_PATIENCE_BYTES / 4];
    struct bytes line = BYTES("* LIST () \"/\" \"of any use\"\r\n");

    for (size_t i = 0; i < sizeof text; i++)
        text[i] = line.ptr[i % line.len];
    for (int i = 0; i < 24; i++) /* 2.4 s: longer than the patience */
        (void)!say(peer, bytes_of(text, sizeof text / line.len * line.len), 100);
    (void)!say(peer, BYTES("h1 OK done\r\n"), 0);
    return NULL;
}

static void *think_long(void *peer)
{
    static const struct bytes ends[] = { BYTES_INIT("h1 OK done\r\n"), BYTES_INIT("h2 OK done\r\n"),
                                         BYTES_INIT("h3 OK done\r\n") };

    for (size_t i = 0; i < ARRAY_LEN(ends); i++)
        if (!say(peer, BYTES("* OK Still here\r\n"), 400) ||
            !say(peer, BYTES("* OK Still here\r\n"), 400) || !say(peer, ends[i], 0))
            return NULL;
    return NULL;
}

static void check_worn_out(const char *script, void *(*talk)(void *))
{
    struct bench b;

    start(&b, script, PATIENCE_MS, talk);
    CHECK(!ask(&b) || !ask(&b));
    CHECK_EQ_U64(b.err.code, ERR_RETRY);
    CHECK(strstr(b.err.text, "drips") != NULL);
    CHECK(ingest_is_worn_out(b.client));
    drop(&b);
}

TEST(keep_alives_without_an_end_wear_out_patience)
{
    check_worn_out("", keep_alive);
    check_worn_out("", flood_with_keep_alives);
}

TEST(an_answer_that_comes_octet_by_octet_wears_out_patience)
{
    check_worn_out("* SEARCH ", drip_octets);
    check_worn_out("* 1 FETCH (UID 1 BODY[] {1000000}\r\n", drip_octets);
}

TEST(only_the_answer_to_a_command_gives_patience_back)
{
    check_worn_out("", answer_too_much);
}

TEST(a_source_that_thinks_long_about_each_command_and_says_so_is_borne_with)
{
    struct bench b;

    start(&b, "", LONG_PATIENCE_MS, think_long);
    for (int i = 0; i < 3; i++)
        CHECK(ask(&b));
    drop(&b);
}

TEST(a_slow_link_is_borne_with_however_long_an_answer_takes)
{
    struct bench b;

    start(&b, "", LONG_PATIENCE_MS, send_slowly);
    CHECK(ask(&b));
    drop(&b);
}

TEST(logout_ends_though_the_source_goes_on_talking)
{
    struct deadline limit = deadline_after_ms(LOGOUT_AT_MOST_MS);
    struct bench b;

    start(&b, "", 0, keep_alive);
    ingest_log_out(b.client);
    CHECK(!deadline_has_passed(limit));
    drop(&b);
}

TEST(a_connection_that_failed_within_a_message_or_a_line_is_told_nothing_more)
{
    static const struct bytes scripts[] = {
        BYTES_INIT("* 1 FETCH (UID 1 BODY[] {10}\r\nabc"),
        BYTES_INIT("* 1 FETCH (UID 1 BODY[] {99999999999999999999}\r\nabc"),
    };

    for (size_t i = 0; i < ARRAY_LEN(scripts); i++) {
        struct ingest_event event;
        struct bytes octets = { NULL, 1 };
        struct err err = { 0 };
        struct peer peer;
        struct ingest_client *client = peer_connect(&peer, scripts[i], true, "IMAP4rev1");

        if (ingest_next_event(client, &event, &err))
            while (ingest_read_body(client, &octets, &err))
                CHECK(octets.len > 0);
        CHECK(err.code != ERR_NONE);
        ingest_log_out(client);
        CHECK_STR(peer_heard(&peer), "");
        ingest_close_client(&client);
        peer_close(&peer);
    }
}
