/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"
#include "net/stream.h"
#include "test.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static void send_text(struct net_stream *stream, const char *text)
{
    struct err err = { 0 };

    CHECK(net_write(stream, bytes_of_text(text), &err));
    CHECK(net_flush(stream, &err));
}

TEST(what_one_side_writes_the_other_reads)
{
    CLEANUP(net_close) struct net_stream *a = NULL;
    CLEANUP(net_close) struct net_stream *b = NULL;
    struct err err = { 0 };

    fixture_pair(NULL, &a, &b);
    send_text(a, "a1 NOOP\r\n");
    CHECK(net_fill(b, &err));
    CHECK_BYTES(net_peek(b), BYTES("a1 NOOP\r\n"));
    net_consume(b, 3);
    CHECK_BYTES(net_peek(b), BYTES("NOOP\r\n"));
}

TEST(nothing_is_sent_before_it_is_flushed)
{
    CLEANUP(net_close) struct net_stream *a = NULL;
    CLEANUP(net_close) struct net_stream *b = NULL;
    struct err err = { 0 };

    fixture_pair(NULL, &a, &b);
    CHECK(net_write(a, BYTES("x"), &err));
    CHECK(net_has_output(a));
    CHECK(net_try_fill(b, 100, &err) == NET_WANT_READ);
    CHECK(net_flush(a, &err));
    CHECK(!net_has_output(a));
    CHECK(net_try_fill(b, 100, &err) == NET_DONE);
}

TEST(a_stream_fed_one_byte_at_a_time_shows_all_of_it)
{
    CLEANUP(net_close) struct net_stream *a = NULL;
    CLEANUP(net_close) struct net_stream *b = NULL;
    const char *text = "* 1 FETCH (UID 7)\r\n";
    struct err err = { 0 };

    fixture_pair(NULL, &a, &b);
    for (size_t i = 0; text[i] != '\0'; i++) {
        char one[2] = { text[i], '\0' };

        send_text(a, one);
        CHECK(net_fill(b, &err));
        CHECK_EQ_U64(net_peek(b).len, i + 1);
    }
    CHECK_BYTES(net_peek(b), bytes_of_text(text));
}

TEST(a_peer_that_says_nothing_is_a_time_out_after_the_stall_time)
{
    struct net_options options = { .stall_ms = 50 };
    CLEANUP(net_close) struct net_stream *a = NULL;
    CLEANUP(net_close) struct net_stream *b = NULL;
    int64_t started = clock_now_usec();
    struct err err = { 0 };

    fixture_pair(&options, &a, &b);
    CHECK(!net_fill(a, &err));
    CHECK_EQ_U64(err.code, ERR_RETRY);
    CHECK_STR(err.text, "time-out: nothing received for 50 ms");
    CHECK(clock_now_usec() - started >= 50000);
    CHECK(!net_has_ended(a));
}

TEST(who_is_asked_to_stop_waits_for_no_peer)
{
    int asked[2];
    struct net_options options = { .stall_ms = 3600 * 1000, .stop_fd = &asked[0] };
    CLEANUP(net_close) struct net_stream *a = NULL;
    CLEANUP(net_close) struct net_stream *b = NULL;
    struct err err = { 0 };

    CHECK(pipe2(asked, O_CLOEXEC) == 0 && write(asked[1], "!", 1) == 1);
    fixture_pair(&options, &a, &b);
    CHECK(!net_fill(a, &err));
    CHECK_EQ_U64(err.code, ERR_RETRY);
    CHECK_STR(err.text, "asked to stop");
    (void)close(asked[0]);
    (void)close(asked[1]);
}

static void dribble(struct peer *peer)
{
    for (int i = 0; i < 8; i++) {
        usleep(30000);
        if (!net_write(peer->stream, BYTES("x"), &peer->err) ||
            !net_flush(peer->stream, &peer->err))
            return;
    }
    peer->is_content = true;
}

TEST(the_stall_time_counts_from_the_last_byte_and_not_in_all)
{
    struct net_options options = { .stall_ms = 150 };
    CLEANUP(net_close) struct net_stream *a = NULL;
    struct peer peer = { .run = dribble };
    struct err err = { 0 };

    fixture_pair(&options, &a, &peer.stream);
    peer_start(&peer);
    while (net_peek(a).len < 8 && net_fill(a, &err))
        ;
    peer_join(&peer);
    CHECK_STR(err.text, "");
    CHECK_EQ_U64(net_peek(a).len, 8);
}

