/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "ingest/fetch.h"
#include "peer.h"

/* Keeps what a fetch gives: "uid:octets;" for each message. */
struct bench {
    struct peer peer;
    struct ingest_client *client;
    struct arena *arena;
    struct buf kept, arriving;
    size_t aborts;
    bool is_begun;        /* begin is followed by end or abort, as the vault insists */
    uint64_t refuse_over; /* octets; 0: nothing is refused */
    size_t stop_at;       /* octets of `kept` after which nothing more is asked for; 0: never */
    struct ingest_share share;
    struct ingest_fetch_result result;
    struct err err;
};

static bool begin(void *context, uint64_t announced_bytes, struct err *err)
{
    struct bench *b = context;

    if (b->refuse_over != 0 && announced_bytes > b->refuse_over)
        return err_fail(err, ERR_LIMIT, "too large");
    CHECK(!b->is_begun);
    b->is_begun = true;
    buf_reset(&b->arriving, 0);
    return true;
}

static bool octets(void *context, struct bytes some, struct err *err)
{
    (void)err;
    CHECK(((struct bench *)context)->is_begun);
    buf_append(&((struct bench *)context)->arriving, some);
    return true;
}

static bool end(void *context, const struct imap_fetch_response *message, struct err *err)
{
    struct bench *b = context;

    (void)err;
    CHECK(b->is_begun);
    b->is_begun = false;
    CHECK((message->has & IMAP_HAS_UID) != 0);
    CHECK_EQ_U64(b->arriving.len, message->body_bytes);
    buf_u64(&b->kept, message->uid.n);
    buf_text(&b->kept, ":");
    buf_append(&b->kept, buf_bytes(&b->arriving));
    buf_text(&b->kept, ";");
    return true;
}

static void give_up(void *context)
{
    CHECK(((struct bench *)context)->is_begun);
    ((struct bench *)context)->is_begun = false;
    ((struct bench *)context)->aborts++;
}

static bool may_go_on(void *context, struct err *why)
{
    const struct bench *b = context;

    return b->stop_at == 0 || b->kept.len < b->stop_at || err_fail(why, ERR_RETRY, "enough");
}

static void drop(struct bench *b)
{
    ingest_close_client(&b->client);
    ingest_close_share(&b->share);
    peer_close(&b->peer);
    arena_free(&b->arena);
    buf_free(&b->kept);
    buf_free(&b->arriving);
}

static bool fetch(struct bench *b, struct bytes script, const uint32_t *uids, size_t count)
{
    struct ingest_sink sink = { b, begin, octets, end, give_up, may_go_on };

    b->arena = arena_create(1 << 20);
    b->kept = buf_create(1 << 20);
    b->arriving = buf_create(1 << 20);
    b->client = peer_connect(&b->peer, script, true, "IMAP4rev1");
    ingest_open_share(uids, count, b->arena, &b->share);
    b->result = ingest_start_result(&b->share, b->arena);
    return ingest_fetch(b->client, &b->share, INGEST_BY_PEEK, &sink, b->arena, &b->result, &b->err);
}

static const uint32_t two[] = { 4, 7 };

#define ITEMS " (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])\r\n"

TEST(messages_are_asked_for_by_uid_and_given_whole)
{
    struct bench b = { 0 };

    CHECK(fetch(&b,
                BYTES("* 1 FETCH (UID 4 FLAGS (\\Seen) INTERNALDATE \"01-Feb-2020 10:00:00 "
                      "+0100\" RFC822.SIZE 5 BODY[] {5}\r\nabc\r\n)\r\n"
                      "* 2 FETCH (UID 7 BODY[] {2}\r\nde RFC822.SIZE 99)\r\nh1 OK done\r\n"),
                two, 2));
    CHECK_STR(peer_heard(&b.peer), "h1 UID FETCH 4,7" ITEMS);
    CHECK_BYTES(buf_bytes(&b.kept), BYTES("4:abc\r\n;7:de;"));
    CHECK_EQ_U64(b.result.states[0], INGEST_FETCHED);
    CHECK_EQ_U64(b.result.size_notes, 1);
    drop(&b);
}

