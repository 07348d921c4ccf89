/* SPDX-License-Identifier: Apache-2.0 */
#include "ingest/compress.h"
#include "peer.h"

/* "* 1 EXISTS", "h2 OK done", as raw deflate: one stored block, and the empty one of a flush. */
static const struct bytes accepts = BYTES_INIT("h1 OK from here on\r\n"
                                               "\x00\x18\x00\xe7\xff* 1 EXISTS\r\nh2 OK done\r\n"
                                               "\x00\x00\x00\xff\xff");

static bool asks_noop(struct ingest_client *client, struct err *err)
{
    struct ingest_reply reply;
    struct ingest_tag tag;

    ingest_begin_command(client, "NOOP");
    return ingest_send_command(client, &tag, err) &&
           ingest_finish_command(client, tag, NULL, NULL, &reply, err) &&
           reply.condition == IMAP_OK;
}

TEST(what_follows_the_ok_is_compressed_in_both_directions)
{
    struct peer peer = { 0 };
    struct ingest_client *client = peer_connect(&peer, accepts, true, "COMPRESS=DEFLATE");
    struct err err = { 0 };

    CHECK(ingest_compress(client, CONF_COMPRESS_ON, &err));
    CHECK(asks_noop(client, &err));
    CHECK(strncmp(peer_heard(&peer), "h1 COMPRESS DEFLATE\r\n", 21) == 0);
    CHECK(strstr(peer.said, "NOOP") == NULL);
    ingest_close_client(&client);
    peer_close(&peer);
}

TEST(a_refusal_leaves_the_connection_as_it_is)
{
    struct peer peer = { 0 };
    struct ingest_client *client =
        peer_connect(&peer, BYTES("h1 NO [COMPRESSIONACTIVE] by TLS\r\nh2 OK done\r\n"), true,
                     "COMPRESS=DEFLATE");
    struct err err = { 0 };

    CHECK(ingest_compress(client, CONF_COMPRESS_ON, &err));
    CHECK(asks_noop(client, &err));
    CHECK_STR(peer_heard(&peer), "h1 COMPRESS DEFLATE\r\nh2 NOOP\r\n");
    ingest_close_client(&client);
    peer_close(&peer);
}

TEST(it_is_not_asked_for_where_it_is_not_offered_or_forbidden_or_the_source_is_near)
{
    static const struct {
        const char *capabilities;
        enum conf_compress mode;
    } cases[] = {
        { "IMAP4rev1", CONF_COMPRESS_ON },
        { "COMPRESS=DEFLATE", CONF_COMPRESS_OFF },
        { "COMPRESS=DEFLATE", CONF_COMPRESS_AUTO },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct peer peer = { 0 };
        struct ingest_client *client =
            peer_connect(&peer, BYTES("h1 OK done\r\n"), true, cases[i].capabilities);
        struct err err = { 0 };

        CHECK(ingest_compress(client, cases[i].mode, &err));
        CHECK(asks_noop(client, &err));
        CHECK_STR(peer_heard(&peer), "h1 NOOP\r\n");
        ingest_close_client(&client);
        peer_close(&peer);
    }
}
