/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "ingest/pieces.h"
#include "peer.h"

/* Keeps what it is given, and insists on what the vault insists on. */
struct keeper {
    struct buf kept;
    bool is_begun;
    size_t ends, aborts;
};

static bool begin(void *context, uint64_t announced_bytes, struct err *err)
{
    struct keeper *keeper = context;

    (void)announced_bytes;
    (void)err;
    CHECK(!keeper->is_begun);
    keeper->is_begun = true;
    buf_reset(&keeper->kept, 1 << 16);
    return true;
}

static bool octets(void *context, struct bytes some, struct err *err)
{
    struct keeper *keeper = context;

    (void)err;
    CHECK(keeper->is_begun);
    buf_append(&keeper->kept, some);
    return true;
}

static bool end(void *context, const struct imap_fetch_response *message, struct err *err)
{
    struct keeper *keeper = context;

    (void)err;
    CHECK(keeper->is_begun && message->uid.n == 7);
    keeper->is_begun = false;
    keeper->ends++;
    return true;
}

static void give_up(void *context)
{
    struct keeper *keeper = context;

    CHECK(keeper->is_begun);
    keeper->is_begun = false;
    keeper->aborts++;
}

/* What is put together of message 7. */
static void check_pieces(struct bytes script, struct bytes expected)
{
    struct keeper keeper = { .kept = buf_create(1 << 16) };
    struct ingest_sink sink = { &keeper, begin, octets, end, give_up, NULL };
    struct err err = { 0 };
    struct peer peer;
    struct ingest_client *client = peer_connect(&peer, script, true, "IMAP4rev1");
    bool is_given = false;

    CHECK(ingest_fetch_in_pieces(client, 7, &sink, &is_given, &err));
    CHECK(is_given && !keeper.is_begun);
    CHECK_EQ_U64(keeper.ends, 1);
    CHECK_BYTES(buf_bytes(&keeper.kept), expected);
    ingest_close_client(&client);
    peer_close(&peer);
    buf_free(&keeper.kept);
}

#define HEADER "* 1 FETCH (UID 7 BODY[HEADER] {4}\r\na:\r\n)\r\nh1 OK done\r\n"

TEST(a_message_is_its_header_and_its_text)
{
    check_pieces(BYTES(HEADER "* 1 FETCH (UID 7 BODY[TEXT] {3}\r\nxyz)\r\nh2 OK done\r\n"),
                 BYTES("a:\r\nxyz"));
    check_pieces(BYTES(HEADER "* 1 FETCH (UID 7 BODY[TEXT] \"xyz\")\r\nh2 OK done\r\n"),
                 BYTES("a:\r\nxyz"));
}

TEST(a_piece_that_comes_twice_or_in_a_broken_response_counts_once)
{
    check_pieces(BYTES(HEADER "* 1 FETCH (UID 7 BODY[TEXT] {3}\r\nabc broken\r\n"
                              "* 1 FETCH (UID 7 BODY[TEXT] \"xyz\")\r\nh2 OK done\r\n"),
                 BYTES("a:\r\nxyz"));
    check_pieces(BYTES(HEADER "* 1 FETCH (UID 7 BODY[TEXT] {3}\r\nabc BODY[TEXT] \"xyz\")\r\n"
                              "h2 OK done\r\n"),
                 BYTES("a:\r\nxyz"));
    check_pieces(BYTES(HEADER "* 1 FETCH (UID 7 BODY[TEXT] {3}\r\nabc BODY[TEXT] {3}\r\nxyz)\r\n"
                              "* 1 FETCH (UID 7 BODY[TEXT] {3}\r\nnew)\r\nh2 OK done\r\n"),
                 BYTES("a:\r\nxyz"));
    check_pieces(BYTES("* 1 FETCH (UID 7 BODY[HEADER] {3}\r\nabc broken\r\n"
                       "* 1 FETCH (UID 8 BODY[HEADER] {3}\r\nabc)\r\n"
                       "* 1 FETCH (BODY[HEADER] {3}\r\nabc UID 8)\r\n" HEADER
                       "* 1 FETCH (UID 7 BODY[TEXT] {3}\r\nxyz)\r\nh2 OK done\r\n"),
                 BYTES("a:\r\nxyz"));
}