TEST(messages_and_items_come_in_any_order)
{
    struct bench b = { 0 };

    CHECK(fetch(&b,
                BYTES("* 2 FETCH (BODY[] {2}\r\nde FLAGS () UID 7)\r\n"
                      "* 1 FETCH (RFC822.SIZE 3 BODY[] {3}\r\nabc UID 4)\r\nh1 OK done\r\n"),
                two, 2));
    CHECK_BYTES(buf_bytes(&b.kept), BYTES("7:de;4:abc;"));
    drop(&b);
}

TEST(octets_that_look_like_the_protocol_are_octets)
{
    struct bench b = { 0 };

    CHECK(fetch(&b,
                BYTES("* 1 FETCH (UID 4 BODY[] {22}\r\nh1 OK done\r\n* BYE\r\n)\r\n)\r\n"
                      "* 2 FETCH (UID 7 BODY[] {4}\r\na{9} )\r\nh1 OK done\r\n"),
                two, 2));
    CHECK_BYTES(buf_bytes(&b.kept), BYTES("4:h1 OK done\r\n* BYE\r\n)\r\n;7:a{9};"));
    drop(&b);
}

TEST(quoted_bodies_and_literal8_count_as_well)
{
    struct bench b = { 0 };

    CHECK(fetch(&b,
                BYTES("* 1 FETCH (UID 4 BODY[] \"a\\\"b\")\r\n"
                      "* 2 FETCH (UID 7 BODY[] ~{3}\r\nx\0y)\r\nh1 OK done\r\n"),
                two, 2));
    CHECK_BYTES(buf_bytes(&b.kept), BYTES("4:a\"b;7:x\0y;"));
    drop(&b);
}

TEST(octets_of_a_response_that_cannot_be_read_are_nobodys)
{
    struct bench b = { 0 };

    CHECK(fetch(&b,
                BYTES("* 1 FETCH (UID 4 BODY[] {3}\r\nabc FLAGS broken\r\n"
                      "* 2 FETCH (UID 7 BODY[] \"xyz\")\r\nh1 OK done\r\n"),
                two, 2));
    CHECK_BYTES(buf_bytes(&b.kept), BYTES("7:xyz;"));
    CHECK_EQ_U64(b.aborts, 1);
    CHECK_EQ_U64(b.result.states[0], INGEST_MISSING);
    drop(&b);
    memset(&b, 0, sizeof b);
    CHECK(fetch(&b,
                BYTES("* 1 FETCH (UID 4 BODY[] {3}\r\nabc BODY[] \"xyz\")\r\n"
                      "* 2 FETCH (UID 7 BODY[] {2}\r\nde)\r\nh1 OK done\r\n"),
                two, 2));
    CHECK_BYTES(buf_bytes(&b.kept), BYTES("4:xyz;7:de;"));
    drop(&b);
}

TEST(large_octets_are_known_for_a_message_whatever_the_spaces)
{
    CLEANUP(buf_free) struct buf script = buf_create(1 << 20);
    struct bench b = { 0 };

    buf_text(&script, "* 1  FETCH (UID 4 BODY[] {70000}\r\n");
    for (uint32_t i = 0; i < 70000; i++)
        buf_byte(&script, 'x');
    buf_text(&script, ")\r\n* 2 FETCH (UID 7 BODY[] {2}\r\nde)\r\nh1 OK done\r\n");
    CHECK(fetch(&b, buf_bytes(&script), two, 2));
    CHECK_EQ_U64(b.kept.len, strlen("4:;7:de;") + 70000);
    CHECK_EQ_U64(b.result.states[0], INGEST_FETCHED);
    drop(&b);
}