TEST(a_deadline_ends_an_exchange_that_dribbles)
{
    CLEANUP(net_close) struct net_stream *a = NULL;
    struct peer peer = { .run = dribble };
    struct err err = { 0 };

    fixture_pair(NULL, &a, &peer.stream);
    net_set_deadline(a, deadline_after_ms(100));
    peer_start(&peer);
    while (net_fill(a, &err))
        ;
    peer_join(&peer);
    CHECK_EQ_U64(err.code, ERR_RETRY);
    CHECK_STR(err.text, "time-out: the time for this exchange is over");
    CHECK(net_peek(a).len < 8);
}

TEST(a_peer_that_does_not_read_is_a_time_out_for_the_writer)
{
    struct net_options options = { .stall_ms = 50 };
    CLEANUP(net_close) struct net_stream *a = NULL;
    CLEANUP(net_close) struct net_stream *b = NULL;
    uint8_t *much = calloc(1, 8 << 20);
    struct err err = { 0 };

    fixture_pair(&options, &a, &b);
    CHECK(!net_write(a, bytes_of(much, 8 << 20), &err));
    CHECK_EQ_U64(err.code, ERR_RETRY);
    CHECK_STR(err.text, "time-out: nothing accepted by the peer for 50 ms");
    free(much);
}

TEST(the_end_of_the_stream_is_told_after_its_last_octets)
{
    CLEANUP(net_close) struct net_stream *a = NULL;
    CLEANUP(net_close) struct net_stream *b = NULL;
    struct err err = { 0 };

    fixture_pair(NULL, &a, &b);
    send_text(a, "last");
    net_close(&a);
    CHECK(net_fill(b, &err));
    CHECK_BYTES(net_peek(b), BYTES("last"));
    CHECK(!net_fill(b, &err));
    CHECK_EQ_U64(err.code, ERR_RETRY);
    CHECK(net_has_ended(b));
    CHECK_BYTES(net_peek(b), BYTES("last"));
    CHECK(net_try_fill(b, 10, &err) == NET_ENDED);
}

TEST(writing_to_a_peer_that_has_gone_fails_without_a_signal)
{
    CLEANUP(net_close) struct net_stream *a = NULL;
    CLEANUP(net_close) struct net_stream *b = NULL;
    struct err err = { 0 };

    fixture_pair(NULL, &a, &b);
    net_close(&b);
    CHECK(net_write(a, BYTES("x"), &err));
    CHECK(!net_flush(a, &err));
    CHECK_EQ_U64(err.code, ERR_RETRY);
}

TEST(a_line_longer_than_the_read_buffer_is_a_limit_at_its_exact_size)
{
    struct net_options options = { .max_read_bytes = 10, .stall_ms = 1000 };
    CLEANUP(net_close) struct net_stream *a = NULL;
    CLEANUP(net_close) struct net_stream *b = NULL;
    struct err err = { 0 };

    fixture_pair(&options, &a, &b);
    send_text(b, "0123456789X");
    CHECK(net_fill(a, &err));
    CHECK_BYTES(net_peek(a), BYTES("0123456789"));
    CHECK(!net_fill(a, &err));
    CHECK_EQ_U64(err.code, ERR_LIMIT);
    net_set_max_read(a, 20);
    CHECK(net_fill(a, &err));
    CHECK_BYTES(net_peek(a), BYTES("0123456789X"));
}

TEST(a_literal_is_read_first_from_the_buffer_and_then_from_the_socket)
{
    CLEANUP(net_close) struct net_stream *a = NULL;
    CLEANUP(net_close) struct net_stream *b = NULL;
    char into[16];
    size_t got = 0;
    struct err err = { 0 };

    fixture_pair(NULL, &a, &b);
    send_text(a, "abc");
    CHECK(net_fill(b, &err));
    send_text(a, "defg");
    CHECK(net_read_some(b, into, 2, &got, &err));
    CHECK_BYTES(bytes_of(into, got), BYTES("ab"));
    CHECK(net_read_some(b, into, sizeof into, &got, &err));
    CHECK_BYTES(bytes_of(into, got), BYTES("c"));
    CHECK(net_read_some(b, into, sizeof into, &got, &err));
    CHECK_BYTES(bytes_of(into, got), BYTES("defg"));
    net_close(&a);
    CHECK(!net_read_some(b, into, sizeof into, &got, &err));
    CHECK(net_has_ended(b));
}

static void write_much(struct peer *peer)
{
    uint8_t *much = malloc(3 << 20);

    for (size_t i = 0; i < 3 << 20; i++)
        much[i] = (uint8_t)(i * 7 + (i >> 11));
    for (size_t at = 0, size = 1; at < 3 << 20; at += size, size = size * 3 % 50021) {
        struct bytes piece = bytes_slice(bytes_of(much, 3 << 20), at, size);

        if (!net_write(peer->stream, piece, &peer->err))
            break;
    }
    peer->is_content = net_flush(peer->stream, &peer->err);
    free(much);
}

