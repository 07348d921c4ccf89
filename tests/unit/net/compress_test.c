/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"
#include "net/compress.h"
#include "test.h"

#include <stdlib.h>
#include <zlib.h>

enum {
    MANY = 60000
};

struct bench {
    struct net_stream *a, *b; /* a is compressed, b is what the test makes of it */
    struct err err;
};

static void start(struct bench *bench)
{
    memset(bench, 0, sizeof *bench);
    fixture_pair(NULL, &bench->a, &bench->b);
}

static void drop(struct bench *bench)
{
    net_close(&bench->a);
    net_close(&bench->b);
}

static void send_octets(struct net_stream *stream, struct bytes octets)
{
    struct err err = { 0 };

    CHECK(net_write(stream, octets, &err));
    CHECK(net_flush(stream, &err));
}

static void wait_for_octets(struct net_stream *stream, size_t size)
{
    struct err err = { 0 };

    while (net_peek(stream).len < size)
        CHECK(net_fill(stream, &err));
    CHECK_EQ_U64(net_peek(stream).len, size);
}

/* Raw deflate of some octets, flushed as servers do after each answer. */
static struct bytes deflated(struct bytes plain, uint8_t *room, size_t size)
{
    z_stream z = { .next_in = (Bytef *)(uintptr_t)plain.ptr,
                   .avail_in = (uInt)plain.len,
                   .next_out = room,
                   .avail_out = (uInt)size };