TEST(nil_and_nothing_are_failures_of_their_message_only)
{
    struct bench b = { 0 };

    CHECK(fetch(&b,
                BYTES("* 1 FETCH (UID 4 RFC822.SIZE 10 BODY[] NIL)\r\n"
                      "* 2 FETCH (UID 7 BODY[] {2}\r\nde)\r\nh1 OK done\r\n"),
                two, 2));
    CHECK_BYTES(buf_bytes(&b.kept), BYTES("7:de;"));
    CHECK_EQ_U64(b.result.failure_count, 1);
    CHECK_EQ_U64(b.result.failures[0].uid, 4);
    CHECK_EQ_U64(b.result.states[0], INGEST_FAILED);
    drop(&b);
    memset(&b, 0, sizeof b);
    CHECK(fetch(&b,
                BYTES("* 1 FETCH (UID 4 RFC822.SIZE 10 BODY[] {0}\r\n)\r\n"
                      "* 2 FETCH (UID 7 RFC822.SIZE 0 BODY[] \"\")\r\nh1 OK done\r\n"),
                two, 2));
    CHECK_BYTES(buf_bytes(&b.kept), BYTES("7:;"));
    CHECK_EQ_U64(b.result.failures[0].uid, 4);
    drop(&b);
}

TEST(ok_without_data_is_missing_not_done)
{
    struct bench b = { 0 };

    CHECK(fetch(&b, BYTES("* 2 FETCH (UID 7 BODY[] {2}\r\nde)\r\nh1 OK done\r\n"), two, 2));
    CHECK_EQ_U64(b.result.states[0], INGEST_MISSING);
    CHECK_EQ_U64(b.result.states[1], INGEST_FETCHED);
    drop(&b);
}

TEST(what_was_not_asked_for_is_passed_over)
{
    struct bench b = { 0 };

    CHECK(fetch(&b,
                BYTES("* 1 FETCH (FLAGS (\\Seen))\r\n"          /* no UID */
                      "* 5 FETCH (UID 5 BODY[] {3}\r\nxxx)\r\n" /* another message */
                      "* 6 FETCH (BODY[] {3}\r\nyyy)\r\n"       /* no UID at all */
                      "* 1 FETCH (UID 4 FLAGS ())\r\n"          /* no octets */
                      "* 1 FETCH (UID 4 BODY[] {3}\r\nabc)\r\n"
                      "* 1 FETCH (UID 4 BODY[] {3}\r\nabd)\r\n" /* a second time */
                      "* 2 FETCH (UID 7 BODY[] {2}\r\nde)\r\nh1 OK done\r\n"),
                two, 2));
    CHECK_BYTES(buf_bytes(&b.kept), BYTES("4:abc;7:de;"));
    drop(&b);
}

TEST(a_literal_that_breaks_off_names_its_message_and_keeps_the_earlier_ones)
{
    struct bench b = { 0 };

    CHECK(!fetch(&b,
                 BYTES("* 1 FETCH (UID 4 BODY[] {3}\r\nabc)\r\n"
                       "* 2 FETCH (UID 7 BODY[] {9}\r\nde)\r\n"),
                 two, 2));
    CHECK_EQ_U64(b.err.code, ERR_RETRY);
    CHECK_BYTES(buf_bytes(&b.kept), BYTES("4:abc;"));
    CHECK_EQ_U64(b.aborts, 1);
    CHECK_EQ_U64(b.result.broken_uid, 7);
    CHECK_EQ_U64(b.result.states[0], INGEST_FETCHED);
    CHECK_EQ_U64(b.result.states[1], INGEST_WAITING);
    drop(&b);
}