TEST(octets_of_any_sizes_arrive_in_order)
{
    CLEANUP(net_close) struct net_stream *a = NULL;
    struct peer peer = { .run = write_much };
    struct err err = { 0 };
    size_t at = 0;
    bool is_same = true;

    fixture_pair(NULL, &a, &peer.stream);
    peer_start(&peer);
    while (at < 3 << 20 && net_fill(a, &err)) {
        struct bytes got = net_peek(a);

        for (size_t i = 0; i < got.len; i++, at++)
            is_same = is_same && got.ptr[i] == (uint8_t)(at * 7 + (at >> 11));
        net_consume(a, got.len);
    }
    peer_join(&peer);
    CHECK_STR(err.text, "");
    CHECK(is_same);
    CHECK_EQ_U64(at, 3 << 20);
    CHECK_EQ_U64(net_get_counters(a).bytes_in, 3 << 20);
}

TEST(a_reading_without_waiting_takes_no_more_than_it_was_told)
{
    CLEANUP(net_close) struct net_stream *a = NULL;
    CLEANUP(net_close) struct net_stream *b = NULL;
    struct err err = { 0 };

    fixture_pair(NULL, &a, &b);
    send_text(a, "abcdef");
    CHECK(net_try_fill(b, 4, &err) == NET_DONE);
    CHECK_BYTES(net_peek(b), BYTES("abcd"));
    CHECK(net_has_buffered(b));
    CHECK(net_try_fill(b, 4, &err) == NET_DONE);
    CHECK_BYTES(net_peek(b), BYTES("abcdef"));
    CHECK(net_try_fill(b, 4, &err) == NET_WANT_READ);
    net_consume(b, 6);
    CHECK(!net_has_buffered(b));
}

TEST(output_that_does_not_go_at_once_goes_when_the_peer_reads)
{
    CLEANUP(net_close) struct net_stream *a = NULL;
    CLEANUP(net_close) struct net_stream *b = NULL;
    enum net_progress progress = NET_DONE;
    uint8_t chunk[1000] = { 0 };
    size_t written = 0;
    size_t read = 0;
    struct err err = { 0 };

    fixture_pair(NULL, &a, &b);
    while (progress == NET_DONE) {
        CHECK(net_write(a, bytes_of(chunk, sizeof chunk), &err));
        written += sizeof chunk;
        progress = net_try_flush(a, &err);
    }
    CHECK(progress == NET_WANT_WRITE);
    while (read < written) {
        if (net_try_fill(b, 65536, &err) == NET_WANT_READ)
            CHECK(net_try_flush(a, &err) != NET_FAILED);
        read += net_peek(b).len;
        net_consume(b, net_peek(b).len);
    }
    CHECK(!net_has_output(a));
}

static void shut_soon(struct peer *peer)
{
    usleep(30000);
    net_shutdown((struct net_stream *)(uintptr_t)peer->argument);
}

TEST(a_wait_is_ended_by_a_shutdown_from_another_thread)
{
    CLEANUP(net_close) struct net_stream *a = NULL;
    struct peer peer = { .run = shut_soon };
    struct err err = { 0 };

    fixture_pair(NULL, &a, &peer.stream);
    peer.argument = a;
    peer_start(&peer);
    CHECK(!net_fill(a, &err));
    peer_join(&peer);
    CHECK_EQ_U64(err.code, ERR_RETRY);
}

TEST(a_descriptor_that_is_no_socket_is_refused_and_closed)
{
    struct net_stream *stream = NULL;
    struct err err = { 0 };
    int fds[2];
    int kept;

    CHECK(pipe(fds) == 0);
    kept = fds[0];
    CHECK(!net_open_fd(&fds[0], NULL, &stream, &err));
    CHECK_EQ_I64(fds[0], -1);
    CHECK(stream == NULL);
    CHECK(close(kept) != 0);
    CHECK(close(fds[1]) == 0);
}

TEST(a_unix_socket_has_a_local_peer_without_address)
{
    CLEANUP(net_close) struct net_stream *a = NULL;
    CLEANUP(net_close) struct net_stream *b = NULL;
    char text[NET_ADDRESS_TEXT_BYTES];

    fixture_pair(NULL, &a, &b);
    net_get_peer(a, text);
    CHECK_STR(text, "unix");
    CHECK(net_peer_is_local(a));
}