    CHECK(deflateInit2(&z, 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    CHECK(deflate(&z, Z_SYNC_FLUSH) == Z_OK);
    CHECK(z.avail_in == 0);
    (void)deflateEnd(&z);
    return bytes_of(room, size - z.avail_out);
}

TEST(both_sides_read_what_the_other_writes_and_less_goes_over_the_wire)
{
    static uint8_t same[MANY], noise[MANY];
    struct bench bench;

    start(&bench);
    memset(same, 'x', sizeof same);
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (uint8_t)(i * 2654435761u >> 13 ^ i * 40503u >> 7);
    CHECK(net_start_compress(bench.a, &bench.err));
    CHECK(net_start_compress(bench.b, &bench.err));
    send_octets(bench.a, BYTES("a1 NOOP\r\n"));
    wait_for_octets(bench.b, 9);
    CHECK_BYTES(net_peek(bench.b), BYTES("a1 NOOP\r\n"));
    net_consume(bench.b, 9);
    net_set_max_read(bench.a, 2 * MANY);
    net_set_max_read(bench.b, 2 * MANY);
    send_octets(bench.b, bytes_of(same, sizeof same));
    wait_for_octets(bench.a, MANY);
    CHECK_BYTES(net_peek(bench.a), bytes_of(same, sizeof same));
    CHECK(net_get_counters(bench.a).bytes_in < MANY / 50);
    send_octets(bench.a, bytes_of(noise, sizeof noise));
    wait_for_octets(bench.b, MANY);
    CHECK_BYTES(net_peek(bench.b), bytes_of(noise, sizeof noise));
    drop(&bench);
}

TEST(octets_that_came_right_behind_the_ok_are_taken_as_compressed)
{
    static uint8_t room[100];
    struct bench bench;

    start(&bench);
    send_octets(bench.b, BYTES("h1 OK\r\n"));
    send_octets(bench.b, deflated(BYTES("* 3 EXISTS\r\n"), room, sizeof room));
    while (net_peek(bench.a).len <= 7)
        CHECK(net_fill(bench.a, &bench.err));
    net_consume(bench.a, 7);
    CHECK(net_start_compress(bench.a, &bench.err));
    CHECK_EQ_U64(net_peek(bench.a).len, 0);
    CHECK(net_has_buffered(bench.a));
    wait_for_octets(bench.a, 12);
    CHECK_BYTES(net_peek(bench.a), BYTES("* 3 EXISTS\r\n"));
    drop(&bench);
}

TEST(compressed_octets_may_come_one_at_a_time)
{
    static uint8_t room[100];
    struct bytes octets = deflated(BYTES("* OK still here\r\n"), room, sizeof room);
    struct bench bench;

    start(&bench);
    CHECK(net_start_compress(bench.a, &bench.err));
    for (size_t i = 0; i < octets.len; i++) {
        send_octets(bench.b, bytes_slice(octets, i, 1));
        CHECK(net_try_fill(bench.a, 100, &bench.err) != NET_FAILED);
    }
    CHECK_BYTES(net_peek(bench.a), BYTES("* OK still here\r\n"));
    drop(&bench);
}

TEST(a_few_octets_that_stand_for_many_are_given_as_the_reader_has_room)
{
    static uint8_t zeros[4 << 20], room[32 << 10];
    struct bench bench;

    start(&bench);
    CHECK(net_start_compress(bench.a, &bench.err));
    send_octets(bench.b, deflated(bytes_of(zeros, sizeof zeros), room, sizeof room));
    for (size_t got = 0; got < sizeof zeros; got += 100) {
        size_t expected = sizeof zeros - got < 100 ? sizeof zeros - got : 100;

        CHECK(net_try_fill(bench.a, 100, &bench.err) == NET_DONE);
        CHECK(net_peek(bench.a).len == expected);
        net_consume(bench.a, expected);
    }
    CHECK(net_try_fill(bench.a, 100, &bench.err) == NET_WANT_READ);
    CHECK(!net_has_buffered(bench.a));
    drop(&bench);
}

TEST(what_is_not_deflate_is_an_error_of_the_peer)
{
    struct bench bench;

    start(&bench);
    CHECK(net_start_compress(bench.a, &bench.err));
    send_octets(bench.b, BYTES("\xff\xff plain"));
    CHECK(!net_fill(bench.a, &bench.err));
    CHECK_EQ_U64(bench.err.code, ERR_SYNTAX);
    drop(&bench);
}

TEST(octets_that_stand_for_nothing_for_ever_are_refused)
{
    static uint8_t nothing[5 << 13]; /* empty stored blocks */
    enum net_progress progress = NET_WANT_READ;
    struct bench bench;
    size_t sent = 0;

    start(&bench);
    for (size_t i = 0; i < sizeof nothing; i += 5)
        memcpy(nothing + i, "\0\0\0\xff\xff", 5);
    CHECK(net_start_compress(bench.a, &bench.err));
    while (progress == NET_WANT_READ && sent < 2 * NET_BARREN_BYTES) {
        send_octets(bench.b, bytes_of(nothing, sizeof nothing));
        sent += sizeof nothing;
        progress = net_try_fill(bench.a, 100, &bench.err);
    }
    CHECK(progress == NET_FAILED);
    CHECK_EQ_U64(bench.err.code, ERR_SYNTAX);
    CHECK(sent > NET_BARREN_BYTES);
    drop(&bench);
}

TEST(a_write_that_had_to_wait_is_compressed_once)
{
    static uint8_t noise[3 << 20];
    struct bench bench;
    size_t got = 0;

    start(&bench);
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (uint8_t)(i * 2654435761u >> 11 ^ i * 40503u >> 5);
    CHECK(net_start_compress(bench.a, &bench.err));
    CHECK(net_start_compress(bench.b, &bench.err));
    for (size_t at = 0; at < sizeof noise; at += 8192) {
        CHECK(net_write(bench.a, bytes_of(noise + at, 8192), &bench.err));
        while (net_try_flush(bench.a, &bench.err) != NET_DONE) {
            CHECK(net_fill(bench.b, &bench.err));
            CHECK(memcmp(net_peek(bench.b).ptr, noise + got, net_peek(bench.b).len) == 0);
            got += net_peek(bench.b).len;
            net_consume(bench.b, net_peek(bench.b).len);
        }
    }
    while (got < sizeof noise) {
        CHECK(net_fill(bench.b, &bench.err));
        CHECK(memcmp(net_peek(bench.b).ptr, noise + got, net_peek(bench.b).len) == 0);
        got += net_peek(bench.b).len;
        net_consume(bench.b, net_peek(bench.b).len);
    }
    drop(&bench);
}