TEST(bye_within_a_literal_is_octets_and_between_messages_the_end)
{
    struct bench b = { 0 };

    CHECK(!fetch(&b, BYTES("* 1 FETCH (UID 4 BODY[] {30}\r\n* BYE idle\r\n"), two, 2));
    CHECK_EQ_U64(b.result.broken_uid, 4);
    drop(&b);
    memset(&b, 0, sizeof b);
    CHECK(!fetch(&b, BYTES("* 1 FETCH (UID 4 BODY[] {3}\r\nabc)\r\n* BYE session too long\r\n"),
                 two, 2));
    CHECK_EQ_U64(b.err.code, ERR_RETRY);
    CHECK_EQ_U64(b.result.broken_uid, 0);
    CHECK_BYTES(buf_bytes(&b.kept), BYTES("4:abc;"));
    drop(&b);
}

TEST(a_refused_set_is_halved_until_the_bad_message_stands_alone)
{
    const uint32_t uids[] = { 1, 2, 3, 4 };
    struct bench b = { 0 };

    CHECK(fetch(&b,
                BYTES("* 1 FETCH (UID 1 BODY[] {1}\r\na)\r\n"
                      "h1 NO cannot\r\n" /* 1:4 */
                      "h2 NO cannot\r\n" /* 2:3 */
                      "h3 NO cannot\r\n" /* 2 */
                      "* 3 FETCH (UID 3 BODY[] {1}\r\nc)\r\nh4 OK\r\n"
                      "* 4 FETCH (UID 4 BODY[] {1}\r\nd)\r\nh5 OK\r\n"),
                uids, 4));
    CHECK_STR(peer_heard(&b.peer),
              "h1 UID FETCH 1:4" ITEMS "h2 UID FETCH 2:3" ITEMS "h3 UID FETCH 2" ITEMS
              "h4 UID FETCH 3" ITEMS "h5 UID FETCH 4" ITEMS);
    CHECK_BYTES(buf_bytes(&b.kept), BYTES("1:a;3:c;4:d;"));
    CHECK_EQ_U64(b.result.failure_count, 1);
    CHECK_EQ_U64(b.result.failures[0].uid, 2);
    CHECK_BYTES(b.result.failures[0].text, BYTES("UID FETCH was refused: cannot"));
    drop(&b);
}

TEST(a_source_that_is_overloaded_is_left_alone)
{
    struct bench b = { 0 };

    CHECK(!fetch(&b, BYTES("h1 NO [LIMIT] Rate limit hit\r\n"), two, 2));
    CHECK_EQ_U64(b.err.code, ERR_RETRY);
    CHECK(b.result.was_refused);
    drop(&b);
}

TEST(errors_that_may_pass_are_isolated_and_three_in_a_row_are_the_mailboxs)
{
    const uint32_t uids[] = { 1, 2, 3, 4, 5, 6 };
    struct bench b = { 0 };

    CHECK(!fetch(&b,
                 BYTES("h1 NO [UNAVAILABLE] Server error\r\n" /* 1:6 */
                       "h2 NO [UNAVAILABLE] Server error\r\n" /* 1:3 */
                       "h3 NO [UNAVAILABLE] Server error\r\n" /* 1:2 */
                       "h4 NO [UNAVAILABLE] Server error\r\n" /* 1 */
                       "* 2 FETCH (UID 2 BODY[] {1}\r\nb)\r\nh5 OK\r\n"
                       "h6 NO [UNAVAILABLE] Server error\r\n"    /* 3 */
                       "h7 NO [UNAVAILABLE] Server error\r\n"    /* 4:6 */
                       "h8 NO [UNAVAILABLE] Server error\r\n"    /* 4:5 */
                       "h9 NO [UNAVAILABLE] Server error\r\n"    /* 4 */
                       "h10 NO [UNAVAILABLE] Server error\r\n"), /* 5 */
                 uids, 6));
    CHECK_EQ_U64(b.err.code, ERR_ABSENT);
    CHECK(!b.result.was_refused);
    CHECK_BYTES(buf_bytes(&b.kept), BYTES("2:b;"));
    CHECK_EQ_U64(b.result.failure_count, 4);
    CHECK_EQ_U64(b.result.states[5], INGEST_WAITING);
    drop(&b);
}

TEST(a_message_that_the_archive_refuses_is_read_to_its_end_and_recorded)
{
    struct bench b = { .refuse_over = 4 };

    CHECK(fetch(&b,
                BYTES("* 1 FETCH (UID 4 BODY[] {5}\r\nabcde)\r\n"
                      "* 2 FETCH (UID 7 BODY[] {2}\r\nde)\r\nh1 OK done\r\n"),
                two, 2));
    CHECK_BYTES(buf_bytes(&b.kept), BYTES("7:de;"));
    CHECK_BYTES(b.result.failures[0].text, BYTES("too large"));
    CHECK_EQ_U64(b.aborts, 0);
    drop(&b);
}

TEST(the_next_command_is_sent_when_the_last_message_begins_to_arrive)
{
    CLEANUP(buf_free) struct buf script = buf_create(1 << 16);
    uint32_t uids[201];
    struct bench b = { 0 };

    for (uint32_t i = 0; i < 201; i++)
        uids[i] = i + 1;
    for (uint32_t i = 0; i < 199; i++) {
        buf_text(&script, "* 1 FETCH (UID ");
        buf_u64(&script, i + 1);
        buf_text(&script, " BODY[] {1}\r\nx)\r\n");
    }
    CHECK(!fetch(&b, buf_bytes(&script), uids, 201));
    CHECK_STR(peer_heard(&b.peer), "h1 UID FETCH 1:200" ITEMS);
    drop(&b);

    memset(&b, 0, sizeof b);
    buf_text(&script, "* 1 FETCH (UID 200 BODY[] {5}\r\nab");
    CHECK(!fetch(&b, buf_bytes(&script), uids, 201));
    CHECK_STR(peer_heard(&b.peer), "h1 UID FETCH 1:200" ITEMS "h2 UID FETCH 201" ITEMS);
    CHECK_EQ_U64(b.result.broken_uid, 200);
    drop(&b);
}

TEST(a_fetch_that_may_not_go_on_takes_what_it_asked_for_and_asks_for_nothing_more)
{
    CLEANUP(buf_free) struct buf script = buf_create(1 << 16);
    uint32_t uids[201];
    struct bench b = { .stop_at = 100 };

    for (uint32_t i = 0; i < 201; i++)
        uids[i] = i + 1;
    for (uint32_t i = 0; i < 200; i++) {
        buf_text(&script, "* 1 FETCH (UID ");
        buf_u64(&script, i + 1);
        buf_text(&script, " BODY[] {1}\r\nx)\r\n");
    }
    buf_text(&script, "h1 OK done\r\n");
    CHECK(!fetch(&b, buf_bytes(&script), uids, 201));
    CHECK_STR(peer_heard(&b.peer), "h1 UID FETCH 1:200" ITEMS);
    CHECK_STR(b.err.text, "enough");
    CHECK_EQ_U64(b.result.states[199], INGEST_FETCHED);
    CHECK_EQ_U64(b.result.states[200], INGEST_WAITING);
    CHECK(!b.result.was_refused);
    drop(&b);
}

/* As the helper of number 2, beside a first connection that has taken nothing yet. */
static bool help(struct bench *b, struct bytes script, const uint32_t *uids, size_t count)
{
    struct ingest_sink sink = { b, begin, octets, end, give_up, may_go_on };

    b->arena = arena_create(1 << 20);
    b->kept = buf_create(1 << 20);
    b->arriving = buf_create(1 << 20);
    b->client = peer_connect(&b->peer, script, true, "IMAP4rev1");
    ingest_open_share(uids, count, b->arena, &b->share);
    ingest_join_share(&b->share);
    return ingest_help_fetch(b->client, &b->share, 2, &sink, &b->result.size_notes, &b->err);
}

TEST(what_a_helper_cannot_have_is_left_to_the_first_connection_whatever_the_reason)
{
    static const uint32_t five[] = { 1, 2, 3, 4, 5 };
    struct bench b = { .refuse_over = 10 };

    CHECK(help(&b,
               BYTES("* 1 FETCH (UID 1 BODY[] {2}\r\nab RFC822.SIZE 3)\r\n"
                     "* 2 FETCH (UID 2 BODY[] NIL)\r\n"
                     "* 3 FETCH (UID 3 BODY[] {11}\r\nabcdefghijk)\r\n"
                     "* 4 FETCH (UID 4 RFC822.SIZE 4 BODY[] \"\")\r\nh1 OK done\r\n"),
               five, 5));
    CHECK_BYTES(buf_bytes(&b.kept), BYTES("1:ab;"));
    CHECK_EQ_U64(b.share.states[0], INGEST_FETCHED);
    for (size_t i = 1; i < 5; i++)
        CHECK_EQ_U64(b.share.states[i], INGEST_WAITING);
    CHECK_EQ_U64(b.share.left_count, 4);
    CHECK_EQ_U64(b.result.size_notes, 1);
    drop(&b);
}

TEST(a_set_that_is_refused_to_a_helper_is_left_to_the_first_connection)
{
    struct bench b = { 0 };

    CHECK(help(&b, BYTES("h1 NO cannot read that\r\n"), two, 2));
    CHECK_STR(peer_heard(&b.peer), "h1 UID FETCH 4,7" ITEMS);
    CHECK_EQ_U64(b.share.left_count, 2);
    drop(&b);
}

TEST(words_of_load_to_a_helper_are_kept_with_its_connection)
{
    struct bench b = { 0 };

    CHECK(!help(&b, BYTES("h1 NO [LIMIT] Rate limit hit\r\n"), two, 2));
    CHECK_EQ_U64(b.err.code, ERR_RETRY);
    CHECK(ingest_was_refused(b.client));
    ingest_leave_share(&b.share, 2);
    CHECK_EQ_U64(b.share.open_count, 2);
    drop(&b);
}

TEST(of_what_a_lost_helper_held_only_the_message_that_was_arriving_is_left_to_the_first)
{
    struct bench b = { 0 };

    CHECK(!help(&b, BYTES("* 1 FETCH (UID 4 BODY[] {9}\r\nabc"), two, 2));
    CHECK(b.err.code == ERR_RETRY);
    ingest_leave_share(&b.share, 2);
    CHECK_EQ_U64(b.share.left_count, 1);
    CHECK_EQ_U64(b.share.open_count, 1);
    drop(&b);
}

TEST(a_message_that_another_connection_asked_for_is_not_taken)
{
    struct bench b = { 0 };
    struct ingest_sink sink = { &b, begin, octets, end, give_up, may_go_on };
    CLEANUP(buf_free) struct buf set = buf_create(2000);
    struct ingest_span span;
    size_t taken;

    b.arena = arena_create(1 << 20);
    b.kept = buf_create(1 << 20);
    b.arriving = buf_create(1 << 20);
    ingest_open_share(two, 2, b.arena, &b.share);
    ingest_join_share(&b.share);
    b.result = ingest_start_result(&b.share, b.arena);
    CHECK(ingest_take_set(&b.share, 2, 1, &set, &span, &taken));
    b.client = peer_connect(&b.peer,
                            BYTES("* 1 FETCH (UID 4 BODY[] {1}\r\na)\r\n"
                                  "* 2 FETCH (UID 7 BODY[] {1}\r\nb)\r\nh1 OK done\r\n"),
                            true, "IMAP4rev1");
    CHECK(ingest_fetch(b.client, &b.share, INGEST_BY_PEEK, &sink, b.arena, &b.result, &b.err));
    CHECK_STR(peer_heard(&b.peer), "h1 UID FETCH 7" ITEMS);
    CHECK_BYTES(buf_bytes(&b.kept), BYTES("7:b;"));
    CHECK_EQ_U64(b.share.states[0], INGEST_WAITING);
    CHECK_EQ_U64(ingest_odd_responses(b.client), 1);
    drop(&b);
}
